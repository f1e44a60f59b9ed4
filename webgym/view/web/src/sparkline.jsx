// A small line of values between 0 and 1; a missing value is a gap.
export function Sparkline({ values, width = 96, height = 22 }) {
  const n = Math.max(1, values.length - 1);
  const points = values.map((v, i) => (v == null ? null : [(i / n) * (width - 4) + 2, (1 - v) * (height - 4) + 2]));
  const runs = [[]];
  for (const point of points) point ? runs.at(-1).push(point) : runs.at(-1).length && runs.push([]);
  const last = points.findLast(Boolean);
  return (
    <svg class="spark" width={width} height={height} viewBox={`0 0 ${width} ${height}`} aria-hidden="true">
      {runs.map((run) => run.length > 1 ? <polyline points={run.join(" ")} /> : run[0] && <circle cx={run[0][0]} cy={run[0][1]} r="1" />)}
      {last && <circle class="end" cx={last[0]} cy={last[1]} r="2" />}
    </svg>
  );
}
