/** Tables that are filled again and again: rows and cells stay the same nodes, so that scroll and focus stay too. */

import { element, setAttribute, setText } from "./dom.js";
import { t } from "./i18n.js";

/**
 * A column is {label, cell(row), kind?, state?(row), share?(row), title?(row), act?, can?(row)}: the text of its cell; "number",
 * "name" or "faint" for its looks; a class for its text; a share of 0 to 1 that is drawn behind it; and what a click on
 * it does, with which it becomes a button, that works where `can` says so.
 */
export class Table {
  root;
  #columns;
  #body = element("tbody");

  /** `name` is what a screen reader calls the table. */
  constructor(name, columns) {
    this.#columns = columns;
    const heads = columns.map(({ label, kind }) => element("th", { scope: "col", class: kind }, label));
    this.root = element(
      "div",
      { class: "scroll", tabindex: "0", role: "region", "aria-label": t("table.of", { name }) },
      element("table", {}, element("caption", { class: "hidden" }, name), element("thead", {}, element("tr", {}, ...heads)), this.#body),
    );
  }

  fill(rows) {
    while (this.#body.rows.length > rows.length) this.#body.lastChild.remove();
    rows.forEach((row, index) => this.#fillRow(this.#body.rows[index] ?? this.#newRow(), row));
  }

  #newRow() {
    const line = element("tr");
    for (const column of this.#columns) line.append(this.#newCell(column, line));
    this.#body.append(line);
    return line;
  }

  #newCell({ kind, share, act }, line) {
    const inner = act
      ? element("button", { type: "button", class: "link", onclick: () => act(line.shown) })
      : element("span");
    return element("td", { class: [kind, share && "share"].filter(Boolean).join(" ") || null }, inner);
  }

  #fillRow(line, row) {
    line.shown = row;
    this.#columns.forEach(({ cell, state, share, title, can }, index) => {
      const place = line.cells[index];
      const inner = place.firstChild;
      setText(inner, cell(row));
      if (state) setAttribute(inner, "class", state(row) || null);
      if (title) setAttribute(inner, "title", title(row));
      if (can) inner.disabled = !can(row);
      if (share) place.style.setProperty("--share", share(row).toFixed(4));
    });
  }
}
