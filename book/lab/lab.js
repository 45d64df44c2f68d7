/**
 * The page "Try it": a picture, what the networks see in it, and what damage does to that.
 *
 * Nothing of a picture leaves the page. The networks run in two workers, so that a score need not wait for a map, and
 * damage is done in a third.
 */

import { Helper } from "./jobs.js";
import { LOOKS, coloured, context, paint } from "./paint.js";

/**
 * @typedef {import("./damage.js").Damage} Damage
 * @typedef {import("./networks.js").Output} Output
 * @typedef {"picture" | "error-map" | "normalised" | "reliability"} View
 * @typedef {Partial<Record<View, Output>>} Maps
 * @typedef {{image: ImageData, bytes?: number, score?: Record<string, Output>, maps: Maps, before?: Maps}} Version
 *   A picture, the size of its file, what is known of it by now, and the maps of the version that was seen before it.
 */

/** What is judged at most: phones keep up, and a screen shows no more. */
const MOST_PIXELS = 1152 * 768;

/**
 * @template {HTMLElement} Kind
 * @param {string} id
 * @param {new () => Kind} kind
 * @returns {Kind}
 */
function part(id, kind) {
  const found = document.getElementById(id);
  if (found instanceof kind) return found;
  throw Error(`The page has no ${kind.name} called ${id}.`);
}

const lab = part("lab", HTMLElement);
const status = part("lab-status", HTMLElement);
const progress = part("lab-progress", HTMLProgressElement);
const frame = part("lab-picture", HTMLElement);
const scores = part("lab-scores", HTMLElement);
const cut = part("lab-cut", HTMLInputElement);
const opacity = part("lab-opacity", HTMLInputElement);
const sliders = /** @type {HTMLInputElement[]} */ ([...part("lab-damages", HTMLElement).querySelectorAll("input")]);
const views = /** @type {NodeListOf<HTMLInputElement>} */ (lab.querySelectorAll("[name=view]"));
const canvases = {
  original: part("lab-original", HTMLCanvasElement),
  damaged: part("lab-damaged", HTMLCanvasElement),
};

const samples = /** @type {HTMLButtonElement[]} */ ([...lab.querySelectorAll("[data-picture]")]);

/** Sizes in bytes of the files that are loaded, by name. */
const sizes = /** @type {Record<string, number>} */ (JSON.parse(lab.dataset.files ?? "{}"));

/** @type {Version | undefined} */
let original;
/** @type {Version | undefined} */
let damaged;
/** The damage that `damaged` has. */
let done = "";
/** Name of the picture, for the files that are saved. */
let title = "";
/** Count what was asked for: work for an earlier picture, or for an earlier turn of the sliders, is dropped. */
let pictures = 0;
let turns = 0;

const damaging = new Helper("damage.js");

// Files of the lab

let loaded = 0;
let wanted = 0;

/**
 * Loads a file of the lab, and shows how far that is.
 *
 * @param {string} name
 */
async function load(name) {
  wanted += sizes[name];
  const response = await fetch(new URL(name, import.meta.url));
  if (!response.ok || !response.body) throw Error(`the lab's file ${name} cannot be loaded (${response.status})`);
  const reader = response.body.getReader();
  const content = new Uint8Array(sizes[name]);
  for (let at = 0; ; ) {
    const { done, value } = await reader.read();
    if (done) return content.buffer;
    content.set(value, at);
    at += value.length;
    loaded += value.length;
    progress.max = wanted;
    progress.value = loaded;
    progress.hidden = loaded >= wanted;
    const amounts = [loaded, wanted].map((bytes) => (bytes / 1e6).toFixed(1));
    say(progress.hidden ? "Starting the networks …" : `Loading the networks: ${amounts.join(" of ")} MB.`);
  }
}

/** Whether this machine has a graphics processor that the browser lets pages compute with. */
async function hasGpu() {
  const { gpu } = /** @type {{gpu?: {requestAdapter(): Promise<{info?: {isFallbackAdapter?: boolean}} | null>}}} */ (
    navigator
  );
  const adapter = await gpu?.requestAdapter().catch(() => null);
  return Boolean(adapter && !adapter.info?.isFallbackAdapter);
}

