// --- the mathematics: partition_circle in JavaScript ------------------------------------------------------------------

const TURN = 2 * Math.PI;
const SAME = 1e-11; // lines this close are one, as in geometry/circle.py
const wrap = (angle) => {
  const turned = angle - TURN * Math.floor(angle / TURN);
  return turned >= TURN ? 0 : turned;
};

/** The first neuron with each neuron's line, and whether that one is on on the other side: `_same_lines` in Python. */
function sameLines(centre, R, b) {
  const first = Int32Array.from(b, (_, i) => i);
  const opposite = new Uint8Array(b.length);
  const lines = [...first].filter((i) => R[i] > 0 && Math.abs(b[i]) < 2 * R[i]); // the rest is far from the circle
  if (lines.length < 2) return { first, opposite };
  const doubled = new Map(lines.map((i) => [i, wrap(2 * centre[i])])); // the same on both sides of a line
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
      from[i] = wrap(centre[i] - half);
      to[i] = wrap(centre[i] + half);
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
  const [low, high] = [wrap(centre - width / 2), wrap(centre + width / 2)];
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

export function bytesOf(base64) {
  return Uint8Array.from(atob(base64), (c) => c.charCodeAt(0));
}

/** Whole numbers of five bytes each, the lowest first, in two's complement. */
export function fiveByteIntegers(bytes) {
  const view = new DataView(bytes.buffer, bytes.byteOffset);
  return Float64Array.from({ length: bytes.length / 5 }, (_, k) => view.getInt8(5 * k + 4) * 2 ** 32 + view.getUint32(5 * k, true));
}

/**
 * The layer on the circle through points i and j of its sphere: A, B, b.
 *
 * A layer's export has b and w . z for each of its points z, as multiples of a step, and the angles between points.
 */
export function sliceThrough({ step, values, apart, n }, i, j) {
  const all = fiveByteIntegers(bytesOf(values));
  const m = all.length / (n + 1);
  const row = (k) => all.subarray(k * m, (k + 1) * m).map((x) => x * step);
  const angle = apart[i][j];
  const [b, A, other] = [row(0), row(1 + i), row(1 + j)];
  const [cos, sin] = [Math.cos(angle), Math.sin(angle)];
  return { A, B: other.map((x, k) => (x - cos * A[k]) / sin), b, apart: angle };
}
