// Runs in an isolated world of every document of a window in which a person plays. While it is the person's turn, what they do is
// told and not done: the page hears nothing of it, until the same action comes from the outside as an agent's would.
() => {
  const FIELDS = new Set(["textbox", "searchbox", "spinbutton"]);
  const KEYS = new Set(["Enter", "Tab", "Escape", "Backspace", "Delete", "ArrowUp", "ArrowDown", "ArrowLeft", "ArrowRight", "PageUp", "PageDown", "Home", "End"]);
  const EVENTS = ["pointerdown", "pointerup", "pointermove", "pointerover", "pointerout", "pointerenter", "pointerleave", "mousedown", "mouseup", "mousemove",
    "mouseover", "mouseout", "mouseenter", "mouseleave", "click", "dblclick", "auxclick", "contextmenu", "touchstart", "touchmove", "touchend", "wheel",
    "dragstart", "selectstart", "keydown", "keypress", "keyup", "beforeinput", "input", "paste", "copy", "cut", "focusin", "focusout"];
  const top = (() => { try { return window.top.document && window.top; } catch { return null; } })();
  if (!top || globalThis.webgymHands) return;

  // Of a frame: its listeners hand on what happens in it, with the place on the whole page.
  const offset = () => {
    let x = 0, y = 0;
    for (let view = window; view !== top; view = view.parent) {
      const box = view.frameElement.getBoundingClientRect();
      x += box.left + view.frameElement.clientLeft; y += box.top + view.frameElement.clientTop;
    }
    return [x, y];
  };
  const hear = (event) => {
    const hands = top.webgymHands;
    if (!(hands?.turn || hands?.told) || !event.isTrusted) return;
    event.stopImmediatePropagation();
    if (event.cancelable) event.preventDefault();
    if (!hands.turn) return;
    const [x, y] = offset();
    hands.hear(event, event.clientX + x, event.clientY + y);
  };
  const listen = () => { for (const kind of EVENTS) addEventListener(kind, hear, { capture: true, passive: false }); };
  listen();
  new MutationObserver(listen).observe(document, { childList: true });  // a document that is opened anew drops all that listened
  if (window !== top) { globalThis.webgymHands = { turn: null }; return; }

  const host = document.createElement("webgym-hands");
  const root = host.attachShadow({ mode: "closed" });
  const sheet = new CSSStyleSheet();
  sheet.replaceSync(`
    :host { all: initial !important; position: fixed !important; inset: 0 !important; width: 100% !important; height: 100% !important; pointer-events: none !important; z-index: 2147483647 !important; overflow: hidden !important; }
    * { box-sizing: border-box; font: 13px/1.4 system-ui, sans-serif; color: #1c1e22; }
    .mark { position: absolute; border: 2px solid #e0218a; border-radius: 4px; box-shadow: 0 0 0 2px #fff9; margin: -3px; padding: 3px; box-sizing: content-box; }
    .field { position: absolute; background: #fff; border: 2px solid #e0218a; border-radius: 4px; padding: 3px 6px; min-width: 120px; max-width: 90%; box-shadow: 0 4px 16px #0004; white-space: pre-wrap; overflow-wrap: anywhere; }
    .field.all span { background: #b4d5fe; } .field i { border-left: 1.5px solid #1c1e22; margin-left: 1px; } small { display: block; font-size: 11px; color: #676d76; margin-top: 2px; }
    .field div { padding: 1px 4px; border-radius: 3px; } .field div.at { background: #ffe3f2; }
    .bar { position: absolute; left: 8px; right: 8px; background: #191c20f2; border-radius: 8px; padding: 6px 12px; box-shadow: 0 2px 12px #0005; } .bar, .bar b { color: #fff; } .bar b { font-weight: 600; }
    .bar.small { padding: 3px 8px; } .bar.small * { font-size: 11px; line-height: 1.25; }
    .bar em { display: block; font-style: normal; color: #ff9d94; font-weight: 600; } .bar.good { background: #1d6b35f5; } .bar.over { border-left: 5px solid #ff8a80; } .bar.good { border-color: #6fd08a; } .bar small { color: #b9c0c9; }`);
  root.adoptedStyleSheets = [sheet];
  const made = (name, parent = root, text = "") => { const el = document.createElement(name.split(".")[0]); el.className = name.split(".").slice(1).join(" "); el.textContent = text; parent.append(el); return el; };
  const place = (el, [x, y, w, h]) => Object.assign(el.style, { left: `${x}px`, top: `${y}px`, width: `${w}px`, height: `${h}px` });

  let down = null, over = null, editing = null, wheel = [0, 0], low = true;
  const tell = (deed) => {
    const { page } = hands.turn;
    hands.rest();
    hands.told = true;
    hands.tell(JSON.stringify({ page, ...deed }));
  };
  const draw = () => {
    root.replaceChildren();
    const { turn } = hands;
    if (!turn) return;
    if (over?.box && !editing) place(made("div.mark"), over.box);
    if (editing) drawEditor();
    drawBar(turn);
  };
  const drawEditor = () => {
    const { node, text, all, options, at } = editing;
    const [x, y, w, h] = node.box ?? [8, 8, 160, 24];
    const field = made(`div.field${all ? ".all" : ""}`);
    Object.assign(field.style, { left: `${Math.max(0, Math.min(x, innerWidth - 130))}px`, top: `${y + (options.length ? h : 0)}px`, minWidth: `${Math.min(w, innerWidth - 16)}px`, minHeight: `${Math.min(h, 40)}px` });
    if (options.length) options.forEach((option, i) => made(`div${i === at ? ".at" : ""}`, field, option.text));
    else { made("span", field, text); made("i", field); made("small", field, "Enter writes it; Escape leaves it"); }
    if (field.getBoundingClientRect().bottom > innerHeight) field.style.top = `${Math.max(0, innerHeight - field.offsetHeight)}px`;
  };
  const drawBar = (turn) => {
    const bar = made(`div.bar${innerWidth < 450 ? ".small" : ""}${turn.over ? ".over" : ""}${turn.over?.success ? ".good" : ""}`);
    Object.assign(bar.style, low ? { bottom: "8px" } : { top: "8px" });
    if (turn.over) { made("b", bar, turn.over.words); made("small", bar, turn.over.more); }
    else { made("b", bar, turn.goal); made("small", bar, `turn ${turn.turn + 1}, ${turn.turns_left} left`); }
    if (turn.error) made("em", bar, turn.error);
  };
  // The smallest thing at the point: what a person means.
  const thing = (x, y) => hands.turn.nodes.filter(({ box }) => box && x >= box[0] && y >= box[1] && x <= box[0] + box[2] && y <= box[1] + box[3])
    .sort((a, b) => a.box[2] * a.box[3] - b.box[2] * b.box[3])[0] ?? null;
  const optionsOf = (node) => {
    if (node.role !== "combobox" && node.role !== "listbox") return [];
    const { nodes } = hands.turn, found = [];
    for (const next of nodes.slice(nodes.indexOf(node) + 1)) {
      if (!["option", "group"].includes(next.role) || next.depth <= node.depth) break;
      if (next.role === "option") found.push(next);
    }
    return found;
  };
  const use = (node) => {
    const options = optionsOf(node);
    if (!FIELDS.has(node.role) && !options.length) return tell({ verb: "click", ref: node.ref });
    editing = { node, text: node.value ?? "", all: !!node.value, options, at: Math.max(0, options.findIndex((o) => o.states.includes("selected"))) };
    draw();
  };
  const write = () => {
    const { node, text, options, at } = editing;
    if (options.length) tell({ verb: "select", ref: node.ref, text: options[at].text });
    else tell(text === (node.value ?? "") ? { verb: "click", ref: node.ref } : { verb: "fill", ref: node.ref, text });
  };
  const released = (x, y) => {
    const from = down;
    down = null;
    if (!from) return;
    if (editing) return pressedBeside(x, y);
    const source = thing(...from), target = thing(x, y);
    if (Math.hypot(x - from[0], y - from[1]) > 8 && source && target && source !== target) tell({ verb: "drag", ref: source.ref, target: target.ref });
    else if (target) use(target);
    else tell({ verb: "point", x, y });
  };
  // A press while something is written: on an option it chooses, elsewhere it writes, as leaving a field does.
  const pressedBeside = (x, y) => {
    const rows = [...root.querySelectorAll(".field div")];
    const row = rows.findIndex((el) => { const box = el.getBoundingClientRect(); return x >= box.left && x <= box.right && y >= box.top && y <= box.bottom; });
    if (row >= 0) { editing.at = row; return write(); }
    if (editing.options.length || editing.text === (editing.node.value ?? "")) { editing = null; return draw(); }
    write();
  };
  const edited = (event) => {
    const { key } = event, many = editing.options.length;
    if (key === "Escape") editing = null;
    else if (key === "Enter") return write();
    else if (many && (key === "ArrowDown" || key === "ArrowUp")) editing.at = Math.min(many - 1, Math.max(0, editing.at + (key === "ArrowDown" ? 1 : -1)));
    else if (key === "Tab") return write();
    else if ((event.ctrlKey || event.metaKey) && key === "a") editing.all = true;
    else if (key === "Backspace" || key === "Delete") { editing.text = editing.all || key === "Delete" ? "" : [...editing.text].slice(0, -1).join(""); editing.all = false; }
    else if (key.length === 1 && !event.ctrlKey && !event.metaKey) insert(key);
    draw();
  };
  const insert = (text) => {
    editing.text = (editing.all ? "" : editing.text) + text;
    editing.all = false;
  };
  const pressed = (event) => {
    const { key, altKey, ctrlKey, metaKey } = event;
    if (editing) return edited(event);
    if (hands.turn.over) return key === "Enter" && hands.tell("next");
    if (altKey && key === "ArrowLeft") return tell({ verb: "back" });
    if (key === "F5") return tell({ verb: "reload" });
    const field = hands.turn.nodes.find((node) => node.ref === hands.turn.focus && FIELDS.has(node.role));
    if (field && key.length === 1 && !ctrlKey && !metaKey && !altKey) { use(field); insert(key); draw(); }
    else if (KEYS.has(key)) tell({ verb: "press", text: key });
  };
  const hands = globalThis.webgymHands = {
    turn: null,
    told: false, // a deed was told and is not performed yet: the rest of the same click or key is nobody's
    tell: () => {},
    // Give the person their turn: {page, nodes, focus, goal, turn, turns_left, error, over}.
    begin(turn, name) {
      hands.tell = globalThis[name];
      hands.turn = turn;
      hands.told = false;
      editing = over = down = null;
      document.documentElement.append(host);
      if (host.showPopover) { host.popover = "manual"; host.showPopover(); }
      draw();
    },
    // Nothing of it is left in the page, and the page hears what comes.
    rest() {
      hands.turn = null;
      hands.told = false;
      wheel = [0, 0];
      host.remove();
    },
    hear(event, x, y) {
      switch (event.type) {
        case "pointerdown": down = event.button === 0 ? [x, y] : null; break;
        case "pointerup": if (!hands.turn.over) released(x, y); break;
        case "pointermove": {
          const before = over, was = low;
          over = hands.turn.over ? null : thing(x, y);
          if (y > innerHeight - 70) low = false; else if (y < 70) low = true; // the bar makes way
          if (over !== before || low !== was) draw();
          break;
        }
        case "wheel":
          wheel = [wheel[0] + event.deltaX, wheel[1] + event.deltaY];
          if (!hands.turn.over && !hands.turn.scrolling) { hands.turn.scrolling = true; hands.tell(JSON.stringify({ wheel: true })); }
          break;
        case "keydown": pressed(event); break;
        case "paste": if (editing) { insert(event.clipboardData?.getData("text/plain") ?? ""); draw(); } break;
      }
    },
    scrolled() { if (hands.turn?.scrolling) tell({ verb: "scroll", x: Math.round(wheel[0]), y: Math.round(wheel[1]) }); },
  };
}
