// Log in.

import { ask, takeToken } from "../api.js";
import { find } from "../dom.js";
import { hideError, showError, startPage } from "../frame.js";

startPage(async () => {
  const form = find("#login");
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    enter(form);
  });
});

async function enter(form) {
  hideError();
  const [name, password] = [find("#name").value, find("#password").value];
  const button = find("button[type=submit]", form);
  button.disabled = true;
  try {
    const session = await ask("/api/session", { method: "POST", json: { name, password } });
    takeToken(session.csrf_token);
    location.assign(nextPage());
  } catch (error) {
    button.disabled = false;
    find("#password").value = "";
    find("#password").focus();
    showError(error);
  }
}

/** Only a path of this server is followed. */
function nextPage() {
  const next = new URLSearchParams(location.search).get("next") ?? "/";
  const target = new URL(next, location.origin);
  return target.origin === location.origin && next.startsWith("/") && !next.startsWith("//") ? target.href : "/";
}
