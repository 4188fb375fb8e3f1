import { bind, bits, clamp, count, decoded, frame, handle, html, many, number, palette, place, set, still, svg, turn, TURN, view } from "./common.js";

// --- the mathematics: partition_sphere in JavaScript, for some dozens of circles --------------------------------------

const EPS = 2 ** -52;
const POLE = [2, 3, 5].map((x) => Math.sqrt(x / 10)); // where the paths of `joints` end: a point in general position

const dot = (u, v) => u[0] * v[0] + u[1] * v[1] + u[2] * v[2];
const cross = (u, v) => [u[1] * v[2] - u[2] * v[1], u[2] * v[0] - u[0] * v[2], u[0] * v[1] - u[1] * v[0]];
const combine = (a, u, b, v) => [a * u[0] + b * v[0], a * u[1] + b * v[1], a * u[2] + b * v[2]];
const unitOf = (u) => u.map((x) => x / Math.hypot(...u));
const arccos = (x) => Math.acos(Math.max(-1, Math.min(1, x)));

/** The point of the unit sphere at a longitude and a latitude in degrees. */
export function pointAt(longitude, latitude) {
  const [lon, lat] = [(longitude * Math.PI) / 180, (latitude * Math.PI) / 180];
  return [Math.cos(lat) * Math.cos(lon), Math.cos(lat) * Math.sin(lon), Math.sin(lat)];
}

/** Longitude in (-180, 180] and latitude of a point, in degrees. */
export function placeOf(y) {
  return [(Math.atan2(y[1], y[0]) * 180) / Math.PI, (Math.atan2(y[2], Math.hypot(y[0], y[1])) * 180) / Math.PI];
}

/** Which neurons are on at y. */
export const patternAt = ({ normals, offsets }, y) => normals.map((w, i) => dot(w, y) + offsets[i] > 0);

/** A circle's point at an angle about its axis, and the angle at which it comes nearest to a point. */
const onCircle = (c, angle) => {
  const [x, y] = c.frame;
  const [cos, sin] = [c.radius * Math.cos(angle), c.radius * Math.sin(angle)];
  return [0, 1, 2].map((k) => c.level * c.axis[k] + cos * x[k] + sin * y[k]);
};
const angleOf = (c, y) => turn(Math.atan2(dot(c.frame[1], y), dot(c.frame[0], y)));

function degenerate(neurons, what) {
  const who = [...new Set(neurons)].sort((a, b) => a - b).join(", ");
  throw new Error(`boundaries in general position are needed, but of neuron ${who} they ${what}`);
}

/** The circles in which the boundaries w . y + b = 0 cut the unit sphere; on is the side of the axis. */
function findCircles({ normals, offsets }) {
  const circles = [];
  normals.forEach((w, neuron) => {
    const size = Math.hypot(...w);
    if (size > 0 && Math.abs(Math.abs(offsets[neuron]) - size) <= 1e-9 * size) degenerate([neuron], "only touch");
    if (Math.abs(offsets[neuron]) >= size) return;
    const axis = w.map((x) => x / size);
    const level = -offsets[neuron] / size;
    const [x, y, z] = axis;
    const sign = z < 0 || Object.is(z, -0) ? -1 : 1;
    const a = -1 / (sign + z);
    const frame = [[1 + sign * x * x * a, sign * x * y * a, -sign * x], [x * y * a, sign + y * y * a, -y]];
    circles.push({ neuron, axis, level, radius: Math.sqrt((1 - level) * (1 + level)), frame });
  });
  return circles;
}

/** Whether two circles cross; an error if they touch or coincide. */
function meet(c, o) {
  const room = c.radius * o.radius - Math.abs(dot(c.axis, o.axis) - c.level * o.level);
  if (Math.abs(room) <= 8 * EPS * (c.radius / o.radius + o.radius / c.radius)) {
    degenerate([c.neuron, o.neuron], "touch or coincide");
  }
  return room > 0;
}

