/**
 * A panel: a card with a heading, that asks the server for one thing and shows it, as a chart with a table behind a
 * button or as a table alone. Where it has nothing to show, or an error, it says so without touching the others.
 */

import { get, isFromOutside, Unreachable } from "./api.js";
import { Chart } from "./chart.js";
import { element, setAttribute, setText, withCode } from "./dom.js";
import { t } from "./i18n.js";
import { Refresh } from "./refresh.js";
import * as state from "./state.js";
import { Table } from "./table.js";

const MOST_ROWS = 500;

/**
 * What panels/*.js export, each for its panel:
 *
 * name      its key in i18n, and the beginning of its elements' ids
 * title     () => its heading, where i18n has none
 * sources   the collections whose changes it shows
 * follows   which names of the state its question depends on
 * question  () => [path, parameters]
 * columns   () => the columns of its table, see table.js
 * rows      (data) => the rows of it
 * stacks    true where the cells of a row stand below each other on a phone
 * chart     true, or the class of the chart's size; without it the panel is its table
 * draw      (chart, data, panel) => draws the chart
 * make      (panel) => {draw(data)}, for a picture of another kind, in panel.content
 * subtitle  (data) => a line below the heading
 * anyGenre  true where its figures are of all genres, whichever is chosen; the subtitle then says so
 * empty     (data) => the key of what to say where there is nothing, or null
 * setUp     (panel) => makes what it needs besides, in panel.actions
 * shown     (data, panel) => called after each drawing
 * size      classes of the card: "wide", "narrow", "full", "short"
 */
export class Panel {
  root;
  actions = element("div", { class: "actions" });
  content = element("div", { class: "content" });
  data = null;
  /** Whether the page says already that MongoDB does not answer, so that the panel need not. */
  mongodbAway = false;
  #plan;
  #table;
  #picture = null;
  #subtitle = element("p", { class: "subtitle" });
  #body = element("div", { class: "body" });
  #message = element("div", { class: "skeleton" });
  #strip = element("p", { class: "strip", hidden: true });
  #behind = element("div", { class: "data", hidden: true });
  #more = element("p", { class: "more" });
  #asTable = false;
  #said = null; // the subtitle of what has come last
  #nothing = true;
  #drawn = false;