/**
 * Starts the workers: that for the score, and that for the maps.
 *
 * @returns {Record<"scoring" | "mapping", Promise<Helper<any, any>>>}
 */
function startNetworks() {
  loaded = wanted = 0;
  const plain = load("ort-wasm-simd-threaded.wasm");
  /** @type {(gpu: boolean, names: string[]) => Promise<Helper<any, any>>} */
  const start = async (gpu, names) => {
    const graphs = names.map(async (name) => [name, await load(`${name}.onnx`)]);
    const runtime = await (gpu ? load("ort-wasm-simd-threaded.asyncify.wasm") : plain);
    const helper = new Helper("networks.js");
    await helper.ask({ runtime, gpu, graphs: Object.fromEntries(await Promise.all(graphs)) });
    return helper;
  };
  // The score is a thousand small steps, which a graphics processor is no faster at.
  return { scoring: start(false, ["score"]), mapping: hasGpu().then((gpu) => start(gpu, ["maps", "error_map"])) };
}

/** @type {ReturnType<typeof startNetworks> | undefined} */
let networks;

/** Gives up what has failed: the next picture starts anew. */
function stopNetworks() {
  for (const starting of Object.values(networks ?? {})) {
    starting.then((helper) => helper.worker.terminate()).catch(() => undefined);
  }
  networks = undefined;
}

// Pictures

/**
 * Reads a picture, upright, over white, and no larger than can be judged in a moment.
 *
 * @param {Blob} file
 * @param {string} name
 */
async function read(file, name) {
  const bitmap = await createImageBitmap(file, { imageOrientation: "from-image" }).catch(() => {
    throw Error(
      /hei[cf]/i.test(file.type + name)
        ? `This browser cannot read HEIC, an iPhone's format: save “${name}” as JPEG, or open this page in Safari.`
        : `“${name}” is no picture that this browser can read: choose a JPEG, PNG or WebP file.`,
    );
  });
  const scale = Math.min(1, Math.sqrt(MOST_PIXELS / (bitmap.width * bitmap.height)));
  const [width, height] = [bitmap.width, bitmap.height].map((side) => Math.round(side * scale));
  const smallest = Number(lab.dataset.smallest);
  if (Math.min(width, height) < smallest) {
    const reduced = scale < 1 ? `, and ${width} × ${height} when it is reduced for the lab` : "";
    throw Error(
      `“${name}” has ${bitmap.width} × ${bitmap.height} pixels${reduced}: the networks need ${smallest} a side.`,
    );
  }
  const canvas = context(new OffscreenCanvas(width, height));
  canvas.fillStyle = "white";
  canvas.fillRect(0, 0, width, height);
  canvas.imageSmoothingQuality = "high";
  canvas.drawImage(bitmap, 0, 0, width, height);
  bitmap.close();
  return { image: canvas.getImageData(0, 0, width, height), reduced: scale < 1 };
}

/**
 * Shows and judges another picture.
 *
 * @param {string} name
 * @param {() => Promise<Blob>} fetchFile
 */
async function open(name, fetchFile) {
  const number = ++pictures;
  say(`Reading “${name}”.`);
  try {
    const { image, reduced } = await read(await fetchFile(), name);
    if (number !== pictures) return;
    original = damaged = { image, maps: {} };
    [done, title] = ["", name];
    frame.style.setProperty("--shape", String(image.width / image.height));
    frame.dataset.name = `“${name}”, ${reduced ? "shown and judged at " : ""}${image.width} × ${image.height} pixels.`;
    part("lab-result", HTMLElement).hidden = false;
    part("lab-size", HTMLElement).hidden = true;
    draw();
    frame.scrollIntoView({ block: "nearest" });
    for (const strong of scores.querySelectorAll("strong")) strong.textContent = "…";
    await update();
  } catch (error) {
    if (number === pictures) fail(error);
  }
}

/** @param {string} name */
function openSample(name) {
  const sample = samples.some((button) => button.dataset.picture === name);
  remember("picture", sample ? name : undefined);
  return open(name, async () => {
    if (!sample) throw Error(`There is no sample “${name}”: take one of those above.`);
    return (await fetch(new URL(`${name}.webp`, import.meta.url))).blob();
  });
}