/** Where others cross circle c, in order: angle, other, whether the other's neuron switches on there, corner. */
function cutCircle(c, others, circles) {
  const cuts = [];
  for (const other of others) {
    const o = circles[other];
    const along = dot(o.axis, c.axis);
    const b = along * c.level - o.level;
    const cosine = along - c.level * o.level;
    const product = c.radius * o.radius;
    const sine = Math.sqrt((product - cosine) * (product + cosine));
    const centre = Math.atan2(dot(o.axis, c.frame[1]), dot(o.axis, c.frame[0]));
    const half = Math.atan2(sine, -b);
    const size = Math.hypot(b, sine);
    const error = (EPS * (8 + (4 * Math.abs(b) * (c.radius ** 2 + o.radius ** 2)) / (sine * size))) / size;
    const corner = Math.atan2(sine, cosine);
    cuts.push({ angle: turn(centre - half), other, enters: true, corner: Math.PI - corner, error });
    cuts.push({ angle: turn(centre + half), other, enters: false, corner, error });
  }
  cuts.sort((p, q) => p.angle - q.angle);
  cuts.forEach((cut, k) => {
    const next = cuts[(k + 1) % cuts.length];
    const gap = next.angle - cut.angle + (k + 1 === cuts.length ? TURN : 0);
    if (gap <= cut.error + next.error) {
      degenerate([c.neuron, circles[cut.other].neuron, circles[next.other].neuron], "pass through one point");
    }
  });
  return cuts;
}

function groups(n, pairs) {
  const parent = Array.from({ length: n }, (_, k) => k);
  const root = (k) => {
    while (parent[k] !== k) k = parent[k] = parent[parent[k]];
    return k;
  };
  for (const [i, j] of pairs) parent[Math.max(root(i), root(j))] = Math.min(root(i), root(j));
  const number = new Map();
  return parent.map((_, k) => {
    const r = root(k);
    if (!number.has(r)) number.set(r, number.size);
    return number.get(r);
  });
}

/**
 * Cut the unit sphere along the boundaries of an arrangement { normals: [[x, y, z]], offsets: [b] }, exactly.
 *
 * Arcs run from crossing to crossing about their circle's axis. Half-edge 2 s + 1 has arc s with its neuron on at its
 * left, 2 s runs back with it off; `following` is the next one around the face on the left.
 */
export function partitionSphere(arrangement) {
  const circles = findCircles(arrangement);
  const n = circles.length;
  const crossed = circles.map((c, i) => circles.flatMap((o, j) => (j !== i && meet(c, o) ? [j] : [])));
  const arcs = []; // { circle, from, to, other, enters, before }
  const starts = [];
  const begins = new Map(); // circle, other, whether it enters: the arc that begins there
  circles.forEach((c, i) => {
    const start = arcs.length;
    starts.push(start);
    if (!crossed[i].length) {
      arcs.push({ circle: i, from: 0, to: TURN, other: -1, before: start, ends: [-c.level * TURN, c.level * TURN] });
      return;
    }
    const cuts = cutCircle(c, crossed[i], circles);
    cuts.forEach((cut, k) => {
      const next = cuts[(k + 1) % cuts.length];
      const to = next.angle + (k + 1 === cuts.length ? TURN : 0);
      const bend = c.level * (to - cut.angle);
      begins.set(`${i},${cut.other},${cut.enters}`, start + k);
      const before = start + ((k + cuts.length - 1) % cuts.length);
      const ends = [cut.corner - bend, next.corner + bend];
      arcs.push({ circle: i, from: cut.angle, to, other: cut.other, enters: cut.enters, before, ends });
    });
  });
  starts.push(arcs.length);
  const following = new Int32Array(2 * arcs.length);
  arcs.forEach((arc, s) => {
    if (arc.other < 0) {
      following[2 * s] = 2 * s;
      following[2 * s + 1] = 2 * s + 1;
      return;
    }
    const twin = begins.get(`${arc.other},${arc.circle},${!arc.enters}`);
    const [forward, backward] = [2 * twin + 1, 2 * arcs[twin].before];
    following[2 * s] = arc.enters ? forward : backward;
    following[2 * arc.before + 1] = arc.enters ? backward : forward;
  });
  const curveOf = new Int32Array(following.length).fill(-1);
  const curves = []; // the first half-edge of each closed curve, and how much it turns left
  for (let edge = 0; edge < following.length; edge++) {
    if (curveOf[edge] >= 0) continue;
    let turned = 0;
    for (let at = edge; curveOf[at] < 0; at = following[at]) {
      curveOf[at] = curves.length;
      turned += arcs[at >> 1].ends[at & 1];
    }
    curves.push({ edge, turned });
  }
  const component = groups(n, crossed.flatMap((others, i) => others.map((j) => [i, j])));
  const nComponents = Math.max(-1, ...component) + 1;
  const sphere = { arrangement, circles, starts, arcs, following, curveOf };
  const pairs = nComponents > 1 ? joints(sphere, component) : [];
  const curve = (edge) => (edge < 0 ? curves.length : curveOf[edge]); // the pole is one curve more
  const faceOf = groups(curves.length + 1, pairs.map(([e, f]) => [curve(e), curve(f)])).slice(0, curves.length);
  const nFaces = Math.max(0, ...faceOf) + 1;
  const areas = Array(nFaces).fill(2 * TURN);
  curves.forEach(({ turned }, k) => (areas[faceOf[k]] -= TURN + turned));
  const nVertices = crossed.reduce((sum, others) => sum + others.length, 0);
  if (nFaces !== 1 + nComponents + nVertices) degenerate(circles.map((c) => c.neuron), "lie too close to tell apart");
  const firsts = Array(nFaces).fill(-1);
  for (let k = curves.length - 1; k >= 0; k--) firsts[faceOf[k]] = curves[k].edge;
  const patterns = firsts.map((edge) => {
    if (edge < 0) return patternAt(arrangement, [0, 0, 1]);
    const arc = arcs[edge >> 1];
    const pattern = patternAt(arrangement, onCircle(circles[arc.circle], (arc.from + arc.to) / 2));
    pattern[circles[arc.circle].neuron] = edge % 2 === 1;
    return pattern;
  });
  const names = patterns.map(bits);
  return { ...sphere, curves, faceOf, areas, patterns, names, nFaces, nVertices, nPatterns: new Set(names).size };
}

