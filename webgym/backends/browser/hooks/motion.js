// What a document waits for that comes with frames: listeners to transitions, animations, scrolling and the like are noted.
(kit) => {
  if (!kit.page) return;
  const add = kit.add;
  const MOTION = ["transitionrun", "transitionstart", "transitionend", "transitioncancel", "animationstart", "animationiteration", "animationend", "animationcancel"];
  const FRAMES = new Set([...MOTION, "webkitTransitionEnd", "webkitAnimationEnd", "scroll", "scrollend", "close", "cancel", "fullscreenchange", "beginEvent", "endEvent", "repeatEvent"]);
  const heed = (type, target) => {
    if (FRAMES.has(type) && (target instanceof Node || target === globalThis)) {
      kit.uses.frames = true;
      if (/transition|animation/i.test(type)) kit.uses.transitions = true;
      if (/.cancel$/.test(type)) kit.uses.cut = true;
    }
  };
  EventTarget.prototype.addEventListener = function (type, listener) {
    heed(type, this ?? globalThis);
    return kit.apply(add, this ?? globalThis, arguments);   // a list that is spread asks the page's own iterators
  };
  for (const proto of [HTMLElement.prototype, SVGElement.prototype, Document.prototype, globalThis])
    for (const type of FRAMES) {
      const slot = Object.getOwnPropertyDescriptor(proto, "on" + type.toLowerCase());
      if (slot?.set)
        Object.defineProperty(proto, "on" + type.toLowerCase(), { ...slot, set(value) { if (value) heed(type, this ?? globalThis); slot.set.call(this ?? globalThis, value); } });
    }
}
