// Two versions of an examination side by side.

import { ask } from "./api.js";
import { changed } from "./answer.js";
import { make, table } from "./dom.js";
import { widest } from "./plot.js";
import { number, percent, probability, range, say, years } from "./words.js";

/** Ask for two versions and put them side by side. */
export async function comparison(id, first, second) {
  const found = await ask(`/api/examinations/${id}/compare?a=${first}&b=${second}`);
  const { a, b, labels, change } = found;
  const rows = [
    row(say("answer.most_probable"), ageOf(a), ageOf(b)),
    row(say("compare.interval"), intervalOf(a), intervalOf(b)),
    ...limitRows(a, b),
    ...["distal_femur", "proximal_tibia"].flatMap((name) => plateRows(name, a.plates?.[name], b.plates?.[name])),
  ];
  const headings = [say("compare.what"), say("compare.version", { number: first }), say("compare.version", { number: second })];
  return make("section", { class: "card compare", id: "compared", "aria-labelledby": "compare-heading" },
    make("h2", { id: "compare-heading", text: say("compare.heading") }),
    change.estimated_age_years === null ? null : make("p", {}, say("compare.change"), " ", make("strong", { id: "age-change", text: changed(change.estimated_age_years) })),
    labels && make("p", { class: "quiet small", text: say("compare.voxels", { voxels: number(labels.changed_voxels, 0), volume: number(labels.changed_mm3, 0) }) }),
    table(say("compare.heading"), headings, rows));
}

function row(name, before, after) {
  return [name, make("span", { text: before }), make("span", { class: before === after ? "" : "changed", text: after })];
}

function ageOf(side) {
  return side.estimated_age_years === null ? say(`outcome.${side.outcome}`) : years(side.estimated_age_years);
}

function intervalOf(side) {
  const band = widest(side);
  return band ? range(band) : "–";
}

function limitRows(a, b) {
  const said = (asked) => (asked ? `${probability(asked.probability_at_least)}, ${say(`decision.${asked.decision}`)}` : "–");
  const ages = [...new Set([...a.thresholds, ...b.thresholds].map((asked) => asked.age_years))];
  return ages.map((age) => {
    const [before, after] = [a, b].map((side) => side.thresholds.find((asked) => asked.age_years === age));
    return row(say("compare.at_least", { age: years(age, age % 1 ? 1 : 0) }), said(before), said(after));
  });
}

function plateRows(name, before, after) {
  const figure = (plate, key, write) => (plate?.[key] === null || plate?.[key] === undefined ? "–" : write(plate[key]));
  const lines = [
    ["plates.openness", "openness", (value) => percent(value)],
    ["plates.thickness", "thickness_mm", (value) => say("unit.mm", { number: number(value) })],
    ["plates.volume", "volume_mm3", (value) => say("unit.mm3", { number: number(value, 0) })],
  ];
  return lines.map(([key, field, write]) =>
    row(`${say(`plate.${name}`)}: ${say(key)}`, figure(before, field, write), figure(after, field, write)));
}