const arcAt = ({ circles, starts, arcs }, i, angle) => {
  for (let s = starts[i + 1] - 1; s >= starts[i]; s--) if (arcs[s].from <= angle) return s;
  return starts[i + 1] - 1;
};

/** Pairs of half-edges that bound one face though their circles do not hang together, as in geometry/_faces.py. */
function joints(sphere, component) {
  const { circles } = sphere;
  const distance = circles.map((c) => Math.abs(arccos(dot(c.axis, POLE)) - Math.acos(c.level)));
  const nearest = [];
  circles.forEach((_, i) => {
    const best = nearest[component[i]];
    if (best === undefined || distance[i] < distance[best]) nearest[component[i]] = i;
  });
  const halfEdge = (i, point, isOn) => 2 * arcAt(sphere, i, angleOf(circles[i], point)) + Number(isOn);
  return nearest.map((i) => {
    const top = onCircle(circles[i], angleOf(circles[i], POLE));
    const away = unitOf(combine(1, top, -dot(top, POLE), POLE));
    let [last, met] = [-1, -1];
    circles.forEach((c, j) => {
      const [A, B] = [dot(c.axis, POLE), dot(c.axis, away)];
      const R = Math.hypot(A, B);
      if (component[j] === component[i] || Math.abs(c.level) >= R) return;
      const [centre, half] = [Math.atan2(B, A), Math.acos(c.level / R)];
      for (const hit of [turn(centre - half), turn(centre + half)]) {
        if (hit < distance[i] && hit > last) [last, met] = [hit, j];
      }
    });
    const here = halfEdge(i, top, dot(circles[i].axis, POLE) > circles[i].level);
    if (met < 0) return [here, -1];
    const point = combine(Math.cos(last), POLE, Math.sin(last), away);
    return [here, halfEdge(met, point, dot(circles[met].axis, top) > circles[met].level)];
  });
}

/** The face that holds the point y: the one on y's side of the boundary nearest to it, where that comes nearest. */
export function faceAt(sphere, y) {
  const { circles, curveOf, faceOf } = sphere;
  let [best, least] = [-1, Infinity];
  circles.forEach((c, i) => {
    const away = Math.abs(arccos(dot(c.axis, y)) - Math.acos(c.level));
    if (away < least) [best, least] = [i, away];
  });
  if (best < 0) return 0;
  const c = circles[best];
  return faceOf[curveOf[2 * arcAt(sphere, best, angleOf(c, y)) + Number(dot(c.axis, y) > c.level)]];
}

/** The half-edges around a face, curve after curve. */
export function edgesOf({ curves, faceOf, following }, face) {
  const edges = [];
  curves.forEach(({ edge }, k) => {
    if (faceOf[k] !== face) return;
    for (let at = edge; ; ) {
      edges.push(at);
      at = following[at];
      if (at === edge) return;
    }
  });
  return edges;
}

