// Runs first in every document of a page that the referee shows: records all events that reach the document, in the order in which they
// come, with what they hit and what they say, and tells the state of its forms. It acts on nothing and prevents nothing.
(() => {
  if (globalThis.referee) return;
  const TYPES = ["pointerdown", "pointerup", "pointercancel", "mousedown", "mouseup", "click", "dblclick", "auxclick", "contextmenu", "mouseover",
    "keydown", "keypress", "keyup", "beforeinput", "input", "change", "focus", "blur", "submit", "reset", "invalid", "toggle", "close", "cancel",
    "dragstart", "dragenter", "dragover", "dragleave", "drop", "dragend", "wheel", "scroll", "copy", "cut", "paste"];
  const SEMANTIC = ["aria-checked", "aria-selected", "aria-expanded", "aria-pressed", "aria-valuenow"];
  const add = EventTarget.prototype.addEventListener;
  const attach = Element.prototype.attachShadow;
  const known = new WeakMap(), roots = [], hidden = new WeakMap();
  let log = [];

  const up = (node) => node.parentNode ?? node.host ?? null;
  const name = (node) => {                                 // where it stands now
    if (!node) return "";
    if (node === globalThis) return "window";
    if (node.nodeType === 9) return "document";
    if (node.nodeType === 11) return node.host ? `${name(node.host)}^` : "fragment";
    if (node.nodeType !== 1) return node.nodeName ?? "object";
    const key = node.getAttribute("data-k");
    if (key) return key;
    if (node === document.documentElement) return "html";
    if (node === document.body) return "body";
    const siblings = node.parentNode ? [...node.parentNode.children].filter((n) => n.tagName === node.tagName) : [node];
    return `${name(up(node))}/${node.tagName.toLowerCase()}${siblings.length > 1 ? siblings.indexOf(node) : ""}`;
  };
  // Events name a thing by where it stood when the last ones were taken, or when it was first heard of: in the middle of an action a page
  // that adds and moves things would give one thing two names.
  let stood = new WeakMap();
  const called = (node) => {
    if (node?.nodeType !== 1) return name(node);
    if (!stood.has(node)) stood.set(node, name(node));
    return stood.get(node);
  };
  const call = () => {
    stood = new WeakMap();
    for (const root of roots) for (const el of root.querySelectorAll("*")) called(el);
  };
  const held = (event) => ["ctrl", "shift", "alt", "meta"].filter((key) => event[key + "Key"]).join("+");
  const said = (event) => {
    if (event instanceof KeyboardEvent) return `${event.key} ${event.code} ${held(event)}`.trim();
    if (event instanceof DragEvent) return [...(event.dataTransfer?.types ?? [])].join(",");
    if (event instanceof MouseEvent) return `${event.button} ${/click/.test(event.type) ? event.detail : ""} ${held(event)}`.replace(/\s+/g, " ").trim();
    if (event instanceof InputEvent) return `${event.inputType} ${event.data ?? ""}`.trim();
    if (event instanceof SubmitEvent) return called(event.submitter);
    return event.newState ?? "";
  };
  const hear = (event) => {
    const target = called(event.composedPath()[0] ?? event.target), entry = known.get(event);
    if (entry) { if (entry[1] !== target) entry[1] = target; return; }   // heard before, further out, where a closed root hid its target
    const fresh = [event.type, target, said(event), event.isTrusted];
    known.set(event, fresh);
    log.push(fresh);
  };
  const watch = (root) => {
    roots.push(root === globalThis ? document : root);
    for (const type of TYPES) add.call(root, type, hear, { capture: true, passive: true });
  };
  Element.prototype.attachShadow = function (options) {
    const root = attach.call(this, options);
    hidden.set(this, root);
    watch(root);
    return root;
  };

  const stateOf = (el) => {
    const facts = {};
    if ("value" in el && !/^(LI|PROGRESS|METER|BUTTON|OPTION|PARAM|DATA|SL-.*|MD-.*)$/.test(el.tagName)) facts.value = String(el.value);
    if (el.type === "checkbox" || el.type === "radio") { facts.checked = el.checked; if (el.indeterminate) facts.mixed = true; }
    if (el.tagName === "SELECT") facts.chosen = [...el.options].filter((o) => o.selected).map((o) => o.index).join(",");
    if (el.type === "file") facts.value = [...(el.files ?? [])].map((f) => `${f.name} ${f.size}`).join(",");
    if (el.tagName === "DETAILS" || el.tagName === "DIALOG") facts.open = el.open;
    if (el.hasAttribute("popover")) facts.popover = el.matches(":popover-open");
    if (el.isContentEditable && !up(el)?.isContentEditable) facts.text = el.innerText.replace(/\s+$/, "");
    for (const one of SEMANTIC) if (el.hasAttribute(one)) facts[one] = el.getAttribute(one);
    return facts;
  };
  const STATEFUL = `input,textarea,select,details,dialog,[popover],[contenteditable],${SEMANTIC.map((a) => `[${a}]`).join(",")}`;
  const state = () => {
    const found = {};
    for (const root of roots)
      for (const el of root.querySelectorAll(STATEFUL)) {
        const facts = stateOf(el);
        if (el.isConnected && Object.keys(facts).length) found[name(el)] = facts;
      }
    return found;
  };
  const focused = () => {
    let el = document.activeElement;
    for (;;) { const inner = el && hidden.get(el)?.activeElement; if (!inner) break; el = inner; }
    return name(el);
  };
  const at = (steps, start = document.documentElement) => {  // the element at a path of children's numbers, "S" for a shadow root
    let node = start;
    for (const step of steps) node = step === "S" ? hidden.get(node) ?? node?.shadowRoot : node?.children?.[step];
    return node ?? null;
  };

  // --- sight: where a thing can be seen and hit -----------------------------------------------------------------------------
  const deepest = (view, x, y) => {
    let hit = view.document.elementFromPoint(x, y);
    for (;;) {
      const root = hit && (hidden.get(hit) ?? hit.shadowRoot), inner = root?.elementFromPoint(x, y);
      if (!inner || inner === hit) return hit;
      hit = inner;
    }
  };
  const holds = (outer, inner) => { for (let n = inner; n; n = up(n)) if (n === outer) return true; return false; };
  const cut = (el) => {                                    // true if boxes that no person can scroll leave nothing of it
    let { left, top, right, bottom } = el.getBoundingClientRect();
    for (let n = el.assignedSlot ?? up(el); n; n = n.assignedSlot ?? up(n)) {
      if (n.nodeType !== 1 || n === document.body || n === document.documentElement) continue;
      const { overflow, position } = getComputedStyle(n), around = n.getBoundingClientRect();
      if (position === "fixed") return false;
      if (/auto|scroll/.test(overflow) && (n.scrollHeight > n.clientHeight || n.scrollWidth > n.clientWidth)) ({ left, top, right, bottom } = around);
      else if (/hidden|clip|auto|scroll/.test(overflow)) {
        [left, top, right, bottom] = [Math.max(left, around.left), Math.max(top, around.top), Math.min(right, around.right), Math.min(bottom, around.bottom)];
        if (right - left < 1 || bottom - top < 1) return true;
      }
    }
    return false;
  };
  const sight = (el) => {
    if (el.nodeType !== 1) el = el.parentElement ?? el.host ?? document.body;
    const seen = { tag: el.tagName, name: name(el), disabled: el.matches(":disabled"), shown: el.checkVisibility({ visibilityProperty: true }) };
    let opacity = 1;                                       // of a field, what is around it: drawn fields lie unseen over what shows them
    for (let n = el; n; n = up(n)) if (n.nodeType === 1) { if (n !== el || !el.matches("input,select")) opacity *= +getComputedStyle(n).opacity; if (n.inert) seen.inert = true; }
    seen.opacity = opacity;
    seen.clipped = cut(el);
    const before = [];                                     // put back at the end: what was brought into view is cut off again
    for (let n = el; n; n = n.assignedSlot ?? up(n)) if (n.nodeType === 1) before.push([n, n.scrollLeft, n.scrollTop]);
    el.scrollIntoView({ block: "center", inline: "center", behavior: "instant" });
    const boxes = [...el.getClientRects()].filter((r) => r.width >= 1 && r.height >= 1);
    seen.box = boxes.length > 0;
    seen.hit = seen.out = seen.over = 0;
    const tops = new Set();                                // what lies on top where it shows
    seen.by = seen.middle = "";
    if (boxes.length) seen.middle = name(deepest(globalThis, boxes[0].left + boxes[0].width / 2, boxes[0].top + boxes[0].height / 2));
    for (const r of boxes)
      for (const a of [0.04, 0.25, 0.5, 0.75, 0.96])
        for (const b of [0.04, 0.25, 0.5, 0.75, 0.96]) {
          const x = r.left + r.width * a, y = r.top + r.height * b;
          if (x < 0 || y < 0 || x >= innerWidth || y >= innerHeight) { seen.out++; continue; }
          const hit = deepest(globalThis, x, y);
          if (hit && (holds(el, hit) || (el.labels && [...el.labels].some((l) => holds(l, hit))))) { seen.hit++; tops.add(name(hit)); }
          else { seen.over++; if (hit && !holds(hit, el)) { seen.by ||= name(hit); seen.covered = true; } }
        }
    seen.tops = [...tops];
    for (const [n, left, top] of before) n.scrollTo({ left, top, behavior: "instant" });
    return seen;
  };

  // The place in a thing's box, as {x, y} inside of its border, of a point at which nothing of `inner` lies on top: paths, from the thing on, to
  // other things in it. Null where nothing of them lies in the middle, or on all of it that shows.
  const own = (el, inner) => {
    const others = inner.map((steps) => at(steps, el));
    const kindAt = (x, y) => {
      const hit = deepest(globalThis, x, y);
      if (!hit || !holds(el, hit)) return "";
      for (let n = hit; n !== el; n = up(n)) if (others.includes(n) || (n.tagName === "LABEL" && others.includes(n.control)) || /^(IFRAME|FRAME|OBJECT|EMBED)$/.test(n.tagName)) return "other";
      return "own";
    };
    el.scrollIntoView({ block: "center", inline: "center", behavior: "instant" });
    const boxes = [...el.getClientRects()].filter((r) => r.width >= 1 && r.height >= 1), [first] = boxes;
    if (!first || kindAt(first.left + first.width / 2, first.top + first.height / 2) !== "other") return null;
    const partsOf = (size) => { const n = Math.min(150, Math.max(24, Math.ceil(size / 8))); return [...Array(n).keys()].map((i) => (i + 0.5) / n); };
    const found = [];
    for (const r of boxes) for (const b of partsOf(r.height)) for (const a of partsOf(r.width)) { const point = [r.left + r.width * a, r.top + r.height * b]; if (kindAt(...point) === "own") found.push(point); }
    if (!found.length) return null;
    const [x, y] = found[found.length >> 1], around = el.getBoundingClientRect(), style = getComputedStyle(el);
    return { x: x - around.left - parseFloat(style.borderLeftWidth), y: y - around.top - parseFloat(style.borderTopWidth) };
  };

  const note = (what, node) => log.push(["handler", called(node), what, true]);
  const take = () => { const taken = log; log = []; call(); return { log: taken, state: state(), focus: focused(), url: location.pathname + location.hash }; };
  globalThis.referee = { take, at, sight, own, note, name, clear: () => { log = []; } };
  watch(globalThis);
})();
