// The credit sheet: one column per turn; the filmstrip, V(s_t) under it, and a row of bars for each estimator.
import { useEffect, useRef } from "preact/hooks";
import { shot } from "./api.js";
import { Picture } from "./picture.jsx";
import { amend } from "./router.js";
import { signed } from "./words.js";

export function Sheet({ run, data, rows, turn, choose, values, checkpoints, at, truth, query, settings, controls }) {
  const sheet = useRef(null);
  useEffect(() => {
    const column = sheet.current?.querySelector(`.film [data-turn="${turn}"]`), box = sheet.current;
    if (!column || box.scrollWidth <= box.clientWidth) return;
    const left = column.offsetLeft - (innerWidth < 700 ? 8 : 150);
    if (left < box.scrollLeft || column.offsetLeft + column.offsetWidth > box.scrollLeft + box.clientWidth) box.scrollLeft = left;
  }, [turn]);
  const turns = data.turns.length;
  const pictures = data.turns.some((x) => x.screenshot);
  const own = query.scale === "own";
  const present = (rows ?? []).filter((row) => row.a);
  const largest = (some) => Math.max(1e-9, ...some.flatMap((row) => row.a.map(Math.abs)));
  const whole = largest(present);
  return (
    <section class="card sheetbox">
      <Controls checkpoints={checkpoints} at={at} query={query} settings={settings} controls={controls} own={own} />
      <div class="sheet" ref={sheet} style={{ "--turns": turns }}>
        <div class="line film" role="listbox" aria-label="Turns">
          <div class="name" />
          {data.turns.map((x, t) => (
            <button key={t} data-turn={t} role="option" aria-selected={t === turn} class={`cell frame ${t === turn ? "at" : ""}`} onClick={() => choose(t)}>
              {pictures && <Picture run={run} turn={x} small />}
              <span class={`act ${x.error || !x.action ? "bad" : ""}`} title={x.error || x.action}>{x.action || "no action"}</span>
              <span class="thing" title={x.thing}>{x.thing || "\u00a0"}</span>
            </button>))}
        </div>
        <Curve data={data} values={values} checkpoints={checkpoints} at={at} truth={truth} turn={turn} choose={choose} />
        {rows?.map((row) => <Bars key={row.key} row={row} turns={turns} turn={turn} choose={choose} largest={own && row.a ? largest([row]) : whole} />)}
      </div>
      {!rows && <p class="note">The machinery failed in this episode: its reward is unknown, and nothing is learned from it.</p>}
    </section>
  );
}

function Controls({ checkpoints, at, query, settings, controls, own }) {
  const { gamma, lam, std } = settings;
  return (
    <div class="controls">
      {checkpoints.length > 0 && <label class="wide"><span>{checkpoints[at].iteration === "training" ? <>critic <b>as the episode was trained with it</b></> : <>critic after iteration <b>{checkpoints[at].iteration}</b></>}</span>
        <span class="scrub">
          <button class="tool" onClick={controls.play} title="let the checkpoints run (space)" disabled={checkpoints.length < 2}>{controls.playing ? "❚❚" : "▶"}</button>
          <input type="range" aria-label="checkpoint" min="0" max={checkpoints.length - 1} value={at} onInput={(event) => controls.checkpoint(Number(event.target.value))} />
        </span></label>}
      {checkpoints.length > 0 && <label><span>λ <b>{lam.toFixed(2)}</b></span>
        <input type="range" aria-label="lambda" min="0" max="1" step="0.01" value={lam} onInput={(event) => amend({ lam: event.target.value })} /></label>}
      <label><span>γ <b>{gamma.toFixed(2)}</b></span>
        <input type="range" aria-label="gamma" min="0.5" max="1" step="0.01" value={gamma} onInput={(event) => amend({ gamma: event.target.value })} /></label>
      <label class="tick"><input type="checkbox" checked={std} onChange={() => amend({ std: std ? "" : "1" })} /> GRPO over std</label>
      <label class="tick"><input type="checkbox" checked={own} onChange={() => amend({ scale: own ? "" : "own" })} /> each row its own scale</label>
    </div>
  );
}

