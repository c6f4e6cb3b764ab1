// Every word of the pages in both languages, and the sentences of results, which arrive in English.

const LANGUAGES = ["en", "zh"];
/** How the server calls a file that was sent: by the hash of its bytes. */
export const FILE_NAME = /[0-9a-f]{64}(?:\.nii(?:\.gz)?|\.zip)?/g;
const SMALLEST_PROBABILITY = 0.001;
const listeners = [];
let texts = {};
let report = { texts: {}, phrases: [] };

/** The language of the page, "en" or "zh". */
export function language() {
  return document.documentElement.dataset.language === "zh" ? "zh" : "en";
}

/** Load the words of the pages and letter the page. */
export async function loadWords() {
  const answer = await fetch("/static/words.json");
  texts = await answer.json();
  letter(document);
}

/** Load the words of results: reasons, advice, and sentences with their patterns. */
export async function loadReportWords() {
  const answer = await fetch("/api/words");
  if (!answer.ok) return;
  const found = await answer.json();
  report = { texts: found.texts, phrases: found.phrases.map((entry) => ({ ...entry, pattern: pattern(entry.en) })) };
}

/** Word a key, its placeholders filled. */
export function say(key, values = {}) {
  const wording = texts[key]?.[language()];
  return wording === undefined ? key : fill(wording, values);
}

/** Word a key of the report; "" where the report has none. */
export function sayReport(key) {
  return report.texts[key]?.[language()] ?? "";
}

/** Word an English sentence of a result, parts included; one that is not known stays as it is. */
export function phrase(sentence) {
  if (language() === "en") return sentence;
  for (const entry of report.phrases) {
    const match = entry.pattern.exec(sentence);
    if (match) return fill(entry[language()], mapped(match.groups ?? {}, phrase));
  }
  return sentence;
}

/** Switch the language of this page and of those that follow. */
export function switchLanguage(next) {
  if (!LANGUAGES.includes(next)) return;
  document.documentElement.dataset.language = next;
  document.documentElement.lang = next === "zh" ? "zh-Hans" : "en";
  document.cookie = `lang=${next}; path=/; max-age=31536000; SameSite=Strict`;
  letter(document);
  for (const listen of listeners) listen();
}

/** Have something drawn again when the language changes. */
export function onLanguage(listen) {
  listeners.push(listen);
}

/** Letter every element that names its key. */
export function letter(root) {
  for (const element of root.querySelectorAll("[data-say]")) element.textContent = say(element.dataset.say);
  for (const element of root.querySelectorAll("[data-say-label]"))
    element.setAttribute("aria-label", say(element.dataset.sayLabel));
  for (const element of root.querySelectorAll("[data-say-placeholder]"))
    element.setAttribute("placeholder", say(element.dataset.sayPlaceholder));
  const title = document.body.dataset.title;
  if (title) document.title = `${say(title)} · kneeage`;
}

/** Write a number with a fixed count of decimals. */
export function number(value, digits = 1) {
  return value.toLocaleString("en", {
    minimumFractionDigits: digits,
    maximumFractionDigits: digits,
    useGrouping: language() === "en",
    roundingMode: "halfExpand", // as the report rounds
  });
}

/** Write an age in years. */
export function years(value, digits = 1) {
  return say("unit.years", { number: number(value, digits) });
}

/** Write a share in percent. */
export function percent(share, digits = 0) {
  return say("unit.percent", { number: number(100 * share, digits) });
}

/** Write a probability in percent; one that is nearly 0 or 1 is never written as sure. */
export function probability(share) {
  if (share < SMALLEST_PROBABILITY) return `< ${percent(SMALLEST_PROBABILITY, 1)}`;
  if (share > 1 - SMALLEST_PROBABILITY) return `> ${percent(1 - SMALLEST_PROBABILITY, 1)}`;
  return percent(share, 1);
}

/** Write an interval of ages; it is rounded outwards, so that it never looks narrower than it is. */
export function range(interval) {
  const low = number(outward(interval.low, -1));
  if (interval.high === null) return say("unit.years_open", { low });
  return say("unit.years_range", { low, high: number(outward(interval.high, +1)) });
}

/** Round an age to a tenth of a year, down for direction -1 and up for +1. */
export function outward(age, direction) {
  const tenths = Number((10 * age).toFixed(6));
  return (direction < 0 ? Math.floor(tenths) : Math.ceil(tenths)) / 10;
}

/** Write the level of an interval, with as few decimals as it needs. */
export function level(share) {
  return say("unit.percent", { number: String(Number((100 * share).toPrecision(4))) });
}

/** Write a moment in the reader's own time. */
export function moment(iso) {
  const tag = language() === "zh" ? "zh-CN" : "en-GB";
  return new Intl.DateTimeFormat(tag, { dateStyle: "medium", timeStyle: "short" }).format(new Date(iso));
}

/** Write a count of bytes. */
export function bytes(count) {
  if (count < 1024) return `${number(count, 0)} B`;
  const power = Math.min(3, Math.max(1, Math.floor(Math.log2(count || 1) / 10)));
  const value = count / 1024 ** power;
  return `${number(value, Number.isInteger(value) || power === 1 ? 0 : 1)} ${["KiB", "MiB", "GiB"][power - 1]}`;
}

/** Shorten the names that the server gives to files, which are hashes. */
export function shortNames(message) {
  return message.replace(FILE_NAME, (found) => `${found.slice(0, 8)}…`);
}

function fill(wording, values) {
  return wording.replace(/\{(\w+)\}/g, (whole, name) => (name in values ? String(values[name]) : whole));
}

function mapped(values, change) {
  return Object.fromEntries(Object.entries(values).map(([name, value]) => [name, change(value)]));
}

function pattern(english) {
  const parts = english.split(/\{(\w+)\}/);
  const source = parts.map((part, at) => {
    if (at % 2) return part === "count" ? `(?<${part}>\\d+)` : `(?<${part}>.+?)`;
    return part.replace(/[.*+?^${}()|[\]\\/-]/g, "\\$&");
  });
  return new RegExp(`^${source.join("")}$`, "s");
}
