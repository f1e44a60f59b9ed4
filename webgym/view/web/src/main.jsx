// The shell: address → page, theme, help, and how fresh what is shown is.
import { render } from "preact";
import { useEffect, useLayoutEffect, useState } from "preact/hooks";
import { exported, get, open } from "./api.js";
import * as credit from "./credit.js";
import { EpisodePage } from "./episode.jsx";
import { EpisodesPage } from "./episodes.jsx";
import { GroupPage } from "./group.jsx";
import { known, useKeys } from "./keys.js";
import { LivePage } from "./live.jsx";
import * as pooled from "./pooled.js";
import { go, link, useRoute } from "./router.js";
import { RunPage } from "./run.jsx";
import { RunsPage } from "./runs.jsx";
import "./style.css";

const THEMES = ["auto", "light", "dark"];

function stored() {
  try { return localStorage.getItem("webgym-theme") ?? "auto"; } catch { return "auto"; } // a file has no storage in some browsers
}

function useTheme() {
  const [theme, set] = useState(stored);
  useLayoutEffect(() => {
    document.documentElement.dataset.theme = theme;
    try { localStorage.setItem("webgym-theme", theme); } catch { /* then it holds for this page only */ }
    dispatchEvent(new Event("themechange"));
  }, [theme]);
  return [theme, () => set(THEMES[(THEMES.indexOf(theme) + 1) % THEMES.length])];
}

function Help({ close }) {
  useKeys({ Escape: { does: close } });
  return (
    <div class="veil" onClick={close}>
      <div class="card help" role="dialog" aria-label="Keyboard" onClick={(event) => event.stopPropagation()}>
        <h2>Keyboard</h2>
        <dl>{known().map(([key, words]) => <div key={key}><dt><kbd>{key === " " ? "space" : key}</kbd></dt><dd>{words}</dd></div>)}</dl>
      </div>
    </div>
  );
}

function Crumbs({ parts }) {
  const [, run, page, file, number] = parts;
  const names = { episodes: "episodes", live: "live", episode: `${file}/${number}`, group: `group of ${file}/${number}` };
  return (
    <nav class="crumbs" aria-label="Where you are">
      <a href={link([])} class="logo">WebGym</a>
      {run && <a href={link(["run", run])}>{run}</a>}
      {(page === "episode" || page === "group") && <a href={link(["run", run, "episodes"])}>episodes</a>}
      {page && <span>{names[page] ?? page}</span>}
    </nav>
  );
}

function Page({ parts, query, library }) {
  const [kind, run, page, file, number] = parts;
  if (!parts.length) return library.focus && library.runs.length === 1 ? <RunPage run={library.focus} query={query} library={library} /> : <RunsPage library={library} query={query} />;
  if (kind !== "run" || !library.runs.some((x) => x.name === run)) return <Nowhere words={kind === "run" ? `There is no run ${run} here.` : "There is no such page."} />;
  const id = `${file}/${number}`;
  switch (page) {
    case undefined: return <RunPage key={run} run={run} query={query} library={library} />;
    case "episodes": return <EpisodesPage key={run} run={run} query={query} />;
    case "episode": return <EpisodePage key={id} run={run} id={id} query={query} />;
    case "group": return <GroupPage key={id} run={run} id={id} query={query} />;
    case "live": return <LivePage key={run} run={run} />;
    default: return <Nowhere words="There is no such page." />;
  }
}

function Nowhere({ words }) {
  return <div class="empty card"><h1>{words}</h1><p><a href={link([])}>All runs</a></p></div>;
}

function App({ library }) {
  const { parts, query } = useRoute();
  const [theme, turnTheme] = useTheme();
  const [help, setHelp] = useState(false);
  const named = parts[0] === "run" ? parts[1] : parts.length ? null : library.focus;
  const run = library.runs.some((x) => x.name === named) ? named : null;
  useEffect(() => { document.title = [...(run ? parts.slice(1).reverse() : []), "WebGym"].join(" · "); }, [parts.join()]);
  useKeys({
    "?": { does: () => setHelp(!help), words: "this list" },
    t: { does: turnTheme, words: "light or dark" },
    ...(run ? {
      r: { does: () => go(["run", run]), words: "the run" },
      e: { does: () => go(["run", run, "episodes"]), words: "its episodes" },
      ...(exported() ? {} : { l: { does: () => go(["run", run, "live"]), words: "its sessions, live" } }),
    } : {}),
  });
  return (
    <>
      <header class="top">
        <Crumbs parts={parts} />
        <div class="tools">
          {run && !exported() && <a class="tool" href={link(["run", run, "live"])}>live</a>}
          {run && <a class="tool" href={link(["run", run, "episodes"])}>episodes</a>}
          <button class="tool" onClick={turnTheme} title="light or dark (t)">{{ auto: "◐", light: "☀", dark: "☾" }[theme]}</button>
          <button class="tool" onClick={() => setHelp(true)} title="keyboard (?)">?</button>
        </div>
      </header>
      <main>
        <Page parts={parts} query={query} library={library} />
      </main>
      {help && <Help close={() => setHelp(false)} />}
    </>
  );
}

Object.assign(globalThis, { webgymCredit: credit, webgymPooled: pooled }); // for whoever wants to check a bar or a band from the console
document.documentElement.dataset.theme = stored();
open().then(() => get("library")).then(
  (library) => {
    if (library.focus && location.hash.length < 3) history.replaceState(null, "", link(["run", library.focus]));
    const place = document.getElementById("app");
    place.replaceChildren();
    render(<App library={library} />, place);
  },
  (error) => { document.getElementById("app").textContent = `This cannot be read: ${error.message}`; },
);
