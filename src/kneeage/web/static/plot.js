// The age distribution with the interval and the age limits, as SVG.

import { make } from "./dom.js";
import { level, number, range, say, years } from "./words.js";

const [WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM] = [600, 270, 46, 12, 40, 46];
// Labels of limits that are nearer than this stand one above the other.
const LABEL_WIDTH = 34;
const TICK_YEARS = 2;

/** Draw the age distribution of a result; null where it has none to draw. */
export function agePlot(result) {
  const bins = result.age_distribution;
  if (bins.length < 2) return null;
  const ages = edgesOf(result);
  const densities = bins.map((bin, at) => bin.probability / (ages[at + 1] - ages[at]));
  const peak = Math.max(...densities, 1e-9);
  const [low, high] = [ages[0], ages[ages.length - 1]];
  const x = (age) => LEFT + ((Math.min(Math.max(age, low), high) - low) / (high - low)) * (WIDTH - LEFT - RIGHT);
  const y = (density) => HEIGHT - BOTTOM - (density / peak) * (HEIGHT - TOP - BOTTOM);
  const band = widest(result);
  const plot = make("svg:svg", { class: "plot", viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img", "aria-label": spoken(result) });
  if (band) plot.append(box("band", x(band.low), TOP, x(band.high ?? high), HEIGHT - BOTTOM));
  densities.forEach((density, at) => plot.append(bar(x, y, ages, at, density, band)));
  plot.append(...axis(x, y, low, high, peak), ...limits(x, result.thresholds.map((asked) => asked.age_years), low, high));
  if (result.estimated_age_years !== null) plot.append(mode(x(result.estimated_age_years)));
  return plot;
}

/** Give the widest interval of a result, or undefined. */
export function widest(result) {
  return [...result.interval_years].sort((one, other) => other.level - one.level)[0];
}

function edgesOf(result) {
  const lows = result.age_distribution.map((bin) => bin.age_years);
  const [before, last] = lows.slice(-2);
  return [...lows, result.prior ? result.prior.high_years : 2 * last - before];
}

function spoken(result) {
  const band = widest(result);
  const parts = [];
  if (result.estimated_age_years !== null) parts.push(say("plot.highest", { age: years(result.estimated_age_years) }));
  if (band) parts.push(say("plot.interval", { level: level(band.level), range: range(band) }));
  return `${say("plot.alt")} ${parts.join(" ")}`;
}

function bar(x, y, ages, at, density, band) {
  const middle = (ages[at] + ages[at + 1]) / 2;
  const inside = band && band.low <= middle && (band.high === null || middle <= band.high);
  return box(inside ? "bar inside" : "bar", x(ages[at]) + 0.5, y(density), x(ages[at + 1]) - 0.5, HEIGHT - BOTTOM);
}

function box(name, left, top, right, bottom) {
  const [width, height] = [Math.max(0, right - left), Math.max(0, bottom - top)];
  return make("svg:rect", { class: name, x: left, y: top, width, height });
}

function axis(x, y, low, high, peak) {
  const floor = HEIGHT - BOTTOM;
  const parts = [make("svg:line", { class: "axis", x1: LEFT, x2: WIDTH - RIGHT, y1: floor, y2: floor })];
  for (let age = Math.ceil(low / TICK_YEARS) * TICK_YEARS; age <= high; age += TICK_YEARS)
    parts.push(
      make("svg:line", { class: "axis", x1: x(age), x2: x(age), y1: floor, y2: floor + 4 }),
      text(x(age), floor + 22, number(age, 0)),
    );
  parts.push(text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 5, say("plot.x")));
  parts.push(text(LEFT - 6, TOP + 4, number(100 * peak, 0), "end"), text(LEFT - 6, floor + 1, "0", "end"));
  const middle = (TOP + floor) / 2;
  parts.push(text(14, middle, say("plot.y"), "middle", `rotate(-90 14 ${middle})`));
  parts.push(make("svg:line", { class: "axis", x1: LEFT, x2: LEFT, y1: y(peak), y2: floor }));
  return parts;
}

/** A dashed line for each limit; a label that would touch its neighbour's stands a line higher. */
function limits(x, ages, low, high) {
  let [before, raised] = [-Infinity, true];
  return ages
    .filter((age) => low < age && age < high)
    .sort((one, other) => one - other)
    .flatMap((age) => {
      raised = x(age) - before < LABEL_WIDTH && !raised;
      before = x(age);
      const top = TOP - (raised ? 20 : 6);
      return [
        make("svg:line", { class: "threshold", x1: x(age), x2: x(age), y1: top, y2: HEIGHT - BOTTOM }),
        text(x(age), top - 5, String(age)),
      ];
    });
}

function mode(at) {
  const floor = HEIGHT - BOTTOM;
  return make("svg:path", { class: "mode", d: `M${at - 6} ${floor + 10} L${at + 6} ${floor + 10} L${at} ${floor + 1} Z` });
}

function text(x, y, words, anchor = "middle", transform = null) {
  return make("svg:text", { x, y, "text-anchor": anchor, transform, text: words });
}
