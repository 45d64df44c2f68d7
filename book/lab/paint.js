/** Colours of the maps, and how they are drawn. */

/**
 * @typedef {{graph: string, output: string, range: [number, number], colours: number[][], overlay: boolean}} Look
 *   Where a map comes from, the values at the ends of its colours, 256 of these as red, green and blue, and whether the
 *   map may lie over the picture.
 */

/** Matplotlib's magma at 17 equidistant values. */
const MAGMA =
  "000003 0a0722 1c1046 350f6a 50127b 691c80 822581 9c2e7f b63679 ce4070 e55063 f4685b fb8660 fda470 fec286 fddfa1 fbfcbf"
    .split(" ")
    .map((code) => [0, 2, 4].map((at) => parseInt(code.slice(at, at + 2), 16)));

const LEVELS = Array.from({ length: 256 }, (_, level) => level);
const greys = LEVELS.map((level) => [level, level, level]);
const magma = LEVELS.map((level) => {
  const place = (level / 255) * (MAGMA.length - 1);
  const below = Math.min(Math.floor(place), MAGMA.length - 2);
  return MAGMA[below].map((from, channel) => from + (place - below) * (MAGMA[below + 1][channel] - from));
});

/** How each view but the plain picture is shown. One range for all pictures: they can be compared. @type {Record<string, Look>} */
export const LOOKS = {
  "error-map": { graph: "error_map", output: "error_map", range: [0.15, 0.65], colours: magma, overlay: true },
  normalised: { graph: "maps", output: "normalized", range: [-0.25, 0.25], colours: greys, overlay: false },
  reliability: { graph: "maps", output: "reliability", range: [0, 1], colours: greys, overlay: false },
};

/**
 * @param {HTMLCanvasElement | OffscreenCanvas} canvas
 * @returns {CanvasRenderingContext2D | OffscreenCanvasRenderingContext2D}
 */
export function context(canvas) {
  const found = /** @type {HTMLCanvasElement} */ (canvas).getContext("2d", { willReadFrequently: true });
  if (!found) throw Error("this browser cannot draw the picture");
  return found;
}

/**
 * Draws a picture, or its map, or its map over the picture in grey, so that no colours mix.
 *
 * @param {HTMLCanvasElement} canvas
 * @param {ImageData} image
 * @param {Look | undefined} look - None for the picture alone.
 * @param {import("./networks.js").Output | undefined} map - None if it is not known yet.
 * @param {number} opacity - That of a map which may lie over the picture, 0..1.
 */
export function paint(canvas, image, look, map, opacity) {
  [canvas.width, canvas.height] = [image.width, image.height];
  const target = context(canvas);
  target.putImageData(look ? withoutColour(image) : image, 0, 0);
  if (!look || !map) return;
  const [height, width] = map.sides;
  const painted = new OffscreenCanvas(width, height);
  context(painted).putImageData(coloured(map.values, width, height, look), 0, 0);
  target.globalAlpha = look.overlay ? opacity : 1;
  target.drawImage(painted, 0, 0, image.width, image.height);
}

/** @param {ImageData} image */
function withoutColour({ data, width, height }) {
  const grey = new ImageData(width, height);
  for (let at = 0; at < data.length; at += 4) {
    const level = (data[at] + data[at + 1] + data[at + 2]) / 3;
    grey.data[at] = grey.data[at + 1] = grey.data[at + 2] = level;
    grey.data[at + 3] = 255;
  }
  return grey;
}

/**
 * @param {ArrayLike<number>} values
 * @param {number} width
 * @param {number} height
 * @param {Look} look
 */
export function coloured(values, width, height, { range: [low, high], colours }) {
  const image = new ImageData(width, height);
  for (let place = 0; place < values.length; place++) {
    const share = Math.min(1, Math.max(0, (values[place] - low) / (high - low)));
    image.data.set(colours[Math.round(255 * share)], 4 * place);
    image.data[4 * place + 3] = 255;
  }
  return image;
}
