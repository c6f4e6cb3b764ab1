// A new examination: files, series, question.

import { adviceFor } from "../answer.js";
import { ask, follow, upload } from "../api.js";
import { find, make } from "../dom.js";
import { droppedFiles, wanted, withNames } from "../dropped.js";
import { announce, hideError, showDemonstration, showError, startPage } from "../frame.js";
import { ASKABLE } from "../progress.js";
import { bytes, language, letter, number, onLanguage, phrase, say, sayReport, shortNames } from "../words.js";

const THRESHOLDS = [12, 14, 16, 18];
const OLDEST_LIMIT = 120;
const KNOWN_AGES = "8-26";
const ID = /^[0-9a-f]{32}$/;
let examination = null;
let sending = null;
let stopFollowing = () => {};
let bundles = [];
let sent = [];
let sentCount = { files: 0, size: 0 };
let priorTable = null;

startPage(
  async () => {
    setUpThresholds();
    setUpDrop();
    fillPriors();
    find("#question").addEventListener("submit", start);
    find("#series-card").addEventListener("change", allowStart);
    setUpPrior();
    onLanguage(redraw);
    bundles = (await ask("/api/bundles")).items.filter((bundle) => bundle.usable);
    fillBundles();
    find("#bundle").addEventListener("change", onBundle);
    redraw();
    const begun = new URLSearchParams(location.search).get("examination") ?? "";
    if (ID.test(begun)) await resume(begun);
  },
  { report: true },
);

/** Go on with an examination whose files were sent before. */
async function resume(id) {
  examination = await ask(`/api/examinations/${id}`);
  const { state, files, bytes: size } = examination;
  if (!ASKABLE.has(state) && state !== "inspecting") return location.replace(`/examinations/${id}`);
  find("#reference").value = examination.reference;
  find("#reference").disabled = true;
  find("#drop").hidden = true;
  find("#sent").hidden = false;
  sentCount = { files, size };
  redraw();
  if (!examination.series && state !== "inspecting") examination = await inspected(id);
  stopFollowing = follow(id, onExamination);
  return redraw();
}

function setUpDrop() {
  const [drop, files, folder] = [find("#drop"), find("#files"), find("#folder")];
  find("#choose-files").addEventListener("click", () => files.click());
  find("#choose-folder").addEventListener("click", () => folder.click());
  for (const input of [files, folder]) input.addEventListener("change", () => take(wanted(input.files)));
  for (const name of ["dragenter", "dragover"])
    window.addEventListener(name, (event) => {
      event.preventDefault();
      drop.classList.add("over");
    });
  window.addEventListener("dragleave", (event) => event.relatedTarget === null && drop.classList.remove("over"));
  window.addEventListener("drop", async (event) => {
    event.preventDefault();
    drop.classList.remove("over");
    if (!drop.hidden) take(await droppedFiles(event.dataTransfer));
  });
  find("#stop").addEventListener("click", () => sending?.abort());
  find("#again").addEventListener("click", reset);
}

/** Send the files, then have them looked through. */
async function take(files) {
  if (!files.length) return showError(new Error(say("new.nothing")));
  hideError();
  sending = new AbortController();
  find("#drop").hidden = true;
  find("#reference").disabled = true;
  find("#sending").hidden = false;
  sent = files;
  sentCount = { files: files.length, size: files.reduce((sum, file) => sum + file.size, 0) };
  try {
    examination = await ask("/api/examinations", { method: "POST", json: { reference: find("#reference").value.trim() } });
    await upload(examination.id, files, { onProgress: showSent, signal: sending.signal });
    examination = await inspected(examination.id);
    find("#sending").hidden = true;
    find("#sent").hidden = false;
    find("#again").focus();
    stopFollowing = follow(examination.id, onExamination);
  } catch (error) {
    reset();
    showError(error);
  }
  return redraw();
}

