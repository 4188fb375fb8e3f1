import { bind, clamp, decoded, frame, handle, html, many, palette, set, still, svg, turn, TURN, view } from "./common.js";

// --- the mathematics: partition_circle in JavaScript ------------------------------------------------------------------

const SAME = 1e-11; // lines this close are one, as in geometry/circle.py

/** The first neuron with each neuron's line, and whether that one is on on the other side: `_same_lines` in Python. */
function sameLines(centre, R, b) {
  const first = Int32Array.from(b, (_, i) => i);
  const opposite = new Uint8Array(b.length);
  const lines = [...first].filter((i) => R[i] > 0 && Math.abs(b[i]) < 2 * R[i]); // the rest is far from the circle
  if (lines.length < 2) return { first, opposite };
  const doubled = new Map(lines.map((i) => [i, turn(2 * centre[i])])); // the same on both sides of a line
  const order = lines.slice().sort((i, j) => doubled.get(i) - doubled.get(j) || i - j);
  const runs = [];
  order.forEach((i, k) => {
    if (!k || doubled.get(i) - doubled.get(order[k - 1]) > 2 * SAME) runs.push([]);
    runs[runs.length - 1].push(i);
  });
  const ends = doubled.get(order[0]) + TURN - doubled.get(order[order.length - 1]);
  if (runs.length > 1 && ends <= 2 * SAME) runs[0].push(...runs.pop()); // round the end
  for (const run of runs) {
    if (run.length < 2) continue;
    const aside = new Map(run.map((i) => [i, Math.cos(centre[i] - centre[run[0]]) < 0]));
    const height = new Map(run.map((i) => [i, ((aside.get(i) ? -1 : 1) * b[i]) / R[i]]));
    run.sort((i, j) => height.get(i) - height.get(j) || i - j);
    for (let start = 0, k = 1; k <= run.length; k++) {
      if (k < run.length && height.get(run[k]) - height.get(run[k - 1]) <= SAME) continue;
      const members = run.slice(start, k);
      const least = Math.min(...members);
      for (const i of members) {
        first[i] = least;
        opposite[i] = aside.get(i) !== aside.get(least);
      }
      start = k;
    }
  }
  return { first, opposite };
}

/**
 * Cut the unit circle where A cos t + B sin t + b = 0 for each neuron, exactly.
 *
 * angles [n] sorted in [0, 2 pi), the neuron that flips at each, whether it turns on there, lastPattern [m] at angle 0,
 * starts of the arcs, and arcAfter [n]: the arc that begins at each crossing.
 */
export function partitionCircle(A, B, b) {
  const m = b.length;
  const centre = Float64Array.from(b, (_, i) => Math.atan2(B[i], A[i]));
  const R = Float64Array.from(b, (_, i) => Math.hypot(A[i], B[i]));
  const [from, to] = [new Float64Array(m), new Float64Array(m)];
  for (let i = 0; i < m; i++) {
    if (Math.abs(b[i]) < R[i]) {
      const half = Math.atan2(Math.sqrt(R[i] - b[i]) * Math.sqrt(R[i] + b[i]), -b[i]);
      from[i] = turn(centre[i] - half);
      to[i] = turn(centre[i] + half);
    } else from[i] = to[i] = NaN;
  }
  const along = Float64Array.from(centre, (c) => (c < 0 ? c + Math.PI : c)).sort();
  let gap = m > 1 ? along[0] + Math.PI - along[m - 1] : Infinity;
  for (let k = 1; k < m; k++) gap = Math.min(gap, along[k] - along[k - 1]);
  if (gap <= 2 * SAME) {
    const { first, opposite } = sameLines(centre, R, b);
    const [own, other] = [from.slice(), to.slice()];
    for (let i = 0; i < m; i++) {
      from[i] = (opposite[i] ? other : own)[first[i]];
      to[i] = (opposite[i] ? own : other)[first[i]];
    }
  }
  const lastPattern = Uint8Array.from(b, (x) => x > 0); // right for every neuron that never switches
  const crossings = [];
  for (let i = 0; i < m; i++) {
    if (Number.isNaN(from[i])) continue;
    lastPattern[i] = to[i] < from[i];
    crossings.push([from[i], 0, i], [to[i], 1, i]);
  }
  crossings.sort((p, q) => p[0] - q[0] || p[1] - q[1] || p[2] - q[2]);
  const angles = Float64Array.from(crossings, (c) => c[0]);
  const neurons = Int32Array.from(crossings, (c) => c[2]);
  const turnsOn = Uint8Array.from(crossings, (c) => 1 - c[1]);
  const starts = [];
  const arcAfter = Int32Array.from(angles, (angle, k) => {
    if (!k || angle > angles[k - 1]) starts.push(angle);
    return starts.length - 1;
  });
  return { angles, neurons, turnsOn, lastPattern, arcAfter, starts: angles.length ? Float64Array.from(starts) : [0] };
}

