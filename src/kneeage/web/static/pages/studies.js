// Reports of study runs.

import { ask } from "../api.js";
import { find, make } from "../dom.js";
import { startPage } from "../frame.js";
import { onLanguage, say } from "../words.js";

let items = [];

startPage(async () => {
  items = (await ask("/api/studies")).items;
  onLanguage(draw);
  draw();
  const asked = items.find((item) => item.id === new URLSearchParams(location.search).get("study"));
  if (asked) open(asked);
});

function draw() {
  if (!items.length) return find("#list").replaceChildren(make("div", { class: "empty" }, make("p", { text: say("studies.none") })));
  const buttons = items.map((item) => make("button", { type: "button", text: item.name, on: { click: () => open(item) } }));
  return find("#list").replaceChildren(make("div", { class: "row" }, ...buttons));
}

/** The report is shown in a frame of its own without scripts. */
function open(item) {
  const path = `/api/studies/${item.id}/page`;
  find("#page-heading").textContent = item.name;
  find("#page-link").href = path;
  find("#page").replaceChildren(make("iframe", { class: "frame", sandbox: true, src: path, title: item.name }));
  find("#page-card").hidden = false;
}
