// Runs in an isolated world of the page: reads the page as text with refs. Nothing in here writes into the page.
(w, ask, answer) => {
  const { squash, clip } = w;
  const SKIP = new Set(["SCRIPT", "STYLE", "TEMPLATE", "NOSCRIPT", "HEAD", "META", "LINK", "TITLE", "BASE", "DATALIST", "PARAM", "SOURCE", "TRACK"]);
  const BUTTON_INPUTS = new Set(["submit", "button", "reset", "image"]);
  const INPUT_ROLES = { checkbox: "checkbox", radio: "radio", range: "slider", number: "spinbutton", search: "searchbox", file: "file", color: "textbox" };
  const TAG_ROLES = { BUTTON: "button", SELECT: "combobox", OPTION: "option", TEXTAREA: "textbox", SUMMARY: "button", H1: "heading", H2: "heading", H3: "heading",
    H4: "heading", H5: "heading", H6: "heading", LI: "listitem", IMG: "img" };
  const ACTIVE = new Set(["button", "link", "checkbox", "radio", "textbox", "searchbox", "spinbutton", "slider", "combobox", "listbox", "option", "tab", "menuitem",
    "menuitemcheckbox", "menuitemradio", "switch", "treeitem", "file", "gridcell-button"]);
  const FIELDS = new Set(["textbox", "searchbox", "spinbutton", "slider", "combobox", "listbox", "file"]);
  const SHAPES = new Set(["circle", "rect", "ellipse", "polygon", "path", "line", "polyline"]);

  let refs = [];

  const labelOf = (el) => {
    const ids = el.getAttribute("aria-labelledby");
    if (ids) {
      const text = squash(ids.split(/\s+/).map((id) => el.getRootNode().getElementById?.(id)?.textContent ?? "").join(" "));
      if (text) return text;
    }
    const aria = squash(el.getAttribute("aria-label"));
    if (aria) return aria;
    for (const label of el.labels ?? []) {
      const text = squash([...label.childNodes].filter((n) => n !== el && !(n.contains?.(el) && n.matches?.("select,textarea"))).map((n) => (n.contains?.(el) ? textAround(n, el) : n.textContent)).join(" "));
      if (text) return text;
    }
    return "";
  };
  const textAround = (node, el) => [...node.childNodes].filter((n) => n !== el).map((n) => n.textContent).join(" ");

  // What its author called it, without what a script says there of the pointer, which is the frame's business and not the page's.
  const classOf = (el) => squash((el.getAttribute("class") ?? "").replace(/(^|\s)(\S*[-_:])?(is-?)?(hover|focus)(ed|in)?(?=\s|$)|(^|\s)(hover|focus)(-visible|-within)?:\S+/gi, " "));

  const lastName = (el) => {                               // for a thing without text: what its author called it
    const given = squash(el.getAttribute("title")) || squash(el.getAttribute("alt")) || squash(el.getAttribute("placeholder"));
    if (given) return given;
    const inner = el.querySelector?.("[title],[alt],[aria-label],svg > title");
    const innerName = inner && squash(inner.getAttribute("aria-label") || inner.getAttribute("title") || inner.getAttribute("alt") || inner.textContent);
    if (innerName) return innerName;
    if (SHAPES.has(el.tagName)) return squash(`${el.tagName} ${el.getAttribute("fill") ?? ""} ${classOf(el)}`);
    const named = squash(el.getAttribute("name")) || classOf(el) || squash(el.id);
    if (named) return clip(named, 60);
    const icon = [...(el.querySelectorAll?.("[class]") ?? [])].map(classOf).find(Boolean);
    if (icon) return clip(icon, 60);
    if (el.matches("input,textarea,select")) return "";   // its colour is no name
    if (FIELDS.has(roleOf(el))) return "";
    const colour = getComputedStyle(el).backgroundColor;
    return colour && !/, 0\)$/.test(colour) ? colour : "";
  };

  const roleOf = (el) => {
    const explicit = squash(el.getAttribute("role")).toLowerCase().split(" ")[0];
    if (explicit && explicit !== "presentation" && explicit !== "none") return explicit;
    const tag = el.tagName;
    if (tag === "A") return "link";
    if (tag === "INPUT") {
      const type = (el.type || "text").toLowerCase();
      return BUTTON_INPUTS.has(type) ? "button" : INPUT_ROLES[type] ?? "textbox";
    }
    if (tag === "SELECT") return el.multiple || el.size > 1 ? "listbox" : "combobox";
    if (el.isContentEditable && !el.parentElement?.isContentEditable) return "textbox";
    return TAG_ROLES[tag] ?? "";
  };

  let focused = new Set();
  const statesOf = (el, role) => {
    const states = [], aria = (name) => el.getAttribute("aria-" + name);
    if ((el.tagName === "INPUT" && (el.type === "checkbox" || el.type === "radio") && el.checked) || aria("checked") === "true") states.push("checked");
    if ((el.tagName === "OPTION" && el.selected) || aria("selected") === "true" || aria("pressed") === "true" || (aria("current") ?? "false") !== "false") states.push("selected");
    if (el.disabled || aria("disabled") === "true" || (el.matches?.(":disabled") ?? false)) states.push("disabled");
    const open = el.tagName === "SUMMARY" ? String(!!el.parentElement?.open) : aria("expanded");
    if (open === "true") states.push("expanded");
    if (open === "false") states.push("collapsed");
    if (focused.has(el)) states.push("focused");
    if (el.required) states.push("required");
    if (el.readOnly && role === "textbox") states.push("readonly");
    if (el.getAttribute("draggable") === "true") states.push("draggable");
    return states;
  };

  const valueOf = (el, role) => {
    if (role === "combobox" && el.tagName === "SELECT") return squash(el.selectedOptions[0]?.label ?? "");
    if (role === "listbox" && el.tagName === "SELECT") return [...el.selectedOptions].map((o) => squash(o.label)).join(", ");
    if (role === "file") return [...(el.files ?? [])].map((f) => f.name).join(", ");
    if (FIELDS.has(role)) return clip(el.value ?? (el.isContentEditable ? el.innerText : el.getAttribute("aria-valuenow")) ?? "", 2000);
    return null;
  };

  const childrenOf = (el) => {
    if (el.shadowRoot) return el.shadowRoot.childNodes;
    if (el.tagName === "DETAILS" && !el.open) return [...el.children].filter((c) => c.tagName === "SUMMARY").slice(0, 1);
    if (el.tagName === "SLOT") { const given = el.assignedNodes(); return given.length ? given : el.childNodes; }
    if (w.isFrame(el)) {
      const inner = w.documentIn(el);
      return inner ? (w.bodyOf(inner) ? [w.bodyOf(inner)] : []) : el.childNodes;
    }
    return el.childNodes;
  };

  const scrolled = (el) => {                               // inside a box of the page that was scrolled: out of sight, but not gone
    for (let n = el.parentElement; n; n = n.parentElement) if (n.scrollTop > 0 || n.scrollLeft > 0) return true;
    return false;
  };

  const listeningIn = (root) => {
    const found = new Set();
    const windows = [root.defaultView], add = (event) => { event.stopImmediatePropagation(); if (event.detail.split("\n")[0].includes("c")) found.add(event.composedPath()[0]); };
    for (let i = 0; i < windows.length; i++) {
      const doc = windows[i].document;
      doc.addEventListener(answer, add, true);
      windows[i].dispatchEvent(new Event(ask));
      doc.removeEventListener(answer, add, true);
      for (const frame of w.all(doc, "iframe,frame,object,embed")) { const inner = w.documentIn(frame); if (inner?.defaultView) windows.push(inner.defaultView); }
    }
    return found;
  };

  const offsetOf = (el) => w.pointOf(el, 0, 0);            // of its frame, in the viewport of the page

  // The elements that have the focus, from the document in to what the keyboard reaches; none where this document is a frame without it.
  const focusChain = (hasFocus) => {
    const chain = [];
    for (let el = hasFocus ? w.activeIn(document) : null; el; ) {
      chain.push(el);
      const inner = w.isFrame(el) && w.documentIn(el);
      el = inner ? w.activeIn(inner) : w.shadowOf(el)?.activeElement;
    }
    return chain;
  };

  const snapshot = (maxNodes, maxChars, hasFocus = true) => {
    refs = [];
    w.beginFrames();
    const out = [], listening = listeningIn(document), chain = focusChain(hasFocus), frames = [], matrices = new Map();
    focused = new Set(chain);
    const matrixOf = (doc) => {
      if (!matrices.has(doc)) matrices.set(doc, w.matrixIn(doc));
      return matrices.get(doc);
    };
    let buffer = "", host = null, chars = 0, cut = false;  // host: the node that absorbs text now
    const push = (role, text, el, value, states, depth, rect) => {
      if (out.length >= maxNodes || chars > maxChars) { cut = true; return null; }
      let ref = null, box = null;
      if (el) {
        ref = refs.push(el) - 1;
        box = w.mappedBox(matrixOf(w.documentOf(el)), rect).map((v) => Math.round(v));
      }
      const node = [role, text, ref, value, states, depth, box];
      chars += text.length + (value?.length ?? 0);
      out.push(node);
      return node;
    };
    const flush = (role, depth) => {
      const text = squash(buffer);
      buffer = "";
      if (!text) return;
      if (host) host[1] = host[1] ? host[1] + " " + text : text;
      else push(role, clip(text, 2000), null, null, [], depth, null);
    };
    const walk = (node, pointer, depth, role, inside, visible) => {
      if (cut) return;
      if (node.nodeType === 3) { if (visible) buffer += node.data; return; }
      if (node.nodeType !== 1 || SKIP.has(node.tagName)) return;
      const el = node, tag = el.tagName, style = getComputedStyle(el);
      if (style.display === "none") return;
      const shown = style.visibility === "visible";
      let own = roleOf(el);
      const rect = el.getBoundingClientRect();
      const gone = (rect.right + scrollX <= 0 || rect.bottom + scrollY <= 0) && !scrolled(el);
      const hand = style.cursor === "pointer";
      const listens = listening.has(el) || el.hasAttribute("onclick") || el.hasAttribute("onmousedown");
      const native = ACTIVE.has(own) && !(own === "option" && tag !== "OPTION" && !listens && !hand && !el.hasAttribute("aria-selected"));
      const page = tag === "BODY" || tag === "HTML";
      let active = shown && !page && !gone && (native || listens || (hand && !pointer && !host) || (el.tabIndex >= 0 && el.hasAttribute("tabindex")) || el.getAttribute("draggable") === "true");
      let label = false, control = el;
      if (tag === "LABEL" && el.control) {
        const c = el.control, box = c.getBoundingClientRect();
        if (getComputedStyle(c).visibility === "visible" && box.width > 1 && box.height > 1) { label = true; active = false; }
        else if (shown && (c.type === "checkbox" || c.type === "radio")) { active = true; own = c.type; control = c; }
      }
      if (active && (rect.width < 1 || rect.height < 1) && !squash(el.textContent)) active = false;
      if (active && host && squash(el.textContent) && squash(el.textContent) === squash(inside.textContent) && !FIELDS.has(own) && own !== "checkbox" && own !== "radio") active = false;
      let leaves = false;
      if (active && !native && !hand && !host) {           // a listener that delegates for the blocks inside: each of them is the thing to click
        const blocks = [...el.children].filter((c) => squash(c.textContent) && !/^inline|contents|none/.test(getComputedStyle(c).display));
        if (blocks.length >= 2 || el.querySelector("input,select,textarea,button")) { active = false; leaves = blocks.length >= 2 && own !== "form" && tag !== "FORM"; }
      }
      const nest = depth + (tag === "UL" || tag === "OL" || own === "group" ? 1 : 0);
      if (active) {
        flush(role, depth);
        const name = own && own !== "listitem" && own !== "heading" && own !== "img" && own !== "presentation" ? own : "clickable";
        const item = push(name, "", el, valueOf(control, own), statesOf(control, own), depth, rect);
        if (!item) return;
        const outer = host, labelled = labelOf(control);
        if (tag === "SELECT") {
          item[1] = labelled || lastName(el);
          for (const option of el.options) push("option", squash(option.label), option, null, statesOf(option, "option").filter((s) => s !== "focused"), depth + 1, rect);
          return;
        }
        if (FIELDS.has(own) && tag !== "DIV" && tag !== "SPAN") { item[1] = labelled || lastName(el); return; }
        if (own === "checkbox" || own === "radio") {
          item[1] = labelled || (tag === "INPUT" ? "" : squash(el.textContent)) || lastName(el);
          return;
        }
        if (tag === "INPUT") { item[1] = labelled || squash(el.value) || lastName(el) || (el.type === "submit" ? "Submit" : ""); return; }
        host = item;
        for (const child of childrenOf(el)) walk(child, hand, nest, role, el, shown);
        flush(role, depth);
        host = outer;
        item[1] = clip(labelled || (own === "textbox" ? lastName(el) : squash(item[1]) || lastName(el)), 500);
        return;
      }
      if (label) {
        const kept = buffer;
        for (const child of el.querySelectorAll("input,select,textarea,button")) { buffer = ""; walk(child, hand, depth, role, inside, shown); }
        buffer = kept;
        return;
      }
      if (w.holdsFrame(el) && !w.documentIn(el)) {          // of another host: read in a world of its own, and put in here
        if (!shown || gone || rect.width < 1 || rect.height < 1) return;
        flush(role, depth);
        frames.push([out.length, ...w.keepFrame(el), depth, w.times(matrixOf(w.documentOf(el)), w.matrixOf(el)), chain.at(-1) === el]);
        return;
      }
      if (tag === "BR" || tag === "HR") { flush(role, depth); return; }
      if (tag === "IMG" || own === "img") {
        const alt = squash(el.getAttribute("alt") ?? el.getAttribute("aria-label"));
        if (alt && shown) buffer += " " + alt + " ";
        if (tag === "IMG") return;
      }
      const inline = /^inline|contents/.test(style.display) || (!host && tag === "LABEL") || el.namespaceURI === "http://www.w3.org/2000/svg" && tag !== "svg" && tag !== "text";
      const kind = own === "heading" ? "heading" : role;
      if (leaves) {
        flush(role, depth);
        for (const child of childrenOf(el)) {
          if (child.nodeType === 1 && squash(child.textContent) && !child.querySelector?.("a,button,input,select,textarea,[role],[tabindex]") && getComputedStyle(child).display !== "none" && getComputedStyle(child).visibility === "visible")
            push("clickable", clip(squash(child.innerText ?? child.textContent), 500), child, null, statesOf(child, ""), nest, child.getBoundingClientRect());
          else walk(child, hand, nest, kind, inside, shown);
        }
        return;
      }
      if (!inline) flush(role, depth);
      for (const child of childrenOf(el)) walk(child, hand, nest, kind, inside, shown && !gone);
      if (!inline) flush(kind, depth);
      else if (el.nextSibling?.nodeType === 1) buffer += " ";
    };
    if (document.body) walk(document.body, false, 0, "text", document.body, true);
    flush("text", 0);
    const focus = chain.length ? refs.indexOf(chain.at(-1)) : -1;
    return JSON.stringify({ url: location.href, title: document.title, nodes: out, frames, focus: focus < 0 ? null : focus, cut, said: w.said() });
  };
  // Give the things of the last snapshot their numbers on the whole page, of `total`.
  const number = (numbers, total) => {
    const found = refs;
    refs = [];
    numbers.forEach((ref, i) => { if (ref !== null) refs[ref] = found[i]; });
    refs.length = total;
  };

  const pictures = new Map();                              // kept, so that they stay in the browser's memory
  const preload = () => {                                  // the pictures that only show under the pointer; returns how many were not there yet
    const before = pictures.size;
    for (const sheet of document.styleSheets) {
      let rules = [];
      try { rules = sheet.cssRules; } catch { continue; }  // of another origin
      for (const rule of rules)
        if (/:hover/.test(rule.selectorText ?? "") && rule.style.content)
          for (const [, url] of rule.style.content.matchAll(/url\("([^"]+)"\)/g)) {
            const address = new URL(url, sheet.href ?? document.baseURI).href;
            if (!pictures.has(address)) pictures.set(address, Object.assign(new Image(), { src: address }));
          }
    }
    return pictures.size - before;
  };
  Object.assign(w, { snapshot, preload, roleOf, offsetOf, FIELDS, number, refs: () => refs });
}
