/** Lines above the panels: nothing counted yet, nothing in the range, the server or MongoDB away. */

import { element, withCode } from "./dom.js";
import { moment, t } from "./i18n.js";
import * as state from "./state.js";

const place = document.getElementById("notices");
const shown = new Map();

/** Shows what the newest summary gives reason to say. */
export function summarised({ database_empty: empty, stream_time: newest, since, views }) {
  const before = newest !== null && since !== null && Date.parse(newest) <= Date.parse(since);
  const late = !empty && before && !views.value && !state.isCustom() && state.now().anchor === "now";
  show("empty", empty && emptyNotice);
  show("late", late && newest, lateNotice);
}

/** Says what does not answer: the server, or else MongoDB, as the server has told. */
export function away({ server, mongodb }) {
  show("server", server && serverNotice);
  show("mongodb", mongodb && !server && mongodbNotice);
}

/** Forgets what is shown, in the old language. */
export function clear() {
  shown.clear();
  place.replaceChildren();
}

/** Shows a notice while `wanted` is true or a value for it; it is made once, and stays while the value does. */
function show(name, wanted, make = wanted) {
  const held = shown.get(name);
  if (held?.wanted === wanted || (!held && !wanted)) return;
  held?.node.remove();
  shown.delete(name);
  if (!wanted) return;
  const node = make(wanted);
  shown.set(name, { wanted, node });
  place.append(node);
}

function emptyNotice() {
  const steps = ["empty.step_worker", "empty.step_produce", "empty.step_demo"];
  return element(
    "section",
    { class: "notice", id: "notice-empty" },
    element(
      "div",
      {},
      element("h2", {}, t("empty.title")),
      element("ul", { class: "steps" }, ...steps.map((key) => element("li", {}, ...withCode(t(key))))),
    ),
  );
}

function lateNotice(newest) {
  const follow = element("button", { type: "button", class: "primary" }, t("late.follow"));
  follow.addEventListener("click", () => state.change({ anchor: "stream" }));
  const text = element("p", {}, t("late.title", { newest: moment(newest) }));
  return element("section", { class: "notice warn", id: "notice-late" }, text, follow);
}

function serverNotice() {
  return element("section", { class: "notice warn", id: "notice-server" }, element("p", {}, t("server.away")));
}

function mongodbNotice() {
  return element("section", { class: "notice warn", id: "notice-mongodb" }, element("p", {}, t("mongodb.away")));
}
