// What all explorers share: their frame, colours, handles that mouse, finger and keyboard move, and the way to the model.
// Python puts it before each explorer's own module (explorer.py), the site before those of a page (notebooks/embed.py).

// --- colours -------------------------------------------------------------------------------------------------------

// the roles of lnpoly_helpers.plotting.style.ROLES, which a test holds equal: on light ground, on dark ground
export const ROLES = {
  x: ["#0072B2", "#6CBBEE"],
  z: ["#C75000", "#FF9B63"],
  ones: ["#00805C", "#4CCBA5"],
  boundary: ["#222222", "#DFE3E6"],
  visited: ["#A9C3D8", "#4A6A86"],
  unvisited: ["#ECEEEA", "#20262D"],
  even: ["#C9DAE8", "#44698A"],
  odd: ["#7FA3C4", "#22364A"],
  change: ["#1F2328", "#E6EAEE"],
  "tangent part": ["#1769AA", "#79BDF2"],
  rest: ["#B54708", "#FDA66B"],
};
export const both = (light, dark) => `light-dark(${light}, ${dark})`;
const roles = Object.entries(ROLES).map(([name, [light, dark]]) => `--lx-${name.replace(" ", "-")}: ${both(light, dark)};`).join(" ");

// The scheme is the reader's, or JupyterLab's, VS Code's or Colab's where one of those has its own.
export const STYLE = `
.lnpoly-explorer { color-scheme: light dark; ${roles} --lx-paper: ${both("#ffffff", "#171b20")};
  --lx-ink: ${both("#222222", "#DFE3E6")}; --lx-soft: ${both("#59636d", "#a3adb6")}; --lx-line: ${both("#cfd4d6", "#414a53")};
  --lx-focus: ${both("#00629b", "#7cc4f2")};
  box-sizing: border-box; width: 100%; max-width: 60rem; padding: .75rem; container-type: inline-size;
  background: var(--lx-paper); color: var(--lx-ink); border: 1px solid var(--lx-line); border-radius: 8px;
  font: 15px/1.45 system-ui, -apple-system, "Segoe UI", Roboto, "Liberation Sans", Arial, sans-serif; text-align: left; }
body[data-jp-theme-light="true"] .lnpoly-explorer, body.vscode-light .lnpoly-explorer { color-scheme: light; }
body[data-jp-theme-light="false"] .lnpoly-explorer, body.vscode-dark .lnpoly-explorer,
html[theme="dark"] .lnpoly-explorer { color-scheme: dark; }
.lnpoly-explorer *, .lnpoly-explorer ::before { box-sizing: border-box; }
.lnpoly-explorer [hidden] { display: none; }
.lx-bar { display: flex; flex-wrap: wrap; gap: .25rem 1.25rem; align-items: center; margin-bottom: .5rem; }
.lx-bar label { display: inline-flex; align-items: center; gap: .4rem; min-height: 28px; color: inherit; }
.lx-bar input { padding: 0; }
.lx-bar :is(input, select, button) { font: inherit; margin: 0; accent-color: var(--lx-focus); }
.lx-bar :is(select, button) { color: inherit; background: transparent; border: 1px solid var(--lx-soft); border-radius: 5px; padding: .1rem .5rem; min-height: 28px; }
.lx-bar option { color: var(--lx-ink); background: var(--lx-paper); }
.lx-bar .lx-restart { margin-left: auto; }
.lx-group { display: inline-flex; gap: .5rem; }
@media (pointer: coarse) {
  .lx-bar :is(label, select, button) { min-height: 40px; }
  .lx-bar button { padding-inline: .8rem; }
  .lx-bar input[type=checkbox] { width: 24px; height: 24px; }
  .lx-bar input[type=range] { height: 40px; }
}
.lx-views { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 19rem), 1fr)); gap: .75rem; }
.lx-view { position: relative; min-width: 0; }
.lx-view > svg, .lx-view > canvas { display: block; width: 100%; height: auto; user-select: none; -webkit-user-select: none; overflow: hidden; }
.lx-view > canvas + svg { position: absolute; inset: 0; height: 100%; }
.lnpoly-explorer svg text { font: 500 calc(var(--px) * 13px) system-ui, -apple-system, "Segoe UI", Roboto, "Liberation Sans", Arial, sans-serif;
  fill: var(--lx-ink); text-anchor: middle; dominant-baseline: central; pointer-events: none;
  paint-order: stroke; stroke: none; stroke-width: calc(var(--px) * 3px); stroke-linejoin: round; }
.lnpoly-explorer svg text.lx-strong { font-weight: 700; font-size: calc(var(--px) * 15px); stroke: var(--lx-paper); }
.lnpoly-explorer svg :is(line, path, circle, polygon, polyline, ellipse) { vector-effect: non-scaling-stroke; }
.lx-handle { outline: none; cursor: grab; touch-action: none; }
.lx-handle:active { cursor: grabbing; }
.lx-handle .lx-hit { fill: transparent; stroke: none; r: calc(var(--px) * 20px); }
.lx-handle line.lx-hit, .lx-handle path.lx-hit { fill: none; stroke: transparent; stroke-width: 20px; stroke-linecap: round; }
.lx-handle .lx-halo { fill: none; stroke: none; stroke-width: 3px; r: calc(var(--px) * 15px); }
.lx-handle line.lx-halo, .lx-handle path.lx-halo { stroke-width: 8px; opacity: .35; }
.lx-handle:hover .lx-halo { stroke: color-mix(in srgb, var(--lx-focus) 45%, transparent); }
.lx-handle:focus-visible .lx-halo { stroke: var(--lx-focus); opacity: 1; }
.lx-handle .lx-dot { r: calc(var(--px) * 8px); stroke: var(--lx-paper); stroke-width: 2px; }
.lx-numbers { margin-top: .6rem; font-variant-numeric: tabular-nums; }
.lx-numbers p { margin: 0 0 .15rem; text-wrap: pretty; }
.lx-help { margin: .5rem 0 0; color: var(--lx-soft); font-size: 13px; }
.lx-unseen { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); white-space: nowrap; }
.lnpoly-explorer math { font-size: 1rem; }
.lnpoly-explorer :is(input, select, button):focus-visible { outline: 3px solid var(--lx-focus); outline-offset: 2px; }
@media (prefers-reduced-motion: reduce) { .lnpoly-explorer * { transition: none !important; animation: none !important; } }
@media print { .lnpoly-explorer { color-scheme: light; } .lx-help { display: none; } }
`;

