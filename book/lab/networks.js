/** A worker that runs the networks on a picture, with ONNX Runtime. */

import { serve } from "./jobs.js";

/**
 * @typedef {{runtime?: ArrayBuffer, gpu: boolean, graphs: Record<string, ArrayBuffer>}} Start
 *   The runtime if it is loaded already, whether it is that for a graphics processor, and the graphs by name.
 * @typedef {{graph: string, image: ImageData}} Run
 * @typedef {{values: Float32Array, sides: readonly number[]}} Output
 */

/** @type {typeof import("onnxruntime-web")} */
let ort;
/** @type {Start} */
let started;
/** @type {Record<string, import("onnxruntime-web").InferenceSession>} */
let sessions;

/**
 * Loads the runtime and the graphs.
 *
 * @param {Start} start
 */
async function open(start) {
  started = start;
  const script = start.gpu ? "ort.webgpu.min.mjs" : "ort.wasm.min.mjs";
  ort = await import(new URL(script, import.meta.url).href);
  ort.env.logLevel = "error";
  ort.env.wasm.wasmBinary = start.runtime;
  sessions = {};
  for (const [name, graph] of Object.entries(start.graphs)) {
    sessions[name] = await ort.InferenceSession.create(new Uint8Array(graph), {
      executionProviders: [start.gpu ? "webgpu" : "wasm"],
      logSeverityLevel: 3, // that some steps stay on the processor is as it should be
    });
  }
}

/**
 * Runs a graph.
 *
 * @param {Run} job
 * @returns {Promise<Record<string, Output>>}
 */
async function run({ graph, image: { width, height, data } }) {
  const pixels = new Uint8Array(3 * width * height);
  for (let from = 0, to = 0; to < pixels.length; from += 4) {
    pixels[to++] = data[from];
    pixels[to++] = data[from + 1];
    pixels[to++] = data[from + 2];
  }
  const feeds = { pixels: new ort.Tensor("uint8", pixels, [height, width, 3]) };
  /** @type {Record<string, Output>} */
  const outputs = {};
  for (const [name, tensor] of Object.entries(await sessions[graph].run(feeds))) {
    outputs[name] = { values: Float32Array.from(/** @type {Float32Array} */ (tensor.data)), sides: tensor.dims };
  }
  return outputs;
}

serve(async (/** @type {Start | Run} */ job) => {
  const opening = "graphs" in job;
  const start = opening ? job : started;
  try {
    return await (opening ? open(job) : run(job));
  } catch (error) {
    // Some graphics processors are too small or too old, and some drivers fail.
    if (!start.gpu) throw error;
    await open({ ...start, runtime: undefined, gpu: false });
    return opening ? undefined : run(job);
  }
});
