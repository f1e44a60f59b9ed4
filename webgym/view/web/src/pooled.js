// Several runs on one picture: positions along a chosen axis, and runs that differ in their seed only as one curve.

// What can stand along x. Each gives the place of every row of a run's metrics.
export const AXES = {
  iterations: { words: "iterations", at: (run) => run.iterations },
  steps: { words: "environment steps", at: (run) => run.metrics["rollout/turns_total"] },
  episodes: { words: "episodes", at: (run) => run.metrics["rollout/episodes_total"] ?? summed(run.metrics["rollout/episodes"]) },
  tokens: { words: "tokens learned from", at: (run) => summed(run.metrics["optim/tokens"]) },
  time: { words: "hours", at: (run) => summed(run.metrics["time/iteration_s"])?.map((s) => s / 3600) },
};

function summed(values) {
  let total = 0;
  return values?.map((v) => (total += v ?? 0));
}

// The places of a run's rows, null where it logged nothing that says them; and of an iteration between them (an evaluation).
export function placed(run, axis) {
  const x = AXES[axis].at(run);
  if (!x || x.some((v) => v == null)) return null;
  const of = new Map(run.iterations.map((iteration, i) => [iteration, x[i]]));
  return { x, of: (iteration) => (axis === "iterations" ? iteration : of.get(iteration) ?? (iteration ? null : 0)) };
}

// Student's t for a two-sided 95% interval, by degrees of freedom.
const T = [12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.16, 2.145, 2.131, 2.12, 2.11, 2.101, 2.093, 2.086, 2.08, 2.074, 2.069, 2.064, 2.06, 2.056, 2.052, 2.048, 2.045, 2.042];

// {mean, half} of numbers; half of the interval is null for one number.
export function interval(numbers) {
  const n = numbers.length, mean = numbers.reduce((a, b) => a + b, 0) / n;
  if (n < 2) return { mean, half: null };
  const variance = numbers.reduce((a, b) => a + (b - mean) ** 2, 0) / (n - 1);
  return { mean, half: (T[n - 2] ?? 1.96) * Math.sqrt(variance / n) };
}

// A curve's value at `at`, straight between its points; null outside of them.
function between(x, y, at) {
  let i = x.findIndex((v) => v >= at);
  if (i < 0) return null;
  if (x[i] === at) return y[i];
  if (i === 0 || y[i] == null || y[i - 1] == null) return null;
  return y[i - 1] + ((y[i] - y[i - 1]) * (at - x[i - 1])) / (x[i] - x[i - 1]);
}

// Curves [{x, y}] as one: their mean where all of them are, and its interval.
export function pooled(curves) {
  const x = [...new Set(curves.flatMap((curve) => curve.x))].sort((a, b) => a - b);
  const found = x.map((at) => {
    const there = curves.map((curve) => between(curve.x, curve.y, at)).filter((v) => v != null);
    return there.length === curves.length ? interval(there) : null;
  });
  return {
    x, y: found.map((it) => it?.mean ?? null),
    low: found.map((it) => (it?.half == null ? null : it.mean - it.half)), high: found.map((it) => (it?.half == null ? null : it.mean + it.half)),
  };
}

// Runs by what they share but for the seed, in order of the first of each; a run without a configuration stands alone.
export function families(runs) {
  const found = new Map();
  for (const run of runs) {
    const key = run.family || `alone ${run.name}`;
    found.set(key, [...(found.get(key) ?? []), run]);
  }
  return [...found.values()];
}
