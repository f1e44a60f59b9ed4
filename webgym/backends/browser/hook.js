// Runs in every page's own world before its scripts. It makes time and chance a function of the episode, and remembers which
// elements listen to clicks, because no other world can see that. It changes no markup: the snapshot asks with one private event
// and each listening element answers with another.
((clock, seed, ask, answer) => {
  const NativeDate = Date, perf = performance;
  const passes = perf.now.bind(perf), born = passes();
  // Whole milliseconds since this document began. Timers fire at whole ones, but for the rounding of `passes` (0.1 ms either way) and for
  // the thousandths that pass while pictures load (LOADING_MS in tab.py), neither of which may tip a millisecond over.
  const passed = () => Math.floor(passes() - born + 0.25);
  if (clock) {
    const now = () => clock + passed();
    const Shifted = new Proxy(NativeDate, {
      construct: (target, args, self) => Reflect.construct(target, args.length ? args : [now()], self === Shifted ? target : self),
      apply: () => new NativeDate(now()).toString(),
      get: (target, key) => (key === "now" ? now : Reflect.get(target, key)),
    });
    NativeDate.prototype.constructor = Shifted;
    globalThis.Date = Shifted;
    Object.defineProperty(perf, "now", { value: passed, configurable: true, writable: true });
    const later = setTimeout.bind(globalThis), never = clearTimeout.bind(globalThis);  // real frames come when the machine has time
    globalThis.requestAnimationFrame = globalThis.webkitRequestAnimationFrame = (draw) => later(() => draw(perf.now()), 16);
    globalThis.cancelAnimationFrame = globalThis.webkitCancelAnimationFrame = never;
    let state = seed >>> 0;
    Math.random = () => {                                   // mulberry32
      state = (state + 0x6d2b79f5) | 0;
      let t = Math.imul(state ^ (state >>> 15), 1 | state);
      t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
      return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
    };
  }
  const CLICKS = new Set(["click", "dblclick", "mousedown", "mouseup", "pointerdown", "pointerup", "touchstart", "touchend", "contextmenu"]);
  const add = EventTarget.prototype.addEventListener;
  const listening = new Set(), seen = new WeakSet();
  const remember = (target) => {
    if (target instanceof Element && !seen.has(target)) { seen.add(target); listening.add(new WeakRef(target)); }
  };
  EventTarget.prototype.addEventListener = function (type, ...rest) {
    if (CLICKS.has(type)) remember(this ?? globalThis);
    return add.call(this ?? globalThis, type, ...rest);
  };
  for (const proto of [HTMLElement.prototype, SVGElement.prototype])
    for (const type of CLICKS) {
      const slot = Object.getOwnPropertyDescriptor(proto, "on" + type);
      if (slot?.set)
        Object.defineProperty(proto, "on" + type, { ...slot, set(value) { if (value) remember(this); slot.set.call(this, value); } });
    }
  add.call(globalThis, ask, () => {
    for (const ref of listening) {
      const element = ref.deref();
      if (!element) listening.delete(ref);
      else if (element.isConnected) element.dispatchEvent(new Event(answer, { composed: true }));
    }
  }, true);
})
