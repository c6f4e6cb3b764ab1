// Model bundles: cards, checksums, choose one.

import { ask } from "../api.js";
import { descriptions, find, make, table } from "../dom.js";
import { announce, showDemonstration, showError, startPage } from "../frame.js";
import { onLanguage, say } from "../words.js";

let items = [];

startPage(async () => {
  await load();
  onLanguage(draw);
});

async function load() {
  items = (await ask("/api/bundles")).items;
  draw();
}

function draw() {
  find("#list").replaceChildren(...items.map(card));
}

function card(item) {
  const heading = `bundle-${item.id}`;
  const known = item.age_range_years;
  const facts = descriptions([
    [say("software.population"), item.population === "virtual" ? say("software.virtual") : item.population],
    [say("bundles.ages"), known && say("unit.years_range", { low: known[0], high: known[1] })],
    [say("bundles.sexes"), item.sexes.map((sex) => say(`sex.${sex}`)).join(say("unit.comma"))],
    [say("bundles.planes"), item.planes.map((plane) => say(`plane.${plane}`)).join(say("unit.comma"))],
    [say("bundles.licence"), item.licence],
    ["SHA-256", item.sha256 && make("code", { text: item.sha256 })],
  ]);
  return make("section", { class: "card", "aria-labelledby": heading },
    make("div", { class: "head" }, make("h2", { id: heading, text: nameOf(item) }), make("div", { class: "row" }, ...marks(item))),
    item.problem ? make("p", { class: "notice bad", text: item.problem }) : null,
    facts,
    make("p", {}, make("a", { class: "button", href: `/bundles/${item.id}/card`, text: say("bundles.card") })),
    files(item));
}

function nameOf(item) {
  return [item.name, item.version].filter(Boolean).join(" ");
}

function marks(item) {
  const parts = [];
  if (item.population === "virtual") parts.push(make("span", { class: "badge warn", text: say("bundles.virtual") }));
  if (item.shipped) parts.push(make("span", { class: "badge", text: say("bundles.shipped") }));
  if (item.chosen) parts.push(make("span", { class: "badge good", text: say("bundles.is_chosen") }));
  else if (item.usable) parts.push(make("button", { type: "button", text: say("bundles.choose"), on: { click: () => choose(item) } }));
  else parts.push(make("span", { class: "badge bad", text: say("bundles.unusable") }));
  return parts;
}

function files(item) {
  const rows = item.files.map((file) => [file.name, make("code", { text: file.sha256 })]);
  return make("details", {}, make("summary", { text: say("bundles.files") }), table(say("bundles.files"), [say("bundles.file"), "SHA-256"], rows));
}

async function choose(item) {
  try {
    await ask("/api/bundles/chosen", { method: "PUT", json: { id: item.id } });
    showDemonstration(item.population === "virtual");
    announce(say("bundles.now", { name: nameOf(item) }));
    await load();
  } catch (error) {
    showError(error);
  }
}