/** The first k with angles[k] >= angle. */
export function searchSorted(angles, angle) {
  let [low, high] = [0, angles.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (angles[middle] < angle) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** The arc that holds an angle; one that begins there is the one that does. */
export function arcAt({ angles, starts }, angle) {
  if (!angles.length) return 0;
  const k = searchSorted(starts, angle);
  return k < starts.length && starts[k] === angle ? k : (k + starts.length - 1) % starts.length;
}

/** Whether an even or odd number of neurons is on, for each arc: neighbours differ wherever one neuron flips. */
export function parities({ neurons, arcAfter, starts, lastPattern }) {
  const flips = new Uint8Array(starts.length);
  for (let k = 0; k < neurons.length; k++) flips[arcAfter[k]] ^= 1;
  let parity = lastPattern.reduce((sum, on) => sum ^ on, 0);
  return flips.map((flip) => (parity ^= flip));
}

/** How many different patterns the arcs have, told apart by the exclusive or of random words, one for each neuron. */
export function countPatterns({ neurons, arcAfter, starts, lastPattern }) {
  let seed = 1;
  const word = () => {
    seed = (seed + 0x9e3779b9) | 0; // splitmix32: fixed, so the same in every run
    let x = Math.imul(seed ^ (seed >>> 16), 0x21f0aaad);
    x = Math.imul(x ^ (x >>> 15), 0x735a2d97);
    return (x ^ (x >>> 15)) >>> 0;
  };
  const [low, high] = [0, 1].map(() => Uint32Array.from(lastPattern, word));
  let [a, b] = [0, 0]; // relative to the last pattern
  const seen = new Set(neurons.length ? [] : ["0,0"]);
  for (let k = 0; k < neurons.length; k++) {
    a = (a ^ low[neurons[k]]) >>> 0;
    b = (b ^ high[neurons[k]]) >>> 0;
    if (k + 1 === neurons.length || arcAfter[k + 1] > arcAfter[k]) seen.add(`${a},${b}`);
  }
  return seen.size;
}

/** Numbers of the crossings within a window, in order along the circle. All angles in radians. */
export function within({ angles }, centre, width) {
  if (width >= TURN) return Array.from(angles, (_, k) => k);
  const n = angles.length;
  const [low, high] = [turn(centre - width / 2), turn(centre + width / 2)];
  const [start, stop] = [searchSorted(angles, low), searchSorted(angles, high)];
  const length = low <= high ? stop - start : n - start + stop;
  return Array.from({ length }, (_, k) => (start + k) % n);
}

/** The crossing nearest to an angle, and how far on it is, in radians in (-pi, pi]; the one ahead if two are as near. */
export function nearestTo({ angles }, angle) {
  const n = angles.length;
  if (!n) return null;
  const at = searchSorted(angles, angle);
  const ahead = { crossing: at % n, away: angles[at % n] - angle + (at === n ? TURN : 0) };
  const behind = { crossing: (at + n - 1) % n, away: angles[(at + n - 1) % n] - angle - (at === 0 ? TURN : 0) };
  return -behind.away < ahead.away ? behind : ahead;
}

/** How many boundaries lie between angle 0 and an angle. */
export const countBefore = ({ angles }, angle) => searchSorted(angles, angle);

// --- slices of a real layer, exported once ----------------------------------------------------------------------------

/** Whole numbers of six bytes each, the lowest first, in two's complement. */
export function sixByteIntegers(bytes) {
  const view = new DataView(bytes.buffer, bytes.byteOffset);
  return Float64Array.from({ length: bytes.length / 6 }, (_, k) => view.getInt16(6 * k + 4, true) * 2 ** 32 + view.getUint32(6 * k, true));
}

/**
 * The layer on the circle through points i and j of its sphere: A, B, b.
 *
 * A layer's export has b and w . z for each of its points z, as multiples of a step, and the angles between points.
 */
export function sliceThrough({ step, values, apart, n }, i, j) {
  const all = sixByteIntegers(Uint8Array.from(atob(values), (byte) => byte.charCodeAt(0)));
  const m = all.length / (n + 1);
  const row = (k) => all.subarray(k * m, (k + 1) * m).map((x) => x * step);
  const angle = decoded(apart)[n * i + j];
  const [b, A, other] = [row(0), row(1 + i), row(1 + j)];
  const [cos, sin] = [Math.cos(angle), Math.sin(angle)];
  return { A, B: other.map((x, k) => (x - cos * A[k]) / sin), b, apart: angle };
}

/** The circle of a state { layer, first, second, cut, slices }: from the exported slices, or what Python has cut; or null. */
export function cutOf({ layer, first, second, cut, slices }) {
  const exported = slices[layer];
  if (exported) return sliceThrough(exported, first, second);
  if (cut.layer !== layer || cut.first !== first || cut.second !== second) return null; // Python is at it
  const rows = decoded(cut.rows);
  const m = rows.length / 3;
  return { A: rows.subarray(0, m), B: rows.subarray(m, 2 * m), b: rows.subarray(2 * m), apart: cut.apart };
}

/**
 * How much of each of n columns lies in odd arcs, 0 to 1: places are those of crossings in units of a column, in order,
 * and from crossing k on the parity is after[k]; before the first it is `first`.
 */
export function coverage(places, after, first, n) {
  const covered = new Float64Array(n);
  let [left, odd] = [0, first];
  const block = (right) => {
    if (!odd || right <= left) return;
    const [p, q] = [Math.floor(left), Math.floor(right)];
    if (p === q) covered[p] += right - left;
    else {
      covered[p] += p + 1 - left;
      covered.fill(1, p + 1, q);
      if (q < n) covered[q] += right - q;
    }
  };
  places.forEach((place, k) => {
    const right = clamp(place, 0, n);
    block(right);
    [left, odd] = [right, after[k]];
  });
  block(n);
  return covered;
}

const RADIAN = 180 / Math.PI;
const grouped = (n) => n.toLocaleString("en");
const some = (n, one, more) => `${grouped(n)} ${n === 1 ? one : more}`;
const digitsOf = (width) => Math.max(1, 2 - Math.floor(Math.log10(width)));
const placed = (where, width) => where.toFixed(digitsOf(width));
const short = (value) => (value >= 1e-12 ? value.toFixed(Math.max(0, 1 - Math.floor(Math.log10(value)))) : "0");
const plain = (width) => String(Number(width.toPrecision(6)));

/** What the explorer says in lines; Python says the same. Angles in degrees. */
export function linesOf(circle, { apart, names, first, second, where, width }) {
  const [n, arcs] = [circle.angles.length, circle.starts.length];
  circle.nPatterns ??= countPatterns(circle); // once a circle
  const between = countBefore(circle, apart);
  const lines = [
    `${some(arcs, "arc", "arcs")}, ${some(circle.nPatterns, "pattern", "patterns")} on the whole circle`,
    `${names[first]} and ${names[second]} are ${(apart * RADIAN).toFixed(1)}° apart, with ` +
      `${some(between, "boundary", "boundaries")} between them`,
  ];
  if (!n) return [...lines, "No boundary meets this circle"];
  const at = where / RADIAN;
  const inside = width >= 360 ? n : within(circle, at, width / RADIAN).length;
  const { crossing, away } = nearestTo(circle, at);
  const nearest = Math.min(circle.angles[0], TURN - circle.angles[n - 1]);
  return [
    ...lines,
    `The boundary nearest to ${names[first]} on this circle is ${short(nearest * RADIAN)}° away`,
    `At ${placed(where, width)}°: arc ${grouped(arcAt(circle, at) + 1)} of ${grouped(arcs)}, and in ${plain(width)}° around it ` +
      some(inside, "boundary", "boundaries"),
    `The nearest, neuron ${circle.neurons[crossing]}, is ${short(Math.abs(away) * RADIAN)}° ${away >= 0 ? "ahead" : "behind"}; ` +
      `crossed towards larger angles, the neuron switches ${circle.turnsOn[crossing] ? "on" : "off"}`,
  ];
}

// --- the picture ------------------------------------------------------------------------------------------------------

const [WIDE, HIGH] = [1000, 400]; // of the stretch that is enlarged
const [INNER, OUTER, RING] = [0.8, 1, 1.22];

const SLICE_STYLE = `
.lx-views.lx-slice { grid-template-columns: minmax(0, 5fr) minmax(0, 7fr); align-items: center; }
@container (max-width: 40rem) { .lx-views.lx-slice { grid-template-columns: minmax(0, 1fr); } .lx-slice .lx-view:first-child { max-width: 19rem; margin: 0 auto; width: 100%; } }
.lx-token { cursor: default; }
.lx-token.lx-lit path { transform: scale(1.6); }
.lx-token.lx-lit text { text-decoration: underline; }
`;

function render({ model, el }) {
  const { root, bar, views, say } = frame(el, {
    name: "slice",
    label: "A circle of a layer’s sphere through two of its vectors",
    help:
      "Drag the bead on the circle, or the stretch beside it; arrow keys move by a tenth of the window, with Shift by a hundredth. " +
      "Zoom with the wheel, the keys + and −, or the window’s slider. Light and dark: an even or odd number of neurons is on.",
  });
  html("style", { text: SLICE_STYLE }, root);
  views.classList.add("lx-slice");
  const state = bind(model, ["layer", "first", "second", "where", "width"], draw);
  const { names, n_layers: nLayers, alone } = model.get("about"), slices = model.get("slices");
  model.on("change:cut", state.request);
  const exported = Object.keys(slices).length > 0; // a page without a kernel

  // controls
  const choice = (name, options) => {
    const label = html("label", {}, bar);
    html("span", { text: { layer: "layer", first: "from", second: "to" }[name] }, label);
    const select = html("select", { "aria-label": { layer: "layer", first: "from the vector", second: "to the vector" }[name] }, label);
    for (const [value, text] of options) html("option", { value, text }, select);
    select.addEventListener("keydown", (event) => event.stopPropagation());
    select.addEventListener("change", () => {
      const chosen = Number(select.value);
      if (name === "first" && chosen === state.second) state.second = state.first;
      if (name === "second" && chosen === state.first) state.first = state.second;
      state[name] = chosen;
      state.changed(true);
    });
    return () => { if (Number(select.value) !== state[name]) select.value = state[name]; };
  };
  const tokens = names.map((name, k) => [k, name]);
  const layers = (exported ? Object.keys(slices).map(Number) : [...Array(nLayers).keys()]).map((k) => [k, k]);
  const choices = [...(alone ? [] : [choice("layer", layers)]), choice("first", tokens), choice("second", tokens)];
  const label = html("label", {}, bar);
  html("span", { text: "window" }, label);
  const zoom = html("input", { type: "range", min: -2, max: Math.log10(360), step: "any", "aria-label": "width of the window" }, label);
  const zoomed = html("output", {}, label);
  zoom.addEventListener("keydown", (event) => event.stopPropagation());
  zoom.addEventListener("input", () => { widen(10 ** Number(zoom.value)); state.changed(false); });
  zoom.addEventListener("change", () => state.changed(true));
  const buttons = html("span", { class: "lx-group" }, bar);
  const button = (text, name, act) => {
    const node = html("button", { type: "button", text, "aria-label": name }, buttons);
    node.addEventListener("click", act);
    node.addEventListener("keydown", (event) => event.stopPropagation());
    return node;
  };
  button("‹ arc", "to the arc before", () => toArc(-1));
  button("arc ›", "to the next arc", () => toArc(1));
  const walker = button("walk", "walk from the first vector to the second", () => (walking ? (stop(), state.changed(true)) : walk()));

  const widen = (width) => (state.width = clamp(Number(width.toPrecision(3)), 0.01, 360));
  const moveTo = (degrees) => {
    const fine = 10 ** Math.min(9, digitsOf(state.width) + 1);
    const turned = degrees - 360 * Math.floor(degrees / 360);
    state.where = (Math.round(turned * fine) / fine) % 360;
  };
  function toArc(by) {
    const { starts } = circle;
    const k = (arcAt(circle, state.where / RADIAN) + by + starts.length) % starts.length;
    const length = k + 1 < starts.length ? starts[k + 1] - starts[k] : starts[0] + TURN - starts[k];
    const middle = (starts[k] + length / 2) * RADIAN;
    state.where = middle % 360; // not rounded: an arc may be narrower than that
    state.changed(true);
  }
  let walking = 0;
  function stop() {
    cancelAnimationFrame(walking);
    walking = 0;
    set(walker, { text: "walk" });
  }
  function walk() {
    const whole = layer.apart * RADIAN;
    if (still()) {
      moveTo(state.where >= whole - 0.1 ? 0 : whole); // without motion: from one end to the other
      return state.changed(true);
    }
    const begin = performance.now(), from = state.where < whole - 0.5 ? state.where : 0;
    const lasts = (whole - from) * 100; // ten degrees a second
    set(walker, { text: "stop" });
    const go = (now) => {
      const part = Math.min(1, (now - begin) / lasts);
      moveTo(from + (whole - from) * part);
      state.changed(part === 1);
      if (part < 1) walking = requestAnimationFrame(go);
      else stop();
    };
    walking = requestAnimationFrame(go);
  }

  // the whole circle
  const ring = view(views, { box: [-RING, -RING, 2 * RING, 2 * RING], label: "The whole circle" });
  const ringCanvas = html("canvas", { "aria-hidden": "true" }); // its thousand arcs stand still while the bead moves
  ring.before(ringCanvas);
  const way = svg("path", { fill: "none", stroke: "var(--lx-z)", "stroke-width": 2 }, ring);
  const wedge = svg("path", { fill: "none", stroke: "var(--lx-ink)", "stroke-width": 2 }, ring);
  const ringTokens = [0, 1].map(() => token(ring));
  const bead = svg("g", {}, ring);
  svg("circle", { class: "lx-hit" }, bead);
  svg("circle", { class: "lx-halo" }, bead);
  svg("circle", { class: "lx-dot", fill: "var(--lx-ink)" }, bead);

  // the stretch
  const strip = view(views, { box: [0, 0, WIDE, HIGH], label: "A stretch of the circle, enlarged" });
  const canvas = html("canvas", { "aria-hidden": "true" }); // a thousand blocks that move: too many for a drawing
  strip.before(canvas);
  const slab = svg("g", {}, strip);
  const [TOP, BOTTOM] = [120, 320];
  svg("rect", { x: 0, y: TOP, width: WIDE, height: BOTTOM - TOP, fill: "transparent" }, slab);
  svg("rect", { class: "lx-edge", x: 2, y: TOP, width: WIDE - 4, height: BOTTOM - TOP, fill: "none", stroke: "var(--lx-boundary)", "stroke-width": 1 }, slab);
  const stripHalo = svg("rect", { x: 0, y: TOP - 6, width: WIDE, height: BOTTOM - TOP + 12, fill: "none", "stroke-width": 3, class: "lx-halo", rx: 4 }, slab);
  const stripNames = many("text", strip);
  const here = svg("line", { x1: WIDE / 2, x2: WIDE / 2, y1: TOP - 18, y2: BOTTOM + 18, stroke: "var(--lx-ink)", "stroke-width": 3, style: "pointer-events: none" }, strip);
  const stripTokens = [0, 1].map(() => token(strip));
  const ends = [0, 1, 2].map((k) => svg("text", { x: [4, WIDE / 2, WIDE - 4][k], y: BOTTOM + 45, style: `text-anchor: ${["start", "middle", "end"][k]}` }, strip));

  /** A vector's diamond and name, which light up in both views. */
  function token(parent) {
    const group = svg("g", { class: "lx-token" }, parent);
    svg("path", { fill: "var(--lx-z)", stroke: "var(--lx-paper)", "stroke-width": 1.5 }, group);
    svg("text", { class: "lx-strong", style: "fill: var(--lx-z)" }, group);
    return group;
  }
  [ringTokens, stripTokens].forEach((pair) => pair.forEach((group, k) => {
    const light = (on) => [ringTokens[k], stripTokens[k]].forEach((one) => one.classList.toggle("lx-lit", on));
    group.addEventListener("pointerenter", () => light(true));
    group.addEventListener("pointerleave", () => light(false));
    group.addEventListener("click", () => { moveTo(k ? layer.apart * RADIAN : 0); state.changed(true); });
  }));

  let key = "", layer = null, circle = null, odd = null, from = 0, ringDrawn = false;
  function anew() {
    ringDrawn = false;
    state.request();
  }
  const ground = palette(root, ["even", "odd", "boundary"], anew);
  const value = () => ({
    now: state.where, min: 0, max: 360,
    text: circle ? `${placed(state.where, state.width)} degrees, arc ${arcAt(circle, state.where / RADIAN) + 1} of ${circle.starts.length}` : "",
  });
  const step = (across, up, fine) => moveTo(state.where + ((across + up) * state.width) / (fine ? 100 : 10));
  const changed = (final) => { if (walking) stop(); state.changed(final); };
  const home = () => moveTo(0), end = () => moveTo(layer.apart * RADIAN);
  const grips = [
    handle(bead, {
      label: "the place on the circle", value, step, home, end, changed,
      drag: ([x, y]) => moveTo(Math.atan2(-y, x) * RADIAN),
    }),
    handle(slab, {
      label: "the enlarged stretch: move it", value, step, home, end, changed,
      grab: () => (from = state.where),
      drag: ([x], start) => {
        moveTo(from - ((x - start[0]) * state.width) / WIDE);
      },
    }),
  ];
  function zoomBy(factor, x = WIDE / 2) {
    const before = state.width;
    widen(before * factor);
    moveTo(state.where + ((x - WIDE / 2) / WIDE) * (before - state.width)); // what is under the pointer stays there
  }
  let rest = 0;
  strip.addEventListener("wheel", (event) => {
    event.preventDefault();
    const { left, width } = strip.getBoundingClientRect();
    zoomBy(Math.exp(clamp(event.deltaY, -200, 200) / 300), ((event.clientX - left) / width) * WIDE);
    state.changed(false);
    clearTimeout(rest);
    rest = setTimeout(() => state.changed(true), 200);
  }, { passive: false });
  for (const node of [bead, slab]) {
    node.addEventListener("keydown", (event) => {
      const factor = { "+": 0.5, "=": 0.5, "-": 2, "−": 2 }[event.key];
      if (!factor || event.ctrlKey || event.metaKey || event.altKey) return;
      event.preventDefault();
      event.stopPropagation();
      zoomBy(factor);
      state.changed(true);
    });
  }

  const onRing = (angle, r) => `${r * Math.cos(angle)} ${-r * Math.sin(angle)}`;
  const arcPath = (start, stop, r, clockwise = 0) => `A${r} ${r} 0 ${Math.abs(stop - start) > Math.PI ? 1 : 0} ${clockwise} ${onRing(stop, r)}`;
  const sector = (start, stop, inner, outer) =>
    `M${onRing(start, inner)}L${onRing(start, outer)}${arcPath(start, stop, outer)}L${onRing(stop, inner)}${arcPath(stop, start, inner, 1)}Z`;

  /** A canvas in its own units, so wide, with as many pixels as it has on the screen. */
  function penOf(node, wide, high) {
    const scale = (Math.min(devicePixelRatio || 1, 2) * (node.clientWidth || 400)) / wide, pen = node.getContext("2d");
    const size = [wide, high].map((units) => Math.round(units * scale));
    if (node.width !== size[0]) [node.width, node.height] = size;
    pen.setTransform(scale, 0, 0, scale, 0, 0);
    return pen;
  }

  const rgb = (colour) => `rgb(${colour.join(" ")})`;
  function drawRing() {
    const { starts } = circle, [evenTone, oddTone, ink] = ground().map(rgb);
    const pen = penOf(ringCanvas, 2 * RING, 2 * RING);
    pen.clearRect(0, 0, 2 * RING, 2 * RING);
    pen.translate(RING, RING);
    const band = (parity, tone) => {
      pen.beginPath();
      for (let k = 0; k < starts.length; k++) {
        if (parity !== null && odd[k] !== parity) continue;
        const [from, to] = parity === null ? [0, TURN] : [starts[k], k + 1 < starts.length ? starts[k + 1] : starts[0] + TURN];
        pen.moveTo(OUTER * Math.cos(from), -OUTER * Math.sin(from));
        pen.arc(0, 0, OUTER, -from, -to, true);
        pen.arc(0, 0, INNER, -to, -from);
        if (parity === null) break;
      }
      pen.fillStyle = tone;
      pen.fill();
    };
    band(null, evenTone);
    band(1, oddTone);
    [pen.strokeStyle, pen.lineWidth] = [ink, (2 * RING) / (ringCanvas.clientWidth || 400)];
    for (const r of [INNER, OUTER]) {
      pen.beginPath();
      pen.arc(0, 0, r, 0, TURN);
      pen.stroke();
    }
  }

  /** Where an angle is in the stretch, from 0 to WIDE inside it. */
  const across = (angle) => {
    const away = angle * RADIAN - state.where;
    return WIDE / 2 + ((away - 360 * Math.round(away / 360)) / state.width) * WIDE;
  };

  function drawStrip() {
    const { starts, angles, neurons } = circle;
    const seen = within(circle, state.where / RADIAN, state.width / RADIAN);
    const places = seen.map((k) => across(angles[k]));
    if (state.width >= 360) { // all of them, from the one at the left end on
      const k = places.indexOf(Math.min(...places));
      for (const list of [seen, places]) list.push(...list.splice(0, k));
    }
    const first = seen.length ? (circle.arcAfter[seen[0]] + starts.length - 1) % starts.length : arcAt(circle, state.where / RADIAN);
    const pen = penOf(canvas, WIDE, HIGH), wide = canvas.clientWidth || 600, n = canvas.width;
    const [evenTone, oddTone, ink] = ground();
    // one row of pixels, each as dark as its arcs are on the average: a thousand arcs cost no more than one
    const row = new ImageData(n, 1);
    const inColumns = coverage(places.map((x) => (x * n) / WIDE), seen.map((k) => odd[circle.arcAfter[k]]), odd[first], n);
    inColumns.forEach((part, k) => {
      for (let j = 0; j < 3; j++) row.data[4 * k + j] = evenTone[j] + part * (oddTone[j] - evenTone[j]);
      row.data[4 * k + 3] = 255;
    });
    canvas.row ??= document.createElement("canvas");
    [canvas.row.width, canvas.row.height] = [n, 1];
    canvas.row.getContext("2d").putImageData(row, 0, 0);
    pen.clearRect(0, 0, WIDE, HIGH);
    pen.drawImage(canvas.row, 0, TOP, WIDE, BOTTOM - TOP);
    const few = places.length <= 150;
    pen.fillStyle = rgb(ink);
    const thin = (1.5 * WIDE) / wide;
    if (few) for (const x of places) pen.fillRect(x - thin / 2, TOP - 8, thin, BOTTOM - TOP + 8);
    const room = 44 * Number(strip.style.getPropertyValue("--px") || 1);
    let last = -Infinity;
    const named = few ? seen.map((k, i) => [k, places[i]]).filter(([, x]) => x > room / 2 && x < WIDE - room / 2 && x - last > room && ((last = x), true)) : [];
    stripNames(named.map(([k, x]) => ({ x, y: TOP - 26, text: neurons[k] })));
  }

  function draw() {
    const wanted = `${state.layer},${state.first},${state.second}`;
    if (wanted !== key) {
      const cut = cutOf({ ...state, slices, cut: model.get("cut") });
      if (!cut) return say(["Python cuts this circle …"]);
      [key, layer, circle] = [wanted, cut, partitionCircle(cut.A, cut.B, cut.b)];
      odd = parities(circle);
      ringDrawn = false;
    }
    if (!ringDrawn) drawRing();
    ringDrawn = true;
    for (const refresh of choices) refresh();
    if (Math.abs(10 ** Number(zoom.value) / state.width - 1) > 1e-3) zoom.value = Math.log10(state.width);
    set(zoom, { "aria-valuetext": `${plain(state.width)} degrees` });
    set(zoomed, { text: `${plain(state.width)}°` });
    const at = state.where / RADIAN, half = Math.min(state.width / RADIAN, TURN * 0.9999) / 2;
    set(bead, { transform: `translate(${onRing(at, 1.14).replace(" ", ",")})` });
    set(wedge, { d: sector(at - half, at + half, INNER - 0.04, OUTER + 0.04) });
    set(way, { d: `M${onRing(0, INNER - 0.1)}${arcPath(0, layer.apart, INNER - 0.1)}` });
    const ends2 = [0, layer.apart], close = layer.apart < 0.6 || TURN - layer.apart < 0.6;
    ringTokens.forEach((group, k) => {
      const text = names[k ? state.second : state.first];
      set(group.firstChild, { d: "M-.045 0 0-.045.045 0 0 .045Z" });
      group.firstChild.style.translate = onRing(ends2[k], INNER - 0.1).split(" ").map((v) => `${v}px`).join(" ");
      // towards the middle: beside its diamond where that is left or right, else below or above it
      const [x, y] = onRing(ends2[k], close && k ? 0.2 : INNER - (Math.abs(Math.cos(ends2[k])) > 0.5 ? 0.19 : 0.3)).split(" ");
      const side = Math.cos(ends2[k]) > 0.5 ? "end" : Math.cos(ends2[k]) < -0.5 ? "start" : "middle";
      set(group.lastChild, { x, y, text, style: `fill: var(--lx-z); text-anchor: ${side}` });
    });
    const said = [names[state.first], names[state.second]], spots = ends2.map(across);
    const room = said.map((text) => 4.4 * text.length * Number(strip.style.getPropertyValue("--px") || 1)); // of a name's width
    const middles = spots.map((x, k) => clamp(x, room[k], WIDE - room[k])), [left, right] = spots[0] < spots[1] ? [0, 1] : [1, 0];
    const lap = room[0] + room[1] + 12 - (middles[right] - middles[left]); // names stand side by side
    if (lap > 0 && spots.every((x) => x >= 0 && x <= WIDE)) {
      middles[left] = Math.max(room[left], middles[left] - lap / 2);
      middles[right] = Math.min(WIDE - room[right], middles[left] + room[0] + room[1] + 12);
    }
    stripTokens.forEach((group, k) => {
      const x = spots[k];
      const inside = x >= 0 && x <= WIDE;
      set(group, { style: inside ? null : "display: none" });
      set(group.firstChild, { d: "M-16 0 0-16 16 0 0 16Z" });
      group.firstChild.style.translate = `${x}px ${TOP - 18}px`;
      set(group.lastChild, { x: middles[k], y: TOP - 70, text: said[k] });
    });
    const digits = digitsOf(state.width);
    [-0.5, 0, 0.5].forEach((part, k) => {
      const degrees = state.where + part * state.width;
      set(ends[k], { text: `${(k === 1 ? degrees : degrees - 360 * Math.floor(degrees / 360)).toFixed(digits)}°` });
    });
    drawStrip();
    for (const grip of grips) grip.refresh();
    say(linesOf(circle, { ...state, apart: layer.apart, names }));
  }
  const resized = new ResizeObserver(anew);
  for (const drawing of [ring, strip]) resized.observe(drawing);
  draw();
  return () => { stop(); clearTimeout(rest); ground.close(); resized.disconnect(); model.off("change:cut", state.request); state.close(); root.remove(); };
}

export default { render };
