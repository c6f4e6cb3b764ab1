// The JSON API of the workstation, as the documented OpenAPI has it.

const RETRIES = 20;
const RECONNECT_MS = 2000;
const PORTION_FILES = 500;
const PORTION_BYTES = 64 * 1024 * 1024;

/** What the server answered instead of what was asked for. */
export class ApiError extends Error {
  constructor(status, code, message) {
    super(message);
    this.status = status;
    this.code = code;
  }
}

/** The token that every change needs. */
function token() {
  return document.querySelector('meta[name="csrf-token"]')?.content ?? "";
}

/** Take a new token, as after a login. */
export function takeToken(value) {
  const meta = document.querySelector('meta[name="csrf-token"]');
  if (meta) meta.content = value;
}

/** Ask the API; gives parsed JSON, or text where the answer is none. */
export async function ask(path, { method = "GET", json, body, type } = {}) {
  const headers = method === "GET" ? {} : { "X-CSRF-Token": token() };
  if (json !== undefined) headers["Content-Type"] = "application/json";
  else if (type) headers["Content-Type"] = type;
  const answer = await fetch(path, { method, headers, body: json === undefined ? body : JSON.stringify(json) });
  if (answer.status === 401 && location.pathname !== "/login") toLogin();
  const isJson = (answer.headers.get("Content-Type") ?? "").includes("json");
  const said = answer.status === 204 ? null : isJson ? await answer.json() : await answer.text();
  if (!answer.ok) throw refusal(answer.status, said);
  return said;
}

/** Follow one examination; gives a function that stops it. */
export function follow(id, listen) {
  return listenTo(`/api/examinations/${id}/events`, listen);
}

/** Follow all examinations; `opened` is told when changes come from now on, and earlier ones may have been missed. */
export function followAll(listen, opened) {
  return listenTo("/api/events", listen, opened);
}

/**
 * Send files in portions, each taken whole or not at all.
 *
 * A busy server is asked again after the time that it names.
 */
export async function upload(id, files, { onProgress, signal }) {
  const total = files.reduce((sum, file) => sum + file.size, 0);
  let sent = 0;
  for (const portion of portions(files)) {
    const size = portion.reduce((sum, file) => sum + file.size, 0);
    await sendPatiently(id, portion, (loaded) => onProgress(sent + Math.min(loaded, size), total), signal);
    sent += size;
    onProgress(sent, total);
  }
}

/**
 * A lost connection is made again by the browser; one that the server turned away is made again here.
 *
 * A page that is not seen listens to nothing: a browser has six connections to a server, for all its pages together.
 */
function listenTo(path, listen, opened = () => {}) {
  let source = null;
  let timer = null;
  const close = () => {
    clearTimeout(timer);
    source?.close();
    source = null;
  };
  const open = () => {
    close();
    const made = new EventSource(path);
    source = made;
    made.addEventListener("open", opened);
    made.addEventListener("examination", (event) => listen(JSON.parse(event.data)));
    made.addEventListener("error", () => {
      if (made === source && made.readyState === EventSource.CLOSED) timer = setTimeout(open, RECONNECT_MS);
    });
  };
  const turn = () => {
    if (document.hidden) close();
    else if (!source) open();
  };
  turn();
  document.addEventListener("visibilitychange", turn);
  window.addEventListener("pagehide", close);
  return () => {
    close();
    document.removeEventListener("visibilitychange", turn);
    window.removeEventListener("pagehide", close);
  };
}

function* portions(files) {
  let portion = [];
  let size = 0;
  for (const file of files) {
    if (portion.length && (portion.length >= PORTION_FILES || size + file.size > PORTION_BYTES)) {
      yield portion;
      [portion, size] = [[], 0];
    }
    portion.push(file);
    size += file.size;
  }
  if (portion.length) yield portion;
}

async function sendPatiently(id, portion, onLoaded, signal) {
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await send(id, portion, onLoaded, signal);
    } catch (error) {
      if (error.status !== 429 || attempt >= RETRIES) throw error;
      await new Promise((resolve) => setTimeout(resolve, 1000 * Math.max(1, error.retryAfter || 1)));
    }
  }
}

/** fetch() tells nothing of how much was sent, so this one request is an XMLHttpRequest. */
function send(id, portion, onLoaded, signal) {
  const form = new FormData();
  for (const file of portion) form.append("files", file, file.name);
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    request.open("POST", `/api/examinations/${id}/files`);
    request.setRequestHeader("X-CSRF-Token", token());
    request.responseType = "json";
    request.upload.addEventListener("progress", (event) => onLoaded(event.loaded));
    request.addEventListener("load", () => {
      if (request.status < 300) return resolve(request.response);
      const error = refusal(request.status, request.response);
      error.retryAfter = Number(request.getResponseHeader("Retry-After"));
      return reject(error);
    });
    request.addEventListener("error", () => reject(new ApiError(0, "network", "")));
    request.addEventListener("abort", () => reject(new ApiError(0, "aborted", "")));
    signal?.addEventListener("abort", () => request.abort(), { once: true });
    request.send(form);
  });
}

function refusal(status, said) {
  const error = said?.error ?? {};
  return new ApiError(status, error.code ?? "unknown", error.message ?? "");
}

function toLogin() {
  location.assign(`/login?next=${encodeURIComponent(location.pathname + location.search)}`);
}
