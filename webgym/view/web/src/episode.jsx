// The episode page: the credit sheet (turns across, critic and estimators down), and below it the chosen turn in full.
import { useEffect, useState } from "preact/hooks";
import { api, exported, useAnswer } from "./api.js";
import { estimators } from "./credit.js";
import { useKeys } from "./keys.js";
import { amend, go, link } from "./router.js";
import { measured, Sheet, trained } from "./sheet.jsx";
import { TurnView } from "./turn.jsx";
import { good, outcomes, plural, shortTask } from "./words.js";

const learnable = (x) => x.rewards.length > 0 && x.kind !== "fault" && x.kind !== "agent_caused";

export function EpisodePage({ run, id, query }) {
  const { data, error } = useAnswer(api(run, `/episode/${id}`));
  if (error) return <p class="empty">{error.message}</p>;
  return data ? <Episode run={run} data={data} query={query} /> : <p class="empty" role="status">Reading the episode …</p>;
}

function Episode({ run, data, query }) {
  const turn = Math.min(data.turns.length - 1, Math.max(0, Number(query.turn ?? 1) - 1));
  const gamma = Number(query.gamma ?? data.gamma), lam = Number(query.lam ?? data.lam), std = query.std === "1";
  const fits = (row) => Array.isArray(row?.values) && row.values.length === data.turns.length && row.values.every((v) => v != null);
  const checkpoints = [...(fits(data.used) ? [{ iteration: "training", values: data.used.values }] : []), ...data.values.filter(fits)];
  const wanted = checkpoints.findIndex((row) => String(row.iteration) === query.checkpoint);
  const at = wanted >= 0 ? wanted : checkpoints.length - 1;
  const group = data.siblings.filter(learnable), me = group.findIndex((x) => x.id === data.id);
  const values = checkpoints[at]?.values ?? null;
  const truth = data.truth.findLast((row) => row.iteration === checkpoints[at]?.iteration) ?? data.truth.at(-1);
  const rows = me < 0 ? null : [...measured(truth, data.turns.length), ...trained(data.used, data.turns.length, data.algo), ...estimators({ rewards: group[me].rewards, group: group.map((x) => x.rewards), me, values, gamma, lam, std })];
  const choose = (n) => amend({ turn: Math.min(data.turns.length, Math.max(1, n + 1)) });
  const checkpoint = (n) => checkpoints[n] && amend({ checkpoint: checkpoints[n].iteration });
  const to = (where) => where && go(["run", run, "episode", ...where.split("/")]);
  const [playing, setPlaying] = useState(false);
  useEffect(() => {
    if (!playing) return;
    const timer = setTimeout(() => (at + 1 < checkpoints.length ? checkpoint(at + 1) : setPlaying(false)), 550);
    return () => clearTimeout(timer);
  }, [playing, at]);
  const play = () => { if (at + 1 >= checkpoints.length) checkpoint(0); setPlaying(!playing); };
  useKeys({
    ArrowRight: { does: () => choose(turn + 1), words: "next turn" },
    ArrowLeft: { does: () => choose(turn - 1), words: "turn before" },
    j: { does: () => to(data.after), words: "next episode" },
    k: { does: () => to(data.before), words: "episode before" },
    g: { does: () => go(["run", run, "group", ...data.id.split("/")]), words: "its group, side by side" },
    ...(checkpoints.length > 1 ? {
      "]": { does: () => checkpoint(at + 1), words: "later checkpoint" },
      "[": { does: () => checkpoint(at - 1), words: "earlier checkpoint" },
      " ": { does: play, words: "let the checkpoints run" } } : {}),
  });
  return (
    <>
      <section class="head episode">
        <div>
          <h1>{data.goal || <i>no goal: the first page was never reached</i>}</h1>
          <p class="dim">
            <span class={`chip ${good(data.kind)}`}>{outcomes[data.kind] ?? data.kind}</span>{" "}
            <a href={link(["run", run, "episodes"], { task: data.task })}>{shortTask(data.task)}</a>, seed {data.seed} · iteration {data.iteration} ·{" "}
            <a href={link(["run", run, "group", ...data.id.split("/")])}>group {data.group}, {data.siblings.length > 1 ? `member ${data.member + 1} of ${data.siblings.length}` : "alone"}</a>
            {data.retries > 0 && ` · played again ${plural(data.retries, "time")} after a fault`}{data.message && ` · ${data.message}`}
          </p>
        </div>
        <div class="tools">
          <button class="tool" disabled={!data.before} onClick={() => to(data.before)} title="episode before (k)">←</button>
          <button class="tool" disabled={!data.after} onClick={() => to(data.after)} title="next episode (j)">→</button>
        </div>
      </section>
      {data.turns.length === 0 ? <p class="empty card">This episode has no turns.</p> : <>
        <Sheet run={run} data={data} rows={rows} turn={turn} choose={choose} values={values} checkpoints={checkpoints} at={at} truth={truth}
          query={query} settings={{ gamma, lam, std }} controls={{ checkpoint, play, playing }} />
        {!checkpoints.length && <NoValues run={run} />}
        <TurnView key={turn} run={run} data={data} turn={turn} />
      </>}
    </>
  );
}

function NoValues({ run }) {
  const probed = useAnswer(api(run, "/probed")).data ?? [];
  return (
    <p class="note">
      No critic has looked at this episode, so only estimators without V have bars here.{" "}
      {probed.length > 0 ? <>The run's probe set has values for {plural(probed.length, "episode")}:{" "}
        {probed.slice(-12).map((x) => <a key={x.id} class="chip" href={link(["run", run, "episode", ...x.id.split("/")])}><span class={`dot ${good(x.kind)}`} />{shortTask(x.task)} {x.id.split("/")[1]}</a>)}</>
        : !exported() && "A run with a critic (archer) keeps V of every episode that it is trained with."}
    </p>
  );
}
