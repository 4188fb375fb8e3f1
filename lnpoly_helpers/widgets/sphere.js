// --- the mathematics: partition_sphere in JavaScript, for some dozens of circles --------------------------------------

const TURN = 2 * Math.PI;
const EPS = 2 ** -52;
const POLE = [2, 3, 5].map((x) => Math.sqrt(x / 10)); // where the paths of `joints` end: a point in general position

const dot = (u, v) => u[0] * v[0] + u[1] * v[1] + u[2] * v[2];
const cross = (u, v) => [u[1] * v[2] - u[2] * v[1], u[2] * v[0] - u[0] * v[2], u[0] * v[1] - u[1] * v[0]];
const combine = (a, u, b, v) => [a * u[0] + b * v[0], a * u[1] + b * v[1], a * u[2] + b * v[2]];
const unit = (u) => u.map((x) => x / Math.hypot(...u));
const wrap = (angle) => {
  const turned = angle - TURN * Math.floor(angle / TURN);
  return turned >= TURN ? 0 : turned;
};
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
const angleOf = (c, y) => wrap(Math.atan2(dot(c.frame[1], y), dot(c.frame[0], y)));

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
    cuts.push({ angle: wrap(centre - half), other, enters: true, corner: Math.PI - corner, error });
    cuts.push({ angle: wrap(centre + half), other, enters: false, corner, error });
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
  const place = new Map();
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
      place.set(`${i},${cut.other},${cut.enters}`, start + k);
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
    const twin = place.get(`${arc.other},${arc.circle},${!arc.enters}`);
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
  const bits = patterns.map((pattern) => pattern.map(Number).join(""));
  return { ...sphere, curves, faceOf, areas, patterns, bits, nFaces, nVertices, nPatterns: new Set(bits).size };
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
    const away = unit(combine(1, top, -dot(top, POLE), POLE));
    let [last, met] = [-1, -1];
    circles.forEach((c, j) => {
      const [A, B] = [dot(c.axis, POLE), dot(c.axis, away)];
      const R = Math.hypot(A, B);
      if (component[j] === component[i] || Math.abs(c.level) >= R) return;
      const [centre, half] = [Math.atan2(B, A), Math.acos(c.level / R)];
      for (const hit of [wrap(centre - half), wrap(centre + half)]) {
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
  const towards = unit(combine(1, c.axis, -c.level, start)); // at a right angle to the circle, to where the neuron is on
  const away = edge % 2 ? towards.map((x) => -x) : towards;
  let free = 1; // radians to the next boundary
  for (const o of sphere.circles) {
    const [A, B] = [dot(o.axis, start), dot(o.axis, away)];
    const R = Math.hypot(A, B);
    if (Math.abs(o.level) >= R) continue;
    const [centre, half] = [Math.atan2(B, A), Math.acos(o.level / R)];
    for (const hit of [wrap(centre - half), wrap(centre + half)]) {
      if (hit > (o === c ? 1e-7 : 0) && hit < TURN - 1e-7) free = Math.min(free, hit);
    }
  }
  return combine(Math.cos(free / 2), start, Math.sin(free / 2), away);
}
