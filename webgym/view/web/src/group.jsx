// The group page: the siblings of one task and seed, aligned by turn, in an order that keeps equal beginnings together.
import { api, useAnswer } from "./api.js";
import { useKeys } from "./keys.js";
import { Picture } from "./picture.jsx";
import { go, link } from "./router.js";
import { good, outcomes, percent, plural, shortTask } from "./words.js";

const deed = (turn) => turn.action || `∅ ${turn.text.text}`;
const prefix = (member, t) => JSON.stringify(member.turns.slice(0, t + 1).map((x) => [x.observation, deed(x)]));

// Where siblings part: on one page, after one history, they did different things.
export function partings(members) {
  const found = [];
  const longest = Math.max(0, ...members.map((m) => m.turns.length));
  for (let t = 0; t < longest; t++) {
    const pages = new Map();
    for (const member of members) {
      if (!member.turns[t]) continue;
      const key = JSON.stringify([t ? prefix(member, t - 1) : "", member.turns[t].observation]);
      pages.set(key, [...(pages.get(key) ?? []), member]);
    }
    for (const here of pages.values()) {
      const choices = Object.groupBy ? Object.groupBy(here, (m) => deed(m.turns[t])) : here.reduce((all, m) => ({ ...all, [deed(m.turns[t])]: [...(all[deed(m.turns[t])] ?? []), m] }), {});
      if (here.length > 1 && Object.keys(choices).length > 1)
        found.push({ turn: t, members: here.length, choices: Object.entries(choices).map(([action, who]) => {
          const counted = who.filter((m) => m.reward != null);
          return { action, thing: who[0].turns[t].thing, who, mean: counted.length ? counted.reduce((a, m) => a + m.reward, 0) / counted.length : null };
        }).sort((a, b) => (b.mean ?? -1) - (a.mean ?? -1)) });
    }
  }
  return found;
}

export function GroupPage({ run, id }) {
  const { data, error } = useAnswer(api(run, `/group/${id}`));
  useKeys({ Escape: { does: () => go(["run", run, "episode", ...id.split("/")]), words: "back to the episode" } });
  if (error) return <p class="empty">{error.message}</p>;
  if (!data) return <p class="empty" role="status">Reading the group …</p>;
  const { members } = data;
  const longest = Math.max(0, ...members.map((m) => m.turns.length));
  const order = [...members].sort((a, b) => { const x = prefix(a, longest), y = prefix(b, longest); return x < y ? -1 : x > y ? 1 : a.member - b.member; });
  const parted = partings(members);
  const first = members[0];
  const wins = members.filter((m) => m.kind === "success").length;
  return (
    <>
      <section class="head"><div>
        <h1>{first.goal}</h1>
        <p class="dim">{shortTask(first.task)}, seed {first.seed} · iteration {first.iteration}, group {first.group} · {wins} of {plural(members.length, "sibling")} solved it ({percent(wins / members.length)})</p>
      </div></section>
      <section class="card matrix"><div class="scroll" tabIndex={0} role="region" aria-label="Siblings by turn"><table style={{ "--turns": longest }}>
        <thead><tr><th>member</th>{Array.from({ length: longest }, (_, t) => <th key={t}>turn {t + 1}</th>)}</tr></thead>
        <tbody>{order.map((member, place) => (
          <tr key={member.id} class={member.id === data.id ? "me" : ""}>
            <th><a href={link(["run", run, "episode", ...member.id.split("/")])}><span class={`dot ${good(member.kind)}`} />{member.member + 1}</a><small class="dim">{outcomes[member.kind] ?? member.kind}</small></th>
            {Array.from({ length: longest }, (_, t) => <Cell key={t} run={run} member={member} turn={t} above={order[place - 1]} others={members} />)}
          </tr>))}</tbody>
      </table></div></section>
      <section class="card partings">
        <h2>Where they part</h2>
        {!parted.length && <p class="dim">{members.length < 2 ? "There is only one." : "They all did the same, turn by turn."}</p>}
        <ol>{parted.map((place, n) => (
          <li key={n}><b>Turn {place.turn + 1}</b> <span class="dim">{place.members} on the same page</span>
            <ul>{place.choices.map((choice) => (
              <li key={choice.action}><span class="track" aria-hidden="true"><b style={{ width: percent(choice.mean ?? 0) }} /></span>
                <span class="figure">{choice.mean == null ? "–" : choice.mean.toFixed(2)}</span> <code title={choice.action}>{choice.action}</code> {choice.thing && <span class="thing">{choice.thing}</span>} <span class="dim">{plural(choice.who.length, "sibling")}</span></li>))}</ul>
          </li>))}</ol>
      </section>
    </>
  );
}

function Cell({ run, member, turn, above, others }) {
  const x = member.turns[turn];
  if (!x) return <td class={turn === member.turns.length ? `end ${good(member.kind)}` : "gone"}>{turn === member.turns.length && (outcomes[member.kind] ?? member.kind)}</td>;
  const mine = prefix(member, turn);
  const shared = others.filter((m) => m !== member && m.turns[turn] && prefix(m, turn) === mine).length;
  const same = above?.turns[turn] && prefix(above, turn) === mine;
  const before = turn ? prefix(member, turn - 1) : "";
  const parts = !shared && others.some((m) => m !== member && m.turns[turn] && (turn === 0 || prefix(m, turn - 1) === before) && m.turns[turn].observation === x.observation);
  return (
    <td class={`${shared ? "shared" : parts ? "parts" : ""} ${same ? "same" : ""}`}>
      <a href={link(["run", run, "episode", ...member.id.split("/")], { turn: turn + 1 })}>
        {x.screenshot && !same && <Picture run={run} turn={x} small />}
        <code class={x.error || !x.action ? "bad" : ""} title={x.error}>{deed(x)}</code>
        {x.thing && <span class="thing" title={x.thing}>{x.thing}</span>}
      </a>
    </td>
  );
}