/** Have the series ranked for the bundle that is to answer. */
function inspected(id) {
  const bundle = find("#bundle").value;
  return ask(`/api/examinations/${id}/inspect${bundle ? `?bundle=${bundle}` : ""}`, { method: "POST" });
}

/** Another bundle may need other series: they are ranked anew. */
async function onBundle() {
  showDemonstration(chosenBundle()?.population === "virtual");
  if (!canAsk()) return redraw();
  try {
    examination = await inspected(examination.id);
  } catch (error) {
    showError(error);
  }
  return redraw();
}

function showSent(sent, total) {
  const share = total ? sent / total : 1;
  find("#sending-bar").value = share;
  const text = say("new.sending", { percent: Math.floor(100 * share), size: bytes(total) });
  find("#sending-text").textContent = text;
}

/** Events carry the short form: the series are asked for when they are known. */
async function onExamination(short) {
  if (!examination || short.id !== examination.id || short.state === examination.state) return;
  try {
    examination = await ask(`/api/examinations/${short.id}`);
  } catch (error) {
    showError(error);
  }
  redraw();
  if (examination.state === "ready") announce(find("#series-lead").textContent);
}

function reset() {
  stopFollowing();
  [examination, sending, sent] = [null, null, []];
  for (const input of [find("#files"), find("#folder")]) input.value = "";
  find("#drop").hidden = false;
  find("#reference").disabled = false;
  find("#sending").hidden = true;
  find("#sent").hidden = true;
  redraw();
}

function redraw() {
  fillPriors();
  fillBundles();
  const state = examination?.state;
  find("#sent-text").textContent = say(sentCount.files === 1 ? "new.sent_one" : "new.sent", { count: number(sentCount.files, 0), size: bytes(sentCount.size) });
  drawSeries(state);
  const step = canAsk() ? "question" : find("#sent").hidden ? "files" : "series";
  const order = ["files", "series", "question"];
  for (const item of document.querySelectorAll("#steps li")) {
    item.toggleAttribute("aria-current", item.dataset.step === step);
    if (item.dataset.step === step) item.setAttribute("aria-current", "step");
    item.classList.toggle("done", order.indexOf(item.dataset.step) < order.indexOf(step));
  }
  allowStart();
}

function drawSeries(state) {
  const card = find("#series-card");
  card.hidden = !state || state === "draft";
  if (card.hidden) return;
  const list = find("#series");
  const before = list.querySelector("input:checked")?.value;
  const lead = find("#series-lead");
  list.replaceChildren();
  find("#unsuitable").replaceChildren();
  if (state === "inspecting" || (!examination.series && state !== "unreadable")) return void (lead.textContent = say("new.inspecting"));
  if (state === "unreadable") return void unreadable(lead);
  const candidates = examination.series ?? [];
  const suitable = candidates.filter((candidate) => candidate.suitable);
  const others = candidates.filter((candidate) => !candidate.suitable);
  const chosen = before ?? candidates.find((candidate) => candidate.chosen)?.key;
  lead.textContent = say(...seriesLead(suitable, chosen));
  list.append(...suitable.map((candidate) => choice(candidate, candidate.key === chosen)));
  if (others.length)
    find("#unsuitable").append(
      make("details", {}, make("summary", { text: say("new.unsuitable", { count: others.length }) }),
        make("ul", { class: "series" }, ...others.map((candidate) => choice(candidate, candidate.key === chosen)))),
    );
}

function seriesLead(suitable, chosen) {
  const count = suitable.length;
  if (count === 0) return ["new.none_suitable"];
  if (count === 1) return [isAnswerable(suitable[0]) ? "new.one_suitable" : "new.one_other_plane"];
  if (chosen) return ["new.many_suitable", { count }];
  return ["new.tie", { count: suitable.filter((candidate) => candidate.rank === 1).length }];
}

/** Say whether the chosen bundle answers for the plane of a series, which may have been ranked for another bundle. */
function isAnswerable(candidate) {
  const planes = chosenBundle()?.planes ?? [];
  return !candidate.plane || !planes.length || planes.includes(candidate.plane);
}

