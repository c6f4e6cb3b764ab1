// What the software is, and what it must not be used for.

import { ask } from "../api.js";
import { descriptions, find, make } from "../dom.js";
import { showError, startPage } from "../frame.js";
import { bytes, number, onLanguage, say } from "../words.js";

let about = null;
let record = null;

startPage(async () => {
  onLanguage(draw);
  about = await ask("/api/about");
  draw();
  const check = make("button", { type: "button", id: "verify", text: say("about.verify"), on: { click: verify } });
  onLanguage(() => (check.textContent = say("about.verify")));
  find("#record").before(make("div", { class: "row" }, check));
});

function draw() {
  if (!about) return;
  const { limits } = about;
  find("#keep").textContent = about.keep_days === null ? say("about.keep_always") : say("about.keep_days", { days: about.keep_days });
  find("#software").replaceChildren(descriptions([
    ["kneeage", about.version],
    ["Python", about.python],
    ["ONNX Runtime", about.onnxruntime],
    [say("about.largest_examination"), bytes(limits.examination_bytes)],
    [say("about.largest_file"), bytes(limits.file_bytes)],
    [say("about.most_files"), number(limits.files, 0)],
  ]));
  if (record) drawRecord();
}

async function verify() {
  try {
    record = await ask("/api/audit/verify");
    drawRecord();
  } catch (error) {
    showError(error);
  }
}

function drawRecord() {
  const text = record.whole ? say("about.record_whole", { lines: number(record.lines, 0) }) : say("about.record_broken", { problem: record.problem ?? "" });
  find("#record").replaceChildren(make("p", { class: record.whole ? "notice" : "notice bad" }, text, " ", make("code", { text: record.head })));
}
