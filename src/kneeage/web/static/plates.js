// Plates drawn over a slice: outlines and fills as vectors on a canvas of their own, sharp at any size.

/** Labels of each plate, open and scar, and the colour it has everywhere. Source: the project's label table. */
export const PLATES = [
  { name: "distal_femur", labels: [1, 9], open: 1, scar: 9, colour: "#e69f00" },
  { name: "proximal_tibia", labels: [2, 10], open: 2, scar: 10, colour: "#d55e00" },
];
export const PLATE_LABELS = new Set(PLATES.flatMap((plate) => plate.labels));
const BONES = [
  { labels: [3, 4, 9, 1], colour: "#56b4e9" },
  { labels: [5, 6, 10, 2, 11], colour: "#00c896" },
  { labels: [7], colour: "#cc79a7" },
];
const LINE_PIXELS = 1.75;
const SHADOW = "rgb(0 0 0 / 55%)";
const DASHES = [5, 4];

/** Draw what is wanted over one slice: an open plate has a solid outline, a scar a dashed one. `place` maps the edges of pixels to the canvas. */
export function drawPlates(context, slice, place, { outlines, bones, opacity }) {
  context.lineJoin = "round";
  if (bones) for (const bone of BONES) stroke(context, edges(slice, bone.labels), place, bone.colour, 1);
  for (const plate of PLATES) {
    if (opacity > 0) fill(context, slice, plate, place, opacity);
    if (!outlines) continue;
    const [open, scar] = [edges(slice, [plate.open]), edges(slice, [plate.scar])];
    stroke(context, [...open, ...scar], place, SHADOW, 2.2);
    stroke(context, open, place, plate.colour, 1);
    stroke(context, scar, place, plate.colour, 1, DASHES);
  }
}

/** Find the borders of some labels in a slice, as segments between corners of pixels. */
export function edges({ values, columns, rows }, labels) {
  const wanted = new Uint8Array(256);
  for (const label of labels) wanted[label] = 1;
  const inside = (column, row) =>
    column >= 0 && row >= 0 && column < columns && row < rows && wanted[values[row * columns + column]] === 1;
  const found = [];
  for (let row = 0; row <= rows; row += 1) {
    for (let column = 0; column <= columns; column += 1) {
      const here = inside(column, row);
      if (here !== inside(column - 1, row)) found.push([column, row, column, row + 1]);
      if (here !== inside(column, row - 1)) found.push([column, row, column + 1, row]);
    }
  }
  return found;
}

function stroke(context, lines, place, colour, width, dashes = []) {
  const scale = Math.max(1, globalThis.devicePixelRatio || 1);
  context.setLineDash(dashes.map((length) => length * scale));
  context.beginPath();
  for (const [fromColumn, fromRow, toColumn, toRow] of lines) {
    context.moveTo(...place(fromColumn, fromRow));
    context.lineTo(...place(toColumn, toRow));
  }
  context.strokeStyle = colour;
  context.lineWidth = width * LINE_PIXELS * scale;
  context.stroke();
}

function fill(context, { values, columns, rows }, plate, place, opacity) {
  context.beginPath();
  for (let row = 0; row < rows; row += 1) {
    for (let column = 0; column < columns; column += 1) {
      if (!plate.labels.includes(values[row * columns + column])) continue;
      context.moveTo(...place(column, row));
      context.lineTo(...place(column + 1, row));
      context.lineTo(...place(column + 1, row + 1));
      context.lineTo(...place(column, row + 1));
      context.closePath();
    }
  }
  context.globalAlpha = opacity;
  context.fillStyle = plate.colour;
  context.fill();
  context.globalAlpha = 1;
}
