// Progress of a run, on the page and for screen readers.

import { announce } from "./frame.js";
import { find } from "./dom.js";
import { say } from "./words.js";

export const BUSY = new Set(["inspecting", "queued", "running"]);
/** In these an examination has its files, nothing is at work, and a question may be asked. */
export const ASKABLE = new Set(["ready", "cancelled", "failed", "refused"]);
const BADGES = { done: "good", refused: "warn", abstained: "warn", unreadable: "bad", failed: "bad", queued: "busy", running: "busy", inspecting: "busy" };

/** Show how far a run is; hidden where nothing runs. */
export function showProgress(run) {
  const busy = Boolean(run) && BUSY.has(run.state);
  find("#working").hidden = !busy;
  if (!busy) return;
  const stage = run.state === "queued" ? "queued" : run.stage;
  const text = say(`stage.${stage}`);
  const line = find("#working-text");
  if (line.textContent !== text) {
    line.textContent = text;
    announce(text);
  }
  find("#working-bar").value = run.progress;
}

/** What a short examination is called in a list: an abstention is not simply done. */
export function stateOf(examination) {
  return examination.state === "done" && examination.answered?.outcome === "abstained" ? "abstained" : examination.state;
}

/** The class of a state's badge. */
export function badgeOf(state) {
  return `badge ${BADGES[state] ?? ""}`.trim();
}