// V(s_t) as a curve from turn to turn; earlier checkpoints faint behind it; the ground truth with its interval where there is one.
function Curve({ data, values, checkpoints, at, truth, turn, choose }) {
  const known = truthOf(truth, data.turns.length);
  if (!values && !known) return null;
  const turns = data.turns.length;
  const numbers = [...checkpoints.flatMap((row) => row.values), ...(known ? known.flatMap((x) => (x ? [x.v - x.half, x.v + x.half] : [])) : []), 0, data.reward ?? 0].filter(Number.isFinite);
  const low = Math.min(...numbers), high = Math.max(...numbers), room = (high - low) * 0.12 || 0.1;
  const x = (t) => `${((t + 0.5) / turns) * 100}%`;
  const y = (v) => `${(1 - (v - low + room) / (high - low + 2 * room)) * 100}%`;
  const path = (v, name) => v.slice(1).map((_, t) => <line key={`${name}${t}`} class={name} x1={x(t)} y1={y(v[t])} x2={x(t + 1)} y2={y(v[t + 1])} />);
  return (
    <div class="line curve">
      <div class="name"><b>V(s<sub>t</sub>)</b><small>{values ? "what the critic expects" : "measured, no critic here"}{known && <><br /><span class="true">▮</span> measured ± 95%</>}</small></div>
      <div class="span">
        <svg width="100%" height="100%" aria-hidden="true">
          <line class="zero" x1="0" x2="100%" y1={y(0)} y2={y(0)} />
          {checkpoints.map((row, i) => i !== at && path(row.values, "ghost"))}
          {known?.map((it, t) => it && <g key={t} class="truth"><line x1={x(t)} x2={x(t)} y1={y(it.v - it.half)} y2={y(it.v + it.half)} /><circle cx={x(t)} cy={y(it.v)} r="3.5" /></g>)}
          {values && path(values, "now")}
          {values?.map((v, t) => <circle key={t} class={`now ${t === turn ? "at" : ""}`} cx={x(t)} cy={y(v)} r={t === turn ? 6 : 4} />)}
        </svg>
        {data.turns.map((_, t) => <button key={t} class={`over ${t === turn ? "at" : ""}`} style={{ left: `${(t / turns) * 100}%`, width: `${100 / turns}%` }} onClick={() => choose(t)} tabIndex={-1}
          title={[values && `V = ${values[t].toFixed(3)}`, known?.[t] && `measured ${known[t].v.toFixed(3)} ± ${known[t].half.toFixed(3)}`].filter(Boolean).join("\n")}>
          <span>{values ? values[t].toFixed(2) : known[t]?.v.toFixed(2)}</span></button>)}
      </div>
    </div>
  );
}

// The measured row of bars: Q(s_t, a_t) − V(s_t) by continuations of the episode, with half of its 95% interval.
export function measured(row, turns) {
  const a = row?.advantages, errors = row?.advantage_standard_errors ?? [];
  if (!Array.isArray(a) || !a.some(Number.isFinite)) return [];
  return [{ key: "measured", name: "Measured", formula: "Q(s_t, a_t) − V(s_t)", words: `the truth, by ${row.continuations ?? "many"} continuations of each state`,
    a: Array.from({ length: turns }, (_, t) => a[t] ?? null), half: errors.map((x) => (x == null ? null : 1.96 * x)) }];
}

// The advantages that the policy was trained with, as the run wrote them.
export function trained(row, turns, algo) {
  if (!Array.isArray(row?.advantages) || row.advantages.length !== turns) return [];
  return [{ key: "used", name: "Used", formula: `${algo}, as trained`, words: "what the policy was trained with, whitening and filters included; none where nothing was learned from the turn", a: row.advantages }];
}

// Ground truth of each turn as {v, half}: the mean and half of its 95% interval; null where there is none.
function truthOf(row, turns) {
  const v = row?.values, errors = row?.standard_errors ?? [];
  if (!Array.isArray(v) || !v.some(Number.isFinite)) return null;
  return Array.from({ length: turns }, (_, t) => (Number.isFinite(v[t]) ? { v: v[t], half: 1.96 * (errors[t] ?? 0) } : null));
}

function Bars({ row, turns, turn, choose, largest }) {
  return (
    <div class={`line bars ${row.a ? "" : "off"} ${row.key}`} title={row.words}>
      <div class="name"><b>{row.name}</b><small>{row.formula}</small></div>
      {Array.from({ length: turns }, (_, t) => {
        const a = row.a?.[t];
        const size = a == null ? 0 : Math.min(1, Math.abs(a) / largest) * 50;
        return (
          <button key={t} class={`cell ${t === turn ? "at" : ""}`} onClick={() => choose(t)} tabIndex={-1} aria-label={`${row.name}, turn ${t + 1}: ${a == null ? "no values" : signed(a)}`} title={row.half?.[t] != null ? `${a.toFixed(3)} ± ${row.half[t].toFixed(3)}` : undefined}>
            {a != null && <><i class={a >= 0 ? "up" : "down"} style={{ height: `${size}%` }} /><span class={a >= 0 ? "" : "low"}>{signed(a)}</span></>}
          </button>);
      })}
      <p class="aside"><span>{row.words}</span></p>
    </div>
  );
}