function unreadable(lead) {
  lead.textContent = "";
  const { code, message } = examination.reason ?? { code: "", message: "" };
  const words = make("p", { text: phrase(shortNames(message)) });
  find("#unsuitable").append(
    make("div", { class: "notice bad", role: "alert" },
      make("p", {}, make("strong", { text: sayReport(`reason.${code}`) || say("state.unreadable") })),
      words,
      make("p", { class: "advice", text: adviceFor(code, examination.series) })),
  );
  withNames(message, sent).then((text) => (words.textContent = phrase(text)));
}

function choice(candidate, checked) {
  const [columns, rows, slices] = candidate.shape;
  const title = candidate.description || say("new.no_description");
  const spacing = candidate.spacing_mm.map((value) => number(value, 2)).join(" × ");
  const facts = make("ul", {}, ...candidate.reasons.map((reason) => make("li", { text: phrase(reason) })));
  if (candidate.suitable && !isAnswerable(candidate)) {
    const planes = chosenBundle().planes.map((plane) => say(`plane.${plane}`)).join(say("unit.comma"));
    facts.prepend(make("li", { text: say("new.other_plane", { plane: say(`plane.${candidate.plane}`), planes }) }));
  }
  const fits = candidate.suitable && isAnswerable(candidate);
  const badge = fits
    ? make("span", { class: candidate.rank === 1 ? "badge good" : "badge", text: say("new.rank", { rank: candidate.rank ?? "–" }) })
    : make("span", { class: "badge warn", text: say("new.not_suitable") });
  return make("li", {}, make("label", {},
    make("input", { type: "radio", name: "series", value: candidate.key, checked }),
    make("span", {}, make("strong", { text: title }), make("span", { class: "small quiet", text: `${columns} × ${rows} × ${slices} · ${spacing} mm` }), facts),
    badge));
}

function canAsk() {
  return Boolean(examination?.series) && ASKABLE.has(examination.state);
}

function allowStart() {
  const chosen = document.querySelector('input[name="series"]:checked');
  find("#start").disabled = !(canAsk() && chosen);
  const key = !examination ? "new.needs_files" : canAsk() && !chosen ? "new.needs_series" : "";
  find("#why-not").textContent = key ? say(key) : "";
}

async function start(event) {
  event.preventDefault();
  hideError();
  if (!isFilledIn()) return;
  find("#start").disabled = true;
  try {
    await ask(`/api/examinations/${examination.id}/runs`, { method: "POST", json: question() });
    location.assign(`/examinations/${examination.id}`);
  } catch (error) {
    showError(error);
    allowStart();
  }
}

/** Say whether the browser takes every field; the first that it does not is opened, marked and explained. */
function isFilledIn() {
  const fields = [...find("#question").elements];
  for (const field of fields) field.toggleAttribute("aria-invalid", false);
  const wrong = fields.find((field) => !field.checkValidity());
  if (!wrong) return true;
  wrong.closest("details")?.setAttribute("open", "");
  wrong.setAttribute("aria-invalid", "true");
  wrong.reportValidity();
  return false;
}

function question() {
  return {
    series: document.querySelector('input[name="series"]:checked').value,
    sex: document.querySelector('input[name="sex"]:checked').value || null,
    height_cm: numberOf("#height"),
    weight_kg: numberOf("#weight"),
    thresholds: thresholds(),
    ...prior(),
    question: find("#asked").value.trim() || null,
    legal_basis: find("#basis").value.trim() || null,
    consent: find("#consent").value.trim() || null,
    examiner: find("#examiner").value.trim() || null,
    claimed_age_years: numberOf("#claimed"),
    bundle: find("#bundle").value || null,
    lang: language(),
    explain: find("#explain").checked,
  };
}

