// Files that were dropped: folders are opened all the way down.

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
