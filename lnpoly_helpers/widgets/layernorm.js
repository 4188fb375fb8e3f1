import { bind, clamp, frame, handle, html, number, restart, set, snap, svg, vector, view } from "./common.js";

// --- the mathematics, as layer.py has it ---------------------------------------------------------------------------

const dot = (p, q) => p[0] * q[0] + p[1] * q[1] + p[2] * q[2];
const plus = (p, q, share = 1) => p.map((c, k) => c + share * q[k]);
const times = (p, share) => p.map(c => c * share);
const mean = p => (p[0] + p[1] + p[2]) / 3;
const ONES = [1, 1, 1];

/** What LayerNorm makes of x, and how: its mean, what is left without it, that one's standard deviation, and z. */
export function normalize(x, eps = 0) {
  const top = Math.max(...x.map(Math.abs)), unit = top > 0 ? 2 ** (Math.floor(Math.log2(top)) + 1) : 1;
  let y = times(x, 1 / unit); // no overflow in the squares
  for (let k = 0; k < 2; k++) y = plus(y, ONES, -mean(y)); // the second takes away what rounding of the first left
  const size = Math.sqrt(dot(y, y) / 3), has = size > Number.EPSILON, std = has ? size * unit : 0;
  const spread = Math.hypot(std, Math.sqrt(eps));
  const z = has ? times(y, std / size / spread) : eps > 0 ? [0, 0, 0] : null; // three equal entries have no direction
  return { mean: mean(times(x, 1 / unit)) * unit, centred: times(y, unit), std, z };
}

/** A way of looking at space: to the right, up, and to the reader, for an azimuth and an elevation in degrees. */
export function camera([azimuth, elevation]) {
  const [a, e] = [azimuth, elevation].map(angle => angle * Math.PI / 180);
  const [ca, sa, ce, se] = [Math.cos(a), Math.sin(a), Math.cos(e), Math.sin(e)];
  return { right: [-sa, ca, 0], up: [-se * ca, -se * sa, ce], near: [ce * ca, ce * sa, se] };
}
export const project = ({ right, up }, p) => [dot(right, p), dot(up, p)];

/** The a and c for which a x + c 1 is seen at a place; the nearest such place where the sheet is seen from its edge. */
export function inSheet(eye, x, [u, v], before) {
  const [p, q] = [project(eye, x), project(eye, ONES)], area = p[0] * q[1] - p[1] * q[0];
  if (Math.abs(area) > 0.03 * Math.hypot(...x) * Math.sqrt(3)) {
    return [(u * q[1] - v * q[0]) / area, (p[0] * v - p[1] * u) / area];
  }
  const [a, c] = before, size = q[0] ** 2 + q[1] ** 2; // seen so, it moves along the ones vector alone
  return [a, size > 1e-6 ? (q[0] * (u - a * p[0]) + q[1] * (v - a * p[1])) / size : c];
}

/** What the explorer shows of a state. */
export function look({ x, scale, offset, eps }) {
  const moved = plus(times(x, scale), ONES, offset), made = normalize(moved, eps), before = normalize(x).z;
  const apart = made.z && Math.hypot(...plus(made.z, before, -1));
  return { moved, ...made, before, apart };
}

/** The numbers as lines of text. */
export function lines({ x, scale, offset, eps }, { moved, mean, std, centred, z, apart }) {
  return [
    `x = ${vector(x)}; a = ${number(scale)}, c = ${number(offset)}, ε = ${eps}`,
    `a·x + c·1 = ${vector(moved)}: mean ${number(mean)}, standard deviation ${number(std, 3)}`,
    z ? `without its mean its length is ${number(Math.hypot(...centred), 3)}; z = ${vector(z, 4)}, ‖z‖/√3 = ${number(Math.hypot(...z) / Math.sqrt(3), 4)}`
      : "three equal entries have no direction: LayerNorm has no image of them at ε = 0",
    !z ? "there is no z"
      : apart < 1e-9 ? "z is where x itself is sent" : `z is ${number(apart, 4)} away from where x itself is sent`,
  ];
}

// --- the picture ---------------------------------------------------------------------------------------------------

