/** One chart of Apache ECharts in an element: kept from one refresh to the next, drawn without animation. */

import { current, compact } from "./i18n.js";
import { element } from "./dom.js";
import { colour, tint } from "./theme.js";

export class Chart {
  #place;
  #chart = null;
  #option = null;
  #watch;
  #onReady = [];

  constructor(place) {
    this.#place = place;
    place.setAttribute("role", "img");
    this.#watch = new ResizeObserver(() => this.#fit());
    this.#watch.observe(place);
  }

  /** Draws an option of ECharts; `described` is what a screen reader says instead. */
  draw(option, described) {
    this.#option = option;
    this.#place.setAttribute("aria-label", described);
    if (this.#place.clientWidth) this.#set();
  }

  /** Calls back with the chart of ECharts once there is one. */
  whenReady(callback) {
    if (this.#chart) callback(this.#chart);
    else this.#onReady.push(callback);
  }

  dispose() {
    this.#watch.disconnect();
    this.#chart?.dispose();
  }

  #fit() {
    if (!this.#place.clientWidth) return; // behind its table
    if (this.#chart) this.#chart.resize();
    else if (this.#option) this.#set();
  }

  #set() {
    if (!this.#chart) {
      this.#chart = echarts.init(this.#place, null, { locale: current().toUpperCase() });
      for (const callback of this.#onReady) callback(this.#chart);
    }
    this.#chart.setOption({ animation: false, useUTC: true, ...this.#option }, { replaceMerge: ["series", "grid"] });
  }
}

/** Options that all charts with axes share, in the colours of the theme. */
export function axes({ grid, x, y }) {
  const text = { color: colour("--muted"), fontSize: 11, hideOverlap: true };
  const line = { lineStyle: { color: colour("--line") } };
  const base = { axisLabel: text, axisLine: line, axisTick: line, splitLine: line };
  const plain = { axisLine: { show: false }, axisTick: { show: false } };
  return {
    textStyle: { fontFamily: getComputedStyle(document.body).fontFamily },
    grid: { left: 4, right: 8, top: 10, bottom: 4, outerBoundsMode: "same", ...grid },
    xAxis: merged({ ...base, splitLine: { show: false } }, x),
    yAxis: merged({ ...base, ...plain }, { ...y, axisLabel: { formatter: compact, ...y?.axisLabel } }),
  };
}

function merged(base, own = {}) {
  return { ...base, ...own, axisLabel: { ...base.axisLabel, ...own.axisLabel } };
}

/** A tooltip whose content `build(points)` returns as an element; points are ECharts' own, one for each series. */
export function tooltip(build, { pointer = "line" } = {}) {
  return {
    trigger: "axis",
    confine: true,
    transitionDuration: 0,
    backgroundColor: colour("--card"),
    borderColor: colour("--line"),
    textStyle: { color: colour("--text") },
    axisPointer: {
      type: pointer,
      lineStyle: { color: colour("--muted"), type: "dashed" },
      shadowStyle: { color: tint("--muted", 0.12) },
    },
    formatter: build,
  };
}

/** A tooltip's content: a heading, and rows of [colour's variable or null, name, number]. */
export function tip(heading, rows) {
  return element(
    "div",
    { class: "tip" },
    element("div", { class: "when" }, heading),
    ...rows.map(([variable, name, number]) =>
      element(
        "div",
        { class: "row" },
        variable && swatch(variable),
        element("span", { class: "name" }, name),
        element("span", { class: "number" }, number),
      ),
    ),
  );
}

/** A little square in a colour of the theme. */
export function swatch(variable) {
  const square = element("span", { class: "swatch" });
  square.style.setProperty("--swatch", `var(${variable})`);
  return square;
}
