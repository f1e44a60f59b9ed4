// A person plays: the live screenshot with every thing that can be acted on, and what is done there as an agent's actions.
import { render } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import "./play.css";

const FIELDS = new Set(["textbox", "searchbox", "spinbutton"]);
const KEYS = new Set(["Enter", "Tab", "Escape", "Backspace", "Delete", "ArrowUp", "ArrowDown", "ArrowLeft", "ArrowRight", "PageUp", "PageDown", "Home", "End"]);
const ENDS = { success: "Success", failure: "Failed for good", stopped: "Stopped, and it was not solved", infeasible: "It could have been done", truncated: "Out of turns", fault: "The machinery failed", agent_caused: "The machinery failed" };

const post = (path, body) => fetch(path, { method: "POST", body: JSON.stringify(body) }).then((answer) => answer.json());

function useLive() {
  const [state, set] = useState({ page: 0 });
  useEffect(() => {
    let going = true, page = 0;
    const ask = async () => {
      while (going) {
        try {
          const found = await (await fetch(`state?after=${page}`)).json();
          page = found.page;
          if (going) set(found);
        } catch {
          if (going) set((old) => ({ ...old, lost: true }));
          await new Promise((later) => setTimeout(later, 1000));
        }
      }
    };
    ask();
    return () => { going = false; };
  }, []);
  return state;
}

function Play() {
  const state = useLive();
  const [wrong, setWrong] = useState(""), [busy, setBusy] = useState(0), [editing, setEditing] = useState(null), [over, setOver] = useState(null), [answer, setAnswer] = useState("");
  const act = async (verb, more = {}) => {
    setEditing(null);
    setBusy(state.page);
    const { error } = await post("act", { page: state.page, verb, ...more });
    setWrong(error);
    if (error) setBusy(0);
  };
  useEffect(() => { setWrong(""); setOver(null); }, [state.page]);
  const waiting = busy === state.page && busy > 0 && !state.over;
  const use = (node) => {
    const options = optionsOf(state.nodes, node);
    if (node.states.includes("disabled")) return setWrong("it is disabled");
    if (FIELDS.has(node.role) || options.length) setEditing({ node, options });
    else act("click", { ref: node.ref });
  };
  useEffect(() => {
    const pressed = (event) => {
      if (editing || state.over || waiting || event.target.matches("input,select,button") || event.ctrlKey || event.metaKey) return;
      if (KEYS.has(event.key)) { event.preventDefault(); act("press", { text: event.key }); }
    };
    addEventListener("keydown", pressed);
    return () => removeEventListener("keydown", pressed);
  });
  if (!state.page) return <p class="waiting">Opening the first page …</p>;
  return (
    <div class="play">
      <header>
        <h1>{state.goal}</h1>
        <p class="dim">{state.over ? "the episode is over" : `turn ${state.turn + 1}, ${state.turns_left} left`} · {state.title} · {state.url}{state.lost && " · the connection is lost"}</p>
        {(wrong || state.error) && <p class="bad" role="alert">{wrong || state.error}</p>}
        {state.notices?.map((words) => <p key={words} class="dim">{words}</p>)}
      </header>
      {state.over && <section class={`over ${state.over.kind === "success" ? "good" : ""}`} role="status">
        <h2>{ENDS[state.over.kind] ?? state.over.kind}</h2>
        <p>{state.saved ? `Saved as a demonstration in ${state.saved}.` : "Not saved: only successes are demonstrations."} {state.over.message}</p>
        <button autofocus onClick={() => { setBusy(0); post("next", {}); }}>next episode</button></section>}
      <main class={waiting ? "busy" : ""}>
        {!state.window && <Screen state={state} over={over} setOver={setOver} use={use} act={act} editing={editing} setEditing={setEditing} />}
        <aside>
          <div class="row"><input type="text" placeholder="answer, or why not" aria-label="answer" value={answer} onInput={(event) => setAnswer(event.target.value)} />
            <button onClick={() => act("stop", { text: answer })}>stop</button><button onClick={() => act("infeasible", { text: answer })}>infeasible</button></div>
          <div class="row"><button onClick={() => act("back")}>back</button><button onClick={() => act("scroll", { y: 300 })}>scroll down</button><button onClick={() => act("scroll", { y: -300 })}>scroll up</button><button onClick={() => act("wait")}>wait</button></div>
          {state.window && editing && <Editor key={editing.node.ref} {...editing} act={act} close={() => setEditing(null)} style={{ position: "static" }} />}
          <h2>What can be used</h2>
          <ul>{state.nodes.filter((n) => n.role !== "option").map((node) => <li key={node.ref}><button class={over === node.ref ? "at" : ""} onMouseEnter={() => setOver(node.ref)} onMouseLeave={() => setOver(null)} onFocus={() => setOver(node.ref)} onClick={() => use(node)}>
            <b>{node.role}</b> {node.text}{node.value != null && <i> {node.value}</i>}{node.states.length > 0 && <small> {node.states.join(", ")}</small>}</button></li>)}</ul>
          {state.done.length > 0 && <><h2>What was done</h2><ol>{state.done.map((words, i) => <li key={i}><code>{words}</code></li>)}</ol></>}
          <p class="dim">{state.window && "The page is in a window of its own. "}Click a thing to use it; click a field to write into it; drag one thing onto another. Enter, Tab, Escape and arrows go to the page.</p>
        </aside>
      </main>
    </div>
  );
}