// Fills of patterns, as lnpoly_helpers.plotting.style.pattern_colors has them: [lightness, chroma] in OKLCH for an even and
// an odd number of neurons on. Neighbours differ in one neuron, so in lightness, for readers without colour, too.
const FILLS = [[[0.82, 0.085], [0.65, 0.105]], [[0.49, 0.08], [0.36, 0.06]]];  // those of plotting.style.FILLS

/** A fill for each of a few distinct patterns: hue by the angle of its place, in radians, lightness by its parity. */
export function patternColors(patterns, angles) {
  const odd = patterns.map(pattern => pattern.filter(Boolean).length % 2), hues = angles.map(() => 0);
  for (const parity of [0, 1]) {
    const these = angles.map((_, k) => k).filter(k => odd[k] === parity).sort((p, q) => turn(angles[p]) - turn(angles[q]));
    const steps = these.map((_, rank) => TURN * rank / these.length); // as far apart as they can be, in this order
    const mean = f => these.reduce((sum, k, rank) => sum + f(angles[k] - steps[rank]), 0);
    const near = Math.atan2(mean(Math.sin), mean(Math.cos)); // and as near to the angles as a common turn brings them
    these.forEach((k, rank) => { hues[k] = turn(steps[rank] + near) * 360 / TURN; });
  }
  const fill = (scheme, k) => `oklch(${FILLS[scheme][odd[k]].join(" ")} ${hues[k].toFixed(1)})`;
  return angles.map((_, k) => both(fill(0, k), fill(1, k)));
}

