// Where the pages get their data: from the server, or, in an exported report, from the file itself.
import { useEffect, useRef, useState } from "preact/hooks";

let embedded = null; // {paths: {path: answer}, shots: {run/name: data URL}} of an exported report

export const exported = () => embedded !== null;

export async function open() {
  const element = document.getElementById("report");
  if (!element) return;
  const bytes = Uint8Array.from(atob(element.textContent), (c) => c.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  embedded = JSON.parse(await new Response(stream).text());
}

export async function get(path) {
  if (embedded) return fromReport(path);
  const answer = await fetch(`api/${path}`);
  const data = await answer.json().catch(() => null);
  if (!answer.ok) throw new Error(data?.error ?? `the viewer answered ${answer.status}`);
  return data;
}

function fromReport(path) {
  const found = embedded.paths[path];
  if (found) return found.same ? { ...embedded.paths[found.same], id: found.id } : found;
  const [place, query] = path.split("?");
  if (place.endsWith("/episodes")) return listed(embedded.paths[place], new URLSearchParams(query));
  throw new Error("this report does not hold it");
}

// The server's Episodes.query for the few episodes of a report.
function listed(all, asked) {
  const words = (asked.get("q") ?? "").toLowerCase().split(/\s+/).filter(Boolean);
  const rows = all.rows.filter((x) =>
    (!asked.get("task") || x.task === asked.get("task")) && (!asked.get("kind") || x.kind === asked.get("kind")) &&
    (!asked.get("iteration") || String(x.iteration) === asked.get("iteration")) &&
    words.every((word) => `${x.task} ${x.goal} ${x.seed} ${x.kind}`.toLowerCase().includes(word)));
  const by = { task: (a, b) => (a.task < b.task ? -1 : a.task > b.task ? 1 : 0), reward: (a, b) => (b.reward ?? -1) - (a.reward ?? -1),
    turns: (a, b) => b.turns - a.turns, errors: (a, b) => b.errors - a.errors, oldest: () => 0 }[asked.get("sort")];
  by ? rows.sort(by) : rows.reverse();
  const offset = Number(asked.get("offset") ?? 0);
  return { ...all, matching: rows.length, rows: rows.slice(offset, offset + Number(asked.get("limit") ?? 100)) };
}

export const shot = (run, name) => (embedded ? embedded.shots[`${run}/${name}`] : `api/run/${encodeURIComponent(run)}/shot/${name}`);

export const api = (run, rest = "") => `run/${encodeURIComponent(run)}${rest}`;

// {data, error}: the answer to `path`, the old one kept while a new one comes. `version` asks again.
export function useAnswer(path, version = 0) {
  const [state, set] = useState({ path: null, data: null, error: null });
  const asked = useRef(null);
  useEffect(() => {
    if (!path) return;
    asked.current = path;
    get(path).then(
      (data) => asked.current === path && set({ path, data, error: null }),
      (error) => asked.current === path && set({ path, data: null, error }),
    );
  }, [path, version]);
  return state.path === path || state.data ? state : { data: null, error: null };
}

// Asks every `seconds` while the page is seen, `atOnce` or after the first of them; never in a report but at once.
export function usePolled(path, seconds, atOnce = true) {
  const [tick, set] = useState(0);
  useEffect(() => {
    if (!path || exported()) return;
    const timer = setInterval(() => document.hidden || set((n) => n + 1), seconds * 1000);
    return () => clearInterval(timer);
  }, [path, seconds]);
  return useAnswer(atOnce || tick ? path : null, tick);
}
