// The list of examinations.

import { ask, followAll } from "../api.js";
import { find, make, table } from "../dom.js";
import { announce, hideError, showError, startPage } from "../frame.js";
import { BUSY, badgeOf, stateOf } from "../progress.js";
import { moment, onLanguage, say, years } from "../words.js";

const PAGE = 50;
const STATES = ["draft", "inspecting", "ready", "unreadable", "queued", "running", "done", "refused", "failed", "cancelled", "purged"];
const WAIT_MS = 250;
let items = [];
let total = 0;

startPage(async () => {
  fillStates();
  onLanguage(() => {
    fillStates();
    draw();
  });
  find("#search").addEventListener("input", later(load));
  find("#state").addEventListener("change", load);
  find("#filter").addEventListener("submit", (event) => event.preventDefault());
  find("#more").addEventListener("click", () => load({ more: true }));
  await load();
  followAll(changed, reload);
});

async function load({ more = false } = {}) {
  const asked = new URLSearchParams({ limit: String(PAGE), offset: String(more ? items.length : 0) });
  const [search, state] = [find("#search").value.trim(), find("#state").value];
  if (search) asked.set("search", search);
  if (state) asked.set("state", state);
  try {
    const found = await ask(`/api/examinations?${asked}`);
    hideError();
    items = more ? [...items, ...found.items] : found.items;
    total = found.total;
    draw();
  } catch (error) {
    showError(error);
  }
}

/** Take in what changed; what is not on the page yet is asked for with the list. */
function changed(examination) {
  const at = items.findIndex((item) => item.id === examination.id);
  if (at < 0) return reload();
  const before = stateOf(items[at]);
  items[at] = examination;
  draw();
  const after = stateOf(examination);
  if (before !== after && !BUSY.has(after)) announce(`${nameOf(examination)}: ${say(`state.${after}`)}`);
  return undefined;
}

const reload = later(load);

function draw() {
  find("#count").textContent = say(isFiltered() ? "list.found" : "list.count", { count: total });
  find("#more").hidden = items.length >= total;
  const list = find("#list");
  if (!items.length) return list.replaceChildren(empty());
  const headings = ["list.reference", "list.made", "list.state", "list.answer", "list.bundle"].map((key) => say(key));
  const focused = list.contains(document.activeElement) ? document.activeElement.getAttribute("href") : null;
  list.replaceChildren(table(say("list.heading"), headings, items.map(cells)));
  if (focused) list.querySelector(`a[href="${CSS.escape(focused)}"]`)?.focus();
  return undefined;
}

function empty() {
  return make("div", { class: "empty" }, make("p", { text: say(isFiltered() ? "list.none_found" : "list.none") }),
    isFiltered() ? null : make("a", { class: "button main", href: "/new", text: say("nav.new") }));
}

function isFiltered() {
  return Boolean(find("#search").value.trim() || find("#state").value);
}

function cells(item) {
  const state = stateOf(item);
  return [
    make("a", { href: `/examinations/${item.id}`, text: nameOf(item) }),
    make("span", { text: moment(item.created_at) }),
    make("span", { class: badgeOf(state), text: stateText(item, state) }),
    make("span", { text: item.answered?.estimated_age_years == null ? "–" : years(item.answered.estimated_age_years) }),
    make("span", { class: "quiet", text: item.answered?.bundle ? `${item.answered.bundle.name} ${item.answered.bundle.version}` : "–" }),
  ];
}

function stateText(item, state) {
  const percent = item.latest && state === "running" ? ` ${Math.round(100 * item.latest.progress)} %` : "";
  return say(`state.${state}`) + percent;
}

function nameOf(item) {
  return item.reference || say("list.unnamed", { id: item.id.slice(0, 8) });
}

function fillStates() {
  const select = find("#state");
  const chosen = select.value;
  const all = make("option", { value: "", text: say("list.all_states") });
  select.replaceChildren(all, ...STATES.map((state) => make("option", { value: state, text: say(`state.${state}`) })));
  select.value = chosen;
}

function later(act) {
  let timer = 0;
  return () => {
    clearTimeout(timer);
    timer = setTimeout(() => act(), WAIT_MS);
  };
}