function thresholds() {
  const ticked = [...document.querySelectorAll("#thresholds input:checked")].map((input) => Number(input.value));
  const text = find("#other-thresholds").value;
  // Half of the world writes thirteen and a half as 13,5.
  if (/\d,\d/.test(text)) throw new Error(say("question.thresholds_comma", { written: text.trim() }));
  const written = text.split(/[,;，；、\s]+/).filter(Boolean).map(Number);
  if (written.some((age) => !(age > 0 && age <= OLDEST_LIMIT))) throw new Error(say("question.thresholds_wrong"));
  const all = [...new Set([...ticked, ...written])].sort((one, other) => one - other);
  if (!all.length) throw new Error(say("question.thresholds_none"));
  return all;
}

function prior() {
  const chosen = find("#prior").value;
  if (chosen === "table") {
    if (!priorTable) throw new Error(say("question.prior_table_wrong"));
    return { prior_table: priorTable };
  }
  if (chosen !== "range") return { prior: chosen || null };
  const [low, high] = [numberOf("#prior-low"), numberOf("#prior-high")];
  if (low === null || high === null || low >= high) throw new Error(say("question.prior_wrong"));
  return { prior: `uniform:${low}-${high}` };
}

function setUpPrior() {
  find("#prior").addEventListener("change", () => {
    find("#prior-ages").hidden = find("#prior").value !== "range";
    find("#prior-file").hidden = find("#prior").value !== "table";
  });
  find("#prior-table").addEventListener("change", async (event) => {
    const [file] = event.target.files;
    priorTable = file ? knots(await file.text()) : null;
    find("#prior-told").textContent = priorTable ? say("question.prior_table_read", { count: priorTable.length }) : say("question.prior_table_wrong");
  });
}

/** Read a table of ages and weights, as `--prior` does; null where it is none. */
function knots(text) {
  const [head, ...lines] = text.replace(/^\uFEFF/, "").split(/\r?\n/).filter((line) => line.trim());
  const columns = (head ?? "").split(",").map((name) => name.trim());
  const [age, weight] = ["age_years", "weight"].map((name) => columns.indexOf(name));
  const rows = lines.map((line) => line.split(",")).map((cells) => ({ age_years: figure(cells[age]), weight: figure(cells[weight]) }));
  const isWhole = age >= 0 && weight >= 0 && rows.length >= 2 && rows.every((row) => Number.isFinite(row.age_years) && Number.isFinite(row.weight));
  return isWhole ? rows : null;
}

function figure(cell) {
  return cell?.trim() ? Number(cell) : NaN;
}

function numberOf(selector) {
  const { value } = find(selector);
  return value === "" ? null : Number(value);
}

function setUpThresholds() {
  find("#thresholds").append(
    ...THRESHOLDS.map((age) =>
      make("label", {}, make("input", { type: "checkbox", value: age, checked: true }), make("span", { text: String(age) }))),
  );
}

function fillPriors() {
  fillSelect(find("#prior"), [
    ["", say("prior.default")],
    [`uniform:${KNOWN_AGES}`, say("prior.uniform", { ages: KNOWN_AGES.replace("-", "–") })],
    ["range", say("prior.own_range")],
    ["table", say("prior.own_table")],
  ]);
}

function fillBundles() {
  const named = bundles.map((bundle) => [bundle.id, `${bundle.name} ${bundle.version}${bundle.chosen ? ` (${say("bundles.is_chosen")})` : ""}`]);
  fillSelect(find("#bundle"), named.length ? named : [["", say("bundles.chosen_one")]], bundles.find((bundle) => bundle.chosen)?.id);
}

function fillSelect(select, options, first = "") {
  const before = select.value || first;
  select.replaceChildren(...options.map(([value, text]) => make("option", { value, text })));
  select.value = options.some(([value]) => value === before) ? before : options[0][0];
}

function chosenBundle() {
  return bundles.find((bundle) => bundle.id === find("#bundle").value);
}

letter(document);