/** The neurons whose boundaries bound a face: each flips alone where one leaves it. */
export function neuronsAround(sphere, face) {
  const around = edgesOf(sphere, face).map((edge) => sphere.circles[sphere.arcs[edge >> 1].circle].neuron);
  return [...new Set(around)].sort((a, b) => a - b);
}

/** A point well inside the face behind a face's longest arc on a neuron's boundary: from there that neuron has flipped. */
export function acrossFrom(sphere, face, neuron) {
  const length = (edge) => sphere.arcs[edge >> 1].to - sphere.arcs[edge >> 1].from;
  const mine = edgesOf(sphere, face).filter((edge) => sphere.circles[sphere.arcs[edge >> 1].circle].neuron === neuron);
  const edge = mine.reduce((best, one) => (length(one) > length(best) ? one : best));
  const arc = sphere.arcs[edge >> 1];
  const c = sphere.circles[arc.circle];
  const start = onCircle(c, (arc.from + arc.to) / 2);
  const towards = unitOf(combine(1, c.axis, -c.level, start)); // at a right angle to the circle, to where the neuron is on
  const away = edge % 2 ? towards.map((x) => -x) : towards;
  let free = 1; // radians to the next boundary
  for (const o of sphere.circles) {
    const [A, B] = [dot(o.axis, start), dot(o.axis, away)];
    const R = Math.hypot(A, B);
    if (Math.abs(o.level) >= R) continue;
    const [centre, half] = [Math.atan2(B, A), Math.acos(o.level / R)];
    for (const hit of [turn(centre - half), turn(centre + half)]) {
      if (hit > (o === c ? 1e-7 : 0) && hit < TURN - 1e-7) free = Math.min(free, hit);
    }
  }
  return combine(Math.cos(free / 2), start, Math.sin(free / 2), away);
}

/** The n-th arrangement of a draw: rows of a normal and a standard normal number, of which the spread makes offsets. */
export function arrangementOf({ draws, n, seed, spread }) {
  const rows = decoded(draws.rows).subarray(4 * draws.n * seed);
  const each = Array.from({ length: n }, (_, i) => rows.subarray(4 * i, 4 * i + 4));
  return { normals: each.map((row) => Array.from(row.subarray(0, 3))), offsets: each.map((row) => spread * row[3]) };
}

/** Directions in space that point right, up and towards the reader. */
export function axesOf(longitude, latitude) {
  const toward = pointAt(longitude, latitude);
  const lon = (longitude * Math.PI) / 180;
  const right = [-Math.sin(lon), Math.cos(lon), 0];
  return [right, cross(toward, right), toward];
}

/**
 * Which neurons are on, as one bit each with neuron 0 the lowest, and their parity as bit 30: of every pixel of a picture
 * of the unit disc with n x n pixels that shows [-edge, edge] both ways, of what is seen from the front.
 *
 * `each(index, pattern, depth)` is called with every pixel of the disc, row by row from the top. A row is one half of a
 * circle, which a boundary cuts twice at most: so it is cut as any circle is, and no pixel is asked about any neuron.
 */
export function eachPixel({ normals, offsets }, [right, up, toward], n, edge, each) {
  const flips = new Int32Array(n), unit = (2 * edge) / n;
  const seen = normals.map((w, i) => {
    const [A, B, C] = [dot(w, right), dot(w, up), dot(w, toward)];
    return { B, b: offsets[i], R: Math.hypot(A, C), centre: Math.atan2(A, C), bit: (1 << i) ^ PARITY };
  });
  for (let row = 0; row < n; row++) {
    const y = edge - (row + 0.5) * unit;
    if (y * y >= 1) continue;
    const half = Math.sqrt(1 - y * y), first = Math.max(0, Math.ceil((edge - half) / unit - 0.5)), stop = n - first;
    let pattern = 0;
    for (const { B, b, R, centre, bit } of seen) { // R' cos(t - centre) + rest, with x = half sin(t) and depth = half cos(t)
      const rest = B * y + b, size = half * R;
      if (Math.abs(rest) >= size) {
        if (rest > 0) pattern ^= bit;
        continue;
      }
      const open = Math.acos(-rest / size), on = around(centre - open), off = around(centre + open);
      if (on <= off ? on <= LEFT && off > LEFT : on <= LEFT || off > LEFT) pattern ^= bit; // at the left end
      for (const t of [on, off]) {
        if (t <= LEFT || t >= -LEFT) continue; // behind
        const column = Math.ceil((half * Math.sin(t) + edge) / unit - 0.5);
        if (column <= first) pattern ^= bit;
        else if (column < stop) flips[column] ^= bit;
      }
    }
    for (let column = first; column < stop; column++) {
      if (flips[column]) {
        pattern ^= flips[column];
        flips[column] = 0;
      }
      const x = (column + 0.5) * unit - edge;
      each(row * n + column, pattern, Math.sqrt(Math.max(0, half * half - x * x)));
    }
  }
}
const PARITY = 1 << 30, LEFT = -Math.PI / 2;
const around = (t) => (t > Math.PI ? t - TURN : t < -Math.PI ? t + TURN : t);
/** A pattern as `eachPixel` has it. */
export const codeOf = (pattern) => pattern.reduce((code, on, i) => (on ? code ^ (1 << i) ^ PARITY : code), 0);

