/** The small line under a tile's figure. */

import { element, shape } from "./dom.js";

const WIDTH = 120;
const HEIGHT = 36;
const PAD = 3;

export class Spark {
  root = element("div", { class: "trend", "aria-hidden": "true" });
  #area = shape("path", { class: "area" });
  #line = shape("path", { class: "line" });
  #soFar = shape("path", { class: "line so-far" });

  constructor() {
    const parts = [this.#area, this.#line, this.#soFar];
    this.root.append(shape("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none" }, ...parts));
  }

  /**
   * Draws the values, oldest first; null is a gap. The lowest line is 0 unless `fitted`. While the last value is
   * `filling`, the line to it is dashed.
   */
  draw(values, { fitted = false, filling = false } = {}) {
    const runs = runsOf(values, scaleOf(values, fitted));
    this.#area.setAttribute("d", runs.map(areaUnder).join(""));
    const last = runs.at(-1);
    const open = filling && last?.length > 1 && values.at(-1) !== null;
    const whole = open ? [...runs.slice(0, -1), last.slice(0, -1)] : runs;
    this.#line.setAttribute("d", whole.map((run) => `M${run.join("L")}`).join(""));
    this.#soFar.setAttribute("d", open ? `M${last.slice(-2).join("L")}` : "");
  }
}

function scaleOf(values, fitted) {
  const known = values.filter((value) => value !== null);
  const low = fitted ? Math.min(...known) : 0;
  const high = Math.max(...known, low);
  const span = high - low || 1;
  return (value) => HEIGHT - PAD - ((value - low) / span) * (HEIGHT - 2 * PAD);
}

/** The points "x,y" of each run of values without a gap. */
function runsOf(values, y) {
  const step = WIDTH / Math.max(values.length - 1, 1);
  const runs = [];
  values.forEach((value, index) => {
    if (value === null) return;
    const point = `${(index * step).toFixed(1)},${y(value).toFixed(1)}`;
    if (index && values[index - 1] !== null) runs.at(-1).push(point);
    else runs.push([point]);
  });
  return runs;
}

function areaUnder(run) {
  const x = (point) => point.split(",")[0];
  return `M${x(run[0])},${HEIGHT}L${run.join("L")}L${x(run.at(-1))},${HEIGHT}Z`;
}
