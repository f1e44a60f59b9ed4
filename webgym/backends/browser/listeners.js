// Runs in every page's own world before its scripts. It remembers what no other world can see: which elements listen to clicks and drops,
// and which hold a closed shadow root. It changes no markup: the reader asks with one private event, and each such element answers with
// another, whose detail is its kinds ("c" clicks, "d" drops, "s" begins of drags, "h" the pointer on it, "x" a closed root, "r" the root of a framework) and, a line each, what is known of
// those inside for which it listens. A custom element that says what it is to assistive technology only is told by "i" and JSON. A page may replace what the language offers, so that all is kept that is needed later.
((ask, answer) => {
  const call = Function.prototype.call, uncurried = (f) => call.bind(f), apply = Reflect.apply;
  const describe = Object.getOwnPropertyDescriptor, define = Object.defineProperty;
  const read = (proto, name) => uncurried(describe(proto, name).get);
  const add = EventTarget.prototype.addEventListener, emit = uncurried(EventTarget.prototype.dispatchEvent);
  const Told = CustomEvent, Weak = WeakRef, deref = uncurried(WeakRef.prototype.deref);
  const sourceOf = uncurried(Function.prototype.toString), cut = uncurried(String.prototype.slice), includes = uncurried(String.prototype.includes);
  const connected = read(Node.prototype, "isConnected"), firstChild = read(Element.prototype, "firstElementChild");
  const select = uncurried(Document.prototype.querySelectorAll), keysOf = Object.keys;
  const listLength = read(NodeList.prototype, "length"), listItem = uncurried(NodeList.prototype.item);
  const recordOf = uncurried(WeakMap.prototype.get), keepRecord = uncurried(WeakMap.prototype.set);
  const isPrototype = uncurried(Object.prototype.isPrototypeOf), isElement = (node) => isPrototype(Element.prototype, node), isRoot = (node) => isPrototype(ShadowRoot.prototype, node);
  const MOST_HANDLERS = 20, MOST_SOURCE = 5000;
  const KINDS = { __proto__: null, click: "c", dblclick: "c", mousedown: "c", mouseup: "c", pointerdown: "c", pointerup: "c", touchstart: "c", touchend: "c",
    contextmenu: "c", auxclick: "c", dragenter: "d", dragover: "d", drop: "d", dragstart: "s",
    mouseenter: "h", mouseover: "h", pointerenter: "h", pointerover: "h" };

  let targets = [], count = 0;                             // WeakRefs; `count` of them, since an array's own methods may be the page's
  const records = new WeakMap();
  const put = (list, at, value) => define(list, at, { __proto__: null, value, writable: true, enumerable: true, configurable: true });
  const remember = (target, kind, handler) => {
    let record = recordOf(records, target);
    if (!record) {
      record = { __proto__: null, kinds: "", handlers: [], known: 0, told: 0, chosen: "" };
      keepRecord(records, target, record);
      put(targets, count++, new Weak(target));
    }
    let has = false;
    for (let i = 0; i < record.kinds.length; i++) has ||= record.kinds[i] === kind;
    if (!has) record.kinds += kind;
    if ((kind === "c" || kind === "d") && handler && record.known < MOST_HANDLERS) put(record.handlers, record.known++, handler);
  };
  const hears = (target) => isElement(target) || isRoot(target) || target === document || target === globalThis;
  EventTarget.prototype.addEventListener = function (type, handler) {
    const target = this ?? globalThis;
    if (typeof type === "string" && KINDS[type] && handler && hears(target)) remember(target, KINDS[type], handler);
    return apply(add, target, arguments);
  };
  for (const proto of [HTMLElement.prototype, SVGElement.prototype, Document.prototype, globalThis])
    for (const type of keysOf(KINDS)) {
      const slot = describe(proto, "on" + type);
      if (!slot?.set || !slot.configurable) continue;
      const { set } = slot, kind = KINDS[type];
      define(proto, "on" + type, { ...slot, set(value) { const target = this ?? globalThis; if (value && hears(target)) remember(target, kind, value); apply(set, target, [value]); } });
    }
  const attach = Element.prototype.attachShadow;
  Element.prototype.attachShadow = function attachShadow(init) {
    const root = apply(attach, this, [init]);
    if (root.mode === "closed") remember(this, "x");
    return root;
  };

  // What custom elements say of themselves to assistive technology only: `role`, `aria-checked` and so on, and why they are not valid.
  const attachInternals = HTMLElement.prototype.attachInternals, Internals = globalThis.ElementInternals?.prototype, encode = JSON.stringify;
  const speakers = new WeakMap(), nameOf = read(Element.prototype, "localName"), sayings = { __proto__: null };
  let speaking = [], spoken = 0;
  if (attachInternals && Internals) {
    for (const name of Object.getOwnPropertyNames(Internals))
      if (/^role$|^aria(?!.*Elements?$)/.test(name)) sayings[name.replace(/^aria/, "aria-").toLowerCase()] = read(Internals, name);
    sayings.message = read(Internals, "validationMessage");
    HTMLElement.prototype.attachInternals = function () {
      const internals = apply(attachInternals, this, arguments);
      keepRecord(speakers, this, internals);
      put(speaking, spoken++, new Weak(this));
      return internals;
    };
  }
  const sayingsOf = (target) => {
    const internals = recordOf(speakers, target), found = { __proto__: null, name: nameOf(target) };
    for (let i = 0, names = keysOf(sayings); i < names.length; i++) {
      try { found[names[i]] = sayings[names[i]](internals) ?? undefined; } catch { /* it takes no part in forms */ }
    }
    return encode(found);
  };
  const tellSpoken = () => {
    const left = [];
    let kept = 0;
    for (let i = 0; i < spoken; i++) {
      const target = deref(speaking[i]);
      if (!target) continue;
      put(left, kept++, speaking[i]);
      if (connected(target)) tell(target, "i" + sayingsOf(target));
    }
    speaking = left;
    spoken = kept;
  };
  // A handler's own text, which says what it looks for in what was clicked, and the selectors that jQuery keeps for it; told once.
  const hintsOf = (target, record) => {
    const alone = isElement(target) && !firstChild(target);    // it tells nothing inside of it apart, but may ask what lies at a point
    let hints = "", chosen = "";
    for (; record.told < record.known; record.told++) {
      const handler = record.handlers[record.told], f = typeof handler === "function" ? handler : handler?.handleEvent;
      const source = typeof f === "function" ? cut(sourceOf(f), 0, MOST_SOURCE) : "";
      if (source && (!alone || includes(source, "FromPoint"))) hints += "\nf" + source;
    }
    if (alone) return hints;
    try {
      const events = globalThis.jQuery?._data?.(target, "events");
      for (let i = 0, types = events ? keysOf(events) : []; i < types.length; i++)
        for (let j = 0; KINDS[types[i]] && j < events[types[i]].length; j++) if (events[types[i]][j].selector) chosen += "\ns" + events[types[i]][j].selector;
    } catch { /* the page's own jQuery is not what it seems */ }
    if (chosen === record.chosen) return hints;
    record.chosen = chosen;
    return hints + chosen;
  };
  // What frameworks that listen at the root of the page write on the elements for which they do.
  const written = (element, props) => {
    const given = props ? element[props] : null;
    let kinds = element.__click || element.$$click ? "c" : "";
    if (given) {
      if (given.onClick || given.onMouseDown || given.onMouseUp || given.onPointerDown || given.onPointerUp || given.onDoubleClick || given.onTouchStart) kinds += "c";
      if (given.onDrop || given.onDragOver) kinds += "d";
      if (given.onDragStart) kinds += "s";
      if (given.onMouseEnter || given.onMouseOver || given.onPointerEnter) kinds += "h";
    }
    return kinds;
  };
  const tell = (target, detail) => { emit(target, new Told(answer, { __proto__: null, composed: true, detail })); };
  const tellWritten = () => {
    const elements = select(document, "body *");
    let props = "";
    for (let i = 0, n = listLength(elements); i < n; i++) {
      const element = listItem(elements, i);
      try {
        if (!props) for (let j = 0, keys = keysOf(element); j < keys.length; j++) if (cut(keys[j], 0, 13) === "__reactProps$") props = keys[j];
        const kinds = written(element, props);
        if (kinds) tell(element, kinds);
      } catch { /* an element that answers in its own way */ }
    }
  };
  // Such frameworks leave a mark on what they listen at.
  const marked = (target) => {
    if (globalThis.__svelte) return true;
    for (let i = 0, keys = keysOf(target); i < keys.length; i++) {
      const begin = cut(keys[i], 0, 8);
      if (begin === "__reactC" || begin === "_reactRo" || begin === "_reactLi" || begin === "_$DX_DEL") return true;
    }
    return false;
  };
  const answerAll = () => {
    const left = [];
    let kept = 0, above = false;
    for (let i = 0; i < count; i++) {
      const target = deref(targets[i]);
      if (!target) continue;
      put(left, kept++, targets[i]);
      const record = recordOf(records, target), element = isElement(target);
      if ((element || isRoot(target)) && !connected(target)) continue;
      const framework = record.known > 0 && (!element || !!firstChild(target)) && marked(element ? target : document);
      tell(target === globalThis ? document : target, record.kinds + (framework ? "r" : "") + hintsOf(target, record));
      above ||= framework;
    }
    targets = left;
    count = kept;
    tellSpoken();
    if (above) tellWritten();
  };
  const listen = () => apply(add, globalThis, [ask, answerAll, true]);
  listen();
  new MutationObserver(listen).observe(document, { childList: true });  // a document that is opened anew drops all that listened
})
