// The run page: curves (of several runs, laid over each other), tasks, configuration and its differences.
import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import { api, exported, get, useAnswer, usePolled } from "./api.js";
import { Chart, COLOURS, smooth } from "./chart.jsx";
import { useKeys } from "./keys.js";
import { AXES, families, placed, pooled } from "./pooled.js";
import { amend, go, link } from "./router.js";
import { Sparkline } from "./sparkline.jsx";
import { percent, plural, recent, seconds, shortTask, signed } from "./words.js";

// What is shown first, in this order; everything else that a run logged follows below.
const CHARTS = [
  { title: "success", metric: "rollout/success", low: "rollout/success_low", high: "rollout/success_high", range: [0, 1], evaluations: true,
    words: "training episodes that did not fault, with their 95% Wilson interval; dots are evaluations on held-out seeds" },
  { title: "return", metric: "rollout/return", words: "mean undiscounted return of the episodes that did not fault" },
  { title: "KL to the behaviour policy", metric: "loss/kl_to_behaviour", words: "per sampled token, ρ − 1 − log ρ: the distance to the data" },
  { title: "entropy", metric: "loss/entropy", words: "per sampled token, nats" },
  { title: "clip fraction", metric: "loss/clip_fraction", words: "sampled tokens whose gradient the clip took away" },
  { title: "critic: explained variance", metric: "critic/held_out_ev", words: "1 − Var(G − V)/Var(G), held out; 1 is perfect, 0 is no better than a constant" },
  { title: "groups dropped", metric: "rollout/groups_dropped", words: "groups whose episodes all had the same return: they teach nothing" },
  { title: "turns per episode", metric: "rollout/turns", words: "mean, faults left out" },
];
const TIMES = [["collect", "time/collect_s"], ["critic", "time/critic_s"], ["update", "time/update_s"], ["checkpoint", "time/checkpoint_s"]];
const SHOWN = new Set([...CHARTS.flatMap((c) => [c.metric, c.low, c.high]), ...TIMES.map(([, name]) => name), "rollout/faults", "rollout/retries", "rollout/invalid"]);

export function RunPage({ run, query, library }) {
  const pulse = usePolled(api(run, "/pulse"), 2, false).data;
  const begun = useRef(null); // what the first answer was about: a pulse that says the same asks for nothing again
  const said = pulse && `${pulse.rows}/${pulse.episodes}`;
  const version = said === begun.current ? null : said;
  const { data, error } = useAnswer(api(run), version);
  const tasks = useAnswer(api(run, "/tasks"), version).data;
  if (data && begun.current === null) begun.current = `${data.pulse.rows}/${data.pulse.episodes}`;
  const beside = (query.with ?? "").split(",").filter((name) => name && name !== run);
  const others = useOthers(beside, "");
  const otherTasks = useOthers(beside, "/tasks");
  const span = Number(query.smooth ?? 1), axis = query.x in AXES ? query.x : "iterations";
  useKeys({ s: { does: () => amend({ smooth: span >= 9 ? "" : span + 4 }), words: "smooth the curves" } });
  if (error) return <p class="empty">{error.message}</p>;
  if (!data) return <p class="empty" role="status">Reading {run} …</p>;
  const runs = [{ ...data, colour: COLOURS[0] }, ...others.filter(Boolean).map((other, i) => ({ ...other, colour: COLOURS[(i + 1) % COLOURS.length] }))];
  const repeated = families(runs).some((family) => family.length > 1), together = repeated && query.seeds !== "0";
  const choices = library.runs.map((x) => x.name).filter((name) => name !== run && !beside.includes(name));
  return (
    <>
      <Head data={data} pulse={pulse ?? data.pulse} run={run} />
      {data.problems.length > 0 && <details class="card problems"><summary>{plural(data.problems.length, "damaged line")} left out</summary>
        <ul>{data.problems.slice(0, 50).map((words) => <li key={words}>{words}</li>)}</ul></details>}
      <div class="bar">
        {runs.length > 1 && runs.map((x) => <span key={x.name} class="legend"><i style={{ background: `var(${x.colour})` }} />{x.name}
          {x.name !== run && <button class="quiet" title="take away" onClick={() => amend({ with: beside.filter((n) => n !== x.name).join(",") })}>×</button>}</span>)}
        {choices.length > 0 && <select value="" aria-label="Lay another run over this one" onChange={(event) => amend({ with: [...beside, event.target.value].join(",") })}>
          <option value="">+ compare with …</option>{choices.map((name) => <option key={name}>{name}</option>)}</select>}
        {repeated && <label class="tick"><input type="checkbox" checked={together} onChange={() => amend({ seeds: together ? "0" : "" })} /> seeds as one curve</label>}
        <label class="push">x <select aria-label="x axis" value={axis} onChange={(event) => amend({ x: event.target.value === "iterations" ? "" : event.target.value })}>
          {Object.entries(AXES).filter(([key]) => runs.some((x) => placed(x, key))).map(([key, { words }]) => <option key={key} value={key}>{words}</option>)}</select></label>
        <label>smooth <select value={span} onChange={(event) => amend({ smooth: event.target.value === "1" ? "" : event.target.value })}>
          {[1, 5, 9, 21].map((n) => <option key={n} value={n}>{n === 1 ? "off" : `${n} iterations`}</option>)}</select></label>
      </div>
      <Curves runs={runs} span={span} axis={axis} together={together} />
      <Tasks rows={tasks} run={run} others={beside.flatMap((name, i) => (otherTasks[i] ? [{ name, rows: otherTasks[i] }] : []))} />
      <Config runs={runs} />
    </>
  );
}

