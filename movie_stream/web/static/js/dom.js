/** Elements of the page. Text is always set as text: nothing that a producer has sent is ever read as HTML. */

/** Makes an element: element("p", {class: "note"}, "Hello ", element("b", {}, "you")). */
export function element(tag, attributes = {}, ...children) {
  return filled(document.createElement(tag), attributes, children);
}

/** The same for a part of a drawing. */
export function shape(tag, attributes = {}, ...children) {
  return filled(document.createElementNS("http://www.w3.org/2000/svg", tag), attributes, children);
}

function filled(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (value === true) node.setAttribute(name, "");
    else if (value !== false && value !== null && value !== undefined) node.setAttribute(name, value);
  }
  node.append(...children.filter((child) => child !== null && child !== undefined));
  return node;
}

/** Sets a node's text, and touches nothing where it stands already (so that screen readers stay quiet). */
export function setText(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

/** Sets an attribute, or takes it away where the value is null. */
export function setAttribute(node, name, value) {
  if (value === null) node.removeAttribute(name);
  else if (node.getAttribute(name) !== value) node.setAttribute(name, value);
}

/**
 * Puts these options into a select: [[value, text, why it cannot be chosen?], ...]. What is there already stays the same node, so that an open
 * list does not close, and what the reader has chosen stays chosen.
 */
export function setOptions(select, options, chosen) {
  while (select.options.length > options.length) select.lastChild.remove();
  options.forEach(([value, text, why = null], index) => {
    const option = select.options[index] ?? select.appendChild(document.createElement("option"));
    if (option.value !== value || !option.hasAttribute("value")) option.setAttribute("value", value);
    setText(option, text);
    setAttribute(option, "title", why);
    option.disabled = why !== null;
  });
  if (select.value !== chosen) select.value = chosen;
}

/** Text with `code` between backticks, as nodes. */
export function withCode(text) {
  return text.split("`").map((part, index) => (index % 2 ? element("code", {}, part) : part));
}
