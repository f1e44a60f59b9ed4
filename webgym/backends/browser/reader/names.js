// Accessible names (accname 1.2, HTML-AAM), as browsers have them; and where those are empty, what else a person would call a thing.
(w) => {
  const { attr, has, squash, clip } = w;
  const LABELLED = new Set(["input", "select", "textarea", "button", "meter", "output", "progress"]);
  const DEEP = 150, MUCH = 4000;                           // levels of what stands in a thing, and characters, that a name is made of
  const SHAPES = new Set(["circle", "rect", "ellipse", "polygon", "path", "line", "polyline"]);
  const SILENT = new Set(["script", "style", "template", "noscript", "head", "meta", "link", "title", "datalist"]);

  // What is drawn in an element: its shadow root, what is slotted, or its children.
  w.innerOf = (el) => {
    const root = w.rootIn(el);
    if (root) return w.childrenOf(root);
    if (w.nameOfTag(el) === "slot") { const given = el.assignedNodes(); if (given.length) return given; }
    return w.childrenOf(el);
  };
  const hidden = (el, style, display) => display === "none" || style.visibility !== "visible" || attr(el, "aria-hidden") === "true";
  const byIds = (el, name) => {
    const ids = attr(el, name);
    if (ids === "") return w.labellersOf(el) ?? [];        // a script that names elements leaves the attribute empty
    return ids ? squash(ids).split(" ").map((id) => w.byId(w.rootOf(el), id)).filter(Boolean) : [];
  };
  w.byId = (root, id) => { try { return w.all(root, `#${CSS.escape(id)}`)[0] ?? null; } catch { return null; } };

  // How a control inside of a name is read.
  const embedded = (el, role) => {
    const tag = w.nameOfTag(el);
    if (role === "textbox" || role === "searchbox") return el.type === "password" ? "" : el.value ?? null;
    if (role === "combobox" || role === "listbox") {
      if (tag === "select") return [...el.selectedOptions].map((o) => o.label).join(" ");
      if (tag === "input") return el.value;
      return [...w.all(el, "[aria-selected=true]")].map((o) => w.textOf(o)).join(" ");
    }
    if (role === "slider" || role === "spinbutton" || role === "scrollbar") return attr(el, "aria-valuetext") ?? attr(el, "aria-valuenow") ?? el.value ?? null;
    return null;
  };
  const given = (el) => squash(attr(el, "aria-label"));
  // The name that the element's own language gives; null where it gives none.
  const native = (el, walk) => {
    if (!w.isHtml(el)) {
      if (w.spaceOf(el) === "http://www.w3.org/2000/svg") { const title = [...w.childrenOf(el)].find((n) => n.nodeType === 1 && w.nameOfTag(n) === "title"); if (title) return squash(w.textOf(title)); }
      return null;
    }
    const tag = w.nameOfTag(el), first = (name) => [...w.childrenOf(el)].find((n) => n.nodeType === 1 && w.nameOfTag(n) === name);
    switch (tag) {
      case "input":
        if (["submit", "reset", "button"].includes(el.type)) return squash(el.value) || (has(el, "value") ? null : { submit: "Submit", reset: "Reset", button: null }[el.type]);
        if (el.type === "image") return squash(attr(el, "alt")) || squash(attr(el, "value")) || squash(attr(el, "title")) || "Submit";
        return null;
      case "img": case "area": return has(el, "alt") ? squash(attr(el, "alt")) || null : null;
      case "fieldset": { const legend = first("legend"); return legend ? walk(legend) : null; }
      case "table": { const caption = first("caption"); return caption ? walk(caption) : null; }
      case "figure": { const caption = first("figcaption"); return caption ? walk(caption) : null; }
      case "optgroup": case "option": case "track": return has(el, "label") ? squash(attr(el, "label")) || null : null;
      case "details": return "Details";
      default: return null;
    }
  };
  let labelled = new Map();                                // root -> control -> its labels: to ask each control costs more
  w.beginNames = () => { labelled = new Map(); };
  w.labelsOf = (el) => {
    if (!LABELLED.has(w.nameOfTag(el)) && !w.nameOfTag(el).includes("-")) return [];
    const root = w.rootOf(el);
    if (!labelled.has(root)) {
      const found = new Map();
      if (w.kindOf(root) !== 1) for (const label of w.all(root, "label")) if (label.control) found.set(label.control, [...(found.get(label.control) ?? []), label]);
      labelled.set(root, found);
    }
    return labelled.get(root).get(el) ?? [];
  };
  const labels = (el, walk) => w.labelsOf(el).map(walk).filter(Boolean).join(" ");

  // The text of what stands in an element, as a name is made of it. `top` is the thing that is named.
  const inside = (el, state, depth) => {
    let text = "";
    const branch = state.top === el && /^(treeitem|menuitem)$/.test(attr(el, "role") ?? ""), said = w.sheetsOf(w.rootOf(el)), add = (more) => { text += more; state.left -= more.length; };
    add(w.pseudoText(el, "::before", said));
    for (const node of w.innerOf(el)) {
      if (state.left <= 0) break;
      const kind = w.kindOf(node);
      if (kind === 3) { add(node.data.length > MUCH ? node.data.slice(0, MUCH) : node.data); continue; }
      if (kind !== 1 || state.seen.has(node) || SILENT.has(w.nameOfTag(node))) continue;
      if (w.nameOfTag(node) === "br") { add(" "); continue; }
      const style = getComputedStyle(node), { display } = style;
      if (hidden(node, style, display) && !(state.hidden && display !== "none")) { if (!/^(inline|none)/.test(display)) add(" "); continue; }
      if (said.backs.has(node) && w.facesAway(node, style)) continue;
      const block = !/^(inline$|contents|none)/.test(display);
      if (branch && w.nameOfTag(node) !== "li" && attr(node, "role") === "group") continue;  // the branches of a tree have names of their own
      const part = depth > DEEP ? squash(w.textOf(node)).slice(0, MUCH) : ofChild(node, state, depth + 1);
      if (block) add(` ${part} `);
      else { add(part); if (w.kindOf(w.nextOf(node) ?? document) === 1) add(" "); }
    }
    add(w.pseudoText(el, "::after", said));
    return text;
  };
  const ofChild = (el, state, depth) => {
    if (state.seen.has(el)) return "";
    state.seen.add(el);
    if (!state.referenced && has(el, "aria-labelledby")) { const text = referenced(el, state); if (text) return text; }
    const role = w.roleOf(el);
    if (el !== state.top) { const value = embedded(el, role); if (value !== null) return ` ${squash(value)} `; }
    const label = given(el);
    if (label) return label;
    const own = native(el, (part) => squash(inside(part, state, depth + 1)));
    if (own) return own;
    const text = inside(el, state, depth);
    if (squash(text)) return text;
    return squash(attr(el, "title"));
  };
  const referenced = (el, state) =>
    squash(byIds(el, "aria-labelledby").map((other) => {
      const inner = { seen: new Set([...state.seen].filter((x) => x !== other)), top: other === el ? el : null, referenced: true, hidden: isHidden(other), left: MUCH };
      return ofChild(other, inner, 0);
    }).join(" "));
  const isHidden = (el) => { const style = getComputedStyle(el); return style.visibility !== "visible"; };

  // The name that its author gave a thing in so many words.
  w.authored = (el) => (has(el, "aria-labelledby") && referenced(el, { seen: new Set([el]) })) || given(el);
  // The accessible name of a thing with this role; "" where it has none.
  w.accname = (el, role) => {
    const state = { seen: new Set([el]), top: el, referenced: false, hidden: false, left: MUCH };
    if (has(el, "aria-labelledby")) { const text = referenced(el, state); if (text) return text; }
    const label = given(el);
    if (label) return label;
    const tag = w.nameOfTag(el), told = labels(el, (part) => given(part) || squash(inside(part, { ...state, seen: new Set([el, part]), left: MUCH, top: null, except: el }, 0)));
    if (told && tag !== "button") return squash(told);
    const own = native(el, (part) => squash(inside(part, state, 0)));
    if (own) return own;
    if (told) return squash(told);
    if (w.NAMED_BY_CONTENT.has(role) && !(w.isHtml(el) && tag === "input")) { const text = squash(inside(el, state, 0)); if (text) return text; }
    if (tag === "textarea" || (tag === "input" && !/^(checkbox|radio|range|color|file|date|time|month|week|datetime-local)$/.test(el.type))) return squash(attr(el, "title")) || squash(attr(el, "placeholder")) || squash(attr(el, "aria-placeholder"));
    return squash(attr(el, "title")) || squash(attr(el, "aria-placeholder"));
  };

  // --- beyond the algorithm ---------------------------------------------------------------------------------------------------

  // What its author called it, without what a script says there of the pointer, which is the frame's business and not the page's.
  const classOf = (el) => squash((attr(el, "class") ?? "").replace(/(^|\s)(\S*[-_:])?(is-?)?(hover|focus)(ed|in)?(?=\s|$)|(^|\s)(hover|focus)(-visible|-within)?:\S+/gi, " "));
  w.classOf = classOf;
  // The head of the column in which a cell stands.
  const headOf = (el) => {
    const cell = w.closest(el, "td,[role=cell],[role=gridcell]"), table = cell && w.closest(cell, "table");
    if (!table || cell.cellIndex === undefined) return "";
    for (const row of table.rows) {
      if (row === cell.parentNode) return "";
      const head = row.cells[cell.cellIndex];
      if (head && (w.nameOfTag(head) === "th" || w.closest(head, "thead"))) return squash(w.textOf(head));
    }
    return "";
  };
  // The words that stand before a field on its line, whatever element holds them.
  const wordsBefore = (el) => {
    const own = w.rectOf(el);
    for (let n = el, up = 0; n && up < 4; n = w.parentOf(n), up++)
      for (let before = n.previousSibling; before; before = before.previousSibling) {
        const kind = w.kindOf(before), text = kind === 3 || kind === 1 ? squash(w.textOf(before)) : "";
        if (kind === 1 && (/^(input|select|textarea|button|br|hr|script|style|option)$/.test(w.nameOfTag(before)) || w.all(before, "input,select,textarea,button,a")[0])) return "";
        if (!text) continue;
        const range = w.documentOf(before).createRange();
        range.selectNodeContents(before);
        const box = range.getBoundingClientRect(), beside = box.bottom > own.top && box.top < own.bottom && (box.right <= own.left + 1 || box.left >= own.right - 1);
        return beside && text.length <= 60 ? text.replace(/\s*[:*]+\s*$/, "") : "";
      }
    return "";
  };
  // What a style sheet writes into an edited text that is empty.
  const inEmpty = (el) => {
    if (!w.editable(el) || squash(w.textOf(el))) return "";
    for (const part of [el, ...w.all(el, "*")]) { const text = squash(w.pseudoText(part, "::before", w.sheetsOf(w.rootOf(part)))); if (text) return text; }
    return "";
  };
  // A page that is edited as a whole is named by its root, or by what its frame is called.
  const ofPage = (el, role) => {
    if (w.nameOfTag(el) !== "body") return "";
    const doc = w.documentOf(el);
    let frame = null;
    try { frame = w.viewOf(doc).frameElement; } catch { /* of another origin */ }
    return w.accname(doc.documentElement, role) || (frame ? given(frame) || squash(attr(frame, "title")) : "");
  };
  w.fieldName = (el, role) => w.accname(el, role) || ofPage(el, role) || inEmpty(el) || headOf(el) || squash(attr(el, "name")) || squash(attr(el, "id")) || clip(wordsBefore(el), 60);
  // For a thing without text: what its author called it.
  w.lastName = (el, role) => {
    const own = squash(attr(el, "title")) || squash(attr(el, "alt")) || squash(attr(el, "placeholder"));
    if (own) return own;
    const inner = w.all(el, "[title],[alt],[aria-label],svg > title")[0];
    const innerName = inner && squash(attr(inner, "aria-label") || attr(inner, "title") || attr(inner, "alt") || w.textOf(inner));
    if (innerName) return innerName;
    if (SHAPES.has(w.nameOfTag(el))) return squash(`${w.nameOfTag(el)} ${attr(el, "fill") ?? ""} ${classOf(el)}`);
    const named = squash(attr(el, "name")) || classOf(el) || squash(attr(el, "id"));
    if (named) return clip(named, 60);
    const icon = [...w.all(el, "[class]")].slice(0, 20).map(classOf).find(Boolean);
    if (icon) return clip(icon, 60);
    if (w.FIELDS.has(role)) return "";
    const colour = getComputedStyle(el).backgroundColor;          // of what is nothing but a patch of it
    return colour && !/, 0\)$/.test(colour) ? colour : "";
  };
  const LETTERS = /[\p{L}\p{N}]/u;
  // A glyph says little: its title says what it is for.
  w.spelled = (name, el) => {
    const title = squash(attr(el, "title"));
    if (!title || !name || title === name || name.includes(title)) return name;
    return [...name].length === 1 || !LETTERS.test(name) ? `${name} ${title}` : name;
  };
  // The text that a thing shows, without what does not show.
  w.shownText = (el, most) => {
    const { backs } = w.sheetsOf(w.rootOf(el));
    if (backs.size && [...w.all(el, "*")].some((n) => backs.has(n) && w.facesAway(n, getComputedStyle(n)))) return inside(el, { seen: new Set([el]), top: el, referenced: false, hidden: false, left: MUCH }, 0);
    const text = el.innerText ?? w.textOf(el);
    return text.length > 10 * most ? text.slice(0, 10 * most) : text;
  };
}
