import {
  TURN, bind, bits, clamp, count, frame, handle, html, many, maths, number, patternColors, restart, set, snap, svg, turn, vector, view,
} from "./common.js";

// --- the mathematics, as geometry/circle.py, geometry/plane.py and changes.py have it ------------------------------

const SAME = 1e-11; // lines this close are one
const W_OUT = [[1, 0], [0, 1], [1, 1], [1, -1], [2, 1], [1, 2]];

/** The unit circle cut by the lines normals_i . y + offsets_i = 0: crossings in order, and the arcs between them. */
export function partitionCircle(normals, offsets) {
  const lines = normals.map(([A, B], i) => {
    const R = Math.hypot(A, B), b = offsets[i], centre = Math.atan2(B, A);
    const half = Math.abs(b) < R ? Math.atan2(Math.sqrt(R - b) * Math.sqrt(R + b), -b) : NaN;
    return { R, b, centre, on: turn(centre - half), off: turn(centre + half), cuts: !Number.isNaN(half) };
  });
  lines.forEach((line, i) => { // neurons with one line flip where the first of them does
    for (const first of lines.slice(0, i)) {
      if (![line, first].every(({ R, b }) => R > 0 && Math.abs(b) < 2 * R)) continue;
      const apart = turn(line.centre - first.centre), opposite = Math.cos(apart) < 0;
      const parallel = Math.abs(Math.sin(apart)) <= SAME;
      if (!parallel || Math.abs(line.b / line.R - (opposite ? -1 : 1) * first.b / first.R) > SAME) continue;
      [line.on, line.off] = opposite ? [first.off, first.on] : [first.on, first.off];
      line.cuts = first.cuts;
      return;
    }
  });
  const lastPattern = lines.map(({ b, cuts, on, off }) => (cuts ? off < on : b > 0));
  const crossings = [];
  for (const end of ["on", "off"]) {
    lines.forEach((line, neuron) => { if (line.cuts) crossings.push({ angle: line[end], neuron }); });
  }
  crossings.sort((p, q) => p.angle - q.angle);
  const starts = [], patterns = [], arcAfter = [], now = [...lastPattern];
  for (const { angle, neuron } of crossings) {
    if (!starts.length || angle > starts.at(-1)) { starts.push(angle); patterns.push(null); }
    now[neuron] = !now[neuron];
    patterns[starts.length - 1] = [...now];
    arcAfter.push(starts.length - 1);
  }
  if (!starts.length) { starts.push(0); patterns.push(now); }
  const lengths = starts.map((start, k) => (starts[k + 1] ?? starts[0] + TURN) - start);
  return {
    angles: crossings.map(c => c.angle), neurons: crossings.map(c => c.neuron), lastPattern, starts, lengths, arcAfter, patterns,
    nPatterns: new Set(patterns.map(bits)).size,
  };
}

/** The same without arcs that are rounding: where lines of different neurons cross the circle at one point. */
export function thinned(circle) {
  const kept = circle.starts.map((_, arc) => arc).filter(arc => circle.lengths[arc] > 1e-9), n = kept.length;
  const pick = values => kept.map(arc => values[arc]);
  const patterns = pick(circle.patterns);
  return {
    ...circle, starts: pick(circle.starts), lengths: pick(circle.lengths), patterns, nPatterns: new Set(patterns.map(bits)).size,
    arcAfter: circle.arcAfter.map(arc => kept.filter(one => one < arc).length % n),
  };
}

/** The square |y| <= w cut by the same lines: [{corners, pattern}], each region once. */
export function partitionPlane(normals, offsets, w) {
  let regions = [[[-w, -w], [w, -w], [w, w], [-w, w]]];
  normals.forEach(([A, B], i) => { regions = regions.flatMap(corners => split(corners, A, B, offsets[i])); });
  return regions.map(corners => {
    const inside = [0, 1].map(k => corners.reduce((sum, c) => sum + c[k], 0) / corners.length);
    return { corners, inside, pattern: pattern(normals, offsets, inside) };
  });
}