/** @param {Iterable<File> | undefined | null} files */
function openFirst(files) {
  const [file] = files ?? [];
  remember("picture", undefined);
  if (file) void open(file.name, async () => file);
  else fail(Error("That was no file: save the picture first, and choose it."));
}

// What is shown

/** @param {string} text */
function say(text) {
  status.textContent = text;
}

/** @param {unknown} error */
function fail(error) {
  say(error instanceof Error ? error.message : String(error));
  progress.hidden = true;
  lab.dataset.state = "failed";
}

function view() {
  return /** @type {View} */ ([...views].find((radio) => radio.checked)?.value);
}

/**
 * Keeps what is shown in the page's address, so that it can be passed on.
 *
 * @param {string} key
 * @param {string | undefined} value
 */
function remember(key, value) {
  const address = new URL(location.href);
  if (value === undefined) address.searchParams.delete(key);
  else address.searchParams.set(key, value);
  history.replaceState(null, "", address);
}

/** @returns {Damage} */
function damage() {
  return /** @type {any} */ (Object.fromEntries(sliders.map((slider) => [slider.name, slider.valueAsNumber])));
}

/** Says beside each slider what it does. */
function showDamage() {
  const { jpeg, blur, noise, darkening, enlargement } = damage();
  const size = damaged?.bytes && jpeg ? `, ${Math.ceil(damaged.bytes / 1000)} kB` : "";
  const texts = {
    jpeg: jpeg && `quality ${100 - jpeg}${size}`,
    blur: blur && `${blur} pixels`,
    noise: noise && `${noise} of 255`,
    darkening: darkening && `${Math.round(100 * darkening)} % less light`,
    enlargement: enlargement > 1 && `${enlargement} times`,
  };
  for (const slider of sliders) {
    const text = texts[/** @type {keyof Damage} */ (slider.name)] || "none";
    /** @type {Element} */ (slider.previousElementSibling).textContent = text;
    slider.setAttribute("aria-valuetext", text);
  }
}

/** Draws both versions as the view wants them, with what is known of them. */
function draw() {
  if (!original || !damaged) return;
  const look = LOOKS[view()];
  for (const [name, version] of /** @type {const} */ ([["original", original], ["damaged", damaged]])) {
    const map = version.maps[view()] ?? version.before?.[view()];
    paint(canvases[name], version.image, look, map, opacity.valueAsNumber / 100);
  }
  frame.classList.toggle("is-cut", damaged !== original);
  part("lab-strength", HTMLElement).hidden = !look?.overlay;
  part("lab-colours", HTMLElement).hidden = !look;
  if (!look) return;
  part("lab-low", HTMLElement).textContent = look.range[0].toLocaleString("en").replace("-", "−");
  part("lab-high", HTMLElement).textContent = look.range[1].toLocaleString("en");
  const [low, high] = look.range;
  const ramp = look.colours.map((_, level) => low + ((high - low) * level) / 255);
  context(part("lab-bar", HTMLCanvasElement)).putImageData(coloured(ramp, ramp.length, 1, look), 0, 0);
}

/** Shows the scores that are known; one that is being computed stays as it was. */
function showScores() {
  const known = { original: original?.score, damaged: damaged === original ? undefined : damaged?.score };
  part("lab-score-damaged", HTMLElement).closest("p")?.classList.toggle("is-known", damaged !== original);
  for (const [name, score] of Object.entries(known)) {
    if (!score) continue;
    const text = part(`lab-score-${name}`, HTMLElement);
    const [quality, low, high] = ["quality", "low", "high"].map((output) => score[output].values[0]);
    text.textContent = `${quality.toFixed(2)} (${low.toFixed(2)} to ${high.toFixed(2)})`;
    const [interval, mark] = text.parentElement?.querySelectorAll(".lab-interval, .lab-mark") ?? [];
    interval.setAttribute("x", String(200 * low));
    interval.setAttribute("width", String(200 * (high - low)));
    mark.setAttribute("x", String(Math.min(197, 200 * quality)));
  }
  if (known.original && known.damaged) {
    // Of the numbers as they are shown.
    const [before, after] = [known.original, known.damaged].map((score) => Math.round(100 * score.quality.values[0]));
    const change = `${(Math.abs(after - before) / 100).toFixed(2)} ${after < before ? "lower" : "higher"}`;
    part("lab-change", HTMLElement).textContent = after === before ? ": the same" : `: ${change}`;
  }
  const unusual = Object.values(known).some((score) => score?.unusual.values[0]);
  part("lab-note", HTMLElement).hidden = !unusual;
}