const listed = (items) => (items.length > 1 ? `${items.slice(0, -1).join(", ")} or ${items.at(-1)}` : `${items}`);
const share = (area) => `${number((100 * area) / (2 * TURN), 2)} % of the sphere`;

/** What the explorer says in lines; Python says the same. */
export function linesOf(sphere, face) {
  const n = sphere.arrangement.offsets.length;
  const around = neuronsAround(sphere, face);
  return [
    `${count(n, "neuron")}, ${sphere.circles.length} of them cut the sphere: ${count(sphere.nFaces, "face")}, ` +
      count(sphere.nPatterns, "pattern"),
    `Great circles, or any ${n} that all cross, would make n² − n + 2 = ${n * n - n + 2} faces`,
    `In the middle: ${sphere.names[face]}, ${share(sphere.areas[face])}; ` +
      (around.length ? `a step away flips neuron ${listed(around)}` : "no neuron flips"),
  ];
}

// --- the picture ------------------------------------------------------------------------------------------------------

const SHADES = 24, EDGE = 1.04; // the picture shows the unit disc and a little more
/** Points of a circle close enough for a line through them. */
const along = (c, from, to) => {
  const steps = Math.max(2, Math.ceil((to - from) / 0.07));
  return Array.from({ length: steps + 1 }, (_, k) => onCircle(c, from + ((to - from) * k) / steps));
};

const SPHERE_STYLE = `
.lx-bits { display: flex; flex-wrap: wrap; gap: .25rem; margin: .15rem 0 .6rem; }
.lx-bits button { font: 600 15px/1 ui-monospace, "DejaVu Sans Mono", monospace; width: 2rem; padding: .3rem 0 .2rem; color: var(--lx-ink);
  background: transparent; border: 1px solid var(--lx-line); border-radius: 5px; }
.lx-bits button small { display: block; margin-top: .2rem; font: 400 11px/1 system-ui, sans-serif; color: var(--lx-soft); }
.lx-bits button:enabled { cursor: pointer; border: 2px solid var(--lx-z); padding: calc(.3rem - 1px) 0 calc(.2rem - 1px); }
.lx-bits button:enabled:hover { background: color-mix(in srgb, var(--lx-z) 15%, transparent); }
.lx-bits button.lx-differs { background: var(--lx-ink); color: var(--lx-paper); }
.lx-bits button.lx-differs small { color: inherit; }
.lx-side h4 { margin: .2rem 0; font: 600 14px/1.4 system-ui, sans-serif; }
.lx-side p { margin: 0 0 .2rem; min-height: 1.45em; }
@media (hover: none) { .lx-pointed { display: none; } }
`;

/** A labelled range with its value beside it; keys are its own, so that a notebook does not take them. */
function dial(bar, { label, min, max, step, read, write }) {
  const holder = html("label", {}, bar);
  html("span", { text: label }, holder);
  const input = html("input", { type: "range", min, max, step, "aria-label": label }, holder);
  const output = html("output", {}, holder);
  input.addEventListener("keydown", (event) => event.stopPropagation());
  input.addEventListener("input", () => write(Number(input.value), false));
  input.addEventListener("change", () => write(Number(input.value), true));
  return () => {
    if (Number(input.value) !== read()) input.value = read();
    set(output, { text: step < 1 ? number(read(), 2) : read() });
  };
}