  constructor(plan) {
    this.#plan = plan;
    const { name, size } = plan;
    const heading = plan.title?.() ?? t(`${name}.title`);
    const title = element("h2", { id: `${name}-title` }, heading);
    this.root = element("section", { class: `card ${size ?? ""}`.trim(), id: name, "aria-labelledby": `${name}-title` });
    this.#table = new Table(heading, plan.columns(), plan.stacks);
    this.#behind.id = `${name}-data`;
    this.#behind.append(this.#table.root, this.#more);
    this.content.hidden = true;
    this.#body.append(this.#message, this.content, this.#behind);
    this.root.append(element("header", {}, element("div", { class: "heading" }, title, this.#subtitle), this.actions), this.#strip, this.#body);
    if (plan.chart || plan.make) this.#makePicture();
    plan.setUp?.(this);
    this.refresh = new Refresh({
      ask: (signal) => get(...plan.question(), signal),
      show: (data) => this.#show(data),
      fail: (error) => this.#fail(error),
      wait: () => this.root.setAttribute("aria-busy", "true"),
    });
  }

  get sources() {
    return this.#plan.sources;
  }

  dependsOn(names) {
    return this.#plan.follows.some((name) => names.has(name));
  }

  /** Draws again what it has, in another theme for instance. */
  redraw() {
    if (!this.#drawn) return;
    try {
      this.#show(this.data);
    } catch (error) {
      this.#fail(error);
    }
  }

  /** Writes the line below the heading, which depends on the genre chosen even where the figures do not. */
  caption() {
    if (this.#said === null) return; // nothing has come yet
    setText(this.#subtitle, [this.#said, this.#plan.anyGenre && allGenres()].filter(Boolean).join(" · "));
  }

  dispose() {
    this.refresh.stop();
    this.#picture?.dispose?.();
  }

  #makePicture() {
    const { name, chart, make, draw } = this.#plan;
    if (make) this.#picture = make(this);
    else {
      const place = element("div", { class: chart === true ? "chart" : `chart ${chart}` });
      this.content.append(place);
      const picture = new Chart(place);
      this.#picture = { draw: (data) => draw(picture, data, this), dispose: () => picture.dispose(), place, picture };
    }
    this.button = element("button", {
      type: "button",
      class: "quiet as-table",
      "aria-pressed": "false",
      "aria-controls": `${name}-data`,
      "aria-describedby": `${name}-title`,
      onclick: () => this.#turn(),
    });
    this.button.textContent = t("table.show");
    this.actions.append(this.button);
  }

  /** The chart and the element that it is in. */
  get picture() {
    return this.#picture;
  }

  #turn() {
    this.#asTable = !this.#asTable;
    this.button.setAttribute("aria-pressed", String(this.#asTable));
    this.#arrange();
  }

  #arrange() {
    const full = !this.#message.isConnected;
    const table = this.#asTable || !this.#picture;
    this.content.hidden = !full || table;
    this.#behind.hidden = !full || !table;
    if (this.button) this.button.disabled = !full;
    if (!this.#behind.hidden) this.#fill();
  }

  /** Fills the table, which costs more than a chart and is therefore only done while it is seen. */
  #fill() {
    const rows = this.#nothing ? [] : this.#plan.rows(this.data);
    this.#table.fill(rows.slice(0, MOST_ROWS));
    setText(this.#more, rows.length > MOST_ROWS ? t("table.more", { shown: MOST_ROWS, n: rows.length }) : "");
  }

  #show(data) {
    const plan = this.#plan;
    this.data = data;
    const nothing = plan.empty?.(data) ?? null;
    this.#said = plan.subtitle?.(data) ?? "";
    this.caption();
    this.#nothing = nothing !== null;
    this.#say(nothing && element("p", { class: "message" }, ...withCodeOf(nothing)));
    if (!nothing) this.#picture?.draw(data);
    plan.shown?.(data, this);
    this.#strip.hidden = true;
    this.#drawn = true;
    this.#settle("shown");
  }

  #fail(error) {
    if (!isFromOutside(error)) console.error(error); // a fault of this page
    const away = this.mongodbAway && error.status === 503;
    const said = error instanceof Unreachable || away; // in the header, for the whole page
    const heading = t(away ? "error.mongodb" : said ? "error.unreachable" : "error.refused");
    const detail = said ? "" : error.message;
    if (this.#drawn) {
      this.#strip.replaceChildren(element("strong", {}, heading), detail);
      this.#strip.hidden = said;
    } else {
      this.#say(element("div", { class: `message ${away ? "" : "error"}`.trim() }, element("strong", {}, heading), element("span", {}, detail)));
    }
    this.#settle("stale");
  }

  #say(message) {
    if (!message) this.#message.remove();
    else if (!this.#message.isConnected || this.#message.textContent !== message.textContent) {
      this.#message.remove();
      this.#message = message;
      this.#body.prepend(message);
    }
    this.#arrange();
  }

  #settle(name) {
    this.root.dataset.state = name;
    setAttribute(this.root, "aria-busy", null);
  }
}

function withCodeOf(key) {
  return withCode(t(key)).map((part) => (typeof part === "string" ? element("span", {}, part) : part));
}

/** What panels say where a time range holds nothing. */
export const nothingIn = (rows) => (rows.length ? null : "empty.range");

/** What is said of figures that are of all genres, where the reader has chosen one. */
export const allGenres = () => (state.now().genre ? t("genre.all") : "");

/** The name of a genre, or of all others. */
export const genreName = (genre) => genre ?? t("genre.others");

export { state };
