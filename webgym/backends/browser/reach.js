// Runs in an isolated world of the page, after the reader (reader/): finds a point at which a thing can be reached, in its own document and
// through all shadow roots and frames around it. It writes nothing into the page; it only scrolls.
(() => {
  const w = globalThis.webgym, { squash, clip, refs, above } = w;
  if (w.locate) return;
  const tag = (el) => (el ? w.nameOfTag(el) : "");
  const ALIGNMENTS = ["center", "end", "start", "nearest"];
  const PARTS = [0.5, 0.7, 0.3, 0.85, 0.15, 0.6, 0.4, 0.95, 0.05];   // of a scrolling box: where else a thing in it can be brought to
  const SPOTS = [[0.5, 0.5], [0.25, 0.5], [0.75, 0.5], [0.5, 0.2], [0.5, 0.8], [0.1, 0.1]];
  const GRID = [0.5, 0.3, 0.7, 0.1, 0.9, 0.02, 0.98];
  const EDGE = 3;                                          // pixels, so near to whose border a person would hardly aim
  const MOST_BOXES = 20, MOST_POINTS = 12, MOST_TEXTS = 50;
  // What keeps a click to itself in a label (HTML: interactive content), so that the label's field hears nothing of it.
  const KEEPS = "a[href],button,input,select,textarea,label,details,iframe,object,embed,video[controls],audio[controls],img[usemap]";

  const describe = (el) => {
    const text = squash(el.innerText ?? el.textContent);
    return `<${tag(el)}${el.id ? " id=" + clip(el.id, 40) : ""}>${text ? ` "${clip(text, 40)}"` : ""}`;
  };
  let used = null;                                         // the thing that was found last for an action
  const use = (el) => { used = new WeakRef(el); return el; };
  const find = (ref) => {
    const el = refs()[ref];
    if (!el) return { error: `there is no element #${ref} on this page; the refs are #0 to #${refs().length - 1}` };
    if (!el.isConnected) return { error: `element #${ref} is gone: the page has changed since it was shown` };
    return { el };
  };

  // --- the tree as it is drawn: slotted things lie in their slots --------------------------------------------------------
  const climbs = (el, node) => { for (let n = node; n; n = above(n)) if (n === el) return true; return false; };
  const slotsOf = (el) => (tag(el) === "slot" ? [el] : [...w.all(el, "slot")]);
  // A closed root does not say into which of its slots a thing came, but its slots say what came into them.
  const holds = (el, node) => climbs(el, node) || (w.rootOf(el) instanceof ShadowRoot
    && slotsOf(el).some((slot) => slot.assignedNodes({ flatten: true }).some((given) => climbs(given, node))));
  const around = function* (el) { for (let n = el; n; n = above(n)) if (w.kindOf(n) === 1) yield n; };
  const inertAround = (el) => [...around(el)].some((n) => w.has(n, "inert"));

  // True where a click on `hit` is a click on `el`.
  const serves = (el, hit) => {
    if (holds(el, hit)) return true;
    const label = w.closest(hit, "label");
    if (label?.control === el) return w.closest(hit, KEEPS) === label;
    if (tag(el) === "label" && el.control && holds(el.control, hit)) return true;
    // What lets clicks through, in a button or a link, is a part of its face.
    const button = getComputedStyle(el).pointerEvents === "none" ? w.closest(el, "button,a,[role=button],[role=link]") : null;
    return !!button && button !== el && holds(button, hit);
  };
  // What lies at a point in the shadow roots of `hit`, and of what is found there.
  const innermost = (hit, x, y) => {
    for (let root; (root = w.rootIn(hit)); ) {
      const inner = root.elementFromPoint(x, y);
      if (!inner || inner === hit) break;
      hit = inner;
    }
    return hit;
  };
  // True where what lies in a thing at a point is another thing, which has a ref of its own, or its label, or a frame.
  const apart = (el, hit, things) => {
    for (let n = hit; n !== el && n && w.kindOf(n) === 1; n = above(n)) {
      if (things.has(n) || w.isFrame(n)) return true;
      const field = tag(n) === "label" ? n.control : null;
      if (field === el) return false;
      if (field && things.has(field)) return true;
    }
    return false;
  };

  // --- boxes and points -----------------------------------------------------------------------------------------------------
  const large = (r) => r.width >= 1 && r.height >= 1;
  const boxesOf = (el) => {
    if (/^(area|details)$/.test(tag(el))) return w.boxesOf(el);  // of details without a summary, the browser's own line
    const own = [...w.rectsOf(el)].filter(large);
    return own.length ? own : w.boxesOf(el).filter(large);
  };
  const scrollable = (el) => (tag(el) === "area" ? w.imageOf(el) ?? el : getComputedStyle(el).display === "contents" ? el.firstElementChild ?? el : el);
  const boundsOf = (el) => {
    const boxes = boxesOf(el);
    return boxes.length && (tag(el) === "area" || !large(w.rectOf(el))) ? boxes[0] : w.rectOf(el);
  };
  // A point of a box, and whether it lies at its edge.
  const spot = ({ left, top, width, height }, a, b) => [left + width * a, top + height * b, width * Math.min(a, 1 - a) < EDGE || height * Math.min(b, 1 - b) < EDGE];
  // Points of a thing, the likeliest first.
  const pointsOf = function* (el) {
    const view = w.documentOf(el).defaultView, boxes = boxesOf(el).slice(0, MOST_BOXES);
    const first = boxes[0] ?? w.rectOf(el);
    for (const [a, b] of SPOTS) yield spot(first, a, b);
    for (const box of boxes) {                             // what shows of each box
      const left = Math.max(0, box.left), top = Math.max(0, box.top);
      const width = Math.min(view.innerWidth, box.right) - left, height = Math.min(view.innerHeight, box.bottom) - top;
      if (width > 0 && height > 0) for (const b of GRID) for (const a of GRID) yield spot({ left, top, width, height }, a, b);
    }
  };
  const finely = (size) => {                               // the middles of equal parts, of 12 pixels or more where these are many
    const n = Math.min(40, Math.max(8, Math.ceil(size / 12)));
    return Array.from({ length: n }, (_, i) => (i + 0.5) / n);
  };
  // Where the words of a thing stand that are not those of another thing in it, and then points that lie closer to each other.
  const besides = function* (el, things) {
    const inside = [...w.innerOf(el)];
    for (let looked = 0; inside.length && looked < MOST_TEXTS; looked++) {
      const n = inside.shift();
      if (n.nodeType === 1 && !things.has(n) && !w.isFrame(n)) inside.unshift(...w.innerOf(n));
      if (n.nodeType !== 3 || !n.data.trim()) continue;
      const range = w.documentOf(n).createRange();
      range.selectNodeContents(n);
      for (const box of [...range.getClientRects()].filter(large).slice(0, MOST_BOXES)) yield [box.left + box.width / 2, box.top + box.height / 2, false];
    }
    for (const box of boxesOf(el).slice(0, 3)) for (const b of finely(box.height)) for (const a of finely(box.width)) yield spot(box, a, b);
  };
  const within = (view, x, y) => x >= 0 && y >= 0 && x < view.innerWidth && y < view.innerHeight;

  // --- frames ---------------------------------------------------------------------------------------------------------------
  const bentFrame = (ref) => `element #${ref} stands in a frame that is drawn in perspective or on a path: no point of it can be told`;
  const frameOf = (view) => { try { return view.frameElement; } catch { return null; } };  // null: of another origin
  // A point in the document around a frame, and from there on: {x, y} in the viewport of the page, or what lies over the frame (`over`), or
  // `away` where the point is out of view. `beyond`: the document of this world stands in a frame of another origin, and {x, y} is in it.
  const through = (frame, x, y) => {
    [x, y] = w.mapped(w.matrixOf(frame), x, y);
    const view = w.documentOf(frame).defaultView;
    if (w.bent(frame)) return { bent: true };
    if (!within(view, x, y)) return { away: true };
    const hit = w.rootOf(frame).elementFromPoint(x, y);
    return hit === frame ? outward(view, x, y) : { over: hit };
  };
  const outward = (view, x, y) => {
    const frame = view === view.parent ? null : frameOf(view);
    return frame ? through(frame, x, y) : { x, y, beyond: view !== view.parent };
  };
  const reached = (el, x, y) => {
    const view = w.documentOf(el).defaultView;
    if (!within(view, x, y)) return { away: true };
    const hit = w.rootOf(el).elementFromPoint(x, y);
    return hit && serves(el, hit) ? { hit, ...outward(view, x, y) } : { over: hit };
  };
  // A point where the thing can be reached: {x, y}, null where there is none. In a frame of another origin, all that this document knows of.
  // A point of the thing itself comes before one of another thing in it (`part`); `more` says that not all of the thing shows then.
  const free = (el) => {
    const own = [], parts = [], edges = [];
    let more = false, things = null;                       // those that have refs; most have no other thing in them
    const look = (points) => {
      for (const [x, y, edge] of points) {
        const found = reached(el, x, y);
        if (!("x" in found)) { more ||= !edge; continue; }
        const { x: right, y: down, beyond, hit } = found, top = innermost(hit, x, y);
        const kept = top !== el && apart(el, top, things ??= new Set(refs())) ? parts : edge ? edges : own;
        if (kept === own && !beyond) return { x: right, y: down };
        kept.push({ x: right, y: down, beyond });
        if (own.length === MOST_POINTS) return null;
      }
      return null;
    };
    const found = look(pointsOf(el)) ?? (parts.length && !own.length ? look(besides(el, things)) : null);
    if (found) return found;
    const known = [...own, ...edges, ...parts];
    if (!known.length) return null;
    if (known[0].beyond) return { points: known.slice(0, MOST_POINTS).map(({ x, y }) => [x, y]) };
    return { ...known[0], part: parts.length > 0, more };
  };

  // --- scrolling until a point is free ---------------------------------------------------------------------------------------
  const scrollersOf = function* (el) {
    for (let view = w.documentOf(el).defaultView, at = el; view; ) {
      for (const n of around(at)) {
        const style = getComputedStyle(n);
        if (n !== at && /auto|scroll|hidden/.test(style.overflow) && (n.scrollHeight > n.clientHeight || n.scrollWidth > n.clientWidth)) yield n;
      }
      const page = view.document.scrollingElement;
      if (page) yield page;
      at = view === view.parent ? null : frameOf(view);
      view = at && w.documentOf(at).defaultView;
    }
  };
  // Scroll each box around a thing, step by step, until `test` finds something; `middle` tells where in its viewport the thing is.
  const sweep = (el, middle, test) => {
    for (const box of [...scrollersOf(el)].slice(0, 4))
      for (const way of ["top", "left"]) {
        const view = w.documentOf(box).defaultView, page = box === w.documentOf(box).scrollingElement, down = way === "top";
        const size = down ? (page ? view.innerHeight : box.clientHeight) : (page ? view.innerWidth : box.clientWidth);
        const start = page ? 0 : box.getBoundingClientRect()[way] + (down ? box.clientTop : box.clientLeft);
        for (const part of PARTS) {
          const before = down ? box.scrollTop : box.scrollLeft;
          box.scrollBy({ [way]: middle(w.documentOf(box))[down ? 1 : 0] - start - size * part, behavior: "instant" });
          if ((down ? box.scrollTop : box.scrollLeft) === before) continue;
          const found = test();
          if (found) return found;
        }
      }
    return null;
  };
  // The middle of a thing in the viewport of its own document, or of a document around that.
  const middleOf = (el) => (doc) => {
    const rect = boundsOf(el);
    let [x, y] = [rect.left + rect.width / 2, rect.top + rect.height / 2];
    for (let at = el; at && w.documentOf(at) !== doc; at = frameOf(w.documentOf(at).defaultView)) [x, y] = w.mapped(w.matrixOf(frameOf(w.documentOf(at).defaultView)), x, y);
    return [x, y];
  };
  const bring = (el, block) => scrollable(el).scrollIntoView({ block, inline: block === "center" ? "nearest" : block, behavior: "instant" });
  const clear = (el, ref) => {                             // a free point, after as much scrolling as it takes
    const rect = boundsOf(el), view = w.documentOf(el).defaultView;
    const whole = rect.left >= 0 && rect.top >= 0 && rect.right <= view.innerWidth && rect.bottom <= view.innerHeight;
    let part = null;                                       // the first alignment that shows another thing in it only
    for (const block of whole ? [null, ...ALIGNMENTS] : ALIGNMENTS) {
      if (block) bring(el, block);
      const point = free(el);
      if (point && !(point.part && point.more)) return point;
      if (point) part ??= block;
    }
    if (part) bring(el, part);
    const point = (part && free(el)) || sweep(el, middleOf(el), () => free(el));
    if (point) return point;
    bring(el, "center");
    const { over, bent } = reached(el, ...pointsOf(el).next().value);
    if (bent) return { error: bentFrame(ref) };
    if (!over) return { error: `element #${ref} cannot be brought into view` };
    const through = getComputedStyle(el).pointerEvents === "none";
    return { error: through ? `element #${ref} lets the mouse through (pointer-events: none), to ${describe(over)}` : `element #${ref} is covered by ${describe(over)}` };
  };

  // --- a click that goes where it is meant to -----------------------------------------------------------------------------------
  // A page may move or cover a thing when the pointer comes to it. Then the click is kept from the page, and the agent is told. It is told,
  // too, where the thing moves away between press and release, as it may when another field loses the focus: then no click comes to it.
  const GUARDED = ["pointerdown", "mousedown", "pointerup", "mouseup", "click", "auxclick", "dblclick", "contextmenu"];
  let aimed = null;                                        // {el, ok: whether the press came to it, over: what it came to instead, left: what was let go of}
  const deepest = (event) => {                             // a closed root keeps its own from those outside, open roots in it too
    const hit = event.composedPath()[0];
    return hit?.nodeType !== 1 || w.shadowOf(hit) ? hit : innermost(hit, event.clientX, event.clientY);
  };
  const comes = (event) => {                               // to what is aimed at, or to what it became
    const { el } = aimed, hit = deepest(event);
    return !el.isConnected || hit?.nodeType !== 1 || serves(el, hit) || !shows(el);
  };
  const guard = (event) => {
    if (!aimed || !event.isTrusted) return;
    if (aimed.ok === undefined) {
      aimed.ok = comes(event);
      if (!aimed.ok) aimed.over = deepest(event);
    }
    if (aimed.ok) {
      if (event.type === "mouseup") aimed.left = comes(event) ? null : deepest(event);
      if (event.type === "click" && comes(event)) aimed.left = null;
      return;
    }
    event.stopImmediatePropagation();
    event.preventDefault();
  };
  const aim = (el) => {
    aimed = { el, ok: undefined, over: null, left: null };
    for (let view = w.documentOf(el).defaultView; view; view = view === view.parent ? null : frameOf(view)?.ownerDocument.defaultView) {
      for (const type of GUARDED) view.addEventListener(type, guard, { capture: true, passive: false });
    }
  };
  // What kept the last click from the thing that was meant, once.
  const missed = () => {
    const { over, left } = aimed ?? {};
    aimed = null;
    if (over) return [`the click did not take place: when the pointer came, ${describe(over)} was in its way`];
    return left ? [`the click did not take place: the page moved it between press and release, where ${describe(left)} was`] : [];
  };

  const shows = (el) => {
    const style = getComputedStyle(el), rect = boundsOf(el);
    return style.visibility === "visible" && (style.display !== "none" || tag(el) === "area") && rect.width + rect.height >= 1;
  };
  const standIn = (el) => {                                // the label of a field that is too small to be seen, or the thing itself
    const rect = boundsOf(el);
    const label = (rect.width < 1 || rect.height < 1 || !shows(el)) && [...(el.labels ?? [])].find(shows);
    return label || el;
  };
  // Whether an option is drawn in its list, so that it can be pointed at, and whether the page hears more of that than the choice.
  const listed = (select) => select.multiple || select.size > 1;
  const heard = (option, select) => w.listens(option) || w.listens(select) || w.delegatedTo(option);
  // Where to act on a thing: {x, y}, {option}, {beyond}, or {error}. `stay` scrolls nothing, and says {away} where it would have to. An
  // option of a list is pointed at where it has to be (`pointed`), or where the page hears of it; {toggles}: with Control, to leave the others.
  // With `clicked`, a click follows.
  const locate = (ref, enabled, stay = false, pointed = false, clicked = false) => {
    const { el: found, error } = find(ref);
    if (error) return { error };
    const select = tag(found) === "option" && w.closest(found, "select");
    if (select && (w.matches(select, ":disabled") || w.matches(found, ":disabled"))) return { error: `option #${ref} is disabled` };
    if (select && !(listed(select) && (pointed || heard(found, select)))) return { option: true };
    if (tag(found) === "option" && w.closest(found, "datalist")) return { option: true };
    if (enabled && w.isDisabled(found)) return { error: `element #${ref} is disabled` };
    const el = standIn(found);
    use(found);
    if (!shows(el)) return { error: `element #${ref} is hidden now` };
    if (inertAround(el)) return { error: `element #${ref} is inert: the page lets nobody use it now` };
    const place = stay ? free(el) ?? { away: true } : clear(el, ref);
    if (clicked && !place.error) aim(el);
    return select ? { ...place, toggles: select.multiple && !pointed } : place;
  };
  // The same from a frame of another origin that stands in this document, for points of its viewport.
  const across = (number, ref, points, stay) => {
    const frame = w.frame(number);
    if (!frame?.isConnected) return { error: `element #${ref} is gone: the page has changed since it was shown` };
    w.rest(frame);                                         // the wheel may be turned there
    const test = () => {
      const found = points.map(([x, y]) => through(frame, x, y)).filter((place) => "x" in place);
      return found.find((place) => !place.beyond) ?? (found.length ? { points: found.map(({ x, y }) => [x, y]) } : null);
    };
    const place = (doc) => {
      let [x, y] = w.mapped(w.matrixOf(frame), ...points[0]);
      for (let at = frame; w.documentOf(at) !== doc; at = frameOf(w.documentOf(at).defaultView)) [x, y] = w.mapped(w.matrixOf(frameOf(w.documentOf(at).defaultView)), x, y);
      return [x, y];
    };
    const found = test() ?? (stay ? { away: true } : sweep(frame, place, test));
    if (found) return found;
    const { over, bent } = through(frame, ...points[0]);
    if (bent) return { error: bentFrame(ref) };
    return { error: over ? `element #${ref} is covered by ${describe(over)}` : `element #${ref} cannot be brought into view` };
  };
  Object.assign(w, { tag, locate, missed, across, find, use, usedLast: () => used?.deref(), describe, holds, around, inertAround, frameOf, freePoint: free, element: (ref) => refs()[ref] ?? null });
})
