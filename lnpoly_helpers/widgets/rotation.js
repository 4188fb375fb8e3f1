import { bind, count, decoded, frame, handle, many, set, still, svg, html, view } from "./common.js";

// --- the mathematics: what lies behind on a path ----------------------------------------------------------------------

const rows = (text, n) => {
  const all = decoded(text), length = all.length / n;
  return Array.from({ length: n }, (_, k) => Array.from(all.subarray(k * length, (k + 1) * length)));
};

/** A path out of what Python sends: its places in degrees, three lengths at each, and the boundaries that it crosses. */
export function pathOf({ places, flips, title }) {
  const [degrees, ...lengths] = rows(places, 4), [crossings, neurons, turnsOn] = rows(flips, 3);
  return { degrees, lengths, crossings, neurons, turnsOn, title };
}

/** Number of the path's place that is nearest to an angle; both in degrees. */
export function nearestPlace(degrees, angle) {
  let best = 0;
  for (let k = 1; k < degrees.length; k++) {
    if (Math.abs(degrees[k] - angle) < Math.abs(degrees[best] - angle)) best = k;
  }
  return best;
}

/**
 * Who has flipped on the way to an angle: { passed, byNeurons, off, on }.
 *
 * A path has crossings [n] in degrees and in order, neurons [n] and turnsOn [n]. off and on count the neurons that are now
 * other than at the start: one that has flipped twice is in neither.
 */
export function flipped({ crossings, neurons, turnsOn }, angle) {
  let passed = 0;
  while (passed < crossings.length && crossings[passed] <= angle) passed++;
  const now = new Map(); // 1: has turned on, 0: off, -1: is as it was
  for (let k = 0; k < passed; k++) now.set(neurons[k], (now.get(neurons[k]) ?? -1) < 0 ? turnsOn[k] : -1);
  const states = [...now.values()];
  return { passed, byNeurons: now.size, on: states.filter((s) => s === 1).length, off: states.filter((s) => s === 0).length };
}

/**
 * A triangle with the given sides in a plane: the first from (0, 0) along x, the second from its tip, the whole from
 * (0, 0) to where that ends. Returns the tip and the end.
 */
export function triangle(first, second, whole) {
  if (!(first > 0)) return { tip: [0, 0], end: [whole, 0] };
  const x = (first ** 2 + whole ** 2 - second ** 2) / (2 * first);
  return { tip: [first, 0], end: [x, Math.sqrt(Math.max(0, whole ** 2 - x ** 2))] };
}

/** What the explorer says in lines; Python says the same. */
export function linesOf(path, angle) {
  const { degrees, lengths, crossings, neurons, turnsOn } = path;
  const k = nearestPlace(degrees, angle);
  const { passed, byNeurons, on, off } = flipped(path, angle);
  return [
    `${angle.toFixed(1)}° of ${degrees.at(-1).toFixed(1)}°: ${passed} of ${crossings.length} boundaries crossed, by ${count(byNeurons, "neuron")}`,
    `${on} now on that ${on === 1 ? "was" : "were"} off at the start, ${off} off that ${off === 1 ? "was" : "were"} on`,
    `Lengths: ${NAMES.map((name, i) => `${name} ${lengths[i][k].toFixed(3)}`).join(", ")}`,
    passed < crossings.length
      ? `Next: neuron ${neurons[passed]} switches ${turnsOn[passed] ? "on" : "off"} at ${crossings[passed].toFixed(2)}°`
      : "No boundary is left before the end",
  ];
}

// --- the picture ------------------------------------------------------------------------------------------------------

const NAMES = ["output moved", "tangent part", "rest"];
const COLOURS = ["var(--lx-change)", "var(--lx-tangent-part)", "var(--lx-rest)"];
const DASHES = [null, "9 5", "9 4 2.5 4"]; // as the roles' lines in figures

const ROTATION_STYLE = `
.lx-views.lx-rotation { grid-template-columns: minmax(0, 3fr) minmax(0, 2fr); align-items: center; }
@container (max-width: 40rem) { .lx-views.lx-rotation { grid-template-columns: minmax(0, 1fr); } }
.lx-legend { list-style: none; margin: 0 0 1rem; padding: 0; font-variant-numeric: tabular-nums; }
.lx-legend li { display: flex; align-items: center; gap: .5rem; margin: 0; }
.lx-legend b { margin-left: auto; }
`;

// the plot's box: units of about a pixel at full width
const [LEFT, RIGHT, TOP, FLOOR, TICKS] = [58, 590, 16, 300, 352];

/** A round step between ticks, so that there are at most `most` of them. */
function roundStep(range, most) {
  const raw = range / most, power = 10 ** Math.floor(Math.log10(raw));
  return power * [1, 2, 5, 10].find((m) => m * power >= raw * (1 - 1e-9));
}

