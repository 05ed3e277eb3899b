/** Tables that are filled again and again: rows and cells stay the same nodes, so that scroll and focus stay too. */

import { element, setAttribute, setText } from "./dom.js";
import { t } from "./i18n.js";

/**
 * A column is {label, cell(row), kind?, state?(row), share?(row), title?(row), lang?(row), act?, can?(row)}: the text of its
 * cell; "number", "name", "text", "when" or "faint" for its looks; a class for its text; a share of 0 to 1 that is drawn behind it;
 * the text's language where it is not the page's; and what a click on it does, with which it becomes a button, that works
 * where `can` says so.
 */
export class Table {
  root;
  #columns;
  #body = element("tbody");

  #stacks;

  /**
   * `name` is what a screen reader calls the table. One that `stacks` has a line for each cell on a phone, with its label;
   * then roles say what the elements are, which browsers forget of those that are laid out otherwise.
   */
  constructor(name, columns, stacks = false) {
    this.#columns = columns;
    this.#stacks = stacks;
    const heads = columns.map(({ label, kind }) => element("th", { scope: "col", class: kind, ...this.#role("columnheader") }, label));
    const head = element("thead", this.#role("rowgroup"), element("tr", this.#role("row"), ...heads));
    if (stacks) this.#body.setAttribute("role", "rowgroup");
    this.root = element(
      "div",
      { class: stacks ? "scroll stacks" : "scroll", tabindex: "0", role: "region", "aria-label": t("table.of", { name }) },
      element("table", this.#role("table"), element("caption", { class: "hidden" }, name), head, this.#body),
    );
  }

  #role(role) {
    return this.#stacks ? { role } : {};
  }

  fill(rows) {
    while (this.#body.rows.length > rows.length) this.#body.lastChild.remove();
    rows.forEach((row, index) => this.#fillRow(this.#body.rows[index] ?? this.#newRow(), row));
  }

  #newRow() {
    const line = element("tr", this.#role("row"));
    for (const column of this.#columns) line.append(this.#newCell(column, line));
    this.#body.append(line);
    return line;
  }

  #newCell({ label, kind, share, act }, line) {
    const inner = act
      ? element("button", { type: "button", class: "link", onclick: () => act(line.shown) })
      : element("span");
    const stacked = this.#stacks ? { role: "cell", "data-label": label } : {};
    return element("td", { class: [kind, share && "share"].filter(Boolean).join(" ") || null, ...stacked }, inner);
  }

  #fillRow(line, row) {
    line.shown = row;
    this.#columns.forEach(({ cell, state, share, title, lang, can }, index) => {
      const place = line.cells[index];
      const inner = place.firstChild;
      setText(inner, cell(row));
      if (state) setAttribute(inner, "class", state(row) || null);
      if (title) setAttribute(inner, "title", title(row));
      if (lang) setAttribute(inner, "lang", lang(row));
      if (can) inner.disabled = !can(row);
      if (share) place.style.setProperty("--share", share(row).toFixed(4));
    });
  }
}
