// Small helpers to build and find elements. Text always goes in as text, never as HTML.

/** Find one element; the page is wrong without it. */
export function find(selector, root = document) {
  const found = root.querySelector(selector);
  if (!found) throw new Error(`no element ${selector}`);
  return found;
}

/** Make an element: `options.text`, `options.class`, `options.on` (events), `options.props`, others are attributes. */
export function make(tag, options = {}, ...children) {
  const element = tag.startsWith("svg:")
    ? document.createElementNS("http://www.w3.org/2000/svg", tag.slice(4))
    : document.createElement(tag);
  for (const [name, value] of Object.entries(options)) setOption(element, name, value);
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}

function setOption(element, name, value) {
  if (value === null || value === undefined || value === false) return;
  if (name === "text") element.textContent = value;
  else if (name === "on") for (const [event, act] of Object.entries(value)) element.addEventListener(event, act);
  else if (name === "props") Object.assign(element, value);
  else element.setAttribute(name, value === true ? "" : String(value));
}

/** Make a description list of [term, text or node]; pairs without a value are left out. */
export function descriptions(pairs) {
  const list = make("dl");
  for (const [term, value] of pairs) {
    if (value === null || value === undefined || value === "") continue;
    list.append(make("dt", { text: term }), make("dd", {}, value));
  }
  return list;
}

/** Make a table with a hidden caption, headings and rows of cells; the first cell of each row heads it. */
export function table(caption, headings, rows) {
  const head = make("tr", {}, ...headings.map((text) => make("th", { scope: "col", text })));
  const body = rows.map((cells) =>
    make("tr", {}, ...cells.map((cell, at) => make(at ? "td" : "th", at ? {} : { scope: "row" }, cell))),
  );
  const whole = make(
    "table",
    {},
    make("caption", { class: "hearing", text: caption }),
    make("thead", {}, head),
    make("tbody", {}, ...body),
  );
  return make("div", { class: "table", tabindex: "0", role: "region", "aria-label": caption }, whole);
}