/** Damages, scores and maps what is asked for now; what comes meanwhile is begun anew. */
async function update() {
  const turn = ++turns;
  const stale = () => turn !== turns;
  if (!original) return;
  lab.dataset.state = "busy";
  try {
    const [picture, settings] = [original, damage()];
    if (JSON.stringify(settings) !== done) {
      const none = sliders.every((slider) => slider.value === slider.defaultValue);
      const made = none ? picture : await damaging.ask({ image: picture.image, damage: settings }, stale);
      if (stale()) return;
      damaged = made === picture ? picture : { ...made, maps: {}, before: damaged?.maps };
      done = JSON.stringify(settings);
    }
    const versions = damaged === picture ? [picture] : [picture, /** @type {Version} */ (damaged)];
    showDamage();
    draw();
    showScores();
    scores.ariaBusy = "true";
    networks ??= startNetworks();
    const scoring = await networks.scoring;
    for (const version of versions) {
      version.score ??= await scoring.ask({ graph: "score", image: version.image }, stale);
      if (stale()) return;
    }
    showScores();
    scores.ariaBusy = "false";
    const look = LOOKS[view()];
    if (look) {
      say(`${frame.dataset.name} Computing the map …`);
      const mapping = await networks.mapping;
      for (const version of versions) {
        if (version.maps[view()]) continue;
        const outputs = await mapping.ask({ graph: look.graph, image: version.image }, stale);
        if (stale()) return;
        version.maps[view()] = outputs[look.output];
        draw();
      }
    }
    say(frame.dataset.name ?? "");
    lab.dataset.state = "ready";
  } catch (error) {
    stopNetworks();
    if (!stale()) fail(error);
  }
}

/**
 * Saves one of the two as it is shown.
 *
 * @param {keyof typeof canvases} which
 */
function save(which) {
  canvases[which].toBlob((file) => {
    if (!file) return fail(Error("This browser could not write the file."));
    const link = document.createElement("a");
    link.href = URL.createObjectURL(file);
    link.download = [title.replace(/\.\w+$/, ""), which, view()].join("-") + ".png";
    link.click();
    URL.revokeObjectURL(link.href);
  });
}

// What the reader does

for (const id of ["lab-file", "lab-camera"]) {
  const input = part(id, HTMLInputElement);
  input.addEventListener("change", () => {
    if (input.files?.length) openFirst(input.files);
    input.value = ""; // so that the same file can be chosen again
  });
}
for (const sample of samples) sample.addEventListener("click", () => openSample(sample.dataset.picture ?? ""));
addEventListener("paste", (event) => {
  if (event.clipboardData?.files.length) openFirst(event.clipboardData.files);
});
addEventListener("dragover", (event) => event.preventDefault());
addEventListener("drop", (event) => {
  event.preventDefault();
  openFirst(event.dataTransfer?.files);
});

let soon = 0;
for (const slider of sliders) {
  slider.addEventListener("input", () => {
    showDamage();
    clearTimeout(soon);
    soon = setTimeout(update, 80);
  });
}
part("lab-reset", HTMLButtonElement).addEventListener("click", () => {
  for (const slider of sliders) slider.value = slider.defaultValue;
  void update();
});
for (const radio of views) {
  radio.addEventListener("change", () => {
    remember("view", radio.value);
    void update();
  });
}
opacity.addEventListener("input", draw);
cut.addEventListener("input", () => frame.style.setProperty("--cut", `${cut.value}%`));
for (const button of /** @type {NodeListOf<HTMLElement>} */ (lab.querySelectorAll("[data-save]"))) {
  button.addEventListener("click", () => save(/** @type {keyof typeof canvases} */ (button.dataset.save)));
}

const asked = new URLSearchParams(location.search);
for (const radio of views) radio.checked ||= radio.value === asked.get("view");
showDamage();
const sample = asked.get("picture");
if (sample) void openSample(sample);