function render({ model, el }) {
  const { root, bar, views, say } = frame(el, {
    name: "rotation",
    label: "A path on a layer’s sphere, and what the layer’s output does on it",
    help:
      "Drag the bead along the path, or use the arrow keys: half a degree each, five with Page Up and Page Down. Ticks below are boundaries, " +
      "up where a neuron switches on, down where one switches off; those behind are dark.",
  });
  html("style", { text: ROTATION_STYLE }, root);
  views.classList.add("lx-rotation");
  const state = bind(model, ["angle"], draw), path = pathOf(model.get("path"));
  const { degrees, lengths, crossings, turnsOn, title } = path;
  const whole = degrees.at(-1);
  const top = 1.06 * Math.max(1e-12, ...lengths.flat());
  const X = (angle) => LEFT + ((RIGHT - LEFT) * angle) / whole, Y = (length) => FLOOR - ((FLOOR - TOP) * length) / top;

  if (title) html("strong", { text: title }, bar);
  const walker = html("button", { type: "button", text: "walk", "aria-label": "walk along the path" }, bar);
  walker.addEventListener("keydown", (event) => event.stopPropagation());
  walker.addEventListener("click", () => (walking ? (stop(), state.changed(true)) : walk()));
  let walking = 0;
  function stop() {
    cancelAnimationFrame(walking);
    walking = 0;
    set(walker, { text: "walk" });
  }
  function walk() {
    if (still()) { // without motion: from one end to the other
      state.angle = state.angle === whole ? 0 : whole;
      return state.changed(true);
    }
    const begin = performance.now(), from = state.angle < whole ? state.angle : 0;
    set(walker, { text: "stop" });
    const go = (now) => {
      const angle = Math.min(whole, from + (now - begin) / 80); // twelve and a half degrees a second
      state.angle = degrees[nearestPlace(degrees, angle)];
      state.changed(angle === whole);
      if (angle < whole) walking = requestAnimationFrame(go);
      else stop();
    };
    walking = requestAnimationFrame(go);
  }

  const plot = view(views, { box: [0, 0, 640, 440], label: "Lengths along the path" });
  const axis = (x1, y1, x2, y2, attributes = {}) => svg("line", { x1, y1, x2, y2, stroke: "var(--lx-line)", ...attributes }, plot);
  const write = (x, y, text, style) => svg("text", { x, y, text, style }, plot);
  const across = roundStep(whole, 5), up = roundStep(top, 4);
  for (let a = 0; a <= whole + 1e-9; a += across) write(X(a), TICKS + 24, `${Number(a.toFixed(6))}°`);
  for (let a = 0; a <= top; a += up) {
    axis(LEFT, Y(a), RIGHT, Y(a));
    write(LEFT - 8, Y(a), Number(a.toFixed(9)), "text-anchor: end");
  }
  write((LEFT + RIGHT) / 2, TICKS + 58, "degrees along the path");
  const tickPath = (from, to) => {
    let d = "";
    for (let k = from; k < to; k++) d += `M${X(crossings[k]).toFixed(2)} ${(FLOOR + TICKS) / 2}V${turnsOn[k] ? FLOOR + 6 : TICKS - 6}`;
    return d;
  };
  axis(LEFT, (FLOOR + TICKS) / 2, RIGHT, (FLOOR + TICKS) / 2, { "stroke-width": 1 });
  const ahead = svg("path", { stroke: "var(--lx-soft)", "stroke-width": 1, opacity: 0.55, fill: "none" }, plot);
  const behind = svg("path", { stroke: "var(--lx-boundary)", "stroke-width": 1.5, fill: "none" }, plot);
  lengths.forEach((row, i) => {
    const d = row.map((length, k) => `${k ? "L" : "M"}${X(degrees[k]).toFixed(2)} ${Y(length).toFixed(2)}`).join("");
    svg("path", { d, fill: "none", stroke: COLOURS[i], "stroke-width": 2.5, "stroke-dasharray": DASHES[i], "stroke-linejoin": "round" }, plot);
  });
  const bead = svg("g", {}, plot);
  const line = svg("line", { y1: TOP, y2: FLOOR, stroke: "var(--lx-ink)", "stroke-width": 1.5 }, bead);
  svg("line", { class: "lx-hit", y1: TOP, y2: TICKS }, bead);
  const knob = svg("g", { transform: `translate(0,${FLOOR})` }, bead);
  svg("circle", { class: "lx-hit" }, knob);
  svg("circle", { class: "lx-halo" }, knob);
  svg("circle", { class: "lx-dot", fill: "var(--lx-z)" }, knob);
  const dots = lengths.map((_, i) => svg("circle", { r: 5, fill: COLOURS[i], stroke: "var(--lx-paper)", "stroke-width": 1.5, style: "pointer-events: none" }, plot));

  // the triangle that the three lengths are the sides of, at one scale for the whole path
  const side = html("div", {}, views);
  const legend = html("ul", { class: "lx-legend" }, side);
  const values = NAMES.map((name, i) => {
    const item = html("li", {}, legend);
    const sample = svg("svg", { viewBox: "0 0 34 10", width: 34, height: 10, "aria-hidden": "true" }, item);
    svg("line", { x1: 1, x2: 33, y1: 5, y2: 5, stroke: COLOURS[i], "stroke-width": 3, "stroke-dasharray": DASHES[i] }, sample);
    html("span", { text: name }, item);
    return html("b", {}, item);
  });
  const corners = lengths[0].map((_, k) => triangle(lengths[1][k], lengths[2][k], lengths[0][k]));
  const points = corners.flatMap(({ tip, end }) => [tip, end]);
  const lowest = Math.min(0, ...points.map((p) => p[0])), widest = Math.max(1e-12, ...points.map((p) => p[0])) - lowest;
  const highest = Math.max(...points.map((p) => p[1]));
  const scale = Math.min(320 / widest, 240 / Math.max(1e-12, highest));
  const at = ([x, y]) => [(x - lowest) * scale, -y * scale];
  const box = [-12, -highest * scale - 12, Math.max(widest * scale, 320) + 24, highest * scale + 24];
  const sketch = view(side, { box, label: "The three lengths as the sides of a triangle: the tangent part, then the rest; both together the change" });
  set(sketch, { role: "img" });
  const arrows = [1, 2, 0].map((i) => [i, svg("path", { fill: "none", stroke: COLOURS[i], "stroke-width": 3, "stroke-dasharray": DASHES[i] }, sketch), svg("path", { fill: COLOURS[i] }, sketch)]);

  const put = (angle) => (state.angle = degrees[nearestPlace(degrees, angle)]);
  const move = (by) => (state.angle = degrees[Math.min(degrees.length - 1, Math.max(0, nearestPlace(degrees, state.angle) + by))]);
  const grip = handle(bead, {
    label: "the place on the path",
    value: () => ({
      now: state.angle, min: 0, max: whole,
      text: `${state.angle.toFixed(1)} degrees, ${flipped(path, state.angle).passed} boundaries crossed`,
    }),
    drag: ([x]) => put(((x - LEFT) / (RIGHT - LEFT)) * whole),
    step: (by, up, fine) => move(by + (Math.abs(up) === 5 ? 2 * up : up)),
    home: () => put(0),
    end: () => put(whole),
    changed: (final) => { if (walking) stop(); state.changed(final); },
  });
  // a press anywhere on the plot brings the bead there
  plot.addEventListener("pointerdown", (event) => {
    if (event.button || bead.contains(event.target)) return;
    const { left, width } = plot.getBoundingClientRect();
    const x = ((event.clientX - left) / width) * 640;
    if (x < LEFT - 10 || x > RIGHT + 10) return;
    put(((x - LEFT) / (RIGHT - LEFT)) * whole);
    if (walking) stop();
    state.changed(true);
  });

  function arrow(shaft, head, [x1, y1], [x2, y2]) {
    const long = Math.hypot(x2 - x1, y2 - y1), size = Math.min(14, long);
    if (long < 1) return [shaft, head].forEach((node) => set(node, { d: "" }));
    const [ux, uy] = [(x2 - x1) / long, (y2 - y1) / long];
    const [bx, by] = [x2 - size * ux, y2 - size * uy];
    set(shaft, { d: `M${x1} ${y1}L${bx} ${by}` });
    set(head, { d: `M${x2} ${y2}L${bx - 0.45 * size * uy} ${by + 0.45 * size * ux}L${bx + 0.45 * size * uy} ${by - 0.45 * size * ux}Z` });
  }

  function draw() {
    const k = nearestPlace(degrees, state.angle), { passed } = flipped(path, state.angle);
    set(bead, { transform: `translate(${X(state.angle)},0)` });
    set(behind, { d: tickPath(0, passed) });
    set(ahead, { d: tickPath(passed, crossings.length) });
    dots.forEach((dot, i) => set(dot, { cx: X(state.angle), cy: Y(lengths[i][k]) }));
    const { tip, end } = corners[k], [start, corner, stop] = [at([0, 0]), at(tip), at(end)];
    const ends = { 1: [start, corner], 2: [corner, stop], 0: [start, stop] };
    for (const [i, shaft, head] of arrows) arrow(shaft, head, ...ends[i]);
    values.forEach((value, i) => set(value, { text: lengths[i][k].toFixed(2) }));
    grip.refresh();
    say(linesOf(path, state.angle));
  }
  draw();
  return () => { stop(); state.close(); root.remove(); };
}

export default { render };
