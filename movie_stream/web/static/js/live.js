/**
 * The stream of changes, and the truth about it: "connecting" (until the server has said its first word), "live",
 * "reconnecting", "paused" (by the reader), "away" (the tab is hidden), and beside it whether MongoDB answers.
 */

import { get, onlyFromOutside, traffic } from "./api.js";

const RETRY_MS = [500, 1000, 2000, 4000];
const SILENT_MS = 15_000; // the server says something every 5 s at least

export class Live extends EventTarget {
  state = "connecting";
  mongodb = "up";
  #source = null;
  #timer = 0;
  #silence = 0;
  #tries = 0;
  #paused = false;

  constructor() {
    super();
    document.addEventListener("visibilitychange", () => this.#settle());
    addEventListener("pagehide", () => this.#close());
    addEventListener("pageshow", (event) => event.persisted && this.#settle());
    // A connection that has died without a word looks open; a question without an answer shows it, too.
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
      this.#become("connecting");
      this.#open();
    }
  }

  #open() {
    clearTimeout(this.#timer);
    const source = new EventSource("/api/v1/changes");
    this.#source = source;
    const hear = (name, act) => {
      source.addEventListener(name, ({ data }) => {
        if (source !== this.#source) return;
        this.#listen();
        act(data);
      });
    };
    hear("beat", () => {});
    hear("change", (data) => this.#changed(JSON.parse(data)));
    hear("reset", () => this.dispatchEvent(new Event("everything")));
    hear("status", (data) => this.#status(JSON.parse(data)));
    source.addEventListener("error", () => source === this.#source && this.#lost());
    this.#listen();
  }

  /** Waits for the next event, of whatever kind. */
  #listen() {
    clearTimeout(this.#silence);
    this.#silence = setTimeout(() => this.#lost(), SILENT_MS);
  }

  #changed({ collections }) {
    this.dispatchEvent(new CustomEvent("changes", { detail: new Set(Object.keys(collections)) }));
  }

  /** The first one on a connection says that the server listens to what changes; what came before may be missed. */
  #status({ mongodb }) {
    const missed = this.state !== "live" || (this.mongodb === "down" && mongodb === "up");
    this.mongodb = mongodb;
    this.#tries = 0;
    this.#become("live");
    if (missed) this.dispatchEvent(new Event("everything"));
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
    } catch (error) {
      onlyFromOutside(error);
      if (here === this.#timer && this.state === "reconnecting") this.#lost();
    }
  }

  #close() {
    clearTimeout(this.#timer);
    clearTimeout(this.#silence);
    this.#timer = 0;
    this.#source?.close();
    this.#source = null;
  }

  #become(state) {
    this.state = state;
    this.dispatchEvent(new Event("state"));
  }
}
