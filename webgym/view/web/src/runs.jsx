// The table of runs: sorted, searched, seeds of one configuration together, and some of them chosen to be compared.
import { useMemo, useState } from "preact/hooks";
import { useKeys } from "./keys.js";
import { families, interval } from "./pooled.js";
import { amend, go, link } from "./router.js";
import { Sparkline } from "./sparkline.jsx";
import { percent, plural, recent, seconds } from "./words.js";

const COLUMNS = [
  { key: "name", words: "run", of: (x) => x.name },
  { key: "algo", words: "algorithm", of: (x) => x.algo },
  { key: "seed", words: "seed", of: (x) => x.seed, num: true },
  { key: "model", words: "model", of: (x) => x.model, wide: true },
  { key: "tasks", words: "tasks", of: (x) => x.tasks, wide: true },
  { key: "held", words: "held out", of: (x) => x.held_out?.success, num: true, title: "success on seeds that are not trained on, at the newest evaluation" },
  { key: "training", words: "training", of: (x) => recent(x.success), num: true, title: "success of training episodes, the mean of the last five iterations" },
  { key: "iterations", words: "iterations", of: (x) => x.iterations, num: true, wide: true },
  { key: "turns", words: "steps", of: (x) => x.turns, num: true, wide: true },
  { key: "seconds", words: "time", of: (x) => x.seconds, num: true, wide: true },
  { key: "started", words: "started", of: (x) => x.started, wide: true },
];

const searched = (run) => [run.name, run.algo, `seed ${run.seed}`, run.model, run.tasks, run.note, ...run.tags].join(" ").toLowerCase();

// Groups of runs in the order of the table; each run is one of its own unless seeds stand together.
function ordered(runs, { by, down, together, words }) {
  const { of } = COLUMNS.find((column) => column.key === by);
  const asked = words.toLowerCase().split(/\s+/).filter(Boolean);
  const seen = runs.filter((run) => asked.every((word) => searched(run).includes(word)));
  const compare = (a, b) => {
    const x = of(a), y = of(b);
    if (x == null || y == null) return (x == null) - (y == null);
    return (x < y ? -1 : x > y ? 1 : 0) * (down ? -1 : 1);
  };
  const groups = together ? families(seen) : seen.map((run) => [run]);
  for (const group of groups) group.sort(compare);
  return groups.sort((a, b) => compare(a[0], b[0]));
}

export function RunsPage({ library, query }) {
  const [at, setAt] = useState(0);
  const by = query.by ?? "started", down = query.down ? query.down === "1" : by === "started", together = query.seeds === "1", words = query.q ?? "";
  const chosen = (query.chosen ?? "").split(",").filter((name) => library.runs.some((run) => run.name === name));
  const groups = useMemo(() => ordered(library.runs, { by, down, together, words }), [library, by, down, together, words]);
  const flat = groups.flat();
  const step = (n) => setAt((i) => Math.min(flat.length - 1, Math.max(0, i + n)));
  const choose = (name) => amend({ chosen: (chosen.includes(name) ? chosen.filter((x) => x !== name) : [...chosen, name]).join(",") });
  const compare = () => chosen.length && go(["run", chosen[0]], { with: chosen.slice(1).join(",") });
  useKeys({
    j: { does: () => step(1), words: "next run" },
    k: { does: () => step(-1), words: "run before" },
    x: { does: () => flat[at] && choose(flat[at].name), words: "choose it" },
    c: { does: compare, words: "compare the chosen runs" },
    Enter: { does: () => flat[at] && go(["run", flat[at].name]), words: "open it" },
  });
  return (
    <>
      <h1>Runs</h1>
      <div class="bar">
        <input type="search" placeholder="search runs, tags, notes" aria-label="search runs" value={words} onInput={(event) => { setAt(0); amend({ q: event.target.value }); }} />
        <label class="tick"><input type="checkbox" checked={together} onChange={() => amend({ seeds: together ? "" : "1" })} /> seeds together</label>
        <span class="dim" role="status">{flat.length === library.runs.length ? plural(flat.length, "run") : `${flat.length} of ${plural(library.runs.length, "run")}`}</span>
        <button class="pill push" disabled={!chosen.length} onClick={compare}>{chosen.length > 1 ? `compare ${plural(chosen.length, "run")}` : chosen.length ? "open the chosen run" : "choose runs to compare"}</button>
      </div>
      <section class="card runs"><div class="scroll" tabIndex={0} role="region" aria-label="Table of runs"><table>
        <thead><tr><th><span class="unseen">chosen</span></th>{COLUMNS.map((column) => (
          <th key={column.key} class={`${column.num ? "num" : ""} ${column.wide ? "wide" : ""}`} aria-sort={by === column.key ? (down ? "descending" : "ascending") : "none"}>
            <button title={column.title} onClick={() => amend({ by: column.key, down: (by === column.key ? !down : Boolean(column.num)) ? "1" : "0" })}>{column.words}{by === column.key ? (down ? " ↓" : " ↑") : ""}</button></th>))}
          <th class="wide">over time</th></tr></thead>
        <tbody>{groups.map((group) => <Group key={group[0].name} group={group} at={flat[at]} chosen={chosen} choose={choose} />)}</tbody>
      </table></div>
      {!flat.length && <p class="empty">{library.runs.length ? "No run is like that." : "There are no runs yet."}</p>}</section>
    </>
  );
}

function Group({ group, at, chosen, choose }) {
  const measured = group.map((run) => run.held_out?.success).filter((v) => v != null);
  const all = measured.length > 1 && interval(measured);
  return (
    <>
      {group.length > 1 && <tr class="family"><td /><td colSpan={COLUMNS.length + 1}>
        <b>{group[0].algo}</b>, {plural(group.length, "seed")}{all && <>: held out <b>{percent(all.mean, 1)}</b> <span class="dim">[{percent(all.mean - all.half, 1)}, {percent(all.mean + all.half, 1)}] over seeds</span></>}</td></tr>}
      {group.map((run) => (
        <tr key={run.name} class={run === at ? "at" : ""}>
          <td><input type="checkbox" aria-label={`choose ${run.name}`} checked={chosen.includes(run.name)} onChange={() => choose(run.name)} /></td>
          <td class="runname"><a href={link(["run", run.name])}>{run.name}</a> {run.lives ? <b class="live">● live</b> : run.gone && <b class="warn" title="the trainer stopped writing and did not say that the run is over">stopped</b>}
            {run.tags.map((tag) => <span key={tag} class="chip">{tag}</span>)}{run.note && <small class="dim" title={run.note}>{run.note}</small>}</td>
          <td>{run.algo}</td>
          <td class="num">{run.seed ?? "–"}</td>
          <td class="wide cut" title={run.model}>{run.model.split("/").at(-1)}</td>
          <td class="wide cut" title={run.tasks}>{run.tasks}</td>
          <td class="num"><b>{percent(run.held_out?.success, 1)}</b>{run.held_out?.before != null && <small class="dim"> {percent(run.held_out.before, 1)} before</small>}</td>
          <td class="num">{percent(recent(run.success))}</td>
          <td class="num wide">{run.iterations}</td>
          <td class="num wide">{run.turns == null ? "–" : run.turns.toLocaleString("en")}</td>
          <td class="num wide">{run.seconds ? seconds(run.seconds) : "–"}</td>
          <td class="wide">{run.started.slice(0, 16).replace("T", " ")}</td>
          <td class="wide"><Sparkline values={run.success} /></td>
        </tr>))}
    </>
  );
}