/** Colours of the style on the ground that is there now, for a canvas: a function that gives [red, green, blue] of each.
 *
 * Asking the browser makes it lay out the page, so it is asked anew only when the ground may be another one; then
 * `changed` is called. `.close()` ends that.
 */
export function palette(root, names, changed) {
  let found = null;
  const read = () => {
    const probe = html("span", { hidden: "" }, root);
    found = names.map(name => {
      probe.style.color = `var(--lx-${name})`;
      return getComputedStyle(probe).color.match(/[\d.]+/g).slice(0, 3).map(Number);
    });
    probe.remove();
    return found;
  };
  const forget = () => { found = null; changed(); };
  const dark = matchMedia("(prefers-color-scheme: dark)"), themes = new MutationObserver(forget);
  dark.addEventListener("change", forget);
  for (const node of [document.documentElement, document.body]) {
    themes.observe(node, { attributeFilter: ["data-jp-theme-light", "class", "theme"] }); // as in STYLE above
  }
  const current = () => found ?? read();
  current.close = () => { themes.disconnect(); dark.removeEventListener("change", forget); };
  return current;
}

export const still = () => matchMedia("(prefers-reduced-motion: reduce)").matches;

// --- numbers and words ---------------------------------------------------------------------------------------------

export const TURN = 2 * Math.PI;
/** The angle in [0, 2π). */
export function turn(angle) {
  const found = angle - TURN * Math.floor(angle / TURN);
  return found >= TURN ? 0 : found;
}
/** One pattern as text, neuron 0 first. */
export const bits = pattern => pattern.map(on => (on ? "1" : "0")).join("");
/** A number for a reader: so many digits, a true minus sign, never −0. */
export function number(value, digits = 2) {
  const text = value.toFixed(digits);
  return (Number(text) === 0 ? text.replace("-", "") : text).replace("-", "−");
}
export const vector = (values, digits = 2) => `(${Array.from(values, v => number(v, digits)).join(", ")})`;
export const count = (n, thing) => `${n} ${thing}${n === 1 ? "" : "s"}`;
export const clamp = (value, low, high) => Math.min(Math.max(value, low), high);
/** The nearest multiple of 1 / n: so that what is dragged has numbers that one can read. */
export const snap = (value, n) => Math.round(value * n) / n + 0;

/** The numbers that Python's `coded` has made a line of text. */
export function decoded(text) {
  return new Float64Array(Uint8Array.from(atob(text), byte => byte.charCodeAt(0)).buffer);
}

// --- elements ------------------------------------------------------------------------------------------------------

const SVG = "http://www.w3.org/2000/svg", MATHS = "http://www.w3.org/1998/Math/MathML";

/** Set attributes, but for those that are as they should be; `text` is the content, null takes an attribute away. */
export function set(node, attributes) {
  for (const [name, value] of Object.entries(attributes)) {
    if (name === "text") {
      if (node.textContent !== String(value)) node.textContent = value;
    } else if (value === null || value === undefined) node.removeAttribute(name);
    else if (node.getAttribute(name) !== String(value)) node.setAttribute(name, value);
  }
  return node;
}

function made(space, name, attributes, parent) {
  const node = set(space ? document.createElementNS(space, name) : document.createElement(name), attributes);
  parent?.append(node);
  return node;
}
export const html = (name, attributes = {}, parent = null) => made(null, name, attributes, parent);
export const svg = (name, attributes = {}, parent = null) => made(SVG, name, attributes, parent);
export const maths = (name, attributes = {}, parent = null) => made(MATHS, name, attributes, parent);