function split(corners, A, B, b) {
  const size = Math.max(...corners.flat().map(Math.abs)) * Math.hypot(A, B) + Math.abs(b);
  const height = corners.map(([u, v]) => A * u + B * v + b);
  const side = height.map(h => (Math.abs(h) <= 1e-12 * size ? 0 : Math.sign(h)));
  if (side.every(s => s >= 0) || side.every(s => s <= 0)) return [corners];
  const parts = { 1: [], "-1": [] };
  corners.forEach((p, k) => {
    const next = (k + 1) % corners.length, q = corners[next];
    for (const sign of [1, -1]) if (side[k] === 0 || side[k] === sign) parts[sign].push(p);
    if (side[k] * side[next] < 0) {
      const share = height[k] / (height[k] - height[next]), cut = [0, 1].map(j => p[j] + (q[j] - p[j]) * share);
      parts[1].push(cut);
      parts[-1].push(cut);
    }
  });
  return [parts[1], parts[-1]];
}

/** Who is on at y. */
export const pattern = (normals, offsets, y) => normals.map(([A, B], i) => A * y[0] + B * y[1] + offsets[i] > 0);

/** The layer's affine map y A + c in a region. */
export function affineMap(normals, offsets, on) {
  const sum = f => on.reduce((total, active, i) => total + (active ? f(i) : 0), 0);
  return {
    A: [0, 1].map(u => [0, 1].map(v => sum(i => normals[i][u] * W_OUT[i][v]))),
    c: [0, 1].map(v => sum(i => offsets[i] * W_OUT[i][v])),
  };
}

/** What the explorer shows of a state. */
export function look({ directions, biases, x, layernorm, boundary }) {
  const normals = directions.map(d => [Math.cos(d * Math.PI / 180), Math.sin(d * Math.PI / 180)]);
  // a line that touches the circle does not cut it, whatever rounding makes of its normal's length
  const offsets = biases.map(b => (Math.abs(Math.abs(b) - 1) < 1e-12 ? 1.000000001 * Math.sign(b) : b));
  const circle = thinned(partitionCircle(normals, offsets));
  const length = Math.hypot(...x), z = length > 0 ? x.map(v => v / length) : null;
  const y = layernorm ? z : x; // what the neurons see
  const found = { normals, circle, length, z, y, here: y && pattern(normals, biases, y) };
  const n = circle.angles.length, k = n ? ((boundary % n) + n) % n : null;
  const arcs = k === null ? [0] : [circle.arcAfter[k] - 1, circle.arcAfter[k]];
  const sides = arcs.map(arc => circle.patterns.at(arc));
  return { ...found, k, sides, maps: sides.map(side => affineMap(normals, biases, side)) };
}

const degrees = (angle, digits = 1) => `${number(angle * 180 / Math.PI, digits)}°`;

/** The numbers as lines of text. */
export function lines(state, { circle, length, z, y, here, k, sides }) {
  const at = z && turn(Math.atan2(z[1], z[0]));
  const image = !state.layernorm ? `no LayerNorm: the neurons see x itself, pattern ${bits(here)}`
    : z ? `LayerNorm sends it to z at ${degrees(at)}, pattern ${bits(here)}` : "no direction, so LayerNorm has no image of it";
  const neuron = circle.neurons[k];
  return [
    `${count(circle.starts.length, "arc")}, ${count(circle.nPatterns, "pattern")}`,
    `x = ${vector(state.x)}, length ${number(length)}; ${image}`,
    k === null ? "No boundary crosses the circle: one affine map holds all round"
      : `Boundary ${k}: neuron ${neuron} switches ${sides[1][neuron] ? "on" : "off"} at ${degrees(circle.angles[k])}`,
    `Directions ${state.directions.map(d => `${number(d, d % 1 ? 1 : 0)}°`).join(", ")}; biases ${state.biases.map(b => number(b)).join(", ")}`,
  ];
}

