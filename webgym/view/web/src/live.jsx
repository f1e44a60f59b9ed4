// The live monitor: a cell per session, made to be read at 512 of them; below, those that wait longest and those that failed.
import { useState } from "preact/hooks";
import { api, usePolled } from "./api.js";
import { useKeys } from "./keys.js";
import { plural, seconds, shortTask } from "./words.js";

const STATES = { browser: "in the browser", policy: "waiting for the policy", retry: "again after a fault", done: "done", fault: "fault", idle: "idle" };

export function LivePage({ run }) {
  const { data } = usePolled(api(run, "/live"), 1);
  const [by, setBy] = useState("session");
  const [at, setAt] = useState(null);
  const cells = (data?.cells ?? []).map((cell, session) => ({ ...cell, session, age: cell.since ? Math.max(0, data.written + (data.phase === "over" ? 0 : data.age_s) - cell.since) : 0 }));
  const gone = data && !data.lives && data.phase !== "over";
  const ordered = by === "age" ? [...cells].sort((a, b) => b.age - a.age) : by === "state" ? [...cells].sort((a, b) => Object.keys(STATES).indexOf(a.state) - Object.keys(STATES).indexOf(b.state) || a.session - b.session) : cells;
  const step = (n) => setAt((i) => Math.min(cells.length - 1, Math.max(0, (i ?? -1) + n)));
  useKeys({ o: { does: () => setBy({ session: "age", age: "state", state: "session" }[by]), words: "order: session, age, state" }, ArrowRight: { does: () => step(1), words: "next session" }, ArrowLeft: { does: () => step(-1), words: "session before" } });
  if (data === null) return <p class="empty card">Nothing is known of sessions here: the run has not begun to collect, or was made before viewers could watch.</p>;
  const counts = Object.fromEntries(Object.keys(STATES).map((state) => [state, cells.filter((cell) => cell.state === state).length]));
  const busy = cells.filter((cell) => cell.state === "browser" || cell.state === "policy" || cell.state === "retry");
  const median = [...busy].map((cell) => cell.age).sort((a, b) => a - b)[busy.length >> 1] ?? 0;
  const stuck = (cell) => busy.includes(cell) && cell.age > Math.max(5, 8 * median);
  const chosen = at != null ? ordered[at] : null;
  const slow = [...busy].sort((a, b) => b.age - a.age).slice(0, 8);
  const troubled = cells.filter((cell) => cell.message).sort((a, b) => b.since - a.since).slice(0, 8);
  const c = data.counts;
  return (
    <>
      <section class="head">
        <div><h1>{data.lives ? <><b class="live">●</b> {data.phase}</> : gone ? <span class="gone">the trainer is gone</span> : "over"}</h1>
          <p class="dim">iteration {data.iteration} · {plural(cells.length, "session")} · {data.lives ? "written just now" : `last written ${seconds(data.age_s)} ago`}{gone && "; what stands below is what it did then"}</p></div>
        <dl class="facts">{[["episodes done", c.done], ["solved", c.successes], ["turns", c.turns], ["retries", c.retries], ["faults", c.faults]].map(([name, value]) => <div key={name}><dt>{name}</dt><dd>{value.toLocaleString("en")}</dd></div>)}</dl>
      </section>
      <div class="bar legendbar">
        {Object.entries(STATES).map(([state, words]) => <span key={state} class="legend"><i class={`s-${state}`} />{counts[state]} {words}</span>)}
        <span class="legend"><i class="stuck" />{cells.filter(stuck).length} much older than the rest</span>
        <label class="push">order <select value={by} onChange={(event) => setBy(event.target.value)}>{["session", "age", "state"].map((x) => <option key={x}>{x}</option>)}</select></label>
      </div>
      <div class={`grid ${gone ? "past" : ""}`} role="group" aria-label="Sessions" style={{ "--side": cells.length > 256 ? "20px" : cells.length > 64 ? "30px" : "64px" }}>
        {ordered.map((cell, i) => (
          <button key={cell.session} aria-label={`session ${cell.session}: ${STATES[cell.state]}`} class={`s-${cell.state} ${stuck(cell) ? "stuck" : ""} ${i === at ? "at" : ""}`} onClick={() => setAt(i)} onMouseEnter={() => setAt(i)}
            title={`session ${cell.session}: ${STATES[cell.state]} for ${seconds(cell.age)}, turn ${cell.turn + 1} of ${cell.task_id || "nothing"}`}>
            <b>{cell.state === "idle" ? "" : cell.turn + (cell.state !== "done")}</b>{cells.length <= 64 && <small>{shortTask(cell.task_id)}<br />{seconds(cell.age)}</small>}
          </button>))}
      </div>
      <p class="chosen card">{chosen ? <><b>session {chosen.session}</b> {STATES[chosen.state]} for {seconds(chosen.age)} · {shortTask(chosen.task_id) || "no task yet"}{chosen.task_id && `, seed ${chosen.seed}, group ${chosen.group}.${chosen.member}, turn ${chosen.turn + 1}`}
        {" · "}{plural(chosen.episodes, "episode")} before{chosen.outcome && `, the last one: ${chosen.outcome}`}{chosen.message && <span class="bad"> · {chosen.message}</span>}</> : <span class="dim">point at a session, or use the arrow keys</span>}</p>
      <div class="pair">
        <Listed title="Waiting longest" cells={slow} empty="nobody waits" />
        <Listed title="Retries and faults" cells={troubled} empty="none" />
      </div>
    </>
  );
}

function Listed({ title, cells, empty }) {
  return (
    <section class="card"><h2>{title}</h2>{!cells.length && <p class="dim">{empty}</p>}
      <ul class="listed">{cells.map((cell) => <li key={cell.session}><span class={`legend`}><i class={`s-${cell.state}`} /></span><b>{cell.session}</b> {shortTask(cell.task_id)} <span class="dim">turn {cell.turn + 1}, {STATES[cell.state]} for {seconds(cell.age)}</span>{cell.message && <div class="bad wrap">{cell.message}</div>}</li>)}</ul></section>
  );
}
