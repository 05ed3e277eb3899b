/** Views by hour of the day and day of the week: darker is more. */

import { element, setText } from "../dom.js";
import { between, longWeekday, number, t, weekday } from "../i18n.js";
import { nothingIn, state } from "../panel.js";

const DAYS = [0, 1, 2, 3, 4, 5, 6];
const HOURS = [...Array(24).keys()];

export const activity = {
  name: "activity",
  anyGenre: true,
  sources: ["hourly_metrics"],
  follows: ["last", "anchor", "since", "until"],
  question: () => ["/activity", state.range({ days: 7 })],
  subtitle: ({ since, until, timezone }) => `${between(since, until)} · ${t("activity.timezone", { timezone })}`,
  empty: ({ cells }) => nothingIn(cells),
  columns: () => [
    { label: t("column.weekday"), kind: "name", cell: ([day]) => longWeekday(day) },
    { label: t("column.hour"), cell: ([, hour]) => clockHour(hour) },
    { label: t("column.views"), kind: "number", cell: ([, , views]) => number(views), share: ([, , , share]) => share },
  ],
  rows: ({ cells }) => {
    const most = mostOf(cells);
    return cells.map(([day, hour, views]) => [day, hour, views, views / most]);
  },
  make: (panel) => new Heat(panel),
};

const clockHour = (hour) => `${String(hour).padStart(2, "0")}:00`;
const mostOf = (cells) => Math.max(1, ...cells.map(([, , views]) => views));

/** A grid of 7 days by 24 hours; the numbers themselves are in the table, and below it for the one pointed at. */
class Heat {
  #cells = new Map();
  #grid = element("div", { class: "heat", role: "img" });
  #most = element("span", {});
  #pointed = element("span", { class: "pointed" });

  constructor(panel) {
    for (const day of DAYS) {
      this.#grid.append(element("span", { class: "day" }, weekday(day)));
      for (const hour of HOURS) {
        const cell = element("span", { class: "cell", "data-day": day, "data-hour": hour });
        this.#cells.set(`${day} ${hour}`, cell);
        this.#grid.append(cell);
      }
    }
    this.#grid.append(element("span"));
    for (const hour of HOURS) this.#grid.append(element("span", { class: "hour" }, hour % 6 ? "" : clockHour(hour)));
    const scale = element("p", { class: "scale" }, "0", element("span", { class: "ramp" }), this.#most, this.#pointed);
    panel.content.append(this.#grid, scale);
    this.#grid.addEventListener("pointerover", ({ target }) => this.#point(target));
    this.#grid.addEventListener("pointerleave", () => setText(this.#pointed, ""));
  }

  draw({ cells }) {
    const most = mostOf(cells);
    const found = new Map(cells.map(([day, hour, views]) => [`${day} ${hour}`, views]));
    for (const [key, cell] of this.#cells) {
      const views = found.get(key) ?? 0;
      cell.dataset.views = views;
      cell.style.setProperty("--level", views ? (0.06 + 0.94 * (views / most)).toFixed(3) : "0");
    }
    setText(this.#most, number(most));
    const [day, hour] = cells.find(([, , views]) => views === most) ?? cells[0];
    this.#grid.setAttribute("aria-label", t("activity.described", { day: longWeekday(day), hour: clockHour(hour), most }));
  }

  #point({ dataset: { day, hour, views } }) {
    const where = day === undefined ? "" : `${longWeekday(Number(day))}, ${clockHour(Number(hour))}: `;
    setText(this.#pointed, where && where + t("views.count", { n: Number(views) }));
  }
}
