/** Dragging over a chart to choose a span of its x axis, with a mouse or a pen (a finger scrolls the page). */

import { element } from "./dom.js";

const LEAST_PX = 6;

/** Calls `chosen(from, to)` with the values of the axis, after a drag over `place`, in which `chart` is drawn. */
export function brush(place, chart, chosen) {
  let began = null;
  const area = element("div", { class: "brush", hidden: true, "aria-hidden": "true" });
  place.append(area);
  place.classList.add("brushable");

  const within = (event) => {
    const box = place.getBoundingClientRect();
    const frame = chart.getModel().getComponent("grid").coordinateSystem.getRect();
    return { x: Math.min(Math.max(event.clientX - box.left, frame.x), frame.x + frame.width), frame };
  };
  const ended = () => {
    began = null;
    area.hidden = true;
  };

  place.addEventListener("pointerdown", (event) => {
    if (event.pointerType === "touch" || event.button !== 0) return;
    began = within(event).x;
    place.setPointerCapture(event.pointerId);
  });
  place.addEventListener("pointermove", (event) => {
    if (began === null) return;
    const { x, frame } = within(event);
    area.hidden = Math.abs(x - began) < LEAST_PX;
    area.style.left = `${Math.min(x, began)}px`;
    area.style.width = `${Math.abs(x - began)}px`;
    area.style.top = `${frame.y}px`;
    area.style.height = `${frame.height}px`;
  });
  place.addEventListener("pointerup", (event) => {
    if (began === null) return;
    const ends = [began, within(event).x].sort((a, b) => a - b);
    ended();
    if (ends[1] - ends[0] < LEAST_PX) return;
    chosen(...ends.map((x) => chart.convertFromPixel({ xAxisIndex: 0 }, x)));
  });
  place.addEventListener("pointercancel", ended);
}
