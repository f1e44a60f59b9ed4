// Runs in every page's own world before its scripts. It makes time and chance a function of the episode.
((clock, seed) => {
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
})
