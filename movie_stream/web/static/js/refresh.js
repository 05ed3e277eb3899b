/**
 * When a panel asks the server again: soon after what it shows has changed, never twice at once, and only while it can
 * be seen. An answer that comes after a newer question is dropped.
 */

const EVERY_MS = 300; // at most so often; the server looks and tells within 0.65 s, so that a change shows within 1 s
const AGAIN_MS = 3000; // after a failure

export class Refresh {
  #ask;
  #show;
  #fail;
  #controller = null;
  #question = 0;
  #started = -Infinity;
  #timer = 0;
  #dirty = true;
  #visible = false;
  #wanted = true; // the reader waits for it, which nothing holds up
  #live = true;

  /**
   * `ask(signal)` returns a promise of the data, `show(data)` draws it, `fail(error)` says what went wrong, and `wait()`
   * that another question was asked, whose answer will look different.
   */
  constructor({ ask, show, fail, wait }) {
    this.#ask = ask;
    this.#show = show;
    this.#fail = fail;
    this.wait = wait;
  }

  /** Whether it asks by itself, for what has changed or after a failure. */
  set live(live) {
    this.#live = live;
    this.#plan();
  }

  /** What it shows has changed. */
  touch() {
    this.#dirty = true;
    this.#plan();
  }

  /** The question itself has changed: whatever is on its way is of no use. */
  restart() {
    this.#controller?.abort();
    this.#controller = null;
    this.#question += 1;
    this.#started = -Infinity;
    this.#wanted = true;
    this.wait();
    this.touch();
  }

  set visible(visible) {
    this.#visible = visible;
    this.#plan();
  }

  stop() {
    clearTimeout(this.#timer);
    this.#visible = false;
    this.#question += 1;
    this.#controller?.abort();
  }

  #plan() {
    clearTimeout(this.#timer);
    if (!this.#dirty || !this.#visible || this.#controller || !(this.#live || this.#wanted)) return;
    this.#timer = setTimeout(() => this.#run(), Math.max(0, this.#started + EVERY_MS - performance.now()));
  }

  async #run() {
    const question = ++this.#question;
    const controller = new AbortController();
    this.#controller = controller;
    this.#dirty = this.#wanted = false;
    this.#started = performance.now();
    try {
      const data = await this.#ask(controller.signal);
      if (question === this.#question) this.#show(data);
    } catch (error) {
      if (question !== this.#question) return;
      this.#fail(error);
      this.#started = performance.now() + AGAIN_MS - EVERY_MS;
      this.#dirty = true;
    } finally {
      if (this.#controller === controller) this.#controller = null;
      this.#plan();
    }
  }
}
