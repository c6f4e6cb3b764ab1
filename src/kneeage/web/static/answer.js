// What a result says, in plain words: the answer, the limits, the plates, the reasons, and what stands behind them.

import { descriptions, make, table } from "./dom.js";
import { agePlot, widest } from "./plot.js";
import { level, moment, number, percent, outward, phrase, probability, range, say, sayReport, shortNames, years } from "./words.js";

const DECISIONS = { at_least: "warn", below: "good", undetermined: "" };
const VIRTUAL_WARNING = "trained on a virtual cohort, demonstration only, not for forensic use";
// Beyond these a likelihood ratio is shown as a bound, as the report does.
const RATIO_SHOWN = [0.001, 1000];
const DECIMALS = { thickness_mm: 1, area_mm2: 0, volume_mm3: 0 };

/** Say why no age is given, and what can be done. */
export function refusal(result) {
  const items = result.reasons.map((reason) =>
    make(
      "li",
      {},
      make("strong", { text: sayReport(`reason.${reason.code}`) || reason.code }),
      make("div", { text: sentence(phrase(shortNames(reason.message))) }),
      make("div", { class: "advice", text: sayReport(`advice.${reason.code}`) }),
    ),
  );
  const heading = say(result.outcome === "refused" ? "answer.refused" : "answer.abstained");
  return make("section", { class: "notice bad", "aria-labelledby": "refusal-heading", id: "reasons" },
    make("h2", { id: "refusal-heading", text: heading }), make("ul", {}, ...items));
}

/** Say what can be done; where no series was found, none can be chosen. */
export function adviceFor(code, series) {
  return code === "input_refused" && !series?.length ? say("answer.send_knee") : sayReport(`advice.${code}`);
}

/** The most probable age, its interval and its distribution. */
export function ageCard(result) {
  const band = widest(result);
  const age = make("p", { class: "age-line" },
    make("span", { class: "quiet", text: say("answer.most_probable") }),
    make("span", { class: "age", id: "estimated-age" }, number(result.estimated_age_years), make("span", { class: "unit", text: ` ${say("unit.years_word")}` })));
  const interval = band && make("p", {}, make("strong", { text: range(band) }), make("span", { class: "quiet", text: ` · ${say("answer.interval", { level: level(band.level) })}` }));
  const minimum = result.minimum_age_years;
  return card("answer", say("answer.heading"), "answer",
    isVirtual(result) ? make("p", { class: "notice warn", text: say("virtual.answer") }) : null,
    age, interval,
    minimum && make("p", {}, make("strong", { text: years(outward(minimum.value_years, -1)) }), make("span", { class: "quiet", text: ` · ${say("answer.minimum", { n: minimum.n })}` })),
    agePlot(result),
    make("p", { class: "small quiet", text: say("plot.caption") }),
    band && make("p", { class: "small quiet", text: sentence(phrase(band.method)) }));
}

/** What is said of each age limit. */
export function thresholdsCard(result) {
  if (!result.thresholds.length) return null;
  const rows = result.thresholds.map((asked) => [
    years(asked.age_years, asked.age_years % 1 ? 1 : 0),
    make("span", { text: probability(asked.probability_at_least) }),
    make("div", {}, make("span", { class: `badge ${DECISIONS[asked.decision]}`, text: say(`decision.${asked.decision}`) }),
      make("div", { class: "small quiet", text: sentence(phrase(asked.decision_reason)) }), ratioOf(asked.likelihood_ratio), errorsOf(asked)),
  ]);
  return card("thresholds", say("thresholds.heading"), "",
    table(say("thresholds.heading"), [say("thresholds.age"), say("thresholds.probability"), say("thresholds.decision")], rows),
    make("p", { class: "small quiet", text: sayReport("thresholds.note") }));
}

/** One card for each plate: its stage and what was measured. */
export function platesCard(result) {
  const plates = Object.entries(result.plates);
  if (!plates.length) return null;
  return card("plates", say("plates.heading"), "", make("div", { class: "pair" }, ...plates.map(plateCard)));
}

/** Warnings in plain words; that the model is a virtual one stands on the page already, twice. */
export function warnings(result) {
  const said = result.warnings.filter((warning) => !(isVirtual(result) && warning === VIRTUAL_WARNING));
  if (!said.length) return null;
  return make("section", { class: "notice warn", "aria-labelledby": "warnings-heading" },
    make("h2", { id: "warnings-heading", text: say("warnings.heading") }),
    make("ul", {}, ...said.map((warning) => make("li", { text: sentence(phrase(warning)) }))));
}

/** What stands behind the answer, folded. */
export function behind(result) {
  const parts = [
    fold("behind.asked", askedFacts(result.subject)),
    fold("behind.series", seriesFacts(result.series)),
    fold("behind.quality", qualityFacts(result.quality)),
    fold("behind.priors", priorEffects(result)),
    fold("behind.covariates", covariates(result.covariates)),
    fold("behind.software", softwareFacts(result)),
  ];
  return card("behind", say("behind.heading"), "", ...parts);
}

/** Say whether a virtual bundle answered. */
export function isVirtual(result) {
  return result.bundle?.population === "virtual";
}

function plateCard([name, plate]) {
  const stages = [plate.stages?.dedouit && `Dedouit ${plate.stages.dedouit}`, plate.stages?.schmeling_kellinghaus && `Schmeling/Kellinghaus ${plate.stages.schmeling_kellinghaus}`];
  const measure = (key) => (plate[key] === null ? null : say(`unit.${key.split("_").pop()}`, { number: number(plate[key], DECIMALS[key]) }));
  const stage = !plate.found ? say("plates.not_seen") : stages[0] || say("plates.not_graded");
  return make("article", { class: name === "proximal_tibia" ? "plate tibia" : "plate", "aria-label": say(`plate.${name}`) },
    make("h3", { text: say(`plate.${name}`) }),
    make("p", { class: "stage" }, stage, stages[1] ? make("small", { text: stages[1] }) : null),
    descriptions([
      [say("plates.openness"), plate.openness === null ? null : percent(plate.openness)],
      [say("plates.thickness"), measure("thickness_mm")],
      [say("plates.area"), measure("area_mm2")],
      [say("plates.volume"), measure("volume_mm3")],
    ]));
}

