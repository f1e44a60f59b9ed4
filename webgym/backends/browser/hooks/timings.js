// Records of times, as `performance` keeps them. They are by the page's clock, which stands still while requests are under way: what the
// network took is 0. Of what depends on the machine (paints, long tasks, delays of input) there is no record, as in browsers without it.
// Entries are changed once a page asks for one, since few pages do.
(kit) => {
  const perf = performance, { now, passed, shown, getter } = kit, own = Performance.prototype;
  const KEPT = new Set(["mark", "measure", "navigation", "resource"]);
  const getters = (owner, make, known = () => true) => {
    for (const name of Object.keys(Object.getOwnPropertyDescriptors(owner ?? {})))
      if (name !== "constructor" && known(name)) getter(owner, name, (native) => make(name, native));
  };
  const record = () => function () {                       // what toJSON gives
    const found = {};
    for (const key in this) if (typeof this[key] !== "function") found[key] = this[key];
    return found;
  };
  getter(own, "timeOrigin", () => () => now() - passed());

  const { PerformanceEntry: Entry, PerformanceResourceTiming: Resource, PerformanceNavigationTiming: Navigation } = globalThis;
  const entries = own.getEntriesByType, Mark = globalThis.PerformanceMark, Measure = globalThis.PerformanceMeasure;
  let ready = false;
  const prepare = () => {
    if (ready) return;
    ready = true;
    const given = (entry) => entry instanceof Mark || entry instanceof Measure;  // by the page's clock already
    getter(Entry.prototype, "startTime", (native) => function () { const at = kit.apply(native, this, []); return given(this) ? at : shown(at); });
    getter(Entry.prototype, "duration", (native) => function () {
      if (given(this)) return kit.apply(native, this, []);
      return Navigation && this instanceof Navigation ? this.loadEventEnd : 0;
    });
    getter(Entry.prototype, "navigationId", () => () => 1);
    const network = (name, native) => function () { return kit.apply(native, this, []) && this.startTime; };
    getters(Resource?.prototype, network, (name) => /(Start|End|Lookup)$/.test(name));
    const moment = (name, native) => function () { const at = kit.apply(native, this, []); return at && shown(at); };
    getters(Navigation?.prototype, (name, native) => (/^unload/.test(name) ? () => 0 : moment(name, native)), (name) => /^(unload|dom|load)/.test(name));
    const of = (name) => () => {
      const [first] = kit.apply(entries, perf, ["navigation"]), origin = now() - passed();
      if (name === "navigationStart" || name === "domLoading") return origin;
      return /^(unload|redirect|secure)/.test(name) || (/^(dom|load)/.test(name) && !/Lookup/.test(name) && !first?.[name]) ? 0 : origin + (first?.[name] ?? 0);
    };
    getters(globalThis.PerformanceTiming?.prototype, of);
    const Confidence = globalThis.PerformanceTimingConfidence;  // by chance "high" or "low"
    getter(Confidence?.prototype, "value", () => () => "high");
    for (const owner of [Entry, Resource, Navigation, Confidence, globalThis.PerformanceTiming]) kit.wrap(owner?.prototype, "toJSON", record);
  };
  getter(own, "timing", (native) => function () { prepare(); return kit.apply(native, this, []); });
  const listed = (native) => function (...given) {
    prepare();
    const found = kit.apply(native, this, given).filter((entry) => KEPT.has(entry.entryType));
    return found.sort((a, b) => a.startTime - b.startTime || (a.name < b.name ? -1 : a.name > b.name ? 1 : 0));
  };
  for (const owner of [own, globalThis.PerformanceObserverEntryList?.prototype])
    for (const name of ["getEntries", "getEntriesByType", "getEntriesByName"]) kit.wrap(owner, name, listed);
  const Observer = globalThis.PerformanceObserver;
  kit.wrap(Observer?.prototype, "observe", (native) => function (how, ...more) {
    prepare();
    if (typeof how?.type === "string" && !KEPT.has(how.type)) return;
    if (!Array.isArray(how?.entryTypes)) return kit.apply(native, this, [how, ...more]);
    const entryTypes = how.entryTypes.filter((type) => KEPT.has(type));
    if (entryTypes.length) kit.apply(native, this, [{ ...how, entryTypes }, ...more]);
  });
  getter(Observer, "supportedEntryTypes", () => () => Object.freeze([...KEPT]));

  const at = (mark) => {                                   // a moment of loading can be named like a mark
    const origin = perf.timeOrigin, named = typeof mark === "string" && kit.page && mark in PerformanceTiming.prototype;
    return named && perf.timing[mark] ? perf.timing[mark] - origin : mark;
  };
  const dated = (how) => ({ ...how, startTime: how?.startTime ?? passed() });
  kit.wrap(own, "mark", (native) => function (...given) {
    return kit.apply(native, this, given.length ? [given[0], dated(given[1])] : []);
  });
  kit.constructs("PerformanceMark", (given, create) => (given.length ? create(given[0], dated(given[1])) : create()));
  kit.wrap(own, "measure", (native) => function (...given) {
    const [name, from, to] = given;
    if (!given.length || (from !== null && typeof from === "object" && to !== undefined)) return kit.apply(native, this, given);
    const how = from !== null && typeof from === "object" ? { ...from } : { start: from ?? undefined, end: to };
    how.start = how.start === undefined && how.duration === undefined ? 0 : at(how.start);
    how.end = how.end === undefined && (how.duration === undefined || how.start === undefined) ? passed() : at(how.end);
    return kit.apply(native, this, [name, how]);
  });

  // Files that a page makes, and documents whose server does not say when they were changed, are from now.
  kit.constructs("File", ([bits, name, how, ...rest], create) => create(bits, name, { ...how, lastModified: how?.lastModified ?? now() }, ...rest));
  if (!kit.page) return;
  const two = (number) => String(number).padStart(2, "0");
  getter(Document.prototype, "lastModified", (native) => function () {
    const said = kit.apply(native, this, []);
    if (Math.abs(kit.NativeDate.now() - kit.NativeDate.parse(said)) > 2000) return said;
    const date = new Date(now());
    return `${two(date.getMonth() + 1)}/${two(date.getDate())}/${date.getFullYear()} ${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}`;
  });
}
