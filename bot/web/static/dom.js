// Building the page: text only ever enters as text, never as markup.

const SVG = "http://www.w3.org/2000/svg"; // a name, not an address: nothing is fetched

export const byId = (id) => document.getElementById(id);

function fill(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes ?? {})) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else node.setAttribute(name, value === true ? "" : String(value));
  }
  for (const child of children.flat(2)) {
    if (child !== null && child !== undefined && child !== false) node.append(child);
  }
  return node;
}

/** An HTML element; children are nodes or texts. */
export const el = (tag, attributes, ...children) =>
  fill(document.createElement(tag), attributes, children);

/** The same for SVG. */
export const svg = (tag, attributes, ...children) =>
  fill(document.createElementNS(SVG, tag), attributes, children);

/** Change a text only when it differs: no needless work, no flicker, no lost selection. */
export function setText(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

export function setClass(node, name) {
  if (node.getAttribute("class") !== name) node.setAttribute("class", name);
}

/** Replace children only when `key` changed since the last time. */
export function redraw(node, key, make) {
  if (node.dataset.key === key) return;
  node.dataset.key = key;
  node.replaceChildren(...[make()].flat());
}

/** Keep one child an item, in order; a child stays the same element as long as its key lives. */
export function keyed(parent, items, keyOf, make, update) {
  const old = new Map([...parent.children].map((child) => [child.dataset.key, child]));
  let place = parent.firstElementChild;
  for (const item of items) {
    const key = String(keyOf(item));
    let child = old.get(key);
    if (child) old.delete(key);
    else {
      child = make(item);
      child.dataset.key = key;
    }
    update?.(child, item);
    if (child === place) place = place.nextElementSibling;
    else parent.insertBefore(child, place);
  }
  for (const child of old.values()) child.remove();
}

/** What a panel says while it has nothing to show. */
export const empty = (...words) => el("p", { class: "empty" }, ...words);

/** A row of buttons of which one is chosen; `choose` is called with its value. */
export function choices(parent, options, chosen, choose) {
  keyed(
    parent,
    options,
    ([value]) => value,
    ([value, label]) => el("button", { type: "button", class: "choice", onclick: () => choose(value) }, label),
    (button, [value]) => button.setAttribute("aria-pressed", String(value === chosen)),
  );
}

/** A table: `columns` as [title, is it a number], `rows` as lists of nodes or texts. */
export function table(caption, columns, rows) {
  return el(
    "table",
    {},
    el("caption", { class: "sr" }, caption),
    el("thead", {}, el("tr", {}, columns.map(([title, num]) => el("th", { scope: "col", class: num ? "num" : null }, title)))),
    el("tbody", {}, rows.map((row) => el("tr", {}, row.map((cell, i) => el("td", { class: columns[i][1] ? "num" : null }, cell))))),
  );
}
