/** The row of figures at the top, each with its trend. All come with one question. */

import { get, isFromOutside } from "./api.js";
import { element, setText } from "./dom.js";
import { day, number, rating, span, t, tenths } from "./i18n.js";
import { allGenres } from "./panel.js";
import { Refresh } from "./refresh.js";
import { Spark } from "./spark.js";
import * as state from "./state.js";

const said = (...parts) => parts.filter(Boolean).join(" · ");
const newestDay = ({ active_users_today: { day: date } }) => said(date && day(date), allGenres());
const withoutWorkers = (answer) => (answer.workers ? "" : t("tiles.no_workers"));
const allEvents = (answer) => said(withoutWorkers(answer), allGenres());

/**
 * name: what it is in the answer; text: its figure; unit; note(answer): the small line; fitted: its trend from its lowest;
 * filling(): whether its trend's last point is less than it will be.
 */
const TILES = [
  { name: "views", text: number, filling: () => !state.isCustom() },
  { name: "active_users_today", text: number, note: newestDay, filling: () => true },
  { name: "avg_rating", text: rating, unit: "/ 5", fitted: true },
  { name: "events_per_s", text: tenths, unit: "/ s", note: allEvents },
  { name: "lag", text: number, note: withoutWorkers },
  { name: "delay_ms", text: span, note: withoutWorkers },
];

class Tile {
  #kind;
  #value = element("span", { class: "number" }, "–");
  #unit;
  #note = element("p", { class: "note" });
  #trend = element("p", { class: "hidden" });
  #spark = new Spark();

  constructor(kind) {
    this.#kind = kind;
    this.#unit = element("span", { class: "unit", hidden: true }, kind.unit ?? "");
    const hint = t(`tiles.${kind.name}.hint`);
    const title = element("h2", { "aria-description": hint }, t(`tiles.${kind.name}`));
    const figure = element("p", { class: "value", id: `tile-${kind.name}` }, this.#value, this.#unit);
    const parts = [title, figure, this.#note, this.#trend, this.#spark.root];
    this.root = element("li", { class: "tile", title: hint }, ...parts);
  }

  show(answer) {
    const { name, text, unit, note, fitted, filling } = this.#kind;
    const { value, trend } = answer[name];
    setText(this.#value, text(value));
    this.#unit.hidden = !unit || value === null;
    setText(this.#note, note ? note(answer) : "");
    const known = trend.filter((point) => point !== null);
    this.#spark.draw(trend, { fitted, filling: filling?.() ?? false });
    const [low, high] = known.length ? [Math.min(...known), Math.max(...known)] : [null, null];
    setText(this.#trend, known.length ? t("tiles.trend", { low: text(low), high: text(high) }) : "");
  }
}

export class Tiles {
  root = element("ul", { class: "tiles" });
  sources = ["movies_aggregates", "category_stats", "hourly_metrics", "daily_stats", "active_users", "_workers"];
  #tiles = TILES.map((kind) => new Tile(kind));

  /** `told(answer)` is called with each answer. */
  constructor(told) {
    this.root.setAttribute("aria-label", t("tiles.title"));
    this.root.append(...this.#tiles.map((tile) => tile.root));
    this.refresh = new Refresh({
      ask: (signal) => get("/summary", { ...state.range(), genre: state.now().genre }, signal),
      show: (answer) => {
        for (const tile of this.#tiles) tile.show(answer);
        told(answer);
        this.root.dataset.state = "shown";
      },
      fail: (error) => {
        this.root.dataset.state = "stale"; // why is said by the header, or by the panels, which ask for the same
        if (!isFromOutside(error)) console.error(error);
      },
      wait: () => {},
    });
  }

  dependsOn(names) {
    return ["last", "anchor", "since", "until", "genre"].some((name) => names.has(name));
  }

  dispose() {
    this.refresh.stop();
  }
}