function errorsOf(asked) {
  const wrong = asked.errors?.false_adult;
  if (!wrong || wrong.share === null) return null;
  const shares = { share: percent(wrong.share, 1), high: percent(wrong.high, 1), n: wrong.subjects };
  return make("div", { class: "small quiet", text: say("thresholds.false_adult", shares) });
}

/** How many times more probable the image is above a limit than below; a bound where the tails carry no more. */
function ratioOf(ratio) {
  if (!ratio) return null;
  const [least, most] = RATIO_SHOWN;
  const value = ratio.value === null || ratio.value > most ? `> ${number(most, 0)}` : ratio.value < least ? `< ${least}` : number(ratio.value, ratio.value >= 100 ? 0 : ratio.value >= 1 ? 1 : 3);
  const [above, below] = [ratio.ages_above, ratio.ages_below].map((ages) => ages.join("–"));
  return make("div", { class: "small quiet", text: say("thresholds.ratio", { value, above, below }) });
}

function askedFacts(subject) {
  return descriptions([
    [say("question.sex"), say(subject.sex ? `sex.${subject.sex}` : "question.sex_unknown")],
    [say("question.claimed"), subject.claimed_age_years === null ? null : String(subject.claimed_age_years)],
    [say("question.question"), subject.question],
    [say("question.basis"), subject.legal_basis],
    [say("question.consent"), subject.consent],
    [say("question.examiner"), subject.examiner],
  ]);
}

function seriesFacts(series) {
  if (!series) return null;
  const [columns, rows, slices] = series.shape;
  return descriptions([
    [say("series.description"), series.description],
    [say("series.plane"), phrase(series.plane)],
    [say("series.weighting"), series.weighting ?? say("value.unknown")],
    [say("series.side"), say(`side.${series.side}`)],
    [say("series.matrix"), `${columns} × ${rows} × ${slices}`],
    [say("series.spacing"), say("unit.mm", { number: series.spacing_mm.map((value) => number(value, 2)).join(" × ") })],
    [say("series.scanner"), [series.manufacturer, series.field_strength_tesla && `${series.field_strength_tesla} T`].filter(Boolean).join(", ")],
    [say("series.origin"), say(series.virtual ? "series.virtual" : "series.not_virtual")],
    [say("series.reasons"), series.rank_reasons.map(phrase).join(say("unit.semicolon"))],
  ]);
}

function qualityFacts(quality) {
  if (!quality) return null;
  return descriptions([
    [say("quality.slices"), String(quality.slices)],
    [say("quality.femur"), String(quality.slices_over_femoral_site)],
    [say("quality.tibia"), String(quality.slices_over_tibial_site)],
    [say("quality.fibula"), say(`side.${quality.side_from_fibula}`)],
    [say("quality.novelty"), quality.novelty ? percent(quality.novelty.percentile / 100) : null],
    [say("quality.notes"), quality.notes.map(phrase).join(say("unit.semicolon"))],
  ]);
}

function priorEffects(result) {
  const effects = result.prior_effects;
  if (!effects.length && !result.prior) return null;
  const rows = effects.map((effect) => [phrase(effect.prior), years(effect.most_probable_age_years), range(effect.interval)]);
  const said = result.prior && make("p", { text: say("prior.used", { name: phrase(result.prior.name) }) });
  return make("div", {}, said, make("p", { class: "small quiet", text: say("prior.note") }),
    rows.length ? table(say("behind.priors"), [say("prior.name"), say("answer.most_probable"), say("prior.interval")], rows) : null);
}

function covariates(items) {
  if (!items.length) return null;
  const rows = items.map((item) => [
    say(`covariate.${item.name}`),
    item.value === null ? say("value.unknown") : String(item.value),
    [item.used ? say("covariate.used", { years: changed(item.changed_years) }) : say("covariate.unused"), item.note && phrase(item.note)].filter(Boolean).join(say("unit.semicolon")),
  ]);
  return table(say("behind.covariates"), [say("covariate.name"), say("covariate.value"), say("covariate.effect")], rows);
}

/** Write a change in years with its sign. */
export function changed(value) {
  if (value === null || value === undefined) return "–";
  return `${value > 0 ? "+" : value < 0 ? "−" : "±"}${years(Math.abs(value))}`;
}

function softwareFacts(result) {
  const { bundle, software, series } = result;
  return descriptions([
    [say("software.bundle"), bundle && `${bundle.name} ${bundle.version}`],
    [say("software.population"), bundle && (isVirtual(result) ? say("software.virtual") : bundle.population)],
    [say("software.sha256"), bundle && make("code", { text: bundle.sha256 })],
    [say("software.image"), series && make("code", { text: series.pixel_sha256 })],
    ["kneeage", software?.kneeage],
    ["ONNX Runtime", software?.onnxruntime],
    [say("software.created"), software && moment(software.result_created_utc)],
  ]);
}

function fold(key, content) {
  return content && make("details", {}, make("summary", { text: say(key) }), content);
}

function card(id, heading, name, ...parts) {
  return make("section", { class: `card ${name}`.trim(), "aria-labelledby": `${id}-heading` }, make("h2", { id: `${id}-heading`, text: heading }), ...parts);
}

function sentence(text) {
  return text ? text[0].toUpperCase() + text.slice(1) : "";
}
