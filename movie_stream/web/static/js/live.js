/**
 * The stream of changes, and the truth about it: "connecting", "live", "reconnecting", "paused" (by the reader), "away"
 * (the tab is hidden), and beside it whether MongoDB answers.
 */

import { get, traffic } from "./api.js";

const RETRY_MS = [500, 1000, 2000, 4000];

export class Live extends EventTarget {
  state = "connecting";
  mongodb = "up";
  #source = null;
  #timer = 0;
  #tries = 0;
  #paused = false;

  constructor() {
    super();
    document.addEventListener("visibilitychange", () => this.#settle());
    addEventListener("pagehide", () => this.#close());
    addEventListener("pageshow", (event) => event.persisted && this.#settle());
    // A connection that has died without a word looks open for minutes; a question without an answer shows it.
    traffic.addEventListener("failed", () => this.state === "live" && this.#lost());
  }

  start() {
    this.#settle();
  }

  /** Ends the stream until `start`; for a reader that has to log in first. */
  stop() {
    this.#close();
    this.#become("connecting");
  }

  /** The server has not answered, so that there is nothing to listen to yet. */
  unreachable() {
    this.#close();
    this.#become("reconnecting");
  }

  get paused() {
    return this.#paused;
  }

  pause(paused) {
    this.#paused = paused;
    this.#settle();
  }

  #settle() {
    if (this.#paused || document.hidden) {
      this.#close();
      this.#become(this.#paused ? "paused" : "away");
    } else if (!this.#source) {
      this.#tries = 0;
      this.#become(this.state === "live" ? "live" : "connecting");
      this.#open();
    }
  }

  #open() {
    clearTimeout(this.#timer);
    const source = new EventSource("/api/v1/changes");
    this.#source = source;
    source.addEventListener("open", () => {
      this.#tries = 0;
      this.#become("live");
      this.dispatchEvent(new Event("everything")); // whatever was missed
    });
    source.addEventListener("change", (event) => this.#changed(JSON.parse(event.data)));
    source.addEventListener("reset", () => this.dispatchEvent(new Event("everything")));
    source.addEventListener("status", (event) => this.#status(JSON.parse(event.data)));
    source.addEventListener("error", () => source === this.#source && this.#lost());
  }

  #changed({ collections }) {
    this.dispatchEvent(new CustomEvent("changes", { detail: new Set(Object.keys(collections)) }));
  }

  #status({ mongodb }) {
    if (!mongodb) return; // not known yet
    const back = this.mongodb === "down" && mongodb === "up";
    this.mongodb = mongodb;
    this.#become(this.state);
    if (back) this.dispatchEvent(new Event("everything"));
  }

  #lost() {
    this.#close();
    this.#become("reconnecting");
    const wait = RETRY_MS[Math.min(this.#tries++, RETRY_MS.length - 1)];
    this.#timer = setTimeout(() => this.#again(), wait);
  }

  /** An EventSource does not say why it failed. A question does: where the reader is not logged in, it says so. */
  async #again() {
    const here = this.#timer;
    try {
      const session = await get("/session");
      if (session.required && !session.authenticated) traffic.dispatchEvent(new Event("unauthorized"));
      else if (here === this.#timer && this.state === "reconnecting") this.#open();
    } catch {
      if (here === this.#timer && this.state === "reconnecting") this.#lost();
    }
  }

  #close() {
    clearTimeout(this.#timer);
    this.#timer = 0;
    this.#source?.close();
    this.#source = null;
  }

  #become(state) {
    this.state = state;
    this.dispatchEvent(new Event("state"));
  }
}
