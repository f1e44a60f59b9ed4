// One turn in full: the page with the thing acted on, what the model saw, what it wrote, what came of it.
import { useState } from "preact/hooks";
import { api, exported } from "./api.js";
import { Picture } from "./picture.jsx";
import { number, seconds } from "./words.js";

export function TurnView({ run, data, turn }) {
  const x = data.turns[turn];
  const [tab, setTab] = useState("prompt");
  const tabs = { prompt: "what the model saw", page: "the page as text" };
  const shown = x[tab].chars ? tab : x.prompt.chars ? "prompt" : "page";
  return (
    <section class={`turn ${x.screenshot ? "" : "plain"}`} aria-label={`Turn ${turn + 1}`}>
      {x.screenshot && <div class="card shot"><Picture run={run} turn={x} /></div>}
      <div class="card deed">
        <h2>Turn {turn + 1} <small class="dim">of {data.turns.length}</small></h2>
        <dl>
          <dt>wrote</dt><dd><Tokens turn={x} /></dd>
          <dt>action</dt><dd>{x.action ? <><code>{x.action}</code> {x.thing && <span class="dim">on {x.thing}</span>}</> : <span class="bad">the text was no action</span>}</dd>
          {x.error && <><dt>error</dt><dd class="bad">{x.error}</dd></>}
          <dt>reward</dt><dd>{x.reward == null ? "unknown: the machinery failed" : x.reward}</dd>
          {x.url && <><dt>page</dt><dd class="dim wrap">{x.url}</dd></>}
          <dt>time</dt><dd class="dim">{seconds(x.policy_s)} for the policy, {seconds(x.browser_s)} in the browser{x.prompt_tokens > 0 && `, ${x.prompt_tokens} prompt tokens`}</dd>
          <dt>policy</dt><dd class="dim">version {x.version}</dd>
        </dl>
      </div>
      <div class="card seen">
        <div class="tabs" role="tablist">{Object.entries(tabs).map(([key, words]) => <button key={key} role="tab" aria-selected={shown === key} disabled={!x[key].chars} onClick={() => setTab(key)}>{words}</button>)}</div>
        <Text run={run} data={data} turn={turn} part={shown} value={x[shown]} />
      </div>
    </section>
  );
}

function Text({ run, data, turn, part, value }) {
  if (!value.chars) return <p class="dim">not recorded</p>;
  const cut = value.text.length < value.chars;
  return (
    <>
      <pre>{value.text}</pre>
      {cut && <p class="note">{value.text.length.toLocaleString("en")} of {value.chars.toLocaleString("en")} characters.{" "}
        {!exported() && <a href={`api/${api(run, `/text/${data.id}/${turn}/${part}`)}`} target="_blank" rel="noreferrer">All of it, as plain text</a>}</p>}
    </>
  );
}

// The sampled tokens, each coloured by its log-probability: what the policy was sure of is plain, what it risked is warm.
function Tokens({ turn }) {
  if (!turn.tokens.length || turn.tokens.length !== turn.logprobs.length) return <code class="raw">{turn.text.text}</code>;
  return (
    <code class="raw heat">{turn.tokens.map((piece, i) => {
      const p = Math.exp(turn.logprobs[i] ?? 0);
      return <span key={i} style={{ "--heat": (1 - p).toFixed(3) }} title={`p = ${number(p)}, log p = ${turn.logprobs[i]?.toFixed(3)}`}>{piece}</span>;
    })}</code>
  );
}
