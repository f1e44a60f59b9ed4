// Runs in the isolated world, beside the snapshot: tells which of a document's changes wait for frames, and when the next one is over.
((ask, answer) => {
  // Transitions that change colours and the like change nothing that is read.
  const PAINT = /color|^background|^border-.*(radius|image)|^outline|shadow|^text-decoration|^fill|^stroke|filter|^cursor|^border-(top|right|bottom|left)-color/;
  const WAITING = ["transitionend", "transitionstart", "animationend", "animationstart", "animationiteration", "scroll", "scrollend", "close", "begin", "end", "repeat"].map((type) => `[on${type}]`).join();
  const FRAMES = 1, TRANSITIONS = 2, SMOOTH = 4, ONCE = 8, CUT = 32, MOVING = 64;  // what a document waits for, as bits (drawing.js)
  const windows = () => {
    const found = [globalThis];
    for (let i = 0; i < found.length; i++)
      for (const frame of found[i].document.querySelectorAll("iframe,frame")) { try { if (frame.contentDocument) found.push(frame.contentWindow); } catch { /* another origin */ } }
    return found;
  };
  const rootsOf = (root) => {
    const found = [root];
    for (const el of root.querySelectorAll("*")) { const inner = webgym.rootIn(el); if (inner) found.push(...rootsOf(inner)); }
    return found;
  };
  // Whether the frames of an animation differ in what is read. A thing that turns, or changes colours only, is a sign of waiting.
  const UNREAD = new RegExp(`${PAINT.source}|^(offset|computedOffset|easing|composite|rotate)$`, "i");
  const shows = (animation) => {
    const unread = ([name, value]) => UNREAD.test(name) || (name === "transform" && /^(none|(rotate\w*\([^)]*\)\s*)+)$/.test(value));
    return animation.effect.getKeyframes().some((frame) => !Object.entries(frame).every(unread));
  };
  // Milliseconds until an animation is over, 0 for one that is over or changes nothing, Infinity for one that never will be.
  const leftOf = (animation, all) => {
    if (animation.playState !== "running" || (animation.transitionProperty && !all && PAINT.test(animation.transitionProperty))) return 0;
    const { endTime } = animation.effect?.getComputedTiming() ?? {}, rate = animation.playbackRate;
    if (endTime === undefined || rate === 0 || (animation.timeline && !(animation.timeline instanceof DocumentTimeline) && animation.timeline.constructor.name !== "DocumentTimeline")) return 0;
    if (endTime === Infinity && rate > 0) return shows(animation) ? Infinity : 0;
    const at = Number(animation.currentTime ?? 0);
    return Math.max(0, (rate > 0 ? endTime - at : at) / Math.abs(rate));
  };
  // The same of an animation that an SVG document declares (SMIL).
  const DECLARED = ["animate", "animateTransform", "animateMotion", "set"];
  const declaredLeft = (el) => {
    try {
      const repeats = el.getAttribute("repeatCount") ?? "1", now = el.ownerSVGElement.getCurrentTime(), begun = el.getStartTime();
      const left = begun + el.getSimpleDuration() * Number(repeats) - now;
      return now < begun || !Number.isFinite(left) ? 0 : Math.max(0, 1e3 * left);
    } catch { return 0; }                                  // it does not begin, or has no length
  };
  const declared = (document) => (document.getElementsByTagName("svg").length ? DECLARED.flatMap((name) => [...document.getElementsByTagName(name)]) : []);
  let scrolled = false;
  const scrolling = () => { scrolled = true; };
  // Ask the hooks of a document, which answer at once.
  const asks = (window, what, heard) => {
    const hear = (event) => { event.stopImmediatePropagation(); heard(event.detail); };
    window.addEventListener(answer + what, hear, true);
    window.dispatchEvent(new Event(ask + what));
    window.removeEventListener(answer + what, hear, true);
  };
  const uses = (window) => {
    let bits = 0;
    asks(window, "-uses", (told) => { bits |= Number(told) || 0; });
    return bits;
  };
  const seen = new WeakSet();                              // documents whose field of the first focus got its frame
  const waits = (window) => {
    const { document } = window, root = document.documentElement;
    if (!root) return 0;
    if (window.getComputedStyle(root).scrollBehavior === "smooth") return FRAMES | SMOOTH;
    if (!seen.has(document) && document.querySelector("[autofocus]")) { seen.add(document); return ONCE; }
    return Number(document.querySelector(WAITING) !== null || [...document.querySelectorAll("[loading=lazy]")].some((el) => el.complete !== true));
  };
  // The nearest end of what moves in any document of the page, Infinity where nothing has an end, 0 where nothing moves. With `finish`, all
  // of it is ended at once, where no frame can be asked for.
  const moving = (bits, finish) => {
    let nearest = 0;
    for (const { document } of windows()) {
      for (const left of declared(document).map(declaredLeft)) if (left && (!nearest || left < nearest)) nearest = left;
      for (const root of rootsOf(document))
        for (const animation of root.getAnimations()) {
          const left = leftOf(animation, bits & TRANSITIONS);
          if (!left) continue;
          if (finish) { try { animation.finish(); } catch { /* it has no end after all */ } }
          if (!nearest || left < nearest) nearest = left;
        }
    }
    return nearest;
  };
  const finite = (left) => (left === Infinity ? 0 : left);
  const rendering = () => {
    let bits = 0;
    for (const window of windows()) bits |= uses(window) | waits(window);
    const nearest = moving(bits, false);
    return [bits | (nearest && MOVING), finite(nearest)];
  };
  // For the time between two frames: the nearest end, and whether the next one comes soon, because something was scrolled since the last
  // question, or because the document hears of motion that is cut short, which a frame must see on its way.
  addEventListener("scroll", scrolling, true);
  let moved = 0;
  const progress = (bits, finish) => {
    addEventListener("scroll", scrolling, true);           // a document that was opened anew has dropped it
    const nearest = finite(moving(bits, finish)), soon = scrolled || Boolean(bits & CUT && (nearest || moved));
    scrolled = false;
    moved = nearest;
    return [nearest, soon];
  };
  // What the documents have sent to servers since the last question, by address, how much to it is open, and how many workers sent it; and
  // what they are about to hear (hooks/wire.js).
  const sent = () => {
    const found = new Map();
    for (const window of windows())
      asks(window, "-sent", (told) => {
        for (const [url, ...amounts] of JSON.parse(told)) found.set(url, amounts.map((amount, i) => amount + (found.get(url)?.[i] ?? 0)));
      });
    return Object.fromEntries(found);
  };
  const tell = (what, told) => { for (const window of windows()) window.dispatchEvent(new CustomEvent(ask + what, { detail: JSON.stringify(told) })); };
  const without = (addresses) => tell("-without", addresses);
  let expected = 0;
  const expect = (url, amount, ends) => { expected = amount; tell("-expect", [url, amount, ends]); };
  // Whether documents are still to hear it, and whether the worker of a document is. Where it cannot be said who is, nobody waits.
  const due = () => {
    const found = [];
    for (const window of windows()) asks(window, "-due", (told) => { const one = JSON.parse(told); if (one) found.push(one); });
    const heard = found.reduce((sum, [left]) => sum + expected - left, 0), late = found.filter(([, held]) => held).length;
    if (!found.length || heard >= expected) return [false, false];
    if (!late || found.length === 1) return [!late, late > 0];
    expect("", 0);
    return [false, false];
  };
  Object.assign(webgym, { rendering, progress, sent, expect, due, without });
})
