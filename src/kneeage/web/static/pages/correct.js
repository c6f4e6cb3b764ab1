// Correct the plates with a brush, then estimate again; both versions are kept and compared.

import { ask, follow } from "../api.js";
import { comparison } from "../compare.js";
import { find } from "../dom.js";
import { announce, hideError, showDemonstration, showError, startPage } from "../frame.js";
import { PLATE_LABELS } from "../plates.js";
import { BUSY, showProgress } from "../progress.js";
import { Viewer } from "../viewer.js";
import { number, onLanguage, say } from "../words.js";

const LOOK = -1;
const FAST_STEP = 10;
const id = document.body.dataset.examination;
const viewer = new Viewer();
let base = null;
let original = null;
// What each stroke painted over: positions and the labels they had.
let strokes = [];
let changes = 0;
let pen = LOOK;
let last = null;
let cursor = null;
let hasCursor = false;
let compared = null;
let isCompared = false;
let waitingFor = null;

startPage(
  async () => {
    await load();
    setUpBrush();
    setUpKeys();
    find("#estimate").addEventListener("click", estimate);
    onLanguage(() => {
      isCompared = false;
      redraw();
    });
    window.addEventListener("beforeunload", (event) => changes && waitingFor === null && event.preventDefault());
    follow(id, onExamination);
    redraw();
  },
  { report: true },
);

/** Start from the version that is asked for, or the newest, if it has image and labels. */
async function load() {
  const examination = await ask(`/api/examinations/${id}`);
  const wanted = Number(new URLSearchParams(location.search).get("run"));
  const usable = examination.runs.filter((run) => ["image.nii.gz", "labels.nii.gz"].every((name) => run.files.includes(name)));
  base = usable.find((run) => run.number === wanted) ?? usable[usable.length - 1];
  if (!base) {
    find(".two").hidden = true;
    throw new Error(say("correct.nothing"));
  }
  showDemonstration(base.bundle?.population === "virtual");
  const file = (name) => `/api/examinations/${id}/runs/${base.number}/files/${name}`;
  const result = await ask(`/api/examinations/${id}/runs/${base.number}/result`);
  await viewer.load({ image: file("image.nii.gz"), labels: file("labels.nii.gz"), plane: result.series?.plane });
  original = viewer.labels.slice();
  viewer.onChange = drawCursor;
}

function setUpBrush() {
  for (const button of document.querySelectorAll("#brushes button"))
    button.addEventListener("click", () => choosePen(Number(button.dataset.pen)));
  const size = find("#size");
  const tell = () => (find("#size-value").textContent = say("correct.pixels", { count: size.value }));
  size.addEventListener("input", tell);
  onLanguage(tell);
  tell();
  find("#undo").addEventListener("click", undo);
  find("#reset").addEventListener("click", resetLabels);
  viewer.area.addEventListener("pointerdown", beginStroke);
  viewer.area.addEventListener("pointermove", goOn);
  for (const end of ["pointerup", "pointercancel"]) viewer.area.addEventListener(end, () => (last = null));
}

function choosePen(value) {
  pen = value;
  viewer.paints = pen !== LOOK;
  viewer.area.classList.toggle("painting", viewer.paints);
  for (const button of document.querySelectorAll("#brushes button"))
    button.setAttribute("aria-pressed", String(Number(button.dataset.pen) === pen));
}

function beginStroke(event) {
  if (pen === LOOK || event.button !== 0) return;
  const at = viewer.under(event);
  if (!at) return;
  viewer.area.setPointerCapture(event.pointerId);
  strokes.push(new Map());
  last = at;
  paintTo(at);
}

function goOn(event) {
  if (!last) return;
  const at = viewer.under(event);
  if (at) paintTo(at);
}

/** Paint from where the brush was to where it is, without gaps. */
function paintTo([column, row]) {
  const steps = Math.max(1, Math.ceil(2 * Math.hypot(column - last[0], row - last[1])));
  for (let step = 0; step <= steps; step += 1) {
    const share = step / steps;
    dab(last[0] + share * (column - last[0]), last[1] + share * (row - last[1]));
  }
  last = [column, row];
  redraw();
}

/** Paint one round dab; the eraser takes plates only, and a brush never paints over the other bone's plate unseen. */
function dab(column, row) {
  const radius = Number(find("#size").value) / 2;
  for (let y = Math.floor(row - radius); y <= row + radius; y += 1) {
    for (let x = Math.floor(column - radius); x <= column + radius; x += 1) {
      if (x < 0 || y < 0 || x >= viewer.columns || y >= viewer.rows) continue;
      const isUnder = x === Math.floor(column) && y === Math.floor(row);
      if (isUnder || Math.hypot(x + 0.5 - column, y + 0.5 - row) <= radius) paintPixel(viewer.index(x, y));
    }
  }
}

function paintPixel(at) {
  if (pen !== 0) setLabel(at, pen);
  else if (PLATE_LABELS.has(viewer.labels[at])) setLabel(at, PLATE_LABELS.has(original[at]) ? 0 : original[at]);
}

/** Change a label, and remember within the stroke what it was. */
function setLabel(at, label) {
  const stroke = strokes[strokes.length - 1];
  if (!stroke.has(at)) stroke.set(at, viewer.labels[at]);
  changes -= Number(isChanged(at));
  viewer.labels[at] = label;
  changes += Number(isChanged(at));
}

function isChanged(at) {
  return plateOf(viewer.labels[at]) !== plateOf(original[at]);
}