// --- the picture ---------------------------------------------------------------------------------------------------

const W = 1.95, ARROW = 0.34, OUTER = 1.42, EDGE = 1.7;
const LOOK = `
.lx-region { stroke: var(--lx-paper); stroke-width: 1px; }
.lx-region.lx-over, .lx-arc.lx-over { stroke: var(--lx-ink); stroke-width: 2px; }
.lx-region.lx-here, .lx-arc.lx-here { stroke: var(--lx-z); stroke-width: 3px; }
.lx-arc { stroke: none; }
.lx-edge { stroke: var(--lx-boundary); stroke-width: 1.5px; }
.lx-sphere { fill: none; stroke: var(--lx-boundary); stroke-width: 2.5px; }
.lx-off .lx-sphere { stroke-width: 1px; stroke-dasharray: 4 4; }
.lx-ray { stroke: var(--lx-x); stroke-width: 2px; stroke-dasharray: 5 4; }
.lx-off .lx-z { display: none; }
.lx-z path { fill: var(--lx-z); stroke: var(--lx-paper); stroke-width: 1.5px; }
.lx-normal { stroke: var(--lx-boundary); stroke-width: 2.5px; }
.lx-tip .lx-dot { fill: var(--lx-boundary); r: calc(var(--px) * 10px); }
.lnpoly-explorer .lx-tip text { fill: var(--lx-paper); font-weight: 700; }
.lx-line { cursor: move; }
.lx-cross { fill: var(--lx-paper); stroke: var(--lx-boundary); stroke-width: 1.5px; r: calc(var(--px) * 4px); }
.lx-chosen { fill: var(--lx-boundary); r: calc(var(--px) * 6px); }
.lx-pointer { stroke: var(--lx-boundary); stroke-width: 2px; }
.lx-ring { cursor: pointer; }
.lx-maps { display: flex; flex-wrap: wrap; gap: .25rem 2rem; margin-top: .25rem; }
.lx-maps div { display: flex; flex-wrap: wrap; gap: 0 .6rem; align-items: center; min-height: 3.2rem; }
`;

const path = corners => corners.map(([u, v]) => `${u.toFixed(4)},${(-v).toFixed(4)}`).join(" ");
const on = (angle, radius) => [radius * Math.cos(angle), -radius * Math.sin(angle)];

