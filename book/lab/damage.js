/** A worker that damages pictures. */

import { serve } from "./jobs.js";
import { context } from "./paint.js";

/**
 * @typedef {{enlargement: number, blur: number, darkening: number, noise: number, jpeg: number}} Damage
 *   Times by which the picture is reduced and enlarged again, from 1; standard deviation of the blur in pixels; share of
 *   the light that is taken away; standard deviation of the noise in levels of 255; and 100 less the encoder's quality,
 *   0 for no compression.
 */

/** Damages in the order in which a picture meets them: lens, light, sensor, file. */
serve(async (/** @type {{image: ImageData, damage: Damage}} */ { image, damage }) => {
  if (damage.enlargement > 1) image = enlarge(image, damage.enlargement);
  if (damage.blur > 0) image = blur(image, damage.blur);
  if (damage.darkening > 0) image.data.set(darken(image, damage.darkening));
  if (damage.noise > 0) addNoise(image, damage.noise);
  if (damage.jpeg > 0) return compress(image, (100 - damage.jpeg) / 100);
  return { image };
});

/**
 * @param {CanvasImageSource} picture
 * @param {number} width
 * @param {number} height
 */
function drawn(picture, width, height) {
  const canvas = new OffscreenCanvas(width, height);
  const target = context(canvas);
  target.imageSmoothingQuality = "high";
  target.drawImage(picture, 0, 0, width, height);
  return { canvas, read: () => target.getImageData(0, 0, width, height) };
}

/** @param {ImageData} image */
function onCanvas(image) {
  const canvas = new OffscreenCanvas(image.width, image.height);
  context(canvas).putImageData(image, 0, 0);
  return canvas;
}

/**
 * @param {ImageData} image
 * @param {number} times
 */
function enlarge(image, times) {
  const [width, height] = [image.width, image.height].map((side) => Math.max(1, Math.round(side / times)));
  const small = drawn(onCanvas(image), width, height).canvas;
  return drawn(small, image.width, image.height).read();
}

/**
 * Blurs with a Gaussian; the picture is mirrored at its border.
 *
 * @param {ImageData} image
 * @param {number} sigma
 */
function blur(image, sigma) {
  const { width, height } = image;
  const reach = Math.ceil(3 * sigma);
  const weights = Array.from({ length: 2 * reach + 1 }, (_, place) => Math.exp(-(((place - reach) / sigma) ** 2) / 2));
  const sum = weights.reduce((total, weight) => total + weight);
  const kernel = Float32Array.from(weights, (weight) => weight / sum);
  const across = convolve(Float32Array.from(image.data), kernel, [width, 4], [height, 4 * width]);
  const both = convolve(across, kernel, [height, 4 * width], [width, 4]);
  return new ImageData(Uint8ClampedArray.from(both), width, height);
}

/**
 * Convolves each line of a picture in RGBA.
 *
 * @param {Float32Array} values
 * @param {Float32Array} kernel
 * @param {[number, number]} along - Number of pixels in a line, and the way from one to the next.
 * @param {[number, number]} lines - Number of lines, and the way from one to the next.
 */
function convolve(values, kernel, [count, step], [lines, stride]) {
  const result = new Float32Array(values.length);
  const reach = (kernel.length - 1) / 2;
  for (let line = 0; line < lines; line++) {
    for (let place = 0; place < count; place++) {
      let red = 0;
      let green = 0;
      let blue = 0;
      for (let tap = -reach; tap <= reach; tap++) {
        let other = Math.abs(place + tap);
        if (other >= count) other = 2 * (count - 1) - other;
        const at = line * stride + other * step;
        const weight = kernel[tap + reach];
        red += weight * values[at];
        green += weight * values[at + 1];
        blue += weight * values[at + 2];
      }
      const at = line * stride + place * step;
      result[at] = red;
      result[at + 1] = green;
      result[at + 2] = blue;
      result[at + 3] = 255;
    }
  }
  return result;
}

/**
 * @param {ImageData} image
 * @param {number} share
 */
function darken({ data }, share) {
  return data.map((value, place) => (place % 4 === 3 ? value : value * (1 - share)));
}

/**
 * Adds Gaussian noise, the same each time.
 *
 * @param {ImageData} image
 * @param {number} sigma
 */
function addNoise({ data }, sigma) {
  let state = 1;
  const random = () => {
    // mulberry32
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
  for (let place = 0; place < data.length; place++) {
    if (place % 4 === 3) continue;
    const radius = Math.sqrt(-2 * Math.log(1 - random()));
    data[place] += sigma * radius * Math.cos(2 * Math.PI * random());
  }
}

/**
 * Writes a picture as JPEG with the browser's own encoder, and reads it again.
 *
 * @param {ImageData} image
 * @param {number} quality
 */
async function compress(image, quality) {
  const file = await onCanvas(image).convertToBlob({ type: "image/jpeg", quality });
  const bitmap = await createImageBitmap(file);
  return { image: drawn(bitmap, image.width, image.height).read(), bytes: file.size };
}
