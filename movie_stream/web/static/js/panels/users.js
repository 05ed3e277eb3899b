/** The users of a day with most views. */

import { element, setOptions } from "../dom.js";
import { day, number, t } from "../i18n.js";
import { nothingIn, state } from "../panel.js";

export const users = {
  name: "users",
  anyGenre: true,
  size: "short",
  sources: ["top_users"],
  follows: ["last", "anchor", "since", "until", "day"],
  question: () => ["/top-users", state.now().day ? { at: `${state.now().day}T12:00:00Z` } : state.range()],
  subtitle: (data) => (data.day ? day(data.day) : ""),
  empty: ({ items }) => nothingIn(items),
  columns: () => [
    { label: t("column.rank"), kind: "number", cell: (row) => number(row.rank) },
    { label: t("column.user"), kind: "name", cell: (row) => row.user_id },
    {
      label: t("column.views"),
      kind: "number",
      cell: (row) => number(row.watch_count),
      share: (row) => row.watch_count / row.most,
    },
    { label: t("column.minutes"), kind: "number", cell: (row) => number(row.watch_time) },
  ],
  rows: ({ items }) => items.map((item) => ({ ...item, most: items[0].watch_count || 1 })),
  setUp,
  shown,
};

function setUp(panel) {
  panel.days = element("select", { "aria-label": t("users.day"), class: "days" });
  setOptions(panel.days, [["", t("users.newest")]], "");
  panel.days.addEventListener("change", () => state.change({ day: panel.days.value }));
  panel.actions.append(panel.days);
}

function shown({ days, day: shownDay }, panel) {
  const chosen = state.now().day;
  const listed = chosen && shownDay && !days.includes(shownDay) ? [shownDay, ...days] : days;
  setOptions(panel.days, [["", t("users.newest")], ...listed.map((date) => [date, day(date)])], chosen);
}
