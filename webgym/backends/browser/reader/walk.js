// The page as lines: a walk over what is drawn, in reading order. Each line is [role, text, ref, value, states, depth, box].
// Nothing here calls itself, since a page may be nested as deep as it likes.
(w) => {
  const { squash, clip, attr, has } = w;
  const SKIP = new Set(["script", "style", "template", "noscript", "head", "meta", "link", "title", "base", "datalist", "param", "source", "track", "area",
    "desc", "defs", "metadata", "symbol", "clipPath", "mask", "pattern", "linearGradient", "radialGradient"]);
  const MOST_DRAWN = 50_000, FAR = 30_000;                 // elements that are looked at, and lines that are read to find those in view
  const DEEP = 700;                                        // levels, beyond which only text is read: the browser is slow there, and its parser nests less
  const BROKEN = /\S[^\S\n]*\n/;                            // words that a line ends with
  const MUCH = 20_000, LINE = 2000, NAME = 500;            // characters of a text that are kept, of a line and of a name
  const MOST_HOVERED = 100, MOST_PATCH = 10_000;           // characters, and pixels, of what is small enough to be pointed at for what it shows
  const MOST_FOLDED = 300, MOST_LINES = 6, MOST_THINGS = 3;  // characters, lines, and things of their own, of what is small enough to be one name
  const LONG = 100;                                        // lines from which on it is told which of them are in view
  const CELL = "\u0001";                                   // the border of two cells, while a row is read
  const TABLE = "table,[role=table],[role=grid],[role=treegrid]";
  const CONTROL = "a[href],button,input,select,textarea";
  const REPLACED = new Set(["img", "iframe", "frame", "object", "embed", "input", "select", "textarea", "button", "canvas", "video", "audio", "svg", "meter", "progress", "area", "label"]);
  const SVG = "http://www.w3.org/2000/svg";
  const FLOWS = 0, FIXED = 1, LOST = 2;                    // whether a thing scrolls with its page, stands still in the view, or is in a box that is out of it
  let refs = [], focused = new Set();

  // The elements that have the focus, from the document in to what the keyboard reaches; none where this document is a frame without it.
  const focusChain = (hasFocus) => {
    const chain = [];
    for (let el = hasFocus ? w.activeIn(document) : null; el; ) {
      chain.push(el);
      const inner = w.isFrame(el) && w.documentIn(el);
      el = inner ? w.activeIn(inner) : w.rootIn(el)?.activeElement;
    }
    return chain;
  };
  // What the keyboard is on in a thing that keeps the focus for all that stand in it.
  const pointedAt = (el) => { const id = el && attr(el, "aria-activedescendant"); return id ? w.byId(w.rootOf(el), id) : null; };
  const tabbable = (el) => has(el, "tabindex") && parseInt(attr(el, "tabindex"), 10) >= 0;
  const blocky = (style) => !/^inline|contents|none/.test(style.display);

  class Walk {
    constructor(maxNodes, maxChars, hasFocus) {
      Object.assign(this, { maxNodes, maxChars, out: [], anchors: [], refs: [], frames: [], matrices: new Map(), todo: [], buffer: "", from: null, host: null, row: false,
        chars: 0, drawn: 0, cut: false, scrolled: scrollY > 0 || scrollX < 0, chain: focusChain(hasFocus), tables: new Map(), grids: new Map(), column: -1, columns: null, roots: new Set(), again: false,
        fold: null, much: null, wide: new Set() });
      focused = new Set(this.chain);
      const pointed = pointedAt(this.chain.at(-1));
      if (pointed) focused.add(pointed);
    }

    // --- lines ----------------------------------------------------------------------------------------------------------

    matrixOf(doc) {
      if (!this.matrices.has(doc)) this.matrices.set(doc, w.matrixIn(doc));
      return this.matrices.get(doc);
    }
    box(el, rect) { return w.mappedBox(this.matrixOf(w.documentOf(el)), rect).map((v) => Math.round(v)); }
    full() { return this.scrolled ? this.out.length >= FAR : this.out.length >= this.maxNodes || this.chars > this.maxChars; }
    line(role, text, value, depth, anchor) {
      if (this.full()) { this.cut = true; return null; }
      const line = [role, text, null, value, [], depth, null];
      this.chars += text.length + (value?.length ?? 0);
      this.out.push(line);
      this.anchors.push(anchor);
      return line;
    }
    thing(role, el, value, states, depth, rect) {
      const line = this.line(role, "", value, depth, el);
      if (line) [line[2], line[4], line[6]] = [this.refs.push(el) - 1, states, this.box(el, rect)];
      return line;
    }
    // Make a line of the text so far, or give it to the thing that it is the name of. In a row of a table, it waits for the row's end.
    flush(role, depth, force = "") {
      if (this.row && !force) { this.buffer += " "; return; }
      if (this.buffer === "") return;
      let text = squash(this.buffer);
      this.buffer = "";
      if (this.row) [text, role] = this.rowText(text, role, force === "row");
      if (!text) return;
      if (!this.host) { this.line(role, clip(text, LINE), null, depth, this.from); return; }
      this.host[1] = this.host[1] ? this.host[1] + " " + text : text;
      if (!this.fold) return;
      this.fold.lines++;
      this.fold.size += text.length;
      this.mindFold();
    }

    // The cells of a row so far; the one in which a thing stands is not told before it.
    rowText(text, role, whole) {
      const cells = text.split(CELL).map(squash);
      if (!whole && cells.at(-1) === "") cells.pop();
      if (!cells.some(Boolean)) return ["", role];
      return [squash(cells.join(" | ")), this.host || cells.length === 1 ? role : "row"];
    }

    // --- the walk -------------------------------------------------------------------------------------------------------

    run(doc, inert) {
      const root = w.drawnOf(doc);
      if (root) this.todo.push(root, this.begin(doc, { pointer: false, split: false, depth: 0, role: "text", inside: root, shown: true, opaque: true, visible: true, text: true, mute: false, inert, native: false, away: false, gone: false, clips: w.NO_CLIPS, fixed: FLOWS, level: 0, faint: false, indented: false, lost: 0, delegate: false, map: false }));
      for (;;) {
        if (this.much) this.unfold();
        if (!this.todo.length || this.cut) break;
        const around = this.todo.pop(), node = this.todo.pop();
        if (typeof node === "function") { node(); continue; }
        if (!around.listed) { const next = w.nextOf(node); if (next) this.todo.push(next, around); }
        const kind = w.kindOf(node);
        if (kind === 3) this.text(node, around);
        else if (kind === 1) this.element(node, around);
      }
      this.row = false;
      this.flush("text", 0);
      if (!this.cut && !inert) this.bodyAlone(doc);
    }
    // A page that can be clicked anywhere, and in which nothing else can be acted on.
    bodyAlone(doc) {
      const el = [w.bodyOf(doc), doc.documentElement].find((root) => root && w.listens(root));
      if (el && !this.refs.length && !this.frames.length && w.modalsOf(doc).length === 0) this.insert(0, ["clickable", clip(w.authored(el), NAME), this.refs.push(el) - 1, null, w.statesOf(el, "", false), 0, this.box(el, w.boxOf(el))], el);
    }
    insert(at, line, el) {
      this.out.splice(at, 0, line);
      this.anchors.splice(at, 0, el);
    }
    // What holds in a document that is walked, as in what it stands in.
    begin(doc, around) {
      w.listen(doc);
      const modals = w.modalsOf(doc), view = w.viewOf(doc), top = doc.scrollingElement ?? doc.documentElement;
      const rtl = top && w.leftwards(getComputedStyle(top)), wide = top ? top.scrollWidth - top.clientWidth : 0, cut = top !== null && w.cutsAside(doc);
      const edges = { left: rtl && !cut ? -wide : 0, right: top && (rtl || cut) ? top.clientWidth + (rtl ? 0 : view.scrollX) : Infinity, x: view.scrollX, y: view.scrollY, width: view.innerWidth, height: view.innerHeight };
      return { ...around, listed: true, edges, said: w.sheetsOf(doc), modal: w.topModal(modals, this.chain.at(-1)), inert: around.inert || modals.length > 0 };
    }
    text(node, around) {
      if (!around.text || this.buffer.length > MUCH) return;
      if (around.faint && !this.host) return;
      if (around.indented && !this.host && this.pushedOut(node, around.clips[1])) return;
      const data = node.data.length > MUCH ? node.data.slice(0, MUCH) : node.data;
      if (this.host || this.row || !BROKEN.test(data) || !w.keepsBreaks(w.above(node))) { this.write(data, node); return; }
      data.split("\n").forEach((line, i) => { if (i) this.flush(around.role, around.depth); this.write(line, node); });
    }
    // Whether the indent of its line takes a text out of the box that cuts it.
    pushedOut(node, clip) {
      const range = w.documentOf(node).createRange();
      range.selectNodeContents(node);
      return w.clippedAway(range.getBoundingClientRect(), clip);
    }
    // Walk these nodes next, then do what is to be done after them.
    inner(nodes, around, after) {
      if (after) this.todo.push(after, null);
      const listed = Array.isArray(nodes), each = around.listed === listed ? around : { ...around, listed };
      if (listed) for (let i = nodes.length - 1; i >= 0; i--) this.todo.push(nodes[i], each);
      else if (nodes) this.todo.push(nodes, each);         // the first one; the rest follow one by one
    }

    element(el, around) {
      const tag = w.nameOfTag(el);
      if (SKIP.has(tag) && !(tag === "area" && around.map)) return;
      const style = getComputedStyle(el), { display } = style;
      if (display === "none" && tag !== "area") return;
      if (++this.drawn > MOST_DRAWN) { this.cut = true; return; }
      if (around.level > DEEP) { if (around.text) this.write(w.textOf(el).slice(0, MUCH), el); return; }
      const role = w.roleOf(el), shown = style.visibility === "visible", body = tag === "body" || tag === "html", odd = w.odd(el, around.said), hand = style.cursor === "pointer";
      const look = { el, tag, style, display, overflow: "visible", odd, role, rect: null, shown, away: around.away, gone: around.gone, clips: around.clips, inert: around.modal !== el && (around.inert || has(el, "inert")),
        hand, body, listens: w.listens(el), always: false, label: false, revealed: "", fixed: around.fixed, lost: around.lost, indented: around.indented && style.textIndent !== "0px" };
      // What flows in its line stands where its block does; to ask where costs more than all else.
      if (display !== "inline" || REPLACED.has(tag) || odd || tag.includes("-")) this.place(look, around);
      const { gone, clips } = look, opaque = around.opaque && !(odd && w.faded(el, style)), visible = shown && !gone && opaque && !w.narrow(clips[1]);
      const mute = around.mute || (around.said.veiled.size > 0 && around.said.veiled.has(el));
      const here = { pointer: hand, split: around.split, depth: around.depth + (tag === "ul" || tag === "ol" || (role === "group" && has(el, "role")) ? 1 : 0), role: role === "heading" ? "heading" : around.role,
        inside: around.inside, shown, opaque, visible, text: (this.host ? shown && !look.away : visible) && !mute, mute, away: look.away, gone, inert: look.inert, native: around.native, clips, fixed: look.fixed, said: around.said,
        edges: around.edges, level: around.level + 1, faint: (odd || around.faint) && w.seeThrough(el, style), indented: look.indented, lost: look.lost, modal: around.modal, delegate: false, map: false, listed: false };
      this.act(look, around, here) || this.read(look, around, here);
    }
    // Take in where an element is, and whether that can be seen.
    place(look, around) {
      const { el, tag, style, display, odd, body } = look, rect = display === "contents" || tag === "area" ? w.boxOf(el) : w.rectOf(el), across = style.overflowX;
      look.rect = rect;
      if (across !== "visible") look.overflow = `${across} ${style.overflowY}`;
      const paint = odd && display !== "inline" && /paint|strict|content/.test(style.contain);
      if (!body) look.clips = w.clipsOf(el, style, look.overflow, display, rect, around.clips, paint);
      if (odd && !body) {
        look.lost ||= w.lost(el, style, around.said);
        look.indented ||= /hidden|clip/.test(across) && style.textIndent !== "0px";
      }
      if (!body && style.position === "fixed" && w.holdsStill(el)) look.fixed = FIXED;
      look.away = !body && (look.lost === w.TURNED || (look.fixed === FLOWS ? this.outside(el, rect, around.edges) : look.fixed === LOST || this.offView(rect, around.edges)));
      if (look.fixed === FIXED && w.scrollsOn(el, style)) look.fixed = look.away ? LOST : FLOWS;
      look.gone = look.away || look.lost > 0 || (!body && ((odd && w.clipsItself(el, style)) || w.clippedAway(rect, look.clips[0]) || w.flattened(el, rect)));
      if (w.mayHide(el, tag, display, rect)) w.askRoot(el);
    }
    // Left of or above all that can be scrolled to.
    outside(el, rect, edges) {
      if (!rect.width && !rect.height) return false;
      const { left, right, x, y } = edges;
      if (rect.right + x > left && rect.bottom + y > 0 && rect.left + x < right) return false;
      const beyond = rect.left + x >= right;
      for (let n = w.above(el); n && w.kindOf(n) === 1; n = w.above(n)) if (w.downOf(n) > 0 || w.asideOf(n) !== 0 || w.scrollsBack(n) || (beyond && w.scrollsAside(n)) || this.carriedIn(n, rect, edges)) return false;
      return true;
    }
    // Whether a turned box, which can be seen itself, scrolls what is outside into the view.
    carriedIn(box, rect, { left, right, x, y }) {
      const moves = w.carries(box), around = moves && w.rectOf(box);
      if (!moves || around.right + x <= left || around.bottom + y <= 0 || around.left + x >= right) return false;
      return rect.right + x + moves[1] > left && rect.bottom + y + moves[2] > 0 && rect.left + x + moves[0] < right;
    }
    // Whether a field stands where nobody can bring it into the view.
    farAway(el, edges) {
      const rect = w.rectOf(el), off = this.offView(rect, edges);
      if (!off) return false;
      for (let n = el; n && w.kindOf(n) === 1; n = w.above(n)) if (getComputedStyle(n).position === "fixed" && w.holdsStill(n)) return true;
      return this.outside(el, rect, edges);
    }
    // Where no scrolling brings what does not scroll.
    offView(rect, { width, height }) {
      return rect.width + rect.height > 0 && (rect.right <= 0 || rect.bottom <= 0 || rect.left >= width || rect.top >= height);
    }

    // --- what can be acted on -------------------------------------------------------------------------------------------

    // Whether a thing can be acted on, and as what; null where it cannot.
    acts(look, around) {
      const { el, tag, role, shown, inert, hand, body, listens } = look;
      if (!shown || inert || (look.rect && this.unseen(look))) return null;
      if (body) return w.editable(el) && role === "textbox" ? { control: el, as: role } : null;
      look.always = w.alwaysActive(role) && !(tag === "a" && role === "link" && !this.leads(el) && !listens && !hand && !tabbable(el));
      const delegated = w.delegatedTo(el), drags = attr(el, "draggable") === "true", drops = w.takesDrops(el), tab = tabbable(el);
      look.own = look.always || listens || drags || drops || tab || delegated;
      const plain = w.isHtml(el) && tag === "details" && !this.summaryOf(el), media = tag === "video" || tag === "audio" ? el.controls === true : tag === "canvas" && this.heard(el, around);
      let active = look.own || plain || media || (look.revealed = this.reveals(look, around)) !== "" || (hand && this.handed(look, around)) || (w.sometimesActive(role) && (has(el, "tabindex") || has(el, "aria-selected") || has(el, "aria-sort")));
      let control = el, as = plain ? "button" : role;
      if (tag === "label" && el.control) {
        if (!look.rect) { this.place(look, around); if (this.unseen(look)) return null; }
        const c = el.control;
        const drawn = w.drawn(c) && !this.farAway(c, around.edges), apart = drawn && listens && !w.contains(el, c);   // what hears its own clicks is a thing beside its field
        if (drawn && !apart) { look.label = true; return null; }
        if (!drawn && /^(checkbox|radio|file)$/.test(c.type)) { active = true; look.always = true; as = w.roleOf(c); control = c; }
      }
      if (!active) return null;
      if (!look.rect) { this.place(look, around); if (this.unseen(look)) return null; }
      const { rect, gone } = look;
      if (tag === "input" && /^(checkbox|radio|file)$/.test(el.type) && w.labelsOf(el).length && (gone || rect.width <= 1.5 || rect.height <= 1.5)) return null;  // its label stands for it
      const small = rect.width < 1 || rect.height < 1;
      if (small && !(w.FIELDS.has(role) && tab) && !squash(w.textOf(el)) && !w.boxesOf(el).some((b) => b.width >= 1 && b.height >= 1)) return null;
      if (rect.width <= 1.5 && rect.height <= 1.5 && /hidden|clip/.test(look.overflow) && control === el && !w.FIELDS.has(as)) return null;
      if (delegated && !look.always && !listens && !hand && !drags && !drops && this.speaksFor(el)) return null;
      look.always ||= drags || drops || delegated;
      const held = this.host ? !w.FIELDS.has(this.host[0]) : this.wide.has(around.inside);
      if (held && !w.FIELDS.has(as) && as !== "checkbox" && as !== "radio" && this.says(el, as, around.inside) && !w.authored(el) && !has(el, "title") && this.folds(look, as, around.inside)) return null;
      return { control, as };
    }
    // Whether a thing needs no line beside that of the one around it, since a press in the middle of that is one on it. One with a use of its
    // own then takes the line over from a box that only listens.
    folds({ el, tag }, as, around) {
      if (!w.alwaysActive(as)) return true;
      const { left, top, width, height } = w.boxOf(around), x = left + width / 2, y = top + height / 2;
      if (!w.boxesOf(el).some((b) => b.left <= x && x <= b.right && b.top <= y && y <= b.bottom)) return false;
      const line = this.host;
      if (line?.[0] !== "clickable" || attr(around, "draggable") === "true" || w.takesDrops(around) || tabbable(around)) return true;
      this.refs[line[2]] = el;
      [line[0], line[6]] = [as, this.box(el, w.boxOf(el))];
      line[4] = [...new Set([...line[4], ...w.statesOf(el, as, focused.has(el))])];
      return true;
    }
    // Whether a thing says all that the one around it says. One with a use of its own still does not, where that has another name.
    says(el, as, around) {
      const text = squash(w.textOf(el));
      return text !== "" && text === squash(w.textOf(around)) && (!w.alwaysActive(as) || [text, ""].includes(squash(w.authored(around))));
    }
    // A field that is clipped is still the keyboard's; another thing that is not seen is out of reach.
    unseen({ role, away, gone }) { return away || (gone && !(w.FIELDS.has(role) && w.alwaysActive(role))); }
    // One control in what a delegate can tell apart, which says all that there is: that is what is clicked.
    speaksFor(el) {
      const inside = w.all(el, "a[href],button,input,select,textarea,[role=button],[role=link]");
      return inside.length === 1 && squash(w.textOf(inside[0])) === squash(w.textOf(el));
    }
    leads(el) { return has(el, "href") || has(el, "xlink:href"); }
    summaryOf(el) { for (const child of w.childrenOf(el)) if (child.nodeType === 1 && w.nameOfTag(child) === "summary") return child; return null; }
    heard(el, around) {
      if (around.mute) return false;
      for (let n = el; n; n = w.above(n)) if (n.nodeType === 9 ? w.documentHears(n) : w.nameOfTag(n) !== "body" && w.listens(n)) return true;
      return false;
    }
    // Something shows when the pointer is on it, and nothing in it can be pointed at for that: as a sheet says ("told"), or by what it hears
    // ("heard"); "list" for one whose items it can tell apart then.
    reveals({ el, tag }, around) {
      const { said } = around;
      if (this.host || around.mute) return "";
      if (said.reveals.has(el)) return this.pointedFor(el, said, MOST_FOLDED) ? "told" : "";
      if (!w.hovered(el) || /^(td|th|form|main|nav|header|footer)$/.test(tag)) return "";
      return /^(ul|ol|table|tbody)$/.test(tag) ? "list" : this.pointedFor(el, said, MOST_HOVERED) ? "heard" : "";
    }
    pointedFor(el, said, most) {
      const text = squash(w.textOf(el)), rect = w.rectOf(el);
      return text.length <= most && (text !== "" || rect.width * rect.height < MOST_PATCH) && ![...w.all(el, `${CONTROL},[tabindex],[role]`)].some((inner) => this.pointable(inner, el, said));
    }
    meets(el, selector, said) {
      const met = (inner) => this.pointable(inner, el, said);
      return [...w.all(el, selector)].some((inner) => met(inner) || w.labelsOf(inner).some(met));
    }
    // Whether the pointer can be brought to what stands in an element, before anything else shows there.
    pointable(inner, el, said) {
      if (!w.rectsOf(inner).length) return false;
      const style = getComputedStyle(inner);
      if (style.visibility !== "visible" || style.pointerEvents === "none") return false;
      if (said.veiled.size) for (let n = inner; n && n !== el; n = w.above(n)) if (said.veiled.has(n)) return false;
      return true;
    }
    // The hand of the pointer shows here first; or a delegate that shows it over all can tell this from others like it.
    handed({ el, tag }, around) {
      if (!around.pointer) return !(this.host && around.native);
      if (!around.split || (this.host && around.native)) return false;
      const kind = tag === "td" || tag === "li" ? tag : has(el, "class") ? attr(el, "class") : null, parent = w.parentOf(el);
      if (kind === null || parent?.nodeType !== 1 || !squash(w.textOf(el))) return false;
      let alike = 0;
      for (const other of w.childrenOf(parent)) if (other.nodeType === 1 && w.nameOfTag(other) === tag && (kind === tag || attr(other, "class") === kind)) alike++;
      return alike > 1;
    }
    act(look, around, here) {
      const found = this.acts(look, around);
      if (!found) return false;
      const { el, tag, rect, hand, role, listens } = look, { control, as } = found;
      if (!look.always && !hand && !this.host && !w.FIELDS.has(as)) {
        const things = this.inThings(look, around.said);
        if (things && tabbable(el)) this.keyed(look, around);
        if (things === "leaves" && (listens || !tabbable(el))) return this.leaves(look, around, here);
        if (things) return false;
      }
      this.flush(around.role, around.depth, "thing");
      const states = w.statesOf(control, as, focused.has(el) || focused.has(control));
      const item = this.thing(this.shownRole(as, tag, look), el, w.valueOf(control, as), states, around.depth, rect.width && rect.height ? rect : w.boxOf(el));
      if (!item) return true;
      if (tag === "select" && w.isHtml(el)) { item[1] = clip(w.fieldName(el, as), NAME); this.options(el, around.depth + 1, rect); this.complain(el, around.depth); return true; }
      if (tag === "input" || tag === "textarea") { item[1] = clip(this.nameOfInput(el, as), NAME); this.suggestions(el, around.depth + 1); this.complain(el, around.depth); return true; }
      if (control !== el) { item[1] = clip(w.fieldName(control, as), NAME); this.label(el, around, here); return true; }
      if (tag === "details") { item[1] = "Details"; if (el.open) this.inner(this.childrenIn(el, here), here, () => this.flush(around.role, around.depth)); return true; }
      if (tag === "video" || tag === "audio" || tag === "canvas") { item[1] = clip(w.accname(el, role) || w.lastName(el, role), NAME); return true; }
      if (this.wide.has(el)) {
        item[1] = clip(w.accname(el, as), NAME);
        this.children(look, around, { ...here, inside: el, split: hand && !listens && (!around.pointer || around.split) });
        return true;
      }
      this.beginHost(look, around, here, item, as);
      return true;
    }
    // What takes keys, and maybe clicks, beside the things in it, such as a map, has a line before them.
    keyed({ el, role, rect }, around) {
      this.flush(around.role, around.depth, "thing");
      const item = this.thing("region", el, null, w.statesOf(el, role, focused.has(el)), around.depth, rect);
      if (item) item[1] = clip(w.authored(el) || w.lastName(el, "region"), NAME);
    }
    shownRole(as, tag, look) {
      if (w.alwaysActive(as) && (w.nativeRole(look.el) === as || as !== look.role || has(look.el, "role"))) return as;
      if (as === "textbox") return as;
      const told = has(look.el, "role") || tag === "canvas" || tag === "video" || tag === "audio" || as !== look.role;
      return told && as && !/^(listitem|heading|img|presentation|none|generic)$/.test(as) ? as : "clickable";
    }
    nameOfInput(el, as) {
      if (as === "button") return w.spelled(w.accname(el, as), el) || w.lastName(el, as);
      return w.fieldName(el, as);
    }
    // What stands in a thing is its name, but for the things in it.
    beginHost(look, around, here, item, as) {
      const { el, tag, hand } = look, outer = this.host, { row, fold } = this, native = w.NAMED_BY_CONTENT.has(as) || w.FIELDS.has(as);
      this.fold = native || tag === "tr" || as === "row" || (outer && !fold) ? null : this.beginFold(el, around);
      this.host = item;
      if (tag === "tr" && this.isData(el, here)) this.beginRow(el); else this.row = false;
      const inside = { ...here, text: true, mute: false, inside: el, native: native && look.always, split: hand && !look.listens };
      this.write(w.pseudoSeen(el, "::before", here.said), el);
      this.inner(this.childrenIn(el, inside), inside, () => {
        this.write(w.pseudoSeen(el, "::after", around.said), el);
        if (this.row && tag === "tr") this.borders(this.columns.last(el, this.column));
        this.flush(around.role, around.depth, "row");
        if (this.fold) this.mindFold();
        Object.assign(this, { host: outer, row, fold });
        item[1] = clip(this.nameOf(el, as, item[1]), NAME);
        if (outer && around.native && item[1]) outer[1] = outer[1] ? `${outer[1]} ${item[1]}` : item[1];
      });
    }
    // What a thing is read from, as it was before the thing: one that holds too much to be a name is read again, as what stands around it.
    beginFold(el, around) {
      const { out, refs, frames, todo, host, row, column, columns, chars, drawn, fold } = this;
      return { el, around, lines: 0, size: 0, lengths: { out: out.length - 1, anchors: out.length - 1, refs: refs.length - 1, frames: frames.length, todo: todo.length }, before: { host, row, column, columns, chars, drawn, fold } };
    }
    mindFold() {
      const { size, lines, lengths } = this.fold, things = this.refs.length - lengths.refs - 1;
      if (size > MOST_FOLDED || lines > MOST_LINES || (lines > MOST_THINGS && things > MOST_THINGS)) this.much = this.fold;
    }
    unfold() {
      let fold = this.much;
      while (this.wide.add(fold.el), fold.before.fold) fold = fold.before.fold;  // what holds it holds as much
      const { el, around, lengths, before } = fold;
      for (const name in lengths) this[name].length = lengths[name];
      Object.assign(this, before, { buffer: "", much: null, cut: false });
      this.todo.push(el, { ...around, listed: true });     // its siblings are there already
    }
    nameOf(el, as, text) {
      if (w.FIELDS.has(as)) return w.fieldName(el, as);
      if (w.NAMED_BY_CONTENT.has(as)) { const name = w.accname(el, as); return name ? w.spelled(name, el) : squash(text) || w.lastName(el, as); }
      return w.authored(el) || w.spelled(squash(text), el) || w.accname(el, as) || w.lastName(el, as);
    }
    // Where a listener is not for what it hears of itself: "leaves" for blocks that it can tell apart, "many" for things that speak for themselves.
    inThings({ el, tag, role, revealed }, said) {
      if (tag === "tr") return "";
      if (revealed === "list") return "leaves";
      const things = this.thingsIn(el, said), several = things.length > 1 || (things.length === 1 && this.standsFor(things[0], el));
      if (revealed === "told") return several ? "many" : "";
      if (/^(table|tbody|thead|tfoot)$/.test(tag)) return several ? "many" : "leaves";
      let holder = el, blocks = [];
      for (let i = 0; i < 4; i++) {
        blocks = [...w.innerOf(holder)].filter((c) => c.nodeType === 1 && squash(w.textOf(c)) && blocky(getComputedStyle(c)));
        if (blocks.length !== 1 || squash(w.textOf(blocks[0])) !== squash(w.textOf(holder))) break;
        holder = blocks[0];
      }
      if (this.meets(el, "input,select,textarea,button", said)) return blocks.length >= 2 && role !== "form" && tag !== "form" ? "leaves" : "many";
      if (several) return "many";
      return blocks.length >= 2 ? (role === "form" || tag === "form" ? "many" : "leaves") : "";
    }
    thingsIn(el, said) {
      const found = [];
      const inside = w.all(el, "*");
      for (let i = 0; i < inside.length && i < 300 && found.length < 2; i++) if ((w.delegatedTo(inside[i]) || w.listens(inside[i])) && !w.closest(inside[i], CONTROL) && !w.all(inside[i], CONTROL)[0] && this.pointable(inside[i], el, said)) found.push(inside[i]);
      return found;
    }
    // One thing for which another listens, with all that this says, is what is clicked.
    standsFor(thing, el) {
      const text = squash(w.textOf(thing)), rect = w.rectOf(thing);
      return w.delegatedTo(thing) && text !== "" && text === squash(w.textOf(el)) && rect.width >= 1 && rect.height >= 1 && getComputedStyle(thing).visibility === "visible";
    }
    // A listener that delegates: each block inside is a thing of its own.
    leaves(look, around, here) {
      this.flush(around.role, around.depth, "thing");
      this.inner(this.childrenIn(look.el, here), { ...here, delegate: true, pointer: look.hand }, () => this.flush(here.role, around.depth));
      return true;
    }

    // --- fields ---------------------------------------------------------------------------------------------------------

    options(select, depth, rect) {
      let group = null;
      for (const option of select.options) {
        if (this.cut) return;
        const own = w.closest(option, "optgroup");
        if (option.hidden || this.unlisted(option) || (own && this.unlisted(own))) continue;
        if (own !== group && own) this.line("group", squash(own.label || [...w.all(own, "legend")].slice(0, 1).map(w.textOf).join("")), null, depth, select);
        group = own;
        const item = this.thing("option", option, null, w.statesOf(option, "option", focused.has(option)), depth + (own ? 1 : 0), rect);
        if (item) item[1] = clip(squash(option.label), NAME);
      }
    }
    unlisted(option) { return getComputedStyle(option).display === "none"; }
    // The options that a list suggests for a field.
    suggestions(el, depth) {
      const list = w.nameOfTag(el) === "input" && has(el, "list") ? el.list : null;
      if (!list || el.readOnly || el.disabled) return;
      const rect = w.rectOf(el);
      for (const option of [...list.options].slice(0, 100)) {
        const item = this.thing("option", option, null, option.disabled ? ["disabled"] : [], depth, rect);
        if (item) item[1] = clip(squash(option.value) + (option.label && option.label !== option.value ? ` ${squash(option.label)}` : ""), NAME);
      }
    }
    // What the browser itself says of a field that holds its form back.
    complain(el, depth) {
      if (w.isInvalid(el) && el.validationMessage) this.line("text", clip(squash(el.validationMessage), LINE), null, depth, el);
    }

    // --- what is only read ----------------------------------------------------------------------------------------------

    read(look, around, here) {
      const { el, tag, style, role } = look;
      if (look.label) { this.label(el, around, here); return; }
      if (tag === "select" && look.away) return;
      if (this.leaf(look, around, here)) return;
      if (w.holdsFrame(el) && this.frame(look, around, here)) return;
      if (tag === "br" || tag === "hr") { this.flush(around.role, around.depth); return; }
      if (tag === "progress" || tag === "meter" || role === "progressbar" || role === "meter") { this.amount(look, around); return; }
      if (tag === "img" || role === "img" || (tag === "svg" && role === "")) {
        const alt = squash(attr(el, "aria-label") ?? attr(el, "alt")) || (has(el, "alt") ? "" : w.accname(el, "img"));
        if (alt && here.text) { if (this.buffer === "") this.from = el; this.buffer += ` ${alt} `; }
        if (tag === "img") { this.areas(el, around, here); return; }
      }
      if (look.odd && style.contentVisibility === "hidden") return;
      if (tag === "canvas") return;
      this.children(look, around, here);
    }
    children(look, around, here) {
      const { el, tag, style } = look;
      const row = !this.row && !this.host && (tag === "tr" || look.role === "row") && this.isData(el, here);
      const cell = this.row && /^(td|th)$/.test(tag) || (this.row && /^(cell|gridcell|columnheader|rowheader)$/.test(look.role));
      const inline = cell || /^inline|^ruby|contents/.test(look.display) || (!this.host && tag === "label") || (w.spaceOf(el) === SVG && tag !== "svg" && tag !== "text");
      if (row) { this.flush(around.role, around.depth); this.beginRow(el); }
      if (cell) this.borders(this.columns.at(el, this.column + 1));
      if (!inline) this.flush(around.role, around.depth);
      const pseudo = here.said.pseudo.has(el), at = this.out.length, refsBefore = this.refs.length;
      if (here.text && style.display === "list-item") this.write(w.markText(el, style, here.said), el);
      if (pseudo && here.text) this.write(w.pseudoSeen(el, "::before", here.said), el);
      const box = /auto|scroll/.test(look.overflow) && !look.body ? this.goesOn(look) : false;
      const next = w.nextOf(el);
      this.inner(this.childrenIn(el, here), here, () => {
        if (pseudo && here.text) this.write(w.pseudoSeen(el, "::after", around.said), el);
        if (row) { this.borders(this.columns.last(el, this.column)); this.flush(here.role, around.depth, "row"); this.row = false; }
        else if (!inline) this.flush(here.role, around.depth);
        else if (next && next.nodeType === 1) this.buffer += " ";
        if (box) this.scrollBox(look, around, at, refsBefore);
      });
    }
    write(text, el) {
      if (!text) return;
      if (this.buffer === "") this.from = el;
      this.buffer += text;
    }
    // The nodes that are drawn in an element: the first child, which its siblings follow, or a list.
    childrenIn(el, here) {
      const tag = w.nameOfTag(el);
      if (tag === "details" && w.isHtml(el) && !el.open) { const summary = this.summaryOf(el); return summary ? [summary] : []; }
      if (w.isFrame(el, tag)) {
        const doc = w.documentIn(el), root = doc && w.drawnOf(doc);
        if (root) Object.assign(here, this.begin(doc, { ...here, pointer: false, away: false, gone: false, lost: 0, indented: false, clips: w.NO_CLIPS, fixed: FLOWS }));
        if (doc) return root ? [root] : [];
      }
      if (tag === "slot") {
        here.said = w.sheetsOf(w.rootOf(w.parentOf(el)));
        const given = el.assignedNodes();
        if (given.length) { here.said = w.sheetsOf(w.rootOf(given[0])); return given; }
      }
      const root = w.rootIn(el);
      if (!root) return w.firstOf(el);
      if (!this.roots.has(root)) { this.roots.add(root); w.hearWritten(root); this.again = w.modalsIn(root) || this.again; }
      here.said = w.sheetsOf(root);
      return w.firstOf(root);
    }
    frame(look, around, here) {
      const { el, rect, shown, gone } = look;
      if (w.documentIn(el)) return !shown || gone;
      if (!shown || gone || rect.width < 1 || rect.height < 1) return true;
      this.flush(around.role, around.depth, "thing");
      this.frames.push([this.out.length, ...w.keepFrame(el), around.depth, w.times(this.matrixOf(w.documentOf(el)), w.matrixOf(el)), this.chain.at(-1) === el, look.inert]);
      return true;
    }
    // The words of a label are its field's name; what else stands in it is read.
    label(el, around, here) {
      const quiet = w.authored(el.control) ? here : { ...here, mute: true, text: false };
      this.inner(this.childrenIn(el, quiet), quiet);
    }
    leaf(look, around, here) {
      const { el, tag, shown, gone, inert } = look;
      if (!around.delegate || !shown || gone || inert) return false;
      if (/^(table|tbody|thead|tfoot|colgroup|caption)$/.test(tag)) { if (tag === "caption") return false; here.delegate = true; return false; }
      if (!squash(w.textOf(el)) || this.meets(el, "a,button,input,select,textarea,[role],[tabindex]", around.said)) {
        if (!this.meets(el, "a,button,input,select,textarea", around.said) && blocky(look.style)) here.delegate = true;
        return false;
      }
      if (this.onlyHolds(el, tag)) { here.delegate = true; return false; }
      const text = w.shownText(el, NAME), much = tag !== "tr" && (squash(text).length > MOST_FOLDED || text.split("\n").filter(squash).length > MOST_LINES);
      if (much && [...w.innerOf(el)].some((c) => c.nodeType === 1 && blocky(getComputedStyle(c)))) { here.delegate = true; return false; }
      this.flush(around.role, around.depth, "thing");
      const item = this.thing("clickable", el, null, w.statesOf(el, "", focused.has(el)), around.depth, w.boxOf(el));
      if (much) return false;                              // its text is a line of its own
      if (item) item[1] = clip(tag === "tr" ? [...el.cells].map((c) => squash(w.shownText(c, NAME))).join(el.cells.length > 1 ? " | " : "") : squash(text), NAME);
      return true;
    }
    // One box around blocks that are alike is a list of them, not a thing of its own.
    onlyHolds(el, tag) {
      if (/^(tr|td|li|p)$/.test(tag)) return false;
      const inside = [...w.innerOf(el)].filter((c) => c.nodeType === 1 && squash(w.textOf(c)));
      return inside.length > 1 && inside.every((c) => w.nameOfTag(c) === w.nameOfTag(inside[0]) && attr(c, "class") === attr(inside[0], "class") && blocky(getComputedStyle(c)) && (/^(li|tr|td)$/.test(w.nameOfTag(c)) || has(c, "class")));
    }
    amount(look, around) {
      const { el, role, shown, gone } = look;
      if (!shown || gone) return;
      this.flush(around.role, around.depth, "thing");
      const name = w.accname(el, role);
      this.line(role, clip(name, NAME), w.amountOf(el, role), around.depth, el);
    }
    areas(el, around, here) {
      const map = w.mapOf(el);
      const heard = map && (w.listens(map) || w.listens(el));
      if (map && here.text) this.inner([...w.all(map, "area")].filter((area) => heard || has(area, "href") || w.listens(area) || w.delegatedTo(area)), { ...around, map: true });
    }
    // A box that goes on: with nothing in it that bears a ref, it gets one, by which it can be scrolled.
    goesOn({ el, style, rect, shown, gone, inert }) {
      if (w.downOf(el) > 0 || w.asideOf(el) !== 0) this.scrolled = true;
      const down = /auto|scroll/.test(style.overflowY) && el.scrollHeight > el.clientHeight + 1, aside = /auto|scroll/.test(style.overflowX) && el.scrollWidth > el.clientWidth + 1;
      return (down || aside) && shown && !gone && !inert && !this.host && rect.width > 1 && rect.height > 1;
    }
    scrollBox(look, around, at, refsBefore) {
      if (this.refs.length > refsBefore || this.cut || this.host || this.frames.some((f) => f[0] > at)) return;
      const { el, role } = look;
      const line = ["region", clip(w.authored(el) || w.lastName(el, "region"), NAME), this.refs.push(el) - 1, null, [...w.statesOf(el, role, focused.has(el)), "scrollable"], around.depth, this.box(el, look.rect)];
      this.insert(at, line, el);
    }

    // --- tables ---------------------------------------------------------------------------------------------------------

    beginRow(row) {
      const table = w.closest(row, TABLE);
      if (!this.grids.has(table)) this.grids.set(table, w.columnsOf(table));
      [this.row, this.column, this.columns] = [true, -1, this.grids.get(table)];
    }
    // Pass to a column of the row: the columns between, which a cell before or above spans, are empty.
    borders(column) {
      this.buffer += CELL.repeat(Math.max(0, column - Math.max(0, this.column)));
      this.column = Math.max(column, this.column);
    }
    // Whether a row is to be read as one line: of a table of data, or one in which an empty cell would be lost.
    isData(row, here) {
      const table = w.closest(row, TABLE);
      if (!table || /^(presentation|none)$/.test(attr(table, "role") ?? "")) return false;
      if (!this.tables.has(table)) {
        const rows = w.all(table, "tr,[role=row]"), cells = (r) => w.cellsOf(r).length;
        const headed = !!w.all(table, "th,[role=columnheader],[role=rowheader]")[0];
        this.tables.set(table, w.all(table, "table")[0] ? "" : headed || (rows.length > 1 && cells(rows[0]) > 2) ? "data" : rows.length > 1 ? "pairs" : "");
      }
      const kind = this.tables.get(table);
      if (kind !== "pairs") return kind === "data";
      const texts = w.cellsOf(row).map((c) => !!squash(w.textOf(c)) || !!w.all(c, "*")[0]);
      return texts.includes(true) && texts.includes(false);
    }

    // --- what is shown of it --------------------------------------------------------------------------------------------

    // The line behind the longest run of lines that are above what is seen.
    topOf() {
      let top = 0, longest = 0, run = 0;
      for (let i = 0; i < this.anchors.length; i++) {
        const node = this.anchors[i], el = node?.nodeType === 3 ? w.parentOf(node) : node, passed = el?.nodeType === 1 ? this.passed(node, el) : null;
        run = passed === false ? 0 : run + (passed ? 1 : 0);
        if (run > longest) { longest = run; top = i + 1; }
      }
      return Math.min(top, this.out.length - 1);
    }
    passed(node, el) {
      let rect;
      if (node.nodeType === 3) { const range = w.documentOf(node).createRange(); range.selectNodeContents(node); rect = range.getBoundingClientRect(); }
      else rect = w.boxOf(el);
      if (!rect.width && !rect.height) return null;
      if (rect.bottom <= 0) return true;
      for (let n = w.above(el); n && w.kindOf(n) === 1; n = w.above(n)) if (w.downOf(n) > 0 && w.nameOfTag(n) !== "html" && rect.bottom <= w.rectOf(n).top + 1) return true;
      return false;
    }
    // The lines to show: all, or as many as may be from the first that is in view on.
    shown() {
      const top = this.scrolled && this.out.length > LONG ? this.topOf() : 0;
      if (this.out.length <= this.maxNodes && this.chars <= this.maxChars) return { nodes: this.out, first: 0, top };
      const start = Math.max(0, Math.min(top, this.out.length - this.maxNodes));
      const nodes = [], numbers = new Map();
      let chars = 0;
      for (let i = start; i < this.out.length && nodes.length < this.maxNodes && chars <= this.maxChars; i++) {
        const line = this.out[i];
        if (line[2] !== null) { numbers.set(line[2], numbers.size); line[2] = numbers.size - 1; }
        chars += line[1].length + (line[3]?.length ?? 0);
        nodes.push(line);
      }
      if (start > 0 || start + nodes.length < this.out.length) this.cut = true;
      this.refs = [...numbers.keys()].map((old) => this.refs[old]);
      this.frames = this.frames.filter((f) => f[0] >= start && f[0] <= start + nodes.length).map(([at, ...rest]) => [at - start, ...rest]);
      return { nodes, first: start, top: top - start };
    }
  }

  let view = -1, said = [];
  // What the browser says by itself, once for each view of the page, which may be read several times until it is at rest.
  const saidFor = (number) => {
    if (number !== view) [view, said] = [number, []];
    said.push(...w.refusals());
    return said;
  };
  // A page as JSON. `number` counts its views; `hasFocus` and `inert` say what the frame is in that this document is in.
  const walked = (maxNodes, maxChars, hasFocus, inert) => {
    w.beginFrames();
    w.beginSheets();
    w.beginCounters();
    w.beginNames();
    w.beginListening();
    const walk = new Walk(maxNodes, maxChars, hasFocus);
    walk.run(document, inert);
    return walk;
  };
  const snapshot = (maxNodes, maxChars, number, hasFocus = true, inert = false) => {
    let walk = walked(maxNodes, maxChars, hasFocus, inert);
    if (walk.again) walk = walked(maxNodes, maxChars, hasFocus, inert);  // a modal dialog in a shadow root: what lies behind it was read before
    const { nodes, first, top } = walk.shown();
    refs = walk.refs;
    const focus = walk.chain.length ? refs.indexOf(walk.chain.at(-1)) : -1;
    return JSON.stringify({ url: location.href, title: w.titleOf(document), nodes, frames: walk.frames, focus: focus < 0 ? null : focus, cut: walk.cut, first, top, closed: w.unread(), said: saidFor(number) });
  };
  // Give the things of the last snapshot their numbers on the whole page, of `total`.
  const number = (numbers, total) => {
    const found = refs;
    refs = [];
    numbers.forEach((ref, i) => { if (ref !== null) refs[ref] = found[i]; });
    refs.length = total;
  };
  // Where a frame's document begins on the page is in `pointOf`; kept for those that ask for the beginning only.
  const offsetOf = (el) => w.pointOf(el, 0, 0);
  Object.assign(w, { snapshot, number, offsetOf, refs: () => refs, element: (ref) => refs[ref] ?? null });
}
