// The list of runs.
import { useState } from "preact/hooks";
import { useKeys } from "./keys.js";
import { go, link } from "./router.js";
import { Sparkline } from "./sparkline.jsx";
import { percent } from "./words.js";

export function RunsPage({ library }) {
  const [at, setAt] = useState(0);
  const { runs } = library;
  const step = (n) => setAt((i) => Math.min(runs.length - 1, Math.max(0, i + n)));
  useKeys({
    j: { does: () => step(1), words: "next run" },
    k: { does: () => step(-1), words: "run before" },
    Enter: { does: () => runs[at] && go(["run", runs[at].name]), words: "open it" },
  });
  return (
    <>
      <h1>Runs</h1>
      <div class="runlist">
        {runs.map((run, i) => (
          <a key={run.name} class={`card runline ${i === at ? "at" : ""}`} href={link(["run", run.name])}>
            <strong>{run.name}</strong>
            <span class="dim">{run.algo}{run.seed != null && `, seed ${run.seed}`}</span>
            <Sparkline values={run.success} />
            <span class="num">{percent(run.success.at(-1))}</span>
            <span class="dim">{run.iterations} iterations</span>
            <span class="dim">{run.lives ? <b class="live">● live</b> : run.started.slice(0, 16).replace("T", " ")}</span>
          </a>
        ))}
      </div>
    </>
  );
}
