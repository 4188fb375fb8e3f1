// --- the mathematics: what lies behind on a path ----------------------------------------------------------------------

/** The place of a path's grid nearest to an angle; both in degrees. */
export function snap(degrees, angle) {
  let best = 0;
  for (let k = 1; k < degrees.length; k++) {
    if (Math.abs(degrees[k] - angle) < Math.abs(degrees[best] - angle)) best = k;
  }
  return best;
}

/**
 * Who has flipped on the way to an angle: { passed, byNeurons, off, on, twice, last, next }.
 *
 * crossings has degrees [n] in order, neurons [n] and turnsOn [n]. off and on count neurons that are now other than at
 * the start, twice those that have flipped and flipped back; last and next are crossings, -1 where there is none.
 */
export function walk({ degrees, neurons, turnsOn }, angle) {
  let passed = 0;
  while (passed < degrees.length && degrees[passed] <= angle) passed++;
  const state = new Map();
  for (let k = 0; k < passed; k++) state.set(neurons[k], state.has(neurons[k]) ? null : turnsOn[k]);
  const states = [...state.values()];
  return {
    passed,
    byNeurons: state.size,
    on: states.filter((on) => on === 1).length,
    off: states.filter((on) => on === 0).length,
    twice: states.filter((on) => on === null).length,
    last: passed - 1,
    next: passed < degrees.length ? passed : -1,
  };
}

/** A triangle's corners from its sides, in a plane: the start at (0, 0), the first side along x, the third at the end. */
export function triangle(first, second, whole) {
  if (!(first > 0)) return { tip: [0, 0], end: [whole, 0] };
  const cos = Math.max(-1, Math.min(1, (first ** 2 + whole ** 2 - second ** 2) / (2 * first * whole || 1)));
  return { tip: [first, 0], end: [whole * cos, whole * Math.sqrt(1 - cos ** 2)] };
}
