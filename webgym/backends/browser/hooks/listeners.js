// Listeners. Which elements listen to clicks, because no other world can see that: the snapshot asks with one private event, and each
// listening element answers with another.
(kit) => {
  if (!kit.page) return;
  const { ask, answer } = kit.settings, add = kit.add;
  const CLICKS = new Set(["click", "dblclick", "mousedown", "mouseup", "pointerdown", "pointerup", "touchstart", "touchend", "contextmenu"]);
  const MOTION = ["transitionrun", "transitionstart", "transitionend", "transitioncancel", "animationstart", "animationiteration", "animationend", "animationcancel"];
  const FRAMES = new Set([...MOTION, "webkitTransitionEnd", "webkitAnimationEnd", "scroll", "scrollend", "close", "cancel", "fullscreenchange"]);
  const listening = new Set(), seen = new WeakSet();
  const remember = (target) => {
    if (target instanceof Element && !seen.has(target)) { seen.add(target); listening.add(new WeakRef(target)); }
  };
  const heed = (type, target) => {
    if (CLICKS.has(type)) remember(target);
    else if (FRAMES.has(type) && (target instanceof Node || target === globalThis)) {
      kit.uses.frames = true;
      if (/transition|animation/i.test(type)) kit.uses.transitions = true;
    }
  };
  EventTarget.prototype.addEventListener = function (type, ...rest) {
    heed(type, this ?? globalThis);
    return add.call(this ?? globalThis, type, ...rest);
  };
  for (const proto of [HTMLElement.prototype, SVGElement.prototype, Document.prototype, globalThis])
    for (const type of [...CLICKS, ...FRAMES]) {
      const slot = Object.getOwnPropertyDescriptor(proto, "on" + type.toLowerCase());
      if (slot?.set)
        Object.defineProperty(proto, "on" + type.toLowerCase(), { ...slot, set(value) { if (value) heed(type, this ?? globalThis); slot.set.call(this ?? globalThis, value); } });
    }
  add.call(globalThis, ask, () => {
    for (const ref of listening) {
      const element = ref.deref();
      if (!element) listening.delete(ref);
      else if (element.isConnected) element.dispatchEvent(new Event(answer, { composed: true }));
    }
  }, true);
}