function render({ model, el }) {
  const { root, bar, views, numbers, say } = frame(el, {
    name: "circle", label: "The circle, cut by the boundaries of neurons",
    help: "Drag a line, the dot of its arrow, or x; pull the dashed ray to slide x along it. Click a crossing to see the two maps there. "
      + "With the keyboard: Tab from one to the next, then the arrow keys, with Shift for small steps.",
  });
  html("style", { text: LOOK }, root);
  const fields = ["directions", "biases", "x", "layernorm", "boundary"], state = bind(model, fields, draw);
  const m = state.biases.length;

  const label = html("label", {}, bar), norm = html("input", { type: "checkbox" }, label);
  label.append("LayerNorm");
  norm.addEventListener("change", () => { state.layernorm = norm.checked; state.changed(true); });
  restart(bar, state, fields);

  const plane = view(views, { box: [-W, -W, 2 * W, 2 * W], label: "The plane" });
  const ring = view(views, { box: [-OUTER, -OUTER, 2 * OUTER, 2 * OUTER], label: "The circle alone" });
  ring.classList.add("lx-ring");
  const regions = many("polygon", plane), lettered = many("text", plane);
  svg("circle", { class: "lx-sphere", r: 1 }, plane);
  const handles = [];

  const edges = state.biases.map((_, i) => {
    const group = svg("g", { class: "lx-line" }, plane);
    const parts = ["lx-halo", "lx-edge", "lx-hit"].map(name => svg("line", { class: name }, group));
    let before = 0;
    const move = bias => { state.biases[i] = snap(clamp(bias, -1.5, 1.5), 100); };
    handles.push(handle(group, {
      label: `bias of neuron ${i}`,
      value: () => ({ now: state.biases[i], min: -1.5, max: 1.5, text: number(state.biases[i]) }),
      grab: () => { before = state.biases[i]; },
      drag: ([u, v], start) => {
        const [A, B] = shown.normals[i];
        move(before - A * (u - start[0]) + B * (v - start[1]));
      },
      step: (across, up, fine) => move(state.biases[i] + (fine ? 0.01 : 0.05) * (across + up)),
      home: () => move(-1.5), end: () => move(1.5),
      tap: () => choose(shown.circle.neurons.indexOf(i, shown.circle.neurons[shown.k] === i ? shown.k + 1 : 0), i),
      changed: state.changed,
    }));
    return parts;
  });
  const crosses = many("circle", plane);
  const ray = svg("g", { class: "lx-handle" }, plane);
  const rays = ["lx-halo", "lx-ray", "lx-hit"].map(name => svg("line", { class: name, x1: 0, y1: 0 }, ray));
  handle(ray, {
    pointer: true, changed: state.changed,
    drag: ([u, v]) => { if (shown.z) pull(u * shown.z[0] - v * shown.z[1]); },
  });
  const tips = state.directions.map((_, i) => {
    const arrow = svg("line", { class: "lx-normal" }, plane), group = svg("g", { class: "lx-tip" }, plane);
    for (const name of ["lx-hit", "lx-halo", "lx-dot"]) svg("circle", { class: name }, group);
    svg("text", { text: i }, group);
    const aim = angle => { state.directions[i] = ((Math.round(angle) % 360) + 360) % 360; };
    handles.push(handle(group, {
      label: `direction of neuron ${i}`,
      value: () => ({ now: state.directions[i], min: 0, max: 360, text: `${number(state.directions[i], 0)} degrees` }),
      drag: ([u, v]) => aim(Math.atan2(-v - feet[i][1], u - feet[i][0]) * 180 / Math.PI),
      step: (across, up, fine) => aim(state.directions[i] + (fine ? 1 : 5) * (up - across)),
      changed: state.changed,
    }));
    return { arrow, group };
  });
  const z = svg("g", { class: "lx-z" }, plane), diamonds = [svg("path", {}, z)];
  const zName = svg("text", { class: "lx-strong", style: "fill: var(--lx-z)", text: "z" }, z);
  const x = svg("g", {}, plane);
  for (const name of ["lx-hit", "lx-halo", "lx-dot"]) svg("circle", { class: name }, x);
  x.lastChild.setAttribute("fill", "var(--lx-x)");
  const xName = svg("text", { class: "lx-strong", style: "fill: var(--lx-x)", text: "x" }, x);
  const put = (u, v) => { state.x = [u, v].map(c => snap(clamp(c, -EDGE, EDGE), 100)); };
  // along its ray without rounding: z must not move
  const pull = length => {
    const most = EDGE / Math.max(...shown.z.map(Math.abs));
    state.x = shown.z.map(c => c * clamp(snap(length, 100), 0.1, most));
  };
  handles.push(handle(x, {
    label: "the vector x",
    value: () => ({
      now: snap(Math.atan2(state.x[1], state.x[0]) * 180 / Math.PI, 10), min: -180, max: 180,
      text: `at ${vector(state.x)}, length ${number(shown.length)}`,
    }),
    drag: ([u, v]) => put(u, -v),
    step: (across, up, fine) => {
      if (!shown.z) { put(0.5, 0); return; }
      if (up) pull(shown.length + (fine ? 0.01 : 0.1) * up);
      else {
        const angle = Math.atan2(state.x[1], state.x[0]) - across * (fine ? 1 : 5) * Math.PI / 180;
        state.x = [shown.length * Math.cos(angle), shown.length * Math.sin(angle)].map(c => clamp(c, -EDGE, EDGE));
      }
    },
    changed: state.changed,
  }));

  const arcs = many("path", ring), names = many("text", ring), ticks = many("line", ring), owners = many("text", ring);
  const ringZ = svg("g", { class: "lx-z" }, ring);
  diamonds.push(svg("path", {}, ringZ));
  const chosen = svg("g", {}, ring), pointer = svg("line", { class: "lx-pointer", x1: 0, y1: 0 }, chosen);
  const knob = svg("g", {}, chosen);
  for (const name of ["lx-hit", "lx-halo", "lx-dot lx-chosen"]) svg("circle", { class: name }, knob);
  const nearest = (u, v) => {
    const apart = shown.circle.angles.map(angle => Math.cos(angle - Math.atan2(-v, u)));
    if (apart.length) state.boundary = apart.indexOf(Math.max(...apart));
  };
  handles.push(handle(knob, {
    label: "boundary",
    value: () => ({
      now: shown.k ?? 0, min: 0, max: Math.max(shown.circle.angles.length - 1, 0), text: lines(state, shown)[2],
    }),
    drag: point => nearest(...point),
    step: (across, up) => choose((shown.k ?? 0) + Math.sign(across + up)),
    changed: state.changed,
  }));
  handle(ring, { pointer: true, drag: point => nearest(...point), tap: point => nearest(...point), changed: state.changed });
  function choose(k, neuron) {
    const n = shown.circle.angles.length;
    if (k === -1 && neuron !== undefined) k = shown.circle.neurons.indexOf(neuron); // from its last crossing to its first
    if (n && !(k === -1 && neuron !== undefined)) state.boundary = (k + n) % n;
  }

  let over = "";
  for (const drawing of [plane, ring]) {
    const hover = event => {
      const found = event.type === "pointerleave" ? "" : event.target.dataset?.bits ?? "";
      if (found !== over) { over = found; state.request(); }
    };
    drawing.addEventListener("pointerover", hover);
    drawing.addEventListener("pointerleave", hover);
  }

  const holder = html("div", { class: "lx-maps" });
  numbers.after(holder);
  const shownMaps = ["before it", "after it"].map(words => {
    const box = html("div", {}, holder), title = html("span", { text: words }, box), entries = [];
    const math = maths("math", {}, box), row = maths("mrow", {}, math);
    const cell = parent => { entries.push(maths("mn", {}, parent)); };
    maths("mi", { text: "y" }, row);
    maths("mo", { text: "↦" }, row);
    maths("mi", { text: "y" }, row);
    maths("mo", { text: "[" }, row);
    const table = maths("mtable", {}, row);
    for (const _ of [0, 1]) {
      const line = maths("mtr", {}, table);
      for (const _ of [0, 1]) cell(maths("mtd", {}, line));
    }
    maths("mo", { text: "]" }, row);
    maths("mo", { text: "+" }, row);
    maths("mo", { text: "(", stretchy: false }, row);
    cell(row);
    maths("mo", { text: "," }, row);
    cell(row);
    maths("mo", { text: ")", stretchy: false }, row);
    return { box, title, entries, words };
  });

  let shown = look(state), feet = [];
  const spots = new Map(); // where each region's label stands

  function draw() {
    shown = look(state);
    const { normals, circle, here, k } = shown, found = circle.patterns.map(bits), mine = here && bits(here);
    set(root, { class: `lnpoly-explorer${state.layernorm ? "" : " lx-off"}` });
    norm.checked = state.layernorm;
    const middles = circle.starts.map((start, arc) => start + circle.lengths[arc] / 2);
    const first = [...new Set(found)].map(one => found.indexOf(one));
    const fills = patternColors(first.map(arc => circle.patterns[arc]), first.map(arc => middles[arc]));
    const color = new Map(first.map((arc, j) => [found[arc], fills[j]]));
    const name = (kind, one) => `${kind}${one === over ? " lx-over" : ""}${one === mine ? " lx-here" : ""}`;

    // the plane
    const pieces = partitionPlane(normals, state.biases, W).map(one => ({ ...one, bits: bits(one.pattern) }));
    pieces.sort((p, q) => (p.bits === mine) - (q.bits === mine)); // its outline lies on top
    regions(pieces.map(({ corners, bits }) => ({
      points: path(corners), fill: color.get(bits) ?? "var(--lx-unvisited)", class: name("lx-region", bits), "data-bits": bits,
    })));
    feet = [];
    const heads = [];
    normals.forEach(([A, B], i) => {
      const b = state.biases[i], along = s => [-b * A - s * B, -b * B + s * A];
      // an arrow that would lie on another one stands aside, on the same line
      const free = ([u, v]) => heads.every(([p, q]) => Math.hypot(u + ARROW * A - p, v + ARROW * B - q) > 0.25);
      const foot = [0, 0.4, -0.4, 0.8, -0.8, 1.2].map(along).find(free) ?? along(0), head = [foot[0] + ARROW * A, foot[1] + ARROW * B];
      feet.push(foot);
      heads.push(head);
      // to the edge and no further: what lies beyond counts as covered by the line, for those who test what can be hit
      const ends = [[-b * A, -B], [-b * B, A]].map(([c, step]) => [(-W - c) / step, (W - c) / step].sort((s, t) => s - t));
      const [p, q] = [Math.max(ends[0][0], ends[1][0]), Math.min(ends[0][1], ends[1][1])].map(along);
      for (const part of edges[i]) set(part, { x1: p[0], y1: -p[1], x2: q[0], y2: -q[1] });
      set(tips[i].arrow, { x1: foot[0], y1: -foot[1], x2: head[0], y2: -head[1] });
      set(tips[i].group, { transform: `translate(${head[0]} ${-head[1]})` });
    });
    const taken = [...heads, ...feet, state.x, ...(shown.z ? [shown.z] : [])];
    const px = plane.style.getPropertyValue("--px"), wide = Math.max(9, 3.2 * m) * px; // half of a label
    lettered(pieces.flatMap(({ corners, inside, bits }) => {
      const spot = labelled(corners, inside, taken, spots.get(bits), wide);
      spots.set(bits, spot);
      return spot.room > wide ? [{ x: spot.at[0], y: -spot.at[1], text: bits }] : [];
    }));
    crosses(circle.angles.map((angle, j) => ({
      class: `lx-cross${j === k ? " lx-chosen" : ""}`, cx: on(angle, 1)[0], cy: on(angle, 1)[1],
    })));
    const tip = shown.z ? shown.z.map(c => (W * c) / Math.max(...shown.z.map(Math.abs))) : [0, 0];
    for (const part of rays) set(part, { x2: tip[0], y2: -tip[1] });
    set(x, { transform: `translate(${state.x[0]} ${-state.x[1]})` });
    const away = shown.z ?? [1, 0];
    set(xName, { x: 0.16 * away[1] + 0.08 * away[0], y: 0.16 * away[0] - 0.08 * away[1] });
    set(z, { visibility: shown.z ? "visible" : "hidden" });
    if (shown.z) {
      diamond(diamonds[0], shown.z[0], -shown.z[1], 0.075);
      set(zName, { x: shown.z[0] - 0.17 * away[1] - 0.06 * away[0], y: -shown.z[1] - 0.17 * away[0] + 0.06 * away[1] });
      diamond(diamonds[1], 0.95 * shown.z[0], -0.95 * shown.z[1], 0.06);
    }
    set(ringZ, { visibility: shown.z ? "visible" : "hidden" });

    // the circle alone
    const at = shown.z && turn(Math.atan2(shown.z[1], shown.z[0]));
    const order = circle.starts.map((_, arc) => arc), lying = arc => state.layernorm && at !== null && turn(at - circle.starts[arc]) < circle.lengths[arc];
    order.sort((p, q) => lying(p) - lying(q));
    arcs(order.map(arc => ({
      d: sector(circle.starts[arc], circle.lengths[arc]), fill: color.get(found[arc]), "data-bits": found[arc],
      class: `lx-arc${found[arc] === over ? " lx-over" : ""}${lying(arc) ? " lx-here" : ""}`,
    })));
    names(circle.starts.flatMap((_, arc) => {
      const [u, v] = on(middles[arc], 0.66);
      return circle.lengths[arc] > 0.05 + 12 * m * ring.style.getPropertyValue("--px") ? [{ x: u, y: v, text: found[arc] }] : [];
    }));
    ticks(circle.angles.map(angle => {
      const [[x1, y1], [x2, y2]] = [on(angle, 0.84), on(angle, 1.08)];
      return { x1, y1, x2, y2, class: "lx-edge" };
    }));
    let last = -1, lane = 0;
    owners([...new Set(circle.arcAfter)].map(arc => {
      const these = circle.neurons.filter((_, j) => circle.arcAfter[j] === arc), angle = circle.starts[arc];
      lane = angle - last < 0.16 ? (lane + 1) % 2 : 0;
      last = angle;
      const [u, v] = on(angle, 1.18 + 0.15 * lane);
      return { x: u, y: v, text: these.join(" "), class: k !== null && circle.arcAfter[k] === arc ? "lx-strong" : null };
    }));
    set(chosen, { visibility: k === null ? "hidden" : "visible" });
    set(knob, { tabindex: k === null ? -1 : 0 });
    if (k !== null) {
      const [u, v] = on(circle.angles[k], 0.84);
      set(pointer, { x2: u, y2: v });
      set(knob, { transform: `translate(${u} ${v})` });
    }

    // the numbers
    say(lines(state, shown));
    shownMaps.forEach(({ box, title, entries, words }, side) => {
      const map = shown.maps[side];
      set(box, { hidden: map ? null : "" });
      if (!map) return;
      set(title, { text: `${k === null ? "the map" : words}, ${bits(shown.sides[side])}:` });
      [...map.A.flat(), ...map.c].forEach((value, j) => set(entries[j], { text: number(value) }));
    });
    for (const one of handles) one.refresh();
  }
  draw();
  return () => { state.close(); root.remove(); };
}