// What other runs answer, in the order of their names; null for one that does not.
function useOthers(names, path) {
  const [found, set] = useState([]);
  useEffect(() => {
    let current = true;
    Promise.all(names.map((name) => get(api(name, path)).catch(() => null))).then((answers) => current && set(answers));
    return () => { current = false; };
  }, [names.join()]);
  return names.length ? found : [];
}

function Head({ data, pulse, run }) {
  const last = (name) => data.metrics[name]?.findLast((v) => v != null);
  const held = data.held_out, planned = data.config.length?.iterations ?? data.config.iterations;
  const facts = [
    held && ["held out", percent(held.success, 1), [held.split && `${held.split} seeds`, held.before != null ? `${percent(held.before, 1)} before` : `after iteration ${held.iteration}`].filter(Boolean).join(", ")],
    ["in training", percent(recent(data.metrics["rollout/success"])), "mean of the last five iterations"],
    ["iterations", data.iterations.length || "–", planned && `of ${planned}`],
    ["episodes", data.episodes.toLocaleString("en"), last("rollout/faults") ? plural(last("rollout/faults"), "fault") + " in the last iteration" : "no faults in the last iteration"],
    ["an iteration", last("time/iteration_s") == null ? "–" : seconds(last("time/iteration_s")), last("rollout/turns") != null && `${last("rollout/turns").toFixed(1)} turns an episode`],
  ].filter(Boolean);
  return (
    <section class="head">
      <div>
        <h1>{run} {pulse.lives ? <a class="live" href={link(["run", run, "live"])}>● {pulse.phase}</a> : pulse.gone && <span class="gone">the trainer is gone</span>}</h1>
        <p class="dim">{[data.about.algo, data.about.seed != null && `seed ${data.about.seed}`, data.config.model, data.about.started?.slice(0, 16).replace("T", " ")].filter(Boolean).join(" · ")}</p>
        {(data.note.text || data.note.tags.length > 0) && <p class="note">{data.note.tags.map((tag) => <span key={tag} class="chip">{tag}</span>)} {data.note.text}</p>}
      </div>
      <dl class="facts">{facts.map(([name, value, words]) => <div key={name}><dt>{name}</dt><dd>{value}<small>{words || " "}</small></dd></div>)}</dl>
    </section>
  );
}

