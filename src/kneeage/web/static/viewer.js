// The viewer: NiiVue shows the slices and the explanation map; plates are drawn over them.

import { find } from "./dom.js";
import { drawPlates, edges, PLATES } from "./plates.js";
import { onLanguage, say } from "./words.js";

const NIIVUE = "/static/vendor/niivue.umd.js";
const THROUGH = { sagittal: 0, coronal: 1, axial: 2 };
const EXPLANATION_OPACITY = 0.6;
// Below this share of the largest effect the map stays clear, so that the image can be read.
const EXPLANATION_FROM = 0.15;
// From hardly seen to bright: the stronger the effect, the lighter and the less transparent.
const EXPLANATION_COLOURS = {
  older: { R: [120, 255, 255], G: [40, 140, 240], B: [0, 0, 140], A: [0, 110, 255], I: [0, 128, 255] },
  younger: { R: [0, 40, 190], G: [40, 130, 240], B: [130, 255, 255], A: [0, 110, 255], I: [0, 128, 255] },
};

/** One knee in the page's viewer; every position is a voxel of the volume turned to right, anterior, superior. */
export class Viewer {
  constructor() {
    this.show = { outlines: true, bones: false, opacity: 0 };
    this.labels = null;
    this.onChange = () => {};
    this.area = find("#viewer");
    this.over = find("#outlines");
    this.context = this.over.getContext("2d");
  }

  /** Load a run's volumes; `labels` is null where the run has none. */
  async load({ image, labels, plane }) {
    const wait = find("#viewer-wait");
    try {
      await this.#attach(plane);
      await this.nv.loadVolumes([{ url: image, name: "image.nii.gz" }]);
      if (labels) await this.loadLabels(labels);
    } catch (error) {
      wait.textContent = say("viewer.failed");
      throw error;
    }
    wait.hidden = true;
    this.#setUpControls();
    this.area.dataset.loaded = "";
  }

  /** Whether there are slices to show. */
  get isLoaded() {
    return "loaded" in this.area.dataset;
  }

  /** Whether there is a map of where the age came from. */
  get hasExplanation() {
    return Boolean(this.explanation);
  }

  /** Load other labels on the same grid; null: there are none. */
  async loadLabels(url) {
    if (!url) return void (this.labels = null);
    const volume = await globalThis.niivue.NVImage.loadFromUrl({ url, name: "labels.nii.gz" });
    this.labels = Uint8Array.from(volume.img2RAS());
  }

  /** Columns, rows and slices as they are shown. */
  get dims() {
    return this.nv.back.dimsRAS.slice(1, 4);
  }

  /** Count of slices. */
  get slices() {
    return this.dims[this.through];
  }

  /** Show a slice, counted from 0. */
  goTo(slice) {
    this.slice = Math.min(Math.max(slice, 0), this.slices - 1);
    this.nv.scene.crosshairPos[this.through] = (this.slice + 0.5) / this.slices;
    this.nv.drawScene();
    this.#tellSlice();
  }

  /** Show grey values from `level - window / 2` to `level + window / 2`, both in percent of the whole range. */
  setWindow(level, window) {
    const volume = this.nv.volumes[0];
    const span = this.high - volume.global_min;
    volume.cal_min = volume.global_min + (span * (level - window / 2)) / 100;
    volume.cal_max = volume.global_min + (span * (level + window / 2)) / 100;
    this.nv.updateGLVolume();
    find("#level-value").textContent = `${Math.round(level)}`;
    find("#window-value").textContent = `${Math.round(window)}`;
  }

  /** Show or hide the explanation map. */
  showExplanation(shown) {
    if (this.explanation) this.nv.setOpacity(1, shown ? EXPLANATION_OPACITY : 0);
  }

  /** Change what is drawn over the slices. */
  draw(change = {}) {
    Object.assign(this.show, change);
    this.#drawOver();
  }

  /** Give the position in `labels` of a column and row of the shown slice. */
  index(column, row) {
    const at = [0, 0, 0];
    at[this.across[0]] = column;
    at[this.across[1]] = row;
    at[this.through] = this.slice;
    return at[0] + this.dims[0] * (at[1] + this.dims[1] * at[2]);
  }