/** As many elements of a kind as there are rows, the attributes of each; kept from call to call, so that focus stays. */
export function many(name, parent) {
  const group = svg("g", {}, parent), nodes = [];
  return rows => {
    while (nodes.length < rows.length) nodes.push(svg(name, {}, group));
    while (nodes.length > rows.length) nodes.pop().remove();
    rows.forEach((row, k) => set(nodes[k], row));
    return nodes;
  };
}

// --- the frame -----------------------------------------------------------------------------------------------------

/** An explorer's frame in el: a bar for controls, the views, the numbers, a line of help; all told what it is called. */
export function frame(el, { name, label, help }) {
  const root = html("div", { class: "lnpoly-explorer", "data-explorer": name, role: "group", "aria-label": label }, el);
  root.addEventListener("keydown", event => { // else JupyterLab takes the keys of sliders for its cells
    if (/^(Arrow|Page|Home|End|Enter)/.test(event.key)) event.stopPropagation();
  });
  html("style", { text: STYLE }, root);
  const bar = html("div", { class: "lx-bar" }, root), views = html("div", { class: "lx-views" }, root);
  const numbers = html("div", { class: "lx-numbers" }, root);
  html("p", { class: "lx-help", text: help }, root);
  const live = html("div", { class: "lx-unseen", "aria-live": "polite" }, root);
  const keepRoom = roomKeeper();
  let timer = 0, first = true;
  /** Show lines of numbers; a screen reader hears them when they have stood still for half a second. */
  function say(lines) {
    const shown = numbers.querySelectorAll(":scope > p");
    lines.forEach((line, k) => set(shown[k] ?? keepRoom(html("p", {}, numbers)), { text: line }));
    for (const left of [...shown].slice(lines.length)) left.remove();
    clearTimeout(timer);
    if (!first) timer = setTimeout(() => set(live, { text: lines.join(". ") }), 500);
    first = false;
  }
  return { root, bar, views, numbers, say };
}

/** What lets nodes of one width grow but not shrink: else a word more or less moves all that stands below them. */
function roomKeeper() {
  const widths = new WeakMap();
  const watch = new ResizeObserver(entries => {
    for (const { target, borderBoxSize: [{ inlineSize, blockSize }] } of entries) {
      target.style.minHeight = inlineSize === widths.get(target) ? `${blockSize}px` : "";
      widths.set(target, inlineSize);
    }
  });
  return node => { watch.observe(node); return node; };
}

/** A drawing of the square or box [left, top, width, height], y down; CSS has --px, the units of one pixel. */
export function view(parent, { box, label }) {
  const holder = html("div", { class: "lx-view" }, parent);
  const drawing = svg("svg", { viewBox: box.join(" "), role: "group", "aria-label": label }, holder);
  const measure = () => drawing.style.setProperty("--px", box[2] / (drawing.clientWidth || 400));
  new ResizeObserver(measure).observe(drawing);
  measure();
  return drawing;
}

/** Where an event is in a drawing's own units. */
export function place(drawing, event) {
  const { a, d, e, f } = drawing.getScreenCTM();
  return [(event.clientX - e) / a, (event.clientY - f) / d];
}

// --- handles -------------------------------------------------------------------------------------------------------

const KEYS = { ArrowRight: [1, 0], ArrowLeft: [-1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1], PageUp: [0, 5], PageDown: [0, -5] };

/** Make an element (a group of a drawing, say) a handle: something that has a value and can be moved.
 *
 * label: its name. value(): {now, min, max, text}, numbers and the words that a screen reader says.
 * grab(): the pointer goes down. drag(point, start, event): it is at `point` and went down at `start`, in the drawing's
 * units. tap(point): it was let go where it went down, or Enter was pressed.
 * step(across, up, fine): an arrow key, one or five steps; fine where Shift is held. home(), end(): those keys.
 * changed(final): called after each; final where it comes to rest.
 * pointer: true for what another handle does by the keyboard: no name, no value.
 */
