// Files that were dropped: folders are opened all the way down.

import { FILE_NAME, shortNames } from "./words.js";

const HASH_DIGITS = 64;

/** List the files of a drop, those inside folders included. */
export async function droppedFiles(transfer) {
  // The entries must be taken before the first wait: the browser empties the transfer afterwards.
  const taken = [...transfer.items]
    .filter((item) => item.kind === "file")
    .map((item) => ({ entry: item.webkitGetAsEntry?.() ?? null, file: item.getAsFile() }));
  const found = [];
  for (const { entry, file } of taken) {
    if (entry) await collect(entry, found);
    else if (file) found.push(file);
  }
  return wanted(found);
}

/** Leave out what operating systems put beside images. */
export function wanted(files) {
  return [...files].filter((file) => file.size > 0 && !/^(\.|Thumbs\.db$|desktop\.ini$)/i.test(file.name));
}

/** Put the user's own names in a message in place of the server's. */
export async function withNames(message, files) {
  const missing = new Set((message.match(FILE_NAME) ?? []).map((name) => name.slice(0, HASH_DIGITS)));
  let named = message;
  for (const file of files) {
    if (!missing.size) break;
    const hash = await hashOf(file);
    if (missing.delete(hash)) named = named.replace(FILE_NAME, (found) => (found.startsWith(hash) ? file.name : found));
  }
  return shortNames(named);
}

async function hashOf(file) {
  const digest = await crypto.subtle.digest("SHA-256", await file.arrayBuffer());
  return [...new Uint8Array(digest)].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

async function collect(entry, found) {
  if (entry.isFile) {
    found.push(await new Promise((resolve, reject) => entry.file(resolve, reject)));
    return;
  }
  const reader = entry.createReader();
  for (;;) {
    // A reader gives at most a hundred entries at a time.
    const some = await new Promise((resolve, reject) => reader.readEntries(resolve, reject));
    if (!some.length) return;
    for (const inner of some) await collect(inner, found);
  }
}
