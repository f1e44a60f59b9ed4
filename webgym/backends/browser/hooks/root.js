// Runs in every page's own world, and in its workers, before their scripts. Each part takes one idea of the browser's and makes it a
// function of the episode. No part changes markup. A page that works against them can only harm its own episode.
(function root(given, parts) {
  const MARK = "webgym-worker:", global = globalThis, page = typeof document !== "undefined";
  const told = !page && typeof global.name === "string" && global.name.startsWith(MARK);
  const settings = told ? { ...given, ...JSON.parse(global.name.slice(MARK.length)) } : given;
  if (told) Object.defineProperty(global, "name", { value: settings.name, writable: true, configurable: true });
  // `uses` says what this document was seen to wait for: frames, of any kind, or those of transitions or of smooth scrolling; and for servers.
  const kit = { settings, page, MARK, uses: { frames: false, transitions: false, smooth: false, streams: false }, add: EventTarget.prototype.addEventListener };
  // What answers the session is kept, since a page may replace what the language offers, and must not learn the names of these events.
  const emit = EventTarget.prototype.dispatchEvent, Told = globalThis.CustomEvent, { apply, construct } = Reflect;
  kit.apply = apply;
  // What is written for the session: no page has a say in it.
  const { parse, stringify } = JSON, { defineProperty } = Object;
  Object.assign(kit, { read: parse, written: stringify, plain: (list) => defineProperty(list, "toJSON", { value: undefined }) });
  kit.tell = (what, detail) => apply(emit, global, [new Told(settings.answer + what, { __proto__: null, detail })]);
  // What the session asks, and the browser tells, is heard in a document that is opened anew as well (document.open, document.write), which
  // drops all that listened, observers excepted.
  const heard = [];
  const listen = () => { for (let i = 0; i < heard.length; i++) apply(kit.add, global, heard[i]); };
  kit.hears = (...what) => { heard[heard.length] = what; apply(kit.add, global, what); };
  kit.answers = (what, hear) => kit.hears(settings.ask + what, hear);
  if (page) new MutationObserver(listen).observe(document, { childList: true });
  kit.later = setTimeout.bind(global);
  kit.never = clearTimeout.bind(global);
  kit.inherited = (own) => ({ clock: settings.clock, seed: settings.seed, ...own });
  kit.source = (own) => `(${root})(${JSON.stringify(kit.inherited(own))}, [${parts.map(String).join(",")}]);\n`;
  kit.wrap = (given, name, make) => {
    let owner = given;                                     // what a worker can do belongs to its global object's prototypes
    while (given === global && owner && !Object.hasOwn(owner, name)) owner = Object.getPrototypeOf(owner);
    const slot = owner ? Object.getOwnPropertyDescriptor(owner, name) : undefined;
    if (typeof slot?.value === "function") Object.defineProperty(owner, name, { ...slot, value: make(slot.value) });
  };
  // Put `make` before a constructor of the global object: it gets what was given, and the function that constructs.
  kit.constructs = (name, make) => {
    const Native = global[name];
    if (!Native) return;
    const Own = new Proxy(Native, { construct: (target, given, self) => make(given, (...args) => construct(target, args, self === Own ? target : self)) });
    Native.prototype.constructor = global[name] = Own;
  };
  kit.getter = (owner, name, make) => {
    const slot = owner && Object.getOwnPropertyDescriptor(owner, name);
    if (slot?.get) Object.defineProperty(owner, name, { ...slot, get: make(slot.get) });
  };
  for (const part of parts) part(kit);
})