function Curves({ runs, span, axis, together }) {
  const over = AXES[axis].words;
  const line = (run, metric, more = {}) => {
    const y = run.metrics[metric], place = placed(run, axis);
    return y && place && { label: run.name, x: place.x, y: smooth(y, span), colour: run.colour, ...more };
  };
  // The curves of a metric: one for each run, or one for all seeds of a configuration, with the interval of their mean.
  const lines = (metric, own = () => ({})) => (together ? families(runs) : runs.map((run) => [run])).map((family) => {
    const curves = family.map((run) => line(run, metric, family.length > 1 ? {} : own(run))).filter(Boolean);
    return curves.length > 1 ? { ...curves[0], ...pooled(curves), label: `${curves[0].label}, mean of ${curves.length} seeds` } : curves[0];
  });
  const evaluated = (family) => {
    const curves = family.map((run) => {
      const place = placed(run, axis), rows = run.evaluations.filter((row) => row["eval/success"] != null && place?.of(row.iteration) != null);
      return { x: rows.map((row) => place.of(row.iteration)), y: rows.map((row) => row["eval/success"]) };
    }).filter((curve) => curve.x.length);
    const label = `${family[0].name}, held out`;
    return curves.length ? { ...(curves.length > 1 ? pooled(curves) : curves[0]), label, colour: family[0].colour, dots: true } : null;
  };
  const charts = CHARTS.map((chart) => {
    const found = lines(chart.metric, (run) => (run === runs[0] && span <= 1 && chart.low && run.metrics[chart.low] ? { low: run.metrics[chart.low], high: run.metrics[chart.high] } : {}));
    if (chart.evaluations) found.push(...(together ? families(runs) : runs.map((run) => [run])).map(evaluated));
    return { ...chart, over, lines: found.filter(Boolean) };
  }).filter((chart) => chart.lines.length || chart.metric === "rollout/success");
  const others = [...new Set(runs.flatMap((run) => Object.keys(run.metrics)))].filter((name) => !SHOWN.has(name)).sort();
  const glossary = Object.assign({}, ...runs.map((run) => run.glossary));
  return (
    <>
      <section class="charts">
        {charts.map((chart) => <Chart key={chart.title} {...chart} />)}
        <Chart title="what went wrong" words="episodes that faulted; episodes that were played again; share of turns whose text was no action" over={over}
          lines={[line(runs[0], "rollout/faults", { label: "faults", colour: "--bad" }), line(runs[0], "rollout/retries", { label: "retries", colour: "--warn" }), line(runs[0], "rollout/invalid", { label: "invalid", colour: "--c3" })].filter(Boolean)} />
        <TimeSplit run={runs[0]} span={span} />
      </section>
      {others.length > 0 && <details class="more"><summary>{plural(others.length, "more metric")}</summary>
        <section class="charts">{others.map((name) => <Chart key={name} title={name} words={glossary[name]} over={over} lines={lines(name).filter(Boolean)} />)}</section></details>}
      {Object.keys(glossary).length > 0 && <details class="more glossary"><summary>what each metric means</summary>
        <dl class="card">{Object.entries(glossary).sort().map(([name, words]) => <div key={name}><dt><code>{name}</code></dt><dd>{words}</dd></div>)}</dl></details>}
    </>
  );
}

function TimeSplit({ run, span }) {
  const below = new Array(run.iterations.length).fill(0);
  const colours = ["--c0", "--c1", "--c2", "--c4"];
  const lines = TIMES.filter(([, name]) => run.metrics[name]).map(([label, name], i) => {
    const own = smooth(run.metrics[name], span);
    const y = own.map((v, j) => (below[j] += v ?? 0));
    return { label, x: run.iterations, y, shown: own, colour: colours[i], fill: true };
  });
  return <Chart title="time" words="seconds of an iteration, one upon the other" lines={lines.reverse()} />;
}

const COLUMNS = [
  ["task", "task", (x) => x.task],
  ["episodes", "episodes", (x) => x.episodes],
  ["success", "success", (x) => x.success],
  ["change", "change", (x) => x.change],
  ["turns", "turns", (x) => x.turns],
];

