// Runs in an isolated world of the page, after reach.js and fields.js: the wheel, drags, file fields, and what the browser says by itself.
// Its listeners hear and change nothing, but for one: what a turn of the wheel scrolls is scrolled here.
(() => {
  const w = globalThis.webgym, { squash, clip, tag, find, holds, around, frameOf, activeOf } = webgym;
  if (w.wheeled) return;

  // --- what happens in the documents of this world ----------------------------------------------------------------------------
  let turned = null, places = [];                          // the last turn of the wheel, and where the boxes around it stood before
  let begun = null, ended = null;                          // the last dragstart, and the effect that the last dragend told
  let over = null;                                         // the last dragover
  let invalid = [];                                        // fields that were found wanting
  const HEARD = {
    wheel: (event) => {
      turned = event;
      if (!armed.length) return;
      const view = event.currentTarget;                    // behind all listeners that the page has added since
      view.removeEventListener("wheel", last, HOW);
      view.addEventListener("wheel", last, HOW);
    },
    dragstart: (event) => { begun = event; ended = null; },
    dragover: (event) => { over = event; },
    dragend: (event) => { ended = event.dataTransfer?.dropEffect ?? "none"; },
    invalid: (event) => { invalid.push(event); },
  };
  const hear = (doc) => {                                  // anew each time, since a document that is opened anew drops them
    for (const [type, heard] of Object.entries(HEARD)) doc.defaultView.addEventListener(type, heard, { capture: true, passive: true });
  };
  const views = function* (view) {                         // this one and those of the frames that can be walked from here
    yield view;
    for (let i = 0; i < view.length; i++) {
      let inner = null;
      try { inner = view[i].document ? view[i] : null; } catch { /* of another origin */ }
      if (inner) yield* views(inner);
    }
  };
  hear(document);

  // --- the wheel ------------------------------------------------------------------------------------------------------------
  const EVERYWHERE = [0.5, 0.25, 0.75, 0.1, 0.9, 0.02, 0.98];
  const room = (el, dx, dy) => {                           // true where the box can still scroll that way
    const left = el.scrollLeft, top = el.scrollTop;
    return (dy > 0 && top + el.clientHeight < el.scrollHeight - 1) || (dy < 0 && top > 0)
      || (dx > 0 && left + el.clientWidth < el.scrollWidth - 1) || (dx < 0 && (left > 0 || getComputedStyle(el).direction === "rtl"));
  };
  const scrolls = (el) => {
    const doc = w.documentOf(el);
    if (el === doc.scrollingElement) return true;
    if (el === doc.documentElement || (el === doc.body && getComputedStyle(doc.documentElement).overflow === "visible")) return false;
    const { overflowX, overflowY } = getComputedStyle(el);
    return tag(el) === "textarea" || /auto|scroll/.test(overflowX + overflowY);
  };
  const outside = (el) => (w.documentOf(el).defaultView === globalThis ? null : frameOf(w.documentOf(el).defaultView));
  // The box that a wheel over this thing scrolls: the first around it, through roots and frames, that can still scroll that way.
  const boxAround = (el, dx, dy) => {
    for (let at = el; at; at = outside(at))
      for (const n of around(at)) {
        if (!scrolls(n)) continue;
        if (room(n, dx, dy)) return n;
        const { overscrollBehaviorX, overscrollBehaviorY } = getComputedStyle(n);
        if ((dy ? overscrollBehaviorY : overscrollBehaviorX) !== "auto" && n !== w.documentOf(n).scrollingElement) return null;
      }
    return null;
  };
  // The browser's own scrolling by the wheel never ends the frame in which a page changes when it hears of it. So the last to hear of the
  // wheel scrolls in its place, where no listener of the page forbade it.
  let armed = [];
  const last = (event) => {
    if (event.defaultPrevented || event.ctrlKey || !event.isTrusted || !pushed(event.composedPath()[0], event.deltaX, event.deltaY)) return;
    event.preventDefault();
  };
  const HOW = { passive: false };
  const disarm = () => { for (const view of armed.splice(0)) { try { view.removeEventListener("wheel", last, HOW); } catch { /* it left */ } } };
  const arm = () => {
    disarm();
    armed = [...views(globalThis)];
    for (const view of armed) view.addEventListener("wheel", last, HOW);
  };
  const rest = (el) => {                                   // before the wheel is turned over a thing
    turned = null; places = [];
    arm();
    for (let at = el; at; at = outside(at)) for (const n of around(at)) if (scrolls(n)) places.push([n, n.scrollLeft, n.scrollTop]);
  };
  // The point at which to turn the wheel for the page itself: where nothing else would scroll instead.
  const wheelPoint = (dx, dy) => {
    let page = document.scrollingElement ?? document.documentElement;
    if (!room(page, dx, dy)) {                             // a page that scrolls in a box of its own
      const boxes = [...document.querySelectorAll("*")].filter((e) => (e.scrollHeight > e.clientHeight + 1 || e.scrollWidth > e.clientWidth + 1) && scrolls(e) && room(e, dx, dy));
      page = boxes.sort((a, b) => b.clientWidth * b.clientHeight - a.clientWidth * a.clientHeight)[0] ?? page;
    }
    let fallback = null;
    for (const b of EVERYWHERE)
      for (const a of EVERYWHERE) {
        const x = Math.floor(innerWidth * a), y = Math.floor(innerHeight * b), hit = document.elementFromPoint(x, y);
        if (!hit || /^i?frame$/.test(tag(hit))) continue;
        if (boxAround(hit, dx, dy) === page) { rest(hit); return { x, y }; }
        fallback ??= [hit, { x, y }];
      }
    rest(fallback?.[0] ?? document.documentElement);
    return fallback?.[1] ?? { x: innerWidth / 2, y: innerHeight / 2 };
  };
  // The point of a thing at which to turn the wheel. One that is out of view is not brought there: it is told of the wheel here.
  const wheelOver = (ref, dx, dy, away = false) => {
    const { el: found, error } = find(ref);
    if (error) return { error };
    const el = tag(found) === "option" ? found.closest("select") ?? found : found;
    rest(el);
    const point = away ? null : w.freePoint(el);
    if (point) return point;
    const box = el.getBoundingClientRect();
    const event = new WheelEvent("wheel", { deltaX: dx, deltaY: dy, clientX: box.left + box.width / 2, clientY: box.top + box.height / 2, bubbles: true, composed: true, cancelable: true });
    return { done: !el.dispatchEvent(event) || pushed(el, dx, dy) };
  };
  const pushed = (el, dx, dy) => { const box = boxAround(el, dx, dy); box?.scrollBy({ left: dx, top: dy, behavior: "instant" }); return !!box; };
  // The same for a frame of another origin, in whose document nothing scrolls any more.
  const wheelAround = (number, dx, dy) => { const frame = w.frame(number); if (frame) rest(frame); return !!frame && pushed(frame, dx, dy); };
  const wheeled = () => (disarm(), !!turned?.defaultPrevented || places.some(([n, left, top]) => n.scrollLeft !== left || n.scrollTop !== top));

  // --- drags ----------------------------------------------------------------------------------------------------------------
  const dragBegun = () => { const event = begun; begun = null; return !!event && !event.defaultPrevented; };
  // Files from outside: whether the page takes them is known once it has heard that they are over it. Whatever it does with a drop then,
  // the browser shows none of them in a page of its own.
  const keep = (event) => event.preventDefault();
  const awaitFiles = () => { over = null; for (const view of views(globalThis)) view.addEventListener("drop", keep, { capture: true }); return true; };
  const filesWelcome = () => !!over?.defaultPrevented;
  const filesOver = () => { for (const view of views(globalThis)) view.removeEventListener("drop", keep, { capture: true }); return true; };
  const dropRefused = () => { const effect = ended; ended = null; return effect === "none"; };

  // --- files ----------------------------------------------------------------------------------------------------------------
  // The file field that is meant: the thing itself, the field of a label, or the only one inside of it.
  const fileField = (ref) => {
    const el = w.element(ref);
    if (!el) return null;
    const own = tag(el) === "label" && el.control ? el.control : el;
    if (own.type === "file") return own;
    const inside = [...(own.shadowRoot ?? own).querySelectorAll("input[type=file]")];
    return inside.length === 1 ? inside[0] : null;
  };
  // While the page asks for a file, what the agent used last asked for it. So does anything that has no use of its own, and once that
  // thing is gone, anything at all.
  const asks = (el) => {
    const asker = w.usedLast();
    return !asker?.isConnected || holds(asker, el) || holds(el, asker) || !el.closest("button,a[href],input,select,textarea");
  };
  const fileFacts = (ref, count) => {
    const { el, error } = find(ref);
    if (error) return { error };
    const field = fileField(ref);
    if (!field) return { field: false, asks: asks(el), drops: [...around(el), w.documentOf(el)].some(w.hearsDrops) };
    if (w.isDisabled(field)) return { error: `element #${ref} is disabled` };
    if (field.webkitdirectory) return { error: `element #${ref} takes a whole folder: files cannot be given to it` };
    if (count > 1 && !field.multiple) return { error: `element #${ref} takes one file, ${count} were given` };
    return { field: true, asks: false };
  };

  // Whether a field took what it was given: pages empty it when they hear of files, and hear of nothing where it holds the same already.
  let given = null;
  const awaitGift = (field) => {
    const gift = { heard: false, hear: () => { gift.heard = true; } };
    given = gift;
    field.addEventListener("input", gift.hear, { capture: true });
    return { folder: field.webkitdirectory };
  };
  const giftCame = (field) => {
    const { heard, hear } = given;
    given = null;
    field.removeEventListener("input", hear, { capture: true });
    return heard || field.files.length > 0;
  };

  // --- what the browser says ------------------------------------------------------------------------------------------------
  // The words that a browser shows at the field which holds a form back, once.
  const refusals = () => [...w.missed(), ...heldBack()];
  const heldBack = () => {
    for (const view of views(globalThis)) hear(view.document);
    const heard = invalid.filter((event) => !event.defaultPrevented && event.target.isConnected), field = heard[0]?.target;
    invalid = [];
    const words = field && (field.validationMessage || w.saysOf(field));
    if (!words || field.form?.noValidate) return [];
    if (field.form && !field.checkVisibility({ visibilityProperty: true })) return [`the field "${w.called(field)}", which is not shown, holds the form back: ${clip(squash(words), 200)}`];
    if (!holds(field, activeOf(document))) return [];
    return [`the field "${w.called(field)}" holds the form back: ${clip(squash(words), 200)}`];
  };
  Object.assign(w, { rest, wheelPoint, wheelOver, wheelAround, wheeled, dragBegun, awaitFiles, filesWelcome, filesOver, dropRefused, awaitGift, giftCame, fileField, fileFacts, refusals });
})
