// Time. Dates begin at the episode's clock in each document, and what waits for a frame or for leisure waits in the page's own time.
(kit) => {
  const NativeDate = Date, perf = performance, { later, never, settings } = kit;
  const passes = perf.now.bind(perf), native = () => perf.timeOrigin + passes();
  const begun = passes(), born = settings.born ? begun - (native() - settings.born) : begun;  // of a worker: when its page was born
  kit.epoch = settings.born ?? native();
  // Whole milliseconds since this document began. Timers fire at whole ones, but for the rounding of `passes` (0.1 ms either way) and for
  // the thousandths that pass while pictures load (LOADING_MS in tab.py), neither of which may tip a millisecond over.
  const shown = (at) => Math.max(0, Math.floor(at - begun + 0.25)), passed = () => Math.floor(reading() - begun + 0.25);
  const now = () => settings.clock + Math.floor(reading() - born + 0.25);
  // Time stands still while a script runs. One that asks for it again and again waits for it to pass: so it passes by the number of questions.
  const FREE = 10000, EACH = 1000;                         // questions before it does, and for a millisecond
  let still = 0, asked = 0, least = 0;
  const reading = () => {
    const at = passes();
    if (at !== still) { still = at; asked = 0; } else if (++asked > FREE && asked % EACH === 0) least = (least > at ? least : at) + 1;
    return least > at ? least : at;
  };
  Object.assign(kit, { NativeDate, shown, passed, now });
  const Shifted = new Proxy(NativeDate, {
    construct: (target, args, self) => Reflect.construct(target, args.length ? args : [now()], self === Shifted ? target : self),
    apply: () => new NativeDate(now()).toString(),
    get: (target, key) => (key === "now" ? now : Reflect.get(target, key)),
  });
  NativeDate.prototype.constructor = Shifted;
  globalThis.Date = Shifted;
  Object.defineProperty(perf, "now", { value: passed, configurable: true, writable: true });
  const stamp = Object.getOwnPropertyDescriptor(Event.prototype, "timeStamp");
  Object.defineProperty(Event.prototype, "timeStamp", { ...stamp, get() { return Math.floor(kit.apply(stamp.get, this, []) - begun + 0.25); } });
  for (const name of ["format", "formatToParts"]) {
    const owner = Intl.DateTimeFormat.prototype, slot = Object.getOwnPropertyDescriptor(owner, name);
    if (slot.get) Object.defineProperty(owner, name, { ...slot, get() { const show = slot.get.call(this); return (date = now()) => show(date); } });
    else kit.wrap(owner, name, (show) => function (date = now()) { return show.call(this, date); });
  }
  const { Now, Instant } = globalThis.Temporal ?? {};
  if (Now) {
    const zone = Now.timeZoneId.bind(Now), instant = () => Instant.fromEpochMilliseconds(now()), zoned = (at = zone()) => instant().toZonedDateTimeISO(at);
    Object.assign(Now, { instant, zonedDateTimeISO: zoned, plainDateTimeISO: (at) => zoned(at).toPlainDateTime(),
      plainDateISO: (at) => zoned(at).toPlainDate(), plainTimeISO: (at) => zoned(at).toPlainTime() });
  }
  // Real frames come when the machine has time. A frame's work ends with styles, so that a change in the next one is seen as a change.
  const drawn = () => { if (kit.uses.transitions) void document.documentElement?.offsetWidth; };
  if (globalThis.requestAnimationFrame) {
    globalThis.requestAnimationFrame = (draw) => later(() => { try { draw(perf.now()); } finally { if (kit.page) drawn(); } }, 16);
    globalThis.cancelAnimationFrame = never;
    if (kit.page) { globalThis.webkitRequestAnimationFrame = requestAnimationFrame; globalThis.webkitCancelAnimationFrame = never; }
  }
  if (globalThis.requestIdleCallback) {
    const leisure = () => { let left = 50; return { didTimeout: false, timeRemaining: () => Math.max(0, left--) }; };
    globalThis.requestIdleCallback = (work) => later(() => work(leisure()), 16);
    globalThis.cancelIdleCallback = never;
  }
}
