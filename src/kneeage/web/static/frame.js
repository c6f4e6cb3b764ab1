// What every page has: its words, the switches, the banner of a virtual bundle, and where errors are said.

import { ApiError, ask, takeToken } from "./api.js";
import { find } from "./dom.js";
import { language, loadReportWords, loadWords, onLanguage, say, switchLanguage } from "./words.js";

/** Set up a page, then start what it is for. */
export async function startPage(start, { report = false } = {}) {
  try {
    await Promise.all([loadWords(), report ? loadReportWords() : null]);
    setSwitches();
    onLanguage(setSwitches);
  } finally {
    document.documentElement.dataset.ready = "";
  }
  showChosenBundle();
  try {
    await start();
  } catch (error) {
    showError(error);
  }
  document.documentElement.dataset.interactive = "";
}

/** Say what went wrong, where a screen reader hears it. */
export function showError(error) {
  if (error.code === "aborted") return;
  const place = find("#problem");
  find("p", place).textContent = errorText(error);
  place.hidden = false;
  place.scrollIntoView({ block: "nearest" });
}

/** Take back what was said of an error. */
export function hideError() {
  find("#problem").hidden = true;
}

/** Word an error of the API. */
function errorText(error) {
  if (!(error instanceof ApiError)) return say("error.page", { detail: error.message });
  const key = `error.${error.code}`;
  const known = say(key);
  const plain = known === key ? say("error.unknown") : known;
  return error.message && error.code !== "network" ? `${plain} (${error.message})` : plain;
}

/** Say something to screen readers. */
export function announce(text) {
  find("#spoken").textContent = text;
}

/** Show or hide the banner of a virtual bundle; once shown for what the page shows, it stays. */
export function showDemonstration(isVirtual) {
  if (isVirtual) find("#demonstration").hidden = false;
}

async function showChosenBundle() {
  if (location.pathname === "/login") return;
  try {
    const { items } = await ask("/api/bundles");
    showDemonstration(items.some((item) => item.chosen && item.population === "virtual"));
  } catch {
    // the page says its own errors
  }
}

function setSwitches() {
  const root = document.documentElement;
  const languageSwitch = find("#language");
  languageSwitch.textContent = language() === "en" ? "中文" : "English";
  languageSwitch.lang = language() === "en" ? "zh-Hans" : "en";
  languageSwitch.onclick = () => switchLanguage(language() === "en" ? "zh" : "en");
  const themeSwitch = find("#theme");
  themeSwitch.textContent = say(isDark() ? "frame.light" : "frame.dark");
  themeSwitch.onclick = () => {
    root.dataset.theme = isDark() ? "light" : "dark";
    remember(root.dataset.theme);
    setSwitches();
  };
  const out = document.querySelector("#logout");
  if (out) out.onclick = logOut;
}

function isDark() {
  const { theme } = document.documentElement.dataset;
  return theme ? theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
}

function remember(theme) {
  try {
    localStorage.setItem("kneeage.theme", theme);
  } catch {
    // storage is switched off: the theme lasts as long as the page
  }
}

async function logOut() {
  await ask("/api/session", { method: "DELETE" });
  takeToken("");
  location.assign("/login");
}