const EPS = [0, 1e-5, 1e-3, 0.01, 0.1, 1];
const LOOK = `
@container (min-width: 46rem) {
  [data-explorer="layernorm"] .lx-views { float: left; width: 58%; margin-right: 1.5rem; }
  [data-explorer="layernorm"] .lx-numbers { padding-top: 3rem; }
  [data-explorer="layernorm"] .lx-numbers p { margin-bottom: .9rem; }
  [data-explorer="layernorm"] .lx-help { clear: both; }
}
.lx-turn { cursor: move; touch-action: pan-y; }
.lx-disc { fill: var(--lx-line); fill-opacity: .3; stroke: none; }
.lx-sheet { fill: var(--lx-x); fill-opacity: .14; stroke: var(--lx-x); stroke-opacity: .5; stroke-width: 1px; }
.lx-axis { stroke: var(--lx-soft); stroke-width: 1px; }
.lnpoly-explorer svg text.lx-axisname { fill: var(--lx-soft); }
.lx-ones { stroke: var(--lx-ones); stroke-width: 2px; stroke-dasharray: 6 5; }
.lnpoly-explorer svg text.lx-onesname { fill: var(--lx-ones); font-weight: 700; }
.lx-circle { fill: none; stroke: var(--lx-boundary); stroke-width: 2.5px; }
.lx-behind { stroke-width: 1.25px; stroke-dasharray: 4 3; }
.lx-stem { stroke: var(--lx-x); stroke-width: 2.5px; }
.lx-way { fill: none; stroke: var(--lx-ink); stroke-width: 1.75px; stroke-dasharray: 2 4; stroke-linecap: round; }
.lx-foot { fill: var(--lx-paper); stroke: var(--lx-ink); stroke-width: 1.5px; r: calc(var(--px) * 4px); }
.lx-target { fill: none; stroke: var(--lx-boundary); stroke-width: 2px; r: calc(var(--px) * 11px); }
.lx-z path { fill: var(--lx-z); stroke: var(--lx-paper); stroke-width: 1.5px; }
.lx-hollow .lx-dot { fill: var(--lx-paper); stroke: var(--lx-x); stroke-width: 2.5px; r: calc(var(--px) * 7px); }
.lx-filled .lx-dot { fill: var(--lx-x); r: calc(var(--px) * 9px); }
.lx-compass .lx-dot { fill: var(--lx-paper); stroke: var(--lx-soft); stroke-width: 1.5px; r: calc(var(--px) * 13px); }
.lx-compass path { fill: none; stroke: var(--lx-soft); stroke-width: 1.75px; }
.lx-bar input[type="range"] { width: 6.5rem; }
.lx-eps { min-width: 3.5rem; font-variant-numeric: tabular-nums; }
`;