// The options of a select box stand right below it, one level deeper.
function optionsOf(nodes, node) {
  if (node.role !== "combobox" && node.role !== "listbox") return [];
  const found = [];
  for (const next of nodes.slice(nodes.indexOf(node) + 1)) {
    if (next.role !== "option" || next.depth <= node.depth) break;
    found.push(next);
  }
  return found;
}

function Screen({ state, over, setOver, use, act, editing, setEditing }) {
  const image = useRef(null), down = useRef(null);
  const [size, setSize] = useState([1, 1]);
  const zoom = size[0] < 450 ? 2 : 1;
  const at = (event) => {
    const box = image.current.getBoundingClientRect();
    return [((event.clientX - box.left) / box.width) * size[0], ((event.clientY - box.top) / box.height) * size[1]];
  };
  // The smallest thing at the point: what a person means.
  const thing = ([x, y]) => state.nodes.filter(({ box }) => box && x >= box[0] && y >= box[1] && x <= box[0] + box[2] && y <= box[1] + box[3]).sort((a, b) => a.box[2] * a.box[3] - b.box[2] * b.box[3])[0];
  const released = (event) => {
    const from = down.current, to = at(event);
    down.current = null;
    if (!from || state.over) return;
    const source = thing(from), target = thing(to);
    const far = Math.hypot(to[0] - from[0], to[1] - from[1]) > 8;
    if (far && source && target && source !== target) act("drag", { ref: source.ref, target: target.ref });
    else if (target) use(target);
    else act("point", { x: to[0], y: to[1] });
  };
  const shown = state.nodes.find((node) => node.ref === over);
  const place = ([x, y, w, h]) => ({ left: `${(100 * x) / size[0]}%`, top: `${(100 * y) / size[1]}%`, width: `${(100 * w) / size[0]}%`, height: `${(100 * h) / size[1]}%` });
  return (
    <div class="screen" style={{ width: `${size[0] * zoom}px` }}>
      <img ref={image} src={`picture?page=${state.page}`} alt="the page as it is now" draggable={false} onLoad={(event) => setSize([event.target.naturalWidth, event.target.naturalHeight])}
        onPointerDown={(event) => { down.current = at(event); }} onPointerUp={released} onPointerMove={(event) => setOver(thing(at(event))?.ref ?? null)} onPointerLeave={() => setOver(null)} />
      {shown?.box && <i class="mark" style={place(shown.box)} />}
      {editing && <Editor key={editing.node.ref} {...editing} act={act} close={() => setEditing(null)} style={editing.node.box ? { left: place(editing.node.box).left, top: place(editing.node.box).top } : { left: 0, top: 0 }} />}
    </div>
  );
}

function Editor({ node, options, act, close, style }) {
  const [text, setText] = useState(node.value ?? "");
  const field = useRef(null);
  useEffect(() => { field.current.focus(); field.current.select?.(); }, []);
  return (
    <form class="editor" style={style} onSubmit={(event) => { event.preventDefault(); act("fill", { ref: node.ref, text }); }} onKeyDown={(event) => event.key === "Escape" && close()}>
      {options.length > 0
        ? <select ref={field} size={Math.min(10, options.length + 1)} aria-label={node.text} onChange={(event) => act("select", { ref: node.ref, text: event.target.value })}>{options.map((option) => <option key={option.ref} selected={option.states.includes("selected")}>{option.text}</option>)}</select>
        : <><input type="text" ref={field} aria-label={`write into ${node.text || node.role}`} value={text} onInput={(event) => setText(event.target.value)} /><button>write</button></>}
      <button type="button" onClick={() => act("click", { ref: node.ref })}>click</button>
      <button type="button" onClick={close} aria-label="close">×</button>
    </form>
  );
}

render(<Play />, document.getElementById("app"));