function plateOf(label) {
  return PLATE_LABELS.has(label) ? label : 0;
}

function undo() {
  const stroke = strokes.pop() ?? new Map();
  for (const [at, label] of stroke) {
    changes -= Number(isChanged(at));
    viewer.labels[at] = label;
    changes += Number(isChanged(at));
  }
  redraw();
}

function resetLabels() {
  strokes.push(new Map());
  original.forEach((label, at) => viewer.labels[at] === label || setLabel(at, label));
  redraw();
}

/** The brush by keyboard: arrows move it, the space bar paints, comma and full stop change the slice. */
function setUpKeys() {
  const { area } = viewer;
  area.tabIndex = 0;
  area.setAttribute("role", "application");
  const name = () => area.setAttribute("aria-label", say("correct.area"));
  name();
  onLanguage(name);
  area.addEventListener("focus", () => {
    if (!area.matches(":focus-visible")) return;
    cursor ??= middle();
    hasCursor = true;
    viewer.draw();
  });
  area.addEventListener("blur", () => {
    hasCursor = false;
    viewer.draw();
  });
  area.addEventListener("keydown", onKey);
}

function onKey(event) {
  const moves = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
  const slices = { ",": -1, ".": 1 };
  if (event.key in moves) moveCursor(moves[event.key], event.shiftKey ? FAST_STEP : 1);
  else if (event.key in slices) viewer.goTo(viewer.slice + slices[event.key]);
  else if (event.key === " ") paintAtCursor();
  else if (/^[1-6]$/.test(event.key)) choosePen(Number(document.querySelectorAll("#brushes button")[event.key - 1].dataset.pen));
  else if (event.key === "z" && (event.ctrlKey || event.metaKey)) undo();
  else return;
  event.preventDefault();
}

/** The middle of the picture, in the middle of a pixel. */
function middle() {
  return [viewer.columns, viewer.rows].map((count) => Math.floor(count / 2) + 0.5);
}

/** Move the cursor as it is seen: the image may run the other way than its columns and rows. */
function moveCursor([x, y], step) {
  cursor ??= middle();
  hasCursor = true;
  const [from, right, down] = [viewer.place(0, 0), viewer.place(1, 0), viewer.place(0, 1)];
  const columnSign = Math.sign(right[0] - from[0]) || 1;
  const rowSign = Math.sign(down[1] - from[1]) || 1;
  const clip = (value, count) => Math.min(Math.max(value, 0.5), count - 0.5);
  cursor = [clip(cursor[0] + x * columnSign * step, viewer.columns), clip(cursor[1] + y * rowSign * step, viewer.rows)];
  viewer.draw();
}

function paintAtCursor() {
  if (pen === LOOK || !cursor) return;
  strokes.push(new Map());
  last = cursor;
  paintTo(cursor);
  last = null;
}

function drawCursor(context, place) {
  if (!hasCursor) return;
  const [x, y] = place(cursor[0], cursor[1]);
  const arm = 9 * (globalThis.devicePixelRatio || 1);
  context.beginPath();
  for (const [dx, dy] of [[arm, 0], [0, arm]]) {
    context.moveTo(x - dx, y - dy);
    context.lineTo(x + dx, y + dy);
  }
  context.strokeStyle = "#fff";
  context.lineWidth = arm / 6;
  context.stroke();
}

function redraw() {
  viewer.draw();
  const text = changes ? say("correct.changed", { count: number(changes, 0) }) : say("correct.unchanged");
  find("#changed").textContent = text;
  find("#estimate").disabled = changes === 0 || waitingFor !== null;
  find("#undo").disabled = !strokes.length;
  find("#reset").disabled = changes === 0;
  if (compared && !isCompared) drawComparison();
}

/** Send the plates alone, on the grid of the labels, and wait for the new version. */
async function estimate() {
  hideError();
  const plates = viewer.labels.map(plateOf);
  try {
    find("#estimate").disabled = true;
    const body = viewer.nv.volumes[0].toUint8Array(plates);
    const path = `/api/examinations/${id}/corrections?base=${base.number}&content=plates`;
    const run = await ask(path, { method: "POST", body, type: "application/octet-stream" });
    waitingFor = run.number;
    viewer.area.focus();
    showProgress(run);
    announce(say("correct.sent"));
  } catch (error) {
    showError(error);
    redraw();
  }
}

async function onExamination(short) {
  const run = short.latest;
  if (waitingFor === null || run?.number !== waitingFor) return;
  showProgress(run);
  if (BUSY.has(run.state)) return;
  waitingFor = null;
  if (!run.outcome) {
    showError(new Error(run.reason?.message ?? say(`state.${run.state}`)));
    return redraw();
  }
  [compared, isCompared] = [[base.number, run.number], false];
  await takeNewVersion(run);
  return redraw();
}

/** Go on from the new version: what is painted next corrects that one. */
async function takeNewVersion(run) {
  if (!run.files.includes("labels.nii.gz")) return;
  try {
    await viewer.loadLabels(`/api/examinations/${id}/runs/${run.number}/files/labels.nii.gz`);
    original = viewer.labels.slice();
    [strokes, changes] = [[], 0];
    base = run;
    announce(say("correct.done"));
  } catch (error) {
    showError(error);
  }
}

async function drawComparison() {
  isCompared = true;
  try {
    find("#comparison").replaceChildren(await comparison(id, ...compared));
  } catch (error) {
    showError(error);
  }
}