function diamond(node, u, v, size) {
  set(node, { d: `M${u - size} ${v}L${u} ${v - size}L${u + size} ${v}L${u} ${v + size}Z` });
}

function sector(start, length) {
  const steps = Math.max(2, Math.ceil(length / 0.05)), ends = Array.from({ length: steps + 1 }, (_, j) => start + length * j / steps);
  return `M${[...ends.map(t => on(t, 1.05)), ...ends.reverse().map(t => on(t, 0.86))].map(p => p.map(c => c.toFixed(4)).join(" ")).join("L")}Z`;
}

/** A place in a region with room for its name: away from edges, the circle and what else stands there. */
function labelled(corners, inside, taken, before, least) {
  const places = [inside];
  for (const share of [0.35, 0.65]) for (const c of corners) places.push([0, 1].map(j => inside[j] + share * (c[j] - inside[j])));
  const room = ([u, v]) => {
    let free = Math.abs(Math.hypot(u, v) - 1) + 0.04;
    for (const [p, q] of taken) free = Math.min(free, Math.hypot(u - p, v - q) - 0.08);
    corners.forEach((a, k) => {
      const b = corners[(k + 1) % corners.length], size = Math.hypot(b[0] - a[0], b[1] - a[1]);
      if (size > 0) free = Math.min(free, Math.abs((b[0] - a[0]) * (v - a[1]) - (b[1] - a[1]) * (u - a[0])) / size);
    });
    return free;
  };
  const rooms = places.map(room), best = rooms.indexOf(Math.max(...rooms));
  // where it was, while that is nearly as good: names that hop about cannot be read
  const kept = before && before.index < places.length && rooms[before.index] > Math.max(0.75 * rooms[best], least) ? before.index : best;
  return { index: kept, at: places[kept], room: rooms[kept] };
}

export default { render };
