import { bind, frame, handle, number, snap, svg, set, view } from "./common.js";

function render({ model, el }) {
  const { root, views, say } = frame(el, { name: "circle", label: "Circle explorer", help: "Drag x." });
  const plane = view(views, { box: [-1.7, -1.7, 3.4, 3.4], label: "The plane" });
  svg("circle", { r: 1, fill: "none", stroke: "var(--lx-boundary)" }, plane);
  const x = svg("g", {}, plane);
  svg("circle", { class: "lx-hit" }, x);
  svg("circle", { class: "lx-halo" }, x);
  svg("circle", { class: "lx-dot", fill: "var(--lx-x)" }, x);
  const state = bind(model, ["x"], draw);
  const grip = handle(x, {
    label: "x",
    value: () => ({ now: state.x[0], min: -1.7, max: 1.7, text: `x at ${state.x.map(v => number(v)).join(", ")}` }),
    drag: ([u, v]) => { state.x = [snap(u, 100), snap(-v, 100)]; },
    step: (across, up) => { state.x = [snap(state.x[0] + 0.05 * across, 100), snap(state.x[1] + 0.05 * up, 100)]; },
    changed: state.changed,
  });
  function draw() {
    set(x, { transform: `translate(${state.x[0]} ${-state.x[1]})` });
    grip.refresh();
    say([`x = (${state.x.map(v => number(v)).join(", ")})`]);
  }
  draw();
  return () => { state.close(); root.remove(); };
}

export default { render };