export function handle(node, { label, value, grab, drag, step, home, end, tap, changed, pointer = false }) {
  const drawing = node.ownerSVGElement ?? node;
  if (!pointer) {
    node.classList.add("lx-handle");
    set(node, { tabindex: 0, role: "slider" });
  }
  let start = null, moved = false;
  const refresh = () => { // its name and value, to be called with each drawing
    const { now, min, max, text } = value();
    const name = typeof label === "function" ? label() : label;
    set(node, { "aria-label": name, "aria-valuenow": now, "aria-valuemin": min, "aria-valuemax": max, "aria-valuetext": text });
  };
  node.addEventListener("pointerdown", event => {
    if (event.button) return;
    event.preventDefault();
    event.stopPropagation(); // of handles within one another the inner one
    if (!pointer) node.focus({ focusVisible: false, preventScroll: true });
    node.setPointerCapture(event.pointerId);
    [start, moved] = [place(drawing, event), false];
    grab?.();
  });
  node.addEventListener("pointermove", event => {
    if (!start) return;
    const point = place(drawing, event);
    moved ||= Math.hypot(point[0] - start[0], point[1] - start[1]) > 3 * drawing.style.getPropertyValue("--px");
    if (!moved || !drag) return;
    drag(point, start, event);
    changed(false);
  });
  const rest = event => {
    if (!start) return;
    start = null;
    if (!moved && event.type === "pointerup") tap?.(place(drawing, event));
    changed(true);
  };
  node.addEventListener("pointerup", rest);
  node.addEventListener("pointercancel", rest);
  if (!pointer) node.addEventListener("keydown", event => {
    if (event.ctrlKey || event.altKey || event.metaKey) return;
    const key = KEYS[event.key];
    const act = key && step ? () => step(...key, event.shiftKey) : { Home: home, End: end, Enter: tap }[event.key];
    if (!act) return;
    event.preventDefault();
    event.stopPropagation(); // else a notebook takes the key for itself
    act();
    changed(true);
  });
  return { node, refresh };
}

// --- the model -----------------------------------------------------------------------------------------------------

const OFTEN = 100; // milliseconds between two messages to the kernel while something is dragged

/** The model's values of these names as plain fields of one object, drawn by `draw(state)` once a frame at most.
 *
 * After changing a field call `state.changed(final)`: it draws, and sends what differs to the model, at once where it is
 * final. What Python sets arrives in the fields by itself. `state.close()` ends it all.
 */
export function bind(model, names, draw) {
  const state = {}, listeners = [];
  let queued = 0, sent = 0, timer = 0, held = false;
  const copy = value => (value === undefined ? value : structuredClone(value));
  const paint = () => { queued = 0; draw(state); };
  const request = () => { queued ||= requestAnimationFrame(paint); };
  function send() {
    clearTimeout(timer);
    [timer, sent] = [0, performance.now()];
    for (const name of names) {
      if (JSON.stringify(model.get(name)) !== JSON.stringify(state[name])) model.set(name, copy(state[name]));
    }
    model.save_changes();
  }
  for (const name of names) {
    state[name] = copy(model.get(name));
    const listen = () => {
      if (held) return; // what the reader holds is the reader's
      state[name] = copy(model.get(name));
      request();
    };
    listeners.push([`change:${name}`, listen]);
    model.on(`change:${name}`, listen);
  }
  state.changed = final => {
    held = true;
    if (final) send();
    else timer ||= setTimeout(send, Math.max(0, OFTEN - (performance.now() - sent)));
    held = !final;
    request();
  };
  state.close = () => {
    clearTimeout(timer);
    cancelAnimationFrame(queued);
    for (const [event, listen] of listeners) model.off(event, listen);
  };
  state.request = request;
  return state;
}

/** A button that brings all back to where it was when it was shown. */
export function restart(bar, state, names) {
  const start = Object.fromEntries(names.map(name => [name, structuredClone(state[name])]));
  const button = html("button", { type: "button", class: "lx-restart", text: "Start again" }, bar);
  button.addEventListener("click", () => {
    Object.assign(state, structuredClone(start));
    state.changed(true);
  });
}
