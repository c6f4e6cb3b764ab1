// One examination: progress, viewer, answer, downloads.

import { ask, follow } from "../api.js";
import { adviceFor, ageCard, behind, isVirtual, platesCard, refusal, thresholdsCard, warnings } from "../answer.js";
import { comparison } from "../compare.js";
import { find, make } from "../dom.js";
import { announce, hideError, showDemonstration, showError, startPage } from "../frame.js";
import { ASKABLE, BUSY, badgeOf, showProgress, stateOf } from "../progress.js";
import { Viewer } from "../viewer.js";
import { moment, onLanguage, phrase, say, sayReport, shortNames } from "../words.js";

const DOWNLOADS = ["report.pdf", "report.html", "segmentation.dcm", "measurements.dcm", "report.dcm", "preview.dcm", "labels.nii.gz", "result.json", "all.zip"];
const id = document.body.dataset.examination;
let examination = null;
let shown = null;
let result = null;
let viewer = null;
let chosen = Number(new URLSearchParams(location.search).get("run"));
let newest = null;
let compared = null;
let turn = Promise.resolve();

startPage(
  async () => {
    setUpToggles();
    find("#cancel").addEventListener("click", () => change("cancel"));
    onLanguage(draw);
    await refresh();
    follow(id, (short) => {
      const moved = !examination || short.state !== examination.state || short.latest?.number !== examination.latest?.number;
      if (moved || !BUSY.has(short.state)) return refresh();
      return showProgress(short.latest);
    });
  },
  { report: true },
);

/** Read the examination anew; one reading after the other, so that an older one never comes last. */
function refresh() {
  turn = turn.then(readAnew).catch(showError);
  return turn;
}

async function readAnew() {
  examination = await ask(`/api/examinations/${id}`);
  const finished = examination.runs.filter((run) => run.outcome);
  const last = finished[finished.length - 1];
  if (newest !== null && last?.number > newest) chosen = last.number;
  newest = last?.number ?? 0;
  const wanted = finished.find((run) => run.number === chosen) ?? last;
  if (examination.state === "purged") putAway();
  else if (wanted && wanted.number !== shown?.number) await show(wanted);
  else if (wanted) takeDocuments(wanted);
  draw();
}

/** Nothing is left to show of an examination whose images were removed. */
function putAway() {
  [result, shown, compared] = [null, null, null];
  find("#answer-area").hidden = true;
}

/** Show one version: its result, and its volumes where it has them. */
async function show(run) {
  hideError();
  result = await ask(path(run, "result"));
  shown = run;
  showDemonstration(isVirtual(result));
  find("#viewer-card").hidden = !has("image.nii.gz");
  find("#answer-area").hidden = false;
  draw();
  announce(say("examination.ready"));
  if (has("image.nii.gz")) showVolumes().catch(showError);
}

/** Take in that documents of the shown version were made meanwhile. */
function takeDocuments(run) {
  const isNew = !has("explanation.nii.gz") && run.files.includes("explanation.nii.gz");
  if (shown.documents?.state !== "done" && run.documents?.state === "done") announce(say("examination.documents_ready"));
  shown = run;
  if (isNew && viewer?.isLoaded) showExplanation().catch(showError);
}

function has(name) {
  return shown.files.includes(name);
}

function file(name) {
  return has(name) ? path(shown, `files/${name}`) : null;
}

async function showVolumes() {
  if (viewer) {
    await viewer.loadLabels(file("labels.nii.gz"));
    viewer.draw();
  } else {
    viewer = new Viewer();
    await viewer.load({ image: file("image.nii.gz"), labels: file("labels.nii.gz"), plane: result.series?.plane });
  }
  await showExplanation();
}

async function showExplanation() {
  await viewer.loadExplanation(file("explanation.nii.gz"));
  const button = find("#show-explanation");
  button.hidden = !viewer.hasExplanation;
  viewer.showExplanation(button.getAttribute("aria-pressed") === "true");
}

function path(run, rest) {
  return `/api/examinations/${id}/runs/${run.number}/${rest}`;
}

function draw() {
  if (!examination) return;
  drawHead();
  showProgress(BUSY.has(examination.state) ? examination.latest ?? { state: examination.state, stage: "reading", progress: 0 } : null);
  find("#cancel").hidden = !["queued", "running"].includes(examination.state);
  drawRefusal();
  if (!result) return;
  drawVersions();
  const estimated = result.outcome === "estimated";
  find("#answer").replaceChildren(...kept(estimated && ageCard(result), estimated && thresholdsCard(result)));
  find("#measured").replaceChildren(...kept(platesCard(result)));
  find("#warned").replaceChildren(...kept(warnings(result)));
  find("#to-correct").hidden = !(has("image.nii.gz") && has("labels.nii.gz"));
  find("#to-correct").href = `/examinations/${id}/correct?run=${shown.number}`;
  find("#below").replaceChildren(...kept(downloads(), behind(result)));
  if (compared) compareWith(...compared);
  find(".two").classList.toggle("single", !estimated);
}