function render({ model, el }) {
  const { root, bar, views, say } = frame(el, {
    name: "layernorm", label: "LayerNorm in three dimensions",
    help: "Drag the filled dot a·x + c·1 within its sheet, the hollow dot x anywhere, and the ground to turn the view. "
      + "With the keyboard: Tab from one to the next, then the arrow keys, with Shift for small steps.",
  });
  html("style", { text: LOOK }, root);
  const names = ["x", "scale", "offset", "eps", "view"], state = bind(model, names, draw);
  const limit = Math.max(2.4 * Math.max(...state.x.map(Math.abs)), 2.2), W = 1.16 * limit, TALL = 0.93 * W;

  const label = html("label", { text: "ε" }, bar);
  const slider = html("input", { type: "range", "aria-label": "ε", min: 0, max: EPS.length - 1, step: 1 }, label), said = html("output", { class: "lx-eps" }, label);
  slider.addEventListener("input", () => { state.eps = EPS[slider.value]; state.changed(true); });
  restart(bar, state, names);

  const space = view(views, { box: [-W, -TALL, 2 * W, 2 * TALL], label: "Space, with the plane orthogonal to the ones vector" });
  const ground = svg("rect", { class: "lx-turn", x: -W, y: -TALL, width: 2 * W, height: 2 * TALL, fill: "transparent" }, space);
  let from = [0, 0];
  const turned = (azimuth, elevation) => {
    state.view = [((Math.round(azimuth) + 540) % 360 + 360) % 360 - 180, clamp(Math.round(elevation), -90, 90)];
  };
  const turning = {
    grab: () => { from = [...state.view]; },
    drag: ([u, v], start) => turned(from[0] - 90 * (u - start[0]) / W, from[1] + 90 * (v - start[1]) / W),
    changed: state.changed,
  };
  handle(ground, { ...turning, pointer: true });
  const scene = svg("g", { "pointer-events": "none" }, space), path = (name, parent = scene) => svg("path", { class: name }, parent);
  const disc = path("lx-disc"), sheet = path("lx-sheet");
  const axes = ["x₁", "x₂", "x₃"].map(text => ({ line: path("lx-axis"), name: svg("text", { class: "lx-axisname", text }, scene) }));
  const ones = path("lx-ones"), onesName = svg("text", { class: "lx-onesname", text: "ones" }, scene);
  const behind = path("lx-circle lx-behind"), front = path("lx-circle");
  const stem = path("lx-stem"), way = path("lx-way"), foot = svg("circle", { class: "lx-foot" }, scene);
  const target = svg("circle", { class: "lx-target" }, scene), z = svg("g", { class: "lx-z" }, scene), diamond = path("", z);
  const zName = svg("text", { class: "lx-strong", style: "fill: var(--lx-z)", text: "z" }, scene);

  const dotted = (kind, text) => {
    const group = svg("g", { class: kind }, space);
    for (const name of ["lx-hit", "lx-halo", "lx-dot"]) svg("circle", { class: name }, group);
    return { group, name: svg("text", { class: "lx-strong", style: "fill: var(--lx-x)", text }, group) };
  };
  const xDot = dotted("lx-hollow", "x"), movedDot = dotted("lx-filled", "a·x + c·1"), handles = [];
  let shown = look(state), eye = camera(state.view), held = null;
  const seen = p => project(eye, p);
  const top = limit / 1.6;
  const put = x => { // only what has a direction: on the line of the ones vector x has no image
    const next = x.map(c => snap(clamp(c, -top, top), 20));
    if (normalize(next).std > 0.1) state.x = next;
  };
  const along = () => { // the angle of x round the ones vector, from the first axis
    const c = normalize(state.x).centred;
    return Math.round(Math.atan2((c[1] - c[2]) / Math.sqrt(2), (2 * c[0] - c[1] - c[2]) / Math.sqrt(6)) * 180 / Math.PI);
  };
  const turnX = degrees => { // about the ones vector (Rodrigues)
    const c = normalize(state.x).centred, a = degrees * Math.PI / 180, m = mean(state.x);
    const side = [c[2] - c[1], c[0] - c[2], c[1] - c[0]].map(v => v / Math.sqrt(3)); // 1 × c, scaled to c's length
    state.x = plus(plus(times(c, Math.cos(a)), side, Math.sin(a)), ONES, m);
  };
  const stretchX = share => {
    const { centred, mean: m, std } = normalize(state.x);
    if (std * share > 0.1 && std * share < top) state.x = plus(times(centred, share), ONES, m);
  };
  handles.push(handle(xDot.group, {
    label: "the vector x",
    value: () => ({ now: along(), min: -180, max: 180, text: vector(state.x) }),
    grab: () => { held = [...state.x]; },
    drag: ([u, v], start) => put(plus(plus(held, eye.right, u - start[0]), eye.up, -(v - start[1]))),
    step: (across, up, fine) => (up ? stretchX(1 + (fine ? 0.02 : 0.1) * up) : turnX((fine ? 1 : 5) * across)),
    changed: state.changed,
  }));
  const move = (a, c) => {
    [state.scale, state.offset] = [snap(clamp(a, -2, 2), 20), snap(clamp(c, -1.5, 1.5), 20)];
  };
  handles.push(handle(movedDot.group, {
    label: "the vector a x + c 1",
    value: () => ({ now: state.scale, min: -2, max: 2, text: `a ${number(state.scale)}, c ${number(state.offset)}` }),
    drag: ([u, v]) => move(...inSheet(eye, state.x, [u, -v], [state.scale, state.offset])),
    step: (across, up, fine) => move(state.scale + (fine ? 0.05 : 0.1) * up, state.offset + (fine ? 0.05 : 0.1) * across),
    changed: state.changed,
  }));
  const compass = svg("g", { class: "lx-compass" }, space), arrows = svg("path", {}, compass);
  for (const name of ["lx-hit", "lx-halo", "lx-dot"]) compass.insertBefore(svg("circle", { class: name }), arrows);
  handles.push(handle(compass, {
    label: "the view",
    value: () => ({
      now: state.view[0], min: -180, max: 180, text: `from ${number(state.view[0], 0)} degrees round, ${number(state.view[1], 0)} degrees up`,
    }),
    ...turning,
    step: (across, up, fine) => turned(state.view[0] + (fine ? 1 : 5) * across, state.view[1] + (fine ? 1 : 5) * up),
  }));

  const join = points => points.map(p => seen(p)).map(([u, v]) => `${u.toFixed(4)} ${(-v).toFixed(4)}`).join("L");
  const trace = (node, points) => set(node, { d: points.length ? `M${join(points)}` : "" });
  const at = (node, p, du = 0, dv = 0) => {
    const [u, v] = seen(p), px = Number(space.style.getPropertyValue("--px"));
    set(node, node.tagName === "text" ? { x: u + du * px, y: -v + dv * px } : { cx: u, cy: -v });
  };
  const round = Array.from({ length: 97 }, (_, k) => {
    const angle = k * Math.PI / 48, [p, q] = [Math.cos(angle) / Math.sqrt(2), Math.sin(angle) / Math.sqrt(6)];
    return [p + q, -p + q, -2 * q];
  });

  function draw() {
    eye = camera(state.view);
    shown = look(state);
    const { moved, centred, before } = shown, px = Number(space.style.getPropertyValue("--px"));
    trace(disc, round.map(p => times(p, 0.85 * limit)));
    const end = times(ONES, 0.72 * limit / Math.sqrt(3)), out = times(before, 0.8 * limit / Math.hypot(...before));
    trace(sheet, [times(end, -1), plus(out, end, -1), plus(out, end), end, times(end, -1)]);
    const tips = axes.map((_, k) => [0, 1, 2].map(j => (j === k ? 0.95 * limit : 0)));
    axes.forEach(({ line, name }, k) => {
      trace(line, [[0, 0, 0], tips[k]]);
      at(name, times(tips[k], 1.05));
    });
    const far = times(ONES, limit / Math.sqrt(3));
    trace(ones, [times(far, -1), far]);
    at(onesName, times(far, 1.06), 0, -6);
    const ring = round.map(p => times(p, Math.sqrt(3))), near = ring.map(p => dot(p, eye.near) > -1e-9);
    const pieces = wanted => ring.slice(1).map((p, k) => (near[k] && near[k + 1]) === wanted && `M${join([ring[k], p])}`).filter(Boolean).join("");
    set(front, { d: pieces(true) });
    set(behind, { d: pieces(false) });
    trace(stem, [[0, 0, 0], moved]);
    trace(way, shown.z ? [moved, centred, shown.z] : [moved, centred]);
    at(foot, centred);
    at(target, before);
    set(z, { visibility: shown.z ? "visible" : "hidden" });
    set(zName, { visibility: shown.z ? "visible" : "hidden" });
    if (shown.z) {
      const [u, v] = seen(shown.z), size = 7 * px;
      set(diamond, { d: `M${u - size} ${-v}L${u} ${-v - size}L${u + size} ${-v}L${u} ${-v + size}Z` });
    }
    const together = Math.hypot(...plus(moved, state.x, -1)) < 0.12 * limit;
    const points = [moved, ...(shown.z ? [shown.z] : []), state.x, centred].map(seen), named = tips.map(tip => seen(times(tip, 1.05)));
    const spots = [...points, ...named]; // where no name may stand
    axes.forEach(({ name }, k) => { // nor an axis' own over a point
      const free = points.every(([u, v]) => Math.hypot(u - named[k][0], v - named[k][1]) > 16 * px);
      set(name, { visibility: free ? "visible" : "hidden" });
    });
    if (shown.z) {
      const [u, v] = seen(shown.z), [p, q] = beside([u, v], spots, 20 * px, 1);
      set(zName, { x: u + p, y: -v - q });
    }
    for (const [{ group, name }, at, wide] of [[xDot, state.x, 1], [movedDot, moved, 2.6]]) {
      const [u, v] = seen(at), [p, q] = beside([u, v], spots, 20 * px, wide);
      set(group, { transform: `translate(${u} ${-v})` });
      set(name, { x: p, y: -q, visibility: name === xDot.name && together ? "hidden" : "visible" });
    }
    const corner = [W - 24 * px, TALL - 24 * px];
    set(compass, { transform: `translate(${corner.join(" ")})` });
    const s = 7 * px, t = 3 * px;
    set(arrows, {
      d: `M${-s} 0H${s}M${-s} 0l${t} ${-t}M${-s} 0l${t} ${t}M${s} 0l${-t} ${-t}M${s} 0l${-t} ${t}`
        + `M0 ${-s}V${s}M0 ${-s}l${-t} ${t}M0 ${-s}l${t} ${t}M0 ${s}l${-t} ${-t}M0 ${s}l${t} ${-t}`,
    });
    const nearest = EPS.map(e => Math.abs(Math.log((e + 1e-7) / (state.eps + 1e-7))));
    slider.value = nearest.indexOf(Math.min(...nearest));
    set(said, { text: state.eps });
    set(slider, { "aria-valuetext": state.eps });
    say(lines(state, shown));
    for (const one of handles) one.refresh();
  }
  draw();
  new ResizeObserver(state.request).observe(space); // names stand so many pixels beside their points
  return () => { state.close(); root.remove(); };
}

/** Where the name of a point stands beside it: away from the other points; a long name is so many times as wide. */
function beside([u, v], spots, far, wide) {
  const others = spots.filter(([p, q]) => Math.hypot(p - u, q - v) > 1e-9);
  let best = [0, far], most = -1;
  for (const angle of [90, 270, 45, 135, 225, 315, 0, 180]) {
    const [p, q] = [far * wide * Math.cos(angle * Math.PI / 180), far * Math.sin(angle * Math.PI / 180)];
    const room = Math.min(3 * far, ...others.map(([s, t]) => Math.hypot((s - u - p) / wide, t - v - q)));
    if (room > most + 0.1 * far) [best, most] = [[p, q], room];
  }
  return best;
}

export default { render };