function render({ model, el }) {
  const { root, bar, views, say } = frame(el, {
    name: "sphere",
    label: "An ordinary sphere, cut by the boundaries of neurons",
    help:
      "Drag the sphere, or use the arrow keys, to turn it: the diamond in the middle is where you are. Click a place to go there. " +
      "Press a framed bit to cross that neuron’s boundary. Light and dark: an even or odd number of neurons is on.",
  });
  html("style", { text: SPHERE_STYLE }, root);
  const drawing = view(views, { box: [-EDGE, -EDGE, 2 * EDGE, 2 * EDGE], label: "The sphere" });
  const canvas = html("canvas", { "aria-hidden": "true" });
  drawing.before(canvas);
  const side = html("div", { class: "lx-side" }, views);
  html("h4", { text: "In the middle" }, side);
  const middleBits = html("div", { class: "lx-bits" }, side);
  const under = html("div", { class: "lx-pointed" }, side);
  html("h4", { text: "Under the pointer" }, under);
  const pointedText = html("p", {}, under);
  const pointedBits = html("div", { class: "lx-bits" }, under);
  html("h4", { text: "Along the dashed line" }, side);
  const strip = view(side, { box: [-90, -14, 180, 34], label: "The dashed line, unrolled: arcs of a great circle" });
  set(strip, { role: "img" });
  const stripArcs = many("rect", strip), stripTicks = many("line", strip), stripNames = many("text", strip);
  svg("path", { d: "M-2.6 7 0 4.4 2.6 7 0 9.6Z", fill: "var(--lx-z)", stroke: "var(--lx-paper)" }, strip);

  svg("line", { x1: -1, x2: 1, stroke: "var(--lx-ink)", "stroke-width": 1, "stroke-dasharray": "4 4" }, drawing);
  const ball = svg("g", {}, drawing);
  svg("circle", { r: 1, fill: "transparent" }, ball);
  svg("circle", { r: 1, class: "lx-rim", fill: "none", stroke: "var(--lx-boundary)", "stroke-width": 1.5 }, ball);
  svg("circle", { class: "lx-halo" }, ball);
  const mark = svg("path", { fill: "var(--lx-z)", stroke: "var(--lx-paper)", "stroke-width": 2 }, drawing);
  set(mark, { style: "pointer-events: none", d: "M-.05 0 0-.05.05 0 0 .05Z" });

  const draws = model.get("draws");
  let key = "", sphere = null, outlines = [], pointed = null; // where the pointer is, in the drawing's units
  const state = bind(model, ["n", "seed", "spread", "longitude", "latitude"], draw);
  const dials = [
    dial(bar, { label: "neurons", min: 1, max: draws.n, step: 1, read: () => state.n, write: change("n") }),
    dial(bar, { label: "bias spread", min: 0, max: 1, step: 0.05, read: () => state.spread, write: change("spread") }),
    dial(bar, { label: "draw", min: 0, max: draws.seeds - 1, step: 1, read: () => state.seed, write: change("seed") }),
  ];
  function change(name) {
    return (value, final) => {
      state[name] = name === "spread" ? Math.round(20 * value) / 20 : value;
      state.changed(final);
    };
  }

  function turnTo(longitude, latitude) {
    state.longitude = Math.round(10 * (longitude - 360 * Math.floor((longitude + 180) / 360))) / 10;
    state.latitude = Math.round(10 * clamp(latitude, -90, 90)) / 10;
  }
  let flight = 0;
  function land() {
    cancelAnimationFrame(flight);
    set(ball, { "aria-busy": null });
  }
  /** Go to a point, along the great circle to it. Rounding to a tenth of a degree could leave a small face: it is not done. */
  function goTo(target) {
    land();
    const arrive = () => {
      land();
      [state.longitude, state.latitude] = placeOf(target);
      state.changed(true);
    };
    const from = pointAt(state.longitude, state.latitude);
    const angle = arccos(dot(from, target));
    if (still() || angle < 1e-3 || angle > 3.1) return arrive();
    const away = unitOf(combine(1, target, -dot(from, target), from));
    const begin = performance.now(), lasts = 250 + 250 * angle;
    const fly = (now) => {
      const part = (now - begin) / lasts;
      if (part >= 1) return arrive();
      const t = angle * part * part * (3 - 2 * part);
      [state.longitude, state.latitude] = placeOf(combine(Math.cos(t), from, Math.sin(t), away));
      state.request();
      flight = requestAnimationFrame(fly);
    };
    set(ball, { "aria-busy": true });
    flight = requestAnimationFrame(fly);
  }
  /** The point of the sphere that is seen at a place of the drawing; null beside it. */
  function seen([x, down]) {
    const depth = 1 - x * x - down * down;
    if (depth < 0) return null;
    const [right, up, toward] = axesOf(state.longitude, state.latitude);
    return combine(1, combine(x, right, -down, up), Math.sqrt(depth), toward);
  }

  let grabbed = null;
  const grip = handle(ball, {
    label: "the sphere: turn it",
    value: () => ({
      now: Number(state.longitude.toFixed(1)), min: -180, max: 180,
      text: `longitude ${number(state.longitude, 1)}°, latitude ${number(state.latitude, 1)}°, pattern ${sphere?.names[here()] ?? ""}`,
    }),
    grab: () => {
      land();
      grabbed = [state.longitude, state.latitude];
    },
    drag: ([x, y], start) => {
      const pull = 1 / Math.max(Math.cos((grabbed[1] * Math.PI) / 180), 0.4); // what is near the middle stays under the finger
      turnTo(grabbed[0] - (x - start[0]) * pull * (180 / Math.PI), grabbed[1] + (y - start[1]) * (180 / Math.PI));
    },
    step: (across, up, fine) => {
      land();
      turnTo(state.longitude + across * (fine ? 1 : 5), state.latitude + up * (fine ? 1 : 5));
    },
    home: () => {
      land();
      turnTo(30, 15);
    },
    tap: (point) => {
      const target = point && seen(point);
      if (target) goTo(target);
    },
    changed: state.changed,
  });
  const here = () => faceAt(sphere, pointAt(state.longitude, state.latitude));
  ball.addEventListener("pointermove", (event) => {
    if (event.pointerType === "touch") return;
    pointed = place(drawing, event);
    state.request();
  });
  ball.addEventListener("pointerleave", () => { pointed = null; state.request(); });

  function showBits(holder, pattern, flippable, other) {
    while (holder.children.length < pattern.length) {
      const neuron = holder.children.length;
      const button = html("button", { type: "button" }, holder);
      html("span", {}, button);
      html("small", { text: neuron }, button);
      button.addEventListener("click", () => goTo(acrossFrom(sphere, here(), neuron)));
      button.addEventListener("keydown", (event) => event.stopPropagation());
    }
    while (holder.children.length > pattern.length) holder.lastChild.remove();
    pattern.forEach((on, neuron) => {
      const button = holder.children[neuron], may = flippable.includes(neuron);
      set(button.firstChild, { text: Number(on) });
      set(button, {
        disabled: may ? null : "",
        class: other && other[neuron] !== on ? "lx-differs" : null,
        "aria-label": `neuron ${neuron} is ${on ? "on" : "off"}${may ? "; flip it: cross its boundary" : ""}`,
      });
    });
  }

  function draw() {
    const wanted = `${state.n},${state.seed},${state.spread}`;
    if (wanted !== key) {
      [key, sphere] = [wanted, partitionSphere(arrangementOf({ ...state, draws }))];
      outlines = sphere.circles.map((c) => along(c, 0, TURN));
    }
    const face = here(), axes = axesOf(state.longitude, state.latitude);
    const over = pointed && seen(pointed);
    const other = over ? faceAt(sphere, over) : -1;
    paint(axes, face, other);
    for (const refresh of dials) refresh();
    grip.refresh();
    say(linesOf(sphere, face));
    showBits(middleBits, sphere.patterns[face], neuronsAround(sphere, face), null);
    const shown = other >= 0 ? other : face;
    showBits(pointedBits, sphere.patterns[shown], [], sphere.patterns[face]);
    set(pointedBits, { style: other < 0 ? "visibility: hidden" : null }); // its room stays, so that nothing jumps
    const apart = sphere.patterns[shown].filter((on, i) => on !== sphere.patterns[face][i]).length;
    const differs = apart ? `${count(apart, "neuron")} differ${apart === 1 ? "s" : ""} from the middle` : shown === face ? "the face in the middle" : "another face with the same pattern";
    set(pointedText, { text: other < 0 ? "Point at a face of the sphere" : `${share(sphere.areas[shown])}; ${differs}` });
    unroll(axes);
  }

  /** The great circle through the middle from left to right: notebook 3's picture on this sphere. */
  function unroll([right, , toward]) {
    const cuts = [];
    for (const c of sphere.circles) {
      const [A, B] = [dot(c.axis, toward), dot(c.axis, right)];
      const R = Math.hypot(A, B);
      if (Math.abs(c.level) >= R) continue;
      const [centre, half] = [Math.atan2(B, A), Math.acos(c.level / R)];
      for (const angle of [centre - half, centre + half]) {
        const degrees = (turn(angle + Math.PI) - Math.PI) * (180 / Math.PI);
        if (Math.abs(degrees) < 90) cuts.push({ degrees, neuron: c.neuron });
      }
    }
    cuts.sort((p, q) => p.degrees - q.degrees);
    const edges = [-90, ...cuts.map((cut) => cut.degrees), 90];
    stripArcs(edges.slice(1).map((stop, k) => {
      const t = ((edges[k] + stop) / 2) * (Math.PI / 180);
      const odd = patternAt(sphere.arrangement, combine(Math.cos(t), toward, Math.sin(t), right)).filter(Boolean).length % 2;
      return { x: edges[k], y: 0, width: stop - edges[k], height: 14, fill: `var(--lx-${odd ? "odd" : "even"})` };
    }));
    stripTicks(cuts.map(({ degrees }) => ({ x1: degrees, x2: degrees, y1: -2, y2: 14, stroke: "var(--lx-boundary)", "stroke-width": 1.5 })));
    let last = -Infinity;
    const named = cuts.filter(({ degrees }) => degrees - last > 9 && (last = degrees, true));
    stripNames(named.map(({ degrees, neuron }) => ({ x: degrees, y: -8, text: neuron })));
  }

  const ground = palette(root, ["even", "odd", "boundary", "z", "focus", "paper"], () => state.request());
  let buffer = null;
  function paint([right, up, toward], face, other) {
    const wide = canvas.clientWidth || 400;
    const size = Math.round(Math.min(wide * Math.min(devicePixelRatio || 1, 2), 900));
    if (canvas.width !== size) [canvas.width, canvas.height] = [size, size];
    if (buffer?.width !== size) buffer = new ImageData(size, size);
    const [even, odd, ink, z, focus, paper] = ground();
    const mixed = (tone, tint, part) => tone.map((value, k) => value * (1 - part) + tint[k] * part);
    const word = ([r, g, b], shade) => (255 << 24) | ((b * shade) << 16) | ((g * shade) << 8) | (r * shade);
    const shades = (tone) => Int32Array.from({ length: SHADES + 1 }, (_, k) => word(tone, 0.78 + (0.22 * k) / SHADES));
    const [plain, inside, under] = [[0, 0], [0.42, z], [0.35, focus]].map(([part, tint]) => [even, odd].map((tone) => shades(part ? mixed(tone, tint, part) : tone)));
    const mine = codeOf(sphere.patterns[face]), its = other < 0 ? mine : codeOf(sphere.patterns[other]);
    const pixels = new Int32Array(buffer.data.buffer);
    eachPixel(sphere.arrangement, [right, up, toward], size, EDGE, (index, pattern, depth) => {
      const tones = pattern === mine ? inside : pattern === its ? under : plain;
      pixels[index] = tones[(pattern >>> 30) & 1][(depth * SHADES) | 0];
    });
    const pen = canvas.getContext("2d");
    pen.putImageData(buffer, 0, 0);

    const scale = size / (2 * EDGE), css = size / wide;
    const stroke = (points) => {
      let drawn = false;
      for (const point of points) {
        if (dot(point, toward) < 0) drawn = false;
        else {
          const [u, v] = [(dot(point, right) + EDGE) * scale, (EDGE - dot(point, up)) * scale];
          if (drawn) pen.lineTo(u, v);
          else pen.moveTo(u, v);
          drawn = true;
        }
      }
    };
    const colour = (rgb) => `rgb(${rgb.join(" ")})`;
    pen.lineJoin = pen.lineCap = "round";
    pen.beginPath();
    outlines.forEach(stroke);
    [pen.strokeStyle, pen.lineWidth] = [colour(ink), 1.4 * css];
    pen.stroke();
    for (const [one, rgb] of [[other === face ? -1 : other, focus], [face, z]]) {
      if (one < 0) continue;
      pen.beginPath();
      for (const edge of edgesOf(sphere, one)) {
        const arc = sphere.arcs[edge >> 1];
        stroke(along(sphere.circles[arc.circle], arc.from, arc.to));
      }
      for (const [style, width] of [[paper, 6], [rgb, 3.5]]) {
        [pen.strokeStyle, pen.lineWidth] = [colour(style), width * css];
        pen.stroke();
      }
    }
  }

  const resized = new ResizeObserver(state.request);
  resized.observe(canvas);
  draw();
  return () => {
    cancelAnimationFrame(flight);
    ground.close();
    resized.disconnect();
    state.close();
    root.remove();
  };
}

export default { render };