function drawHead() {
  const state = stateOf(examination);
  find("#heading").textContent = examination.reference || say("list.unnamed", { id: id.slice(0, 8) });
  const badge = make("span", { class: badgeOf(state), id: "state", "data-state": state, text: say(`state.${state}`) });
  find("#facts").replaceChildren(badge, ` ${say("examination.made", { when: moment(examination.created_at), who: examination.created_by })}`);
  const purge = make("button", { type: "button", class: "bad", text: say("examination.purge"), on: { click: askToPurge } });
  const purgeable = !BUSY.has(examination.state) && examination.state !== "purged";
  const goOn = make("a", { class: "button main", id: "go-on", href: `/new?examination=${id}`, text: say("examination.go_on") });
  find("#actions").replaceChildren(...kept(ASKABLE.has(examination.state) && goOn, purgeable && purge));
}

function drawRefusal() {
  const place = find("#refusal");
  if (result && result.outcome !== "estimated" && !BUSY.has(examination.state)) return place.replaceChildren(refusal(result));
  const plain = { draft: examination.files ? "draft" : "empty", ready: "draft", cancelled: "cancelled", purged: "purged" }[examination.state];
  if (plain) return place.replaceChildren(make("p", { class: "notice", text: say(`examination.${plain}`) }));
  const { reason } = examination;
  if (!reason || BUSY.has(examination.state)) return place.replaceChildren();
  return place.replaceChildren(
    make("section", { class: "notice bad", id: "reasons", "aria-labelledby": "refusal-heading" },
      make("h2", { id: "refusal-heading", text: sayReport(`reason.${reason.code}`) || say(`state.${examination.state}`) }),
      make("p", { text: phrase(shortNames(reason.message)) }),
      make("p", { class: "advice", text: adviceFor(reason.code, examination.series) })),
  );
}

/** A button for each version, and a comparison with the version before. */
function drawVersions() {
  const finished = examination.runs.filter((run) => run.outcome);
  const place = find("#versions");
  if (finished.length < 2) return place.replaceChildren();
  const buttons = finished.map((run) =>
    make("button", {
      type: "button",
      "aria-pressed": String(run.number === shown.number),
      text: say(run.kind === "correction" ? "examination.version_corrected" : "examination.version", { number: run.number }),
      on: { click: () => choose(run) },
    }));
  const last = finished[finished.length - 1].number;
  const before = finished[finished.findIndex((run) => run.number === shown.number) - 1]?.number;
  const [first, second] = before ? [shown.base ?? before, shown.number] : [shown.number, last];
  const compare = make("button", { type: "button", text: say("compare.do", { first, second }), on: { click: () => compareWith(first, second).then(goToComparison) } });
  return place.replaceChildren(make("div", { class: "row versions", role: "group", "aria-label": say("examination.versions") }, ...buttons, compare));
}

function choose(run) {
  [chosen, compared] = [run.number, null];
  return refresh();
}

async function compareWith(first, second) {
  try {
    const card = await comparison(id, first, second);
    document.querySelector("#compared")?.remove();
    find("#below").prepend(card);
    compared = [first, second];
  } catch (error) {
    compared = null;
    showError(error);
  }
}

function goToComparison() {
  document.querySelector("#compared")?.scrollIntoView({ block: "nearest" });
}

function downloads() {
  const all = shown.documents?.state === "done" ? ["all.zip"] : [];
  const made = DOWNLOADS.filter((name) => [...shown.files, ...all].includes(name));
  if (!made.length) return null;
  const links = made.map((name) =>
    make("li", {}, make("a", { class: "button", href: `${path(shown, `files/${name}`)}?download=1`, download: name, "data-file": name, text: say(`download.${name}`) })));
  const read = has("report.html")
    ? make("li", {}, make("a", { class: "button main", href: path(shown, "files/report.html"), target: "_blank", rel: "noopener", text: say("download.read") }))
    : null;
  return make("section", { class: "card", "aria-labelledby": "downloads-heading" },
    make("h2", { id: "downloads-heading", text: say("download.heading") }),
    documentsNote(),
    make("ul", { class: "downloads" }, read, ...links));
}

/** Say how far the documents are, which are made after the answer, and why some are missing. */
function documentsNote() {
  const { documents } = shown;
  if (!documents) return null;
  if (["queued", "running"].includes(documents.state)) {
    const stage = say(`stage.${documents.state === "queued" ? "queued" : documents.stage}`);
    return make("p", { class: "notice", id: "making", role: "status", text: say("download.making", { stage }) });
  }
  if (!documents.reason) return null;
  const words = { detail: phrase(documents.reason.message) };
  return documents.state === "done"
    ? make("p", { class: "small quiet", id: "partly", text: say("download.partly", words) })
    : make("p", { class: "notice bad", text: say("download.failed", words) });
}

function setUpToggles() {
  toggle("#show-outlines", (on) => viewer?.draw({ outlines: on }));
  toggle("#show-bones", (on) => viewer?.draw({ bones: on }));
  toggle("#show-explanation", (on) => {
    viewer?.showExplanation(on);
    find("#explanation-note").hidden = !on;
  });
}

function toggle(selector, act) {
  const button = find(selector);
  button.addEventListener("click", () => {
    const on = button.getAttribute("aria-pressed") !== "true";
    button.setAttribute("aria-pressed", String(on));
    act(on);
  });
}

function askToPurge() {
  if (window.confirm(say("examination.purge_sure"))) change("purge");
}

async function change(what) {
  try {
    await ask(`/api/examinations/${id}/${what}`, { method: "POST" });
    if (what === "purge") return location.reload();
    return await refresh();
  } catch (error) {
    return showError(error);
  }
}

function kept(...parts) {
  return parts.filter(Boolean);
}
