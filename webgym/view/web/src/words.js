// Numbers and names as text.
export const percent = (x, digits = 0) => (x == null ? "–" : `${(100 * x).toFixed(digits)}%`);

export function number(x) {
  if (x == null) return "–";
  const size = Math.abs(x);
  if (size === 0) return "0";
  if (size >= 10000) return x.toLocaleString("en", { maximumFractionDigits: 0 });
  if (size >= 100 || Number.isInteger(x)) return x.toFixed(0);
  if (size >= 10) return x.toFixed(1);
  if (size >= 0.01) return String(Number(x.toFixed(size >= 1 ? 2 : 3)));
  return x.toExponential(1);
}

// A number on an axis: 20k, 1.5M.
export const short = (x) => (Math.abs(x) >= 1e6 ? `${Number((x / 1e6).toFixed(2))}M` : Math.abs(x) >= 1e4 ? `${Number((x / 1e3).toFixed(1))}k` : number(x));

export const signed = (x) => (x == null ? "–" : `${x >= 0.005 ? "+" : x <= -0.005 ? "−" : ""}${Math.abs(x).toFixed(2)}`);
export const seconds = (s) => (s < 1 ? `${(1000 * s).toFixed(0)} ms` : s < 90 ? `${s.toFixed(1)} s` : s < 5400 ? `${(s / 60).toFixed(s < 600 ? 1 : 0)} min` : `${(s / 3600).toFixed(1)} h`);
// The mean of the last five values that are there: what a curve has come to, without the noise of its last point.
export function recent(values) {
  const last = (values ?? []).filter((v) => v != null).slice(-5);
  return last.length ? last.reduce((a, b) => a + b, 0) / last.length : null;
}

export const plural = (n, word) => `${n.toLocaleString("en")} ${word}${n === 1 ? "" : "s"}`;
export const shortTask = (id) => id.replace(/^[\w-]+\./, "");
export const outcomes = { success: "success", failure: "failure", stopped: "stopped", infeasible: "infeasible", truncated: "out of turns", fault: "fault", agent_caused: "fault by agent" };
export const good = (kind) => (kind === "success" ? "ok" : kind === "fault" || kind === "agent_caused" ? "warn" : "bad");