function Tasks({ rows, run, others }) {
  const beside = others.map(({ name, rows }) => ({ name, of: new Map(rows.map((row) => [row.task, row])) }));
  const [{ by, down }, set] = useState({ by: "success", down: false });
  const sorted = useMemo(() => {
    const value = COLUMNS.find(([key]) => key === by)[2];
    return [...(rows ?? [])].sort((a, b) => {
      const x = value(a), y = value(b);
      if (x == null || y == null) return (x == null) - (y == null);
      return (x < y ? -1 : x > y ? 1 : 0) * (down ? -1 : 1);
    });
  }, [rows, by, down]);
  if (!rows?.length) return <p class="empty card">No episodes yet. They appear here as soon as the first iteration is written.</p>;
  return (
    <section class="card tasks">
      <h2>Tasks</h2>
      <div class="scroll" tabIndex={0} role="region" aria-label="Table of tasks"><table>
        <thead><tr>{COLUMNS.map(([key, words]) => <th key={key} class={key === "task" ? "" : "num"} aria-sort={by === key ? (down ? "descending" : "ascending") : "none"}>
          <button onClick={() => set({ by: key, down: by === key ? !down : key !== "task" })} title={key === "change" ? "last third of the iterations against the first" : ""}>{words}{by === key ? (down ? " ↓" : " ↑") : ""}</button></th>)}{beside.map(({ name }) => <th key={name} class="num" title={`success in ${name}`}>{name}</th>)}<th>by iteration</th></tr></thead>
        <tbody>{sorted.map((row) => (
          <tr key={row.task} onClick={() => go(["run", run, "episodes"], { task: row.task })}>
            <td><a href={link(["run", run, "episodes"], { task: row.task })}>{shortTask(row.task)}</a></td>
            <td class="num">{row.episodes}{row.faults > 0 && <small class="warn"> {row.faults} faulted</small>}</td>
            <td class="num"><Interval {...row} /></td>
            <td class={`num ${row.change > 0 ? "ok" : row.change < 0 ? "bad" : "dim"}`}>{row.change == null ? "–" : `${signed(100 * row.change).replace(/\.\d+$/, "")}`}</td>
            <td class="num">{row.turns == null ? "–" : row.turns.toFixed(1)}</td>
            {beside.map(({ name, of }) => <td key={name} class="num">{of.has(row.task) ? <Interval {...of.get(row.task)} /> : "–"}</td>)}
            <td><Sparkline values={row.trend} /></td>
          </tr>))}</tbody>
      </table></div>
    </section>
  );
}

function Interval({ success, low, high }) {
  return (
    <span class="interval" title={`${percent(low)} … ${percent(high)}`}>
      <span class="track"><i style={{ left: percent(low), width: percent(high - low) }} /><b style={{ left: percent(success ?? 0) }} /></span>
      <span class="figure">{percent(success)}</span>
    </span>
  );
}

function flat(value, name = "", found = {}) {
  if (value && typeof value === "object" && !Array.isArray(value)) for (const [key, inner] of Object.entries(value)) flat(inner, name ? `${name}.${key}` : key, found);
  else found[name] = Array.isArray(value) ? value.join(", ") : String(value);
  return found;
}

function Config({ runs }) {
  const tables = runs.map((run) => ({ ...flat(run.config), ...flat(run.about.versions ?? {}, "version") }));
  const keys = [...new Set(tables.flatMap(Object.keys))];
  const differs = (key) => new Set(tables.map((table) => table[key])).size > 1;
  const changed = keys.filter(differs);
  const rows = (some) => some.map((key) => <tr key={key} class={runs.length > 1 && differs(key) ? "differs" : ""}><td>{key}</td>{tables.map((table, i) => <td key={i}>{table[key] ?? "–"}</td>)}</tr>);
  const head = <thead><tr><th>key</th>{runs.map((run) => <th key={run.name}>{run.name}</th>)}</tr></thead>;
  if (!keys.length) return null;
  return (
    <section class="card config">
      <h2>Configuration</h2>
      {runs.length > 1 && <><p class="dim">{changed.length ? `${plural(changed.length, "difference")}:` : "The same in all of these runs."}</p>
        {changed.length > 0 && <div class="scroll"><table>{head}<tbody>{rows(changed)}</tbody></table></div>}</>}
      {runs.length === 1 && !exported() && <p class="dim">Compare with another run (above) to see what differs.</p>}
      <details><summary>{runs.length > 1 ? "what is the same, too" : "all of it"}</summary><div class="scroll"><table>{head}<tbody>{rows(keys)}</tbody></table></div></details>
    </section>
  );
}
