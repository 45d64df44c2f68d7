/** Work that a worker does: the page's end of it, and the worker's. */

/**
 * A worker that does one job after the other.
 *
 * @template Job, Answer
 */
export class Helper {
  /** @param {string} script - Name of the worker's script, which calls `serve`. */
  constructor(script) {
    this.worker = new Worker(new URL(script, import.meta.url), { type: "module" });
    /** @type {Promise<unknown>} */
    this.last = Promise.resolve();
  }

  /**
   * Has a job done after those that were asked for before.
   *
   * @param {Job} job
   * @param {() => boolean} [unwanted] - Asked when the job's turn comes: if so, it is left out.
   * @returns {Promise<Answer | undefined>} - Nothing for a job that was left out.
   */
  ask(job, unwanted = () => false) {
    const answer = this.last.then(() => (unwanted() ? undefined : this.#send(job)));
    this.last = answer.catch(() => undefined); // whoever asked is told; the next job is done
    return answer;
  }

  /**
   * @param {Job} job
   * @returns {Promise<Answer>}
   */
  #send(job) {
    return new Promise((resolve, reject) => {
      this.worker.onmessage = ({ data }) => ("error" in data ? reject(Error(data.error)) : resolve(data.answer));
      this.worker.onerror = (event) => reject(Error(event.message || "this browser cannot start a worker"));
      this.worker.postMessage(job);
    });
  }
}

/**
 * Answers the jobs of a `Helper`; for a worker's script.
 *
 * @param {(job: any) => Promise<any>} work
 */
export function serve(work) {
  const page = /** @type {MessagePort} */ (/** @type {unknown} */ (globalThis));
  page.onmessage = async ({ data }) => {
    try {
      page.postMessage({ answer: await work(data) });
    } catch (error) {
      page.postMessage({ error: error instanceof Error ? error.message : String(error) });
    }
  };
}
