// The list of episodes: only the rows in sight exist, and the server sends them a page at a time.
import { useEffect, useRef, useState } from "preact/hooks";
import { api, get, usePolled } from "./api.js";
import { useKeys } from "./keys.js";
import { amend, go, link } from "./router.js";
import { good, outcomes, plural, shortTask } from "./words.js";

const PAGE = 100;
const SORTS = { newest: "newest first", oldest: "oldest first", task: "by task", reward: "best first", turns: "longest first", errors: "most errors first" };
const rowHeight = () => (innerWidth < 700 ? 62 : 38);

// Rows by number, fetched a page at a time; `question` begins anew.
function useRows(run, question, version) {
  const pages = useRef(new Map());
  const [answer, set] = useState(null);
  const [, redraw] = useState(0);
  const ask = (offset) => get(`${api(run, "/episodes")}?${new URLSearchParams({ ...question, offset, limit: PAGE })}`);
  const key = JSON.stringify([question, version]);
  const current = useRef(key);
  useEffect(() => {
    current.current = key;
    ask(0).then((data) => {
      if (current.current !== key) return;
      pages.current = new Map([[0, data.rows]]);
      set(data);
    });
  }, [key]);
  const row = (i) => {
    const page = Math.floor(i / PAGE);
    const rows = pages.current.get(page);
    if (!rows) {
      pages.current.set(page, []);
      ask(page * PAGE).then((data) => {
        if (current.current !== key) return;
        pages.current.set(page, data.rows);
        redraw((n) => n + 1);
      }, () => pages.current.delete(page));
    }
    return rows?.[i % PAGE];
  };
  return [answer, row];
}

export function EpisodesPage({ run, query }) {
  const question = Object.fromEntries(["task", "kind", "iteration", "q", "sort"].map((key) => [key, query[key] ?? ""]).filter(([, value]) => value));
  const [version, setVersion] = useState(0);
  const [answer, row] = useRows(run, question, version);
  const pulse = usePolled(api(run, "/pulse"), 2).data;
  const list = useRef(null), search = useRef(null);
  const [top, setTop] = useState(0);
  const [at, setAt] = useState(Number(query.at ?? 0));
  const [height, setHeight] = useState(rowHeight);
  useEffect(() => {
    const changed = () => setHeight(rowHeight());
    addEventListener("resize", changed);
    return () => removeEventListener("resize", changed);
  }, []);
  const count = answer?.matching ?? 0;
  const seen = list.current?.clientHeight ?? 800;
  const first = Math.max(0, Math.floor(top / height) - 8), last = Math.min(count, Math.ceil((top + seen) / height) + 8);
  const choose = (i) => {
    const next = Math.min(count - 1, Math.max(0, i));
    setAt(next);
    const box = list.current;
    if (next * height < box.scrollTop) box.scrollTop = next * height;
    if ((next + 1) * height > box.scrollTop + box.clientHeight) box.scrollTop = (next + 1) * height - box.clientHeight;
  };
  const enter = () => row(at) && go(["run", run, "episode", ...row(at).id.split("/")]);
  const screen = Math.max(1, Math.floor(seen / height) - 1);
  useKeys({
    j: { does: () => choose(at + 1), words: "next episode" }, ArrowDown: { does: () => choose(at + 1) },
    k: { does: () => choose(at - 1), words: "episode before" }, ArrowUp: { does: () => choose(at - 1) },
    PageDown: { does: () => choose(at + screen) }, PageUp: { does: () => choose(at - screen) },
    Home: { does: () => choose(0) }, End: { does: () => choose(count - 1), words: "last episode" },
    Enter: { does: enter, words: "open it" },
    "/": { does: () => search.current.focus(), words: "search" },
    Escape: { does: () => search.current.blur() },
  });
  const set = (change) => { setTop(0); setAt(0); if (list.current) list.current.scrollTop = 0; amend(change); };
  const fresh = pulse && answer ? pulse.episodes - answer.total : 0;
  const select = (key, all, options) => (
    <select aria-label={key} value={query[key] ?? ""} onChange={(event) => set({ [key]: event.target.value })}>
      <option value="">{all}</option>{options.map(([value, words]) => <option key={value} value={value}>{words}</option>)}
    </select>
  );
  return (
    <div class="episodes">
      <h1 class="unseen">Episodes of {run}</h1>
      <div class="bar">
        <input type="search" ref={search} placeholder="search goals ( / )" aria-label="search" value={query.q ?? ""} onInput={(event) => set({ q: event.target.value })} />
        {select("task", "all tasks", Object.entries(answer?.tasks ?? {}).map(([task, n]) => [task, `${shortTask(task)} (${n})`]))}
        {select("kind", "any end", Object.entries(answer?.kinds ?? {}).map(([kind, n]) => [kind, `${outcomes[kind] ?? kind} (${n})`]))}
        {select("iteration", "all iterations", (answer?.iterations ?? []).map((i) => [i, `iteration ${i}`]))}
        <select aria-label="order" value={query.sort ?? "newest"} onChange={(event) => set({ sort: event.target.value === "newest" ? "" : event.target.value })}>
          {Object.entries(SORTS).map(([value, words]) => <option key={value} value={value}>{words}</option>)}</select>
        <span class="dim push" role="status">{answer && (count === answer.total ? plural(count, "episode") : `${count.toLocaleString("en")} of ${plural(answer.total, "episode")}`)}</span>
        {fresh > 0 && <button class="pill" onClick={() => setVersion(version + 1)}>{plural(fresh, "new episode")} — show</button>}
      </div>
      {answer && !count && <p class="empty card">{answer.total ? "No episode is like that." : "No episodes yet."}</p>}
      <div class="list card" ref={list} hidden={!count} tabIndex={0} role="list" aria-label="Episodes" onScroll={(event) => setTop(event.currentTarget.scrollTop)}>
        <div role="presentation" style={{ height: `${count * height}px` }}>
          {Array.from({ length: Math.max(0, last - first) }, (_, n) => first + n).map((i) => (
            <Row key={i} run={run} row={row(i)} top={i * height} height={height} at={i === at} number={i} of={count} />))}
        </div>
      </div>
    </div>
  );
}

function Row({ run, row, top, height, at, number, of }) {
  const style = { transform: `translateY(${top}px)`, height: `${height}px` };
  const place = { role: "listitem", "aria-posinset": number + 1, "aria-setsize": of };
  if (!row) return <div class="row waiting" style={style} {...place} />;
  return (
    <div {...place}><a class={`row ${at ? "at" : ""}`} style={style} href={link(["run", run, "episode", ...row.id.split("/")])}>
      <span class={`dot ${good(row.kind)}`} title={outcomes[row.kind] ?? row.kind} />
      <span class="what"><b>{shortTask(row.task)}</b> <span class="dim">{row.goal}</span></span>
      <span class="num">{row.reward == null ? "–" : row.reward}</span>
      <span class="num dim">{row.turns} turn{row.turns === 1 ? "" : "s"}</span>
      <span class={`num ${row.errors ? "warn" : "dim"}`}>{row.errors ? `${row.errors} error${row.errors === 1 ? "" : "s"}` : ""}</span>
      <span class="num dim">{row.pictures ? "▣" : ""}</span>
      <span class="num dim where">iteration {row.iteration} · group {row.group}.{row.member}</span>
    </a></div>
  );
}