  /** Find the column and row under a pointer, fractions included; null outside the image. */
  under(event) {
    const box = this.over.getBoundingClientRect();
    const x = ((event.clientX - box.left) * this.over.width) / box.width;
    const y = ((event.clientY - box.top) * this.over.height) / box.height;
    const { origin, right, up } = this.#frame();
    const cross = right[0] * up[1] - right[1] * up[0];
    const [dx, dy] = [x - origin[0], y - origin[1]];
    const column = (dx * up[1] - dy * up[0]) / cross;
    const row = (dy * right[0] - dx * right[1]) / cross;
    const isInside = column >= 0 && row >= 0 && column < this.columns && row < this.rows;
    return isInside ? [column, row] : null;
  }

  /** Count of columns of a shown slice. */
  get columns() {
    return this.dims[this.across[0]];
  }

  /** Count of rows of a shown slice. */
  get rows() {
    return this.dims[this.across[1]];
  }

  /** Map the corner of a pixel to the canvas. */
  place(column, row) {
    const { origin, right, up } = this.#frame();
    return [origin[0] + column * right[0] + row * up[0], origin[1] + column * right[1] + row * up[1]];
  }

  async #attach(plane) {
    this.through = THROUGH[plane] ?? THROUGH.coronal;
    this.across = [0, 1, 2].filter((axis) => axis !== this.through);
    await loadNiivue();
    const { Niivue, SLICE_TYPE } = globalThis.niivue;
    this.nv = new Niivue({
      interactive: false,
      dragAndDropEnabled: false,
      isRadiologicalConvention: true,
      isAntiAlias: true,
      crosshairWidth: 0,
      backColor: [0, 0, 0, 1],
      fontColor: [0.85, 0.88, 0.9, 1],
      loadingText: "",
      logLevel: "error",
      sliceType: [SLICE_TYPE.SAGITTAL, SLICE_TYPE.CORONAL, SLICE_TYPE.AXIAL][this.through],
    });
    for (const [name, colours] of Object.entries(EXPLANATION_COLOURS)) this.nv.addColormap(name, colours);
    await this.nv.attachToCanvas(find("#scan"));
    const drawScene = this.nv.drawScene.bind(this.nv);
    this.nv.drawScene = () => {
      const said = drawScene();
      this.#drawOver();
      return said;
    };
  }

  /** Load the map of where the age came from in place of another; null: there is none. */
  async loadExplanation(url) {
    if (this.explanation) this.nv.removeVolume(this.explanation);
    this.explanation = null;
    if (!url) return;
    const volume = await globalThis.niivue.NVImage.loadFromUrl({
      url,
      name: "explanation.nii.gz",
      colormap: "older",
      opacity: 0,
    });
    // Outside the region that was looked at the map has no number.
    volume.img.forEach((value, at) => Number.isFinite(value) || (volume.img[at] = 0));
    const most = volume.img.reduce((largest, value) => Math.max(largest, Math.abs(value)), 0) || 1;
    [volume.cal_min, volume.cal_max] = [EXPLANATION_FROM * most, most];
    [volume.cal_minNeg, volume.cal_maxNeg] = [-most, -EXPLANATION_FROM * most];
    volume.colormapNegative = "younger";
    this.nv.addVolume(volume);
    this.explanation = volume;
  }

  #setUpControls() {
    const volume = this.nv.volumes[0];
    this.high = Math.max(volume.robust_max * 1.25, volume.cal_max) || volume.global_max;
    const slice = find("#slice");
    slice.max = String(this.slices);
    slice.addEventListener("input", () => this.goTo(Number(slice.value) - 1));
    const [level, window] = [find("#level"), find("#window")];
    const grey = () => this.setWindow(Number(level.value), Number(window.value));
    level.addEventListener("input", grey);
    window.addEventListener("input", grey);
    [level.value, window.value] = ["50", "100"];
    const opacity = find("#opacity");
    const cover = () => {
      find("#opacity-value").textContent = `${opacity.value} %`;
      this.draw({ opacity: Number(opacity.value) / 100 });
    };
    opacity.addEventListener("input", cover);
    this.area.addEventListener("wheel", (event) => this.#onWheel(event), { passive: false });
    this.#dragWindow(level, window, grey);
    onLanguage(() => this.#tellSlice());
    new ResizeObserver(() => requestAnimationFrame(() => this.nv.drawScene())).observe(this.area);
    grey();
    cover();
    this.goTo(this.#bestSlice());
  }

  /** Find the slice with most of both plates; the middle where there is none. */
  #bestSlice() {
    const middle = Math.floor(this.slices / 2);
    if (!this.labels) return middle;
    const counts = Array.from({ length: this.slices }, () => [0, 0]);
    const step = [1, this.dims[0], this.dims[0] * this.dims[1]][this.through];
    this.labels.forEach((label, at) => {
      const plate = PLATES.findIndex(({ labels }) => labels.includes(label));
      if (plate >= 0) counts[Math.floor(at / step) % this.slices][plate] += 1;
    });
    const scores = counts.map(([femur, tibia]) => Math.min(femur, tibia) * 1000 + femur + tibia);
    const best = Math.max(...scores);
    return best > 0 ? scores.indexOf(best) : middle;
  }

  #onWheel(event) {
    event.preventDefault();
    this.wheel = (this.wheel ?? 0) + event.deltaY;
    if (Math.abs(this.wheel) < 20) return;
    this.goTo(this.slice + Math.sign(this.wheel));
    this.wheel = 0;
  }

  /** Dragging changes the window sideways and the level upwards, unless something else paints. */
  #dragWindow(level, window, changed) {
    let from = null;
    this.area.addEventListener("pointerdown", (event) => {
      if (this.paints) return;
      from = { x: event.clientX, y: event.clientY, level: Number(level.value), window: Number(window.value) };
      this.area.setPointerCapture(event.pointerId);
    });
    this.area.addEventListener("pointermove", (event) => {
      if (!from) return;
      window.value = String(from.window + (event.clientX - from.x) / 4);
      level.value = String(from.level + (event.clientY - from.y) / 4);
      changed();
    });
    for (const end of ["pointerup", "pointercancel"]) this.area.addEventListener(end, () => (from = null));
  }

  #tellSlice() {
    const text = say("viewer.slice_of", { slice: this.slice + 1, slices: this.slices });
    find("#slice").value = String(this.slice + 1);
    find("#slice").setAttribute("aria-valuetext", text);
    find("#slice-value").textContent = `${this.slice + 1} / ${this.slices}`;
    find("#corner").textContent = text;
    const seen = this.labels ? PLATES.filter((plate) => edges(this.shown(), plate.labels).length) : [];
    const names = seen.map((plate) => say(`plate.${plate.name}`)).join(say("unit.comma"));
    find("#scan").setAttribute("aria-label", `${text}. ${say("viewer.plates_seen", { plates: names || say("viewer.none") })}`);
  }

  /** Give the labels of the shown slice. */
  shown() {
    const values = new Uint8Array(this.columns * this.rows);
    for (let row = 0; row < this.rows; row += 1)
      for (let column = 0; column < this.columns; column += 1)
        values[row * this.columns + column] = this.labels[this.index(column, row)];
    return { values, columns: this.columns, rows: this.rows };
  }

  /** Where the first pixel begins on the canvas, and how far it is to the next column and row. */
  #frame() {
    const corner = (column, row) => {
      const at = [0, 0, 0];
      at[this.across[0]] = column;
      at[this.across[1]] = row;
      at[this.through] = (this.slice + 0.5) / this.slices;
      return this.nv.frac2canvasPos(at) ?? [0, 0];
    };
    const [origin, right, up] = [corner(0, 0), corner(1, 0), corner(0, 1)];
    const step = (end, count) => [(end[0] - origin[0]) / count, (end[1] - origin[1]) / count];
    return { origin, right: step(right, this.columns), up: step(up, this.rows) };
  }

  #drawOver() {
    const scan = find("#scan");
    if (this.over.width !== scan.width) this.over.width = scan.width;
    if (this.over.height !== scan.height) this.over.height = scan.height;
    this.context.clearRect(0, 0, this.over.width, this.over.height);
    if (!this.labels || this.slice === undefined || !this.nv.volumes.length) return;
    const { origin, right, up } = this.#frame();
    const place = (column, row) => [
      origin[0] + column * right[0] + row * up[0],
      origin[1] + column * right[1] + row * up[1],
    ];
    drawPlates(this.context, this.shown(), place, this.show);
    this.onChange(this.context, place);
  }
}

/** NiiVue is large: it is fetched beside the page and run when the first slices are there to show. */
function loadNiivue() {
  if (globalThis.niivue) return Promise.resolve();
  return new Promise((resolve, reject) => {
    const script = document.createElement("script");
    script.src = NIIVUE;
    script.addEventListener("load", resolve);
    script.addEventListener("error", () => reject(new Error(say("viewer.failed"))));
    document.head.append(script);
  });
}
