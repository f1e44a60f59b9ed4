// Outside of a worker: the page that has it, or a worker that has workers of its own. Each worker gets these hooks before its first
// script: into a blob or data address they are written here, and into a script of a site when it is served (webgym/sites/workers.py).
// The page's time waits while a worker has work: after every message to it the page asks for an echo, which comes when it rests. One that
// takes too long with its own work is waited for again when it was heard.
(kit) => {
  const { settings, MARK, add } = kit, { XMLHttpRequest } = globalThis;
  const Message = globalThis.MessageEvent, dispatch = EventTarget.prototype.dispatchEvent, again = new WeakSet(), kept = [];
  let count = 0;
  // Which of two workers is done first is the machine's business. So what one says waits for those that were made before it, until they
  // rest or time goes on.
  const deliver = (late) => {
    for (const { port, busy, held } of kept) {
      for (const event of held.splice(0)) kit.apply(dispatch, port, [event]);
      if (busy() && !late) return;
    }
  };
  const keep = (port, send) => {
    const timers = new Map(), held = [];
    // `asked` counts echoes, of which the last one matters; `stops` are the addresses for which the worker hears nothing.
    let asked = 0, release = null, stops, over = false;
    kept.push({ port, held, busy: () => release !== null });
    const wires = kit.wires(send, () => expect());
    const rest = () => { release?.(); release = null; };
    const wait = (addresses) => { const before = release; release = kit.hold(addresses, () => { wires.by.silent = true; }); before?.(); };
    const end = () => {
      over = true;
      wires.end();
      rest();
      for (const timer of timers.values()) kit.never(timer);
      deliver();
    };
    const expect = () => {
      if (over) return;
      if (!wires.by.silent) wait(stops);
      send([MARK, "echo", ++asked]);
    };
    add.call(port, "message", (event) => {
      if (again.has(event)) return;
      if (!Array.isArray(event.data) || event.data[0] !== MARK) {
        const mine = kept.findIndex((one) => one.held === held);
        if (!held.length && !kept.slice(0, mine).some((one) => one.busy())) return;
        event.stopImmediatePropagation();
        const { data, origin, lastEventId, source, ports } = event, later = new Message("message", { data, origin, lastEventId, source, ports });
        again.add(later);
        held.push(later);
        kit.later(() => deliver(true), 1);
        return;
      }
      event.stopImmediatePropagation();
      const [, verb, id, more] = event.data;              // `more`: milliseconds, or addresses; null for none; or what wire.js counts
      wires.by.silent = false;
      if (verb === "echo" && id === asked) { rest(); deliver(); }
      if (verb === "stops") stops = more ?? undefined;
      if (release && (verb === "stops" || (verb === "waits" && id === asked))) wait(more ?? undefined);
      if (verb === "timer") timers.set(id, kit.later(() => { timers.delete(id); if (!over) { send([MARK, "fire", id]); expect(); } }, more));
      if (verb === "clear") { kit.never(timers.get(id)); timers.delete(id); }
      if (verb === "wire") wires.told(id, more);
      if (verb === "closed") end();
    });
    return { expect, end };
  };

  const blobs = new Map(), rewritten = new Map();
  kit.wrap(URL, "createObjectURL", (native) => function (thing) {
    const url = native.call(this, thing);
    if (thing instanceof Blob) blobs.set(url, thing);
    return url;
  });
  kit.wrap(URL, "revokeObjectURL", (native) => function (url) { blobs.delete(String(url)); return native.call(this, url); });
  const make = URL.createObjectURL?.bind(URL);             // service workers have none, and no workers of their own
  const textOf = (url) => {                                // of a blob that another document made
    if (!url.startsWith("blob:") || !XMLHttpRequest) return null;
    const x = new XMLHttpRequest();
    try { x.open("GET", url, false); x.send(); } catch { return null; }
    return new Blob([x.responseText], { type: x.getResponseHeader("content-type") ?? "" });
  };
  const hooked = (address, own) => {                       // the address of a script whose text is known here, with the hooks before it
    const url = String(address), blob = blobs.get(url) ?? textOf(url), data = blob ? null : /^data:([^,]*?)(;base64)?,(.*)$/s.exec(url);
    if (!blob && !data) return null;
    const head = kit.source(own);
    if (blob) return make(new Blob([head, blob], { type: blob.type || "text/javascript" }));
    const text = data[2] ? atob(data[3]) : unescape(data[3]);
    return `data:${data[1]};base64,${btoa(unescape(encodeURIComponent(head)) + text)}`;
  };
  const named = (own) => MARK + JSON.stringify(kit.inherited(own));

  if (globalThis.Worker) {
    const keepers = new WeakMap(), post = Worker.prototype.postMessage;
    kit.wrap(Worker.prototype, "postMessage", (native) => function (...given) { native.apply(this, given); keepers.get(this)?.expect(); });
    kit.wrap(Worker.prototype, "terminate", (native) => function () { keepers.get(this)?.end(); return native.call(this); });
    kit.constructs("Worker", ([url, how, ...rest], create) => {
      const name = String(how?.name ?? ""), own = { born: kit.epoch, seed: (settings.seed + 0x9e3779b9 * ++count) >>> 0, name };
      const inside = hooked(url, own), worker = create(inside ?? url, inside ? how : { ...how, name: named(own) }, ...rest);
      const keeper = keep(worker, (message) => post.call(worker, message));
      add.call(worker, "error", (event) => { if (!(event instanceof ErrorEvent)) keeper.end(); });  // it could not be loaded
      keepers.set(worker, keeper);
      keeper.expect();
      return worker;
    });
  }

  if (globalThis.SharedWorker) {
    const post = MessagePort.prototype.postMessage;
    kit.constructs("SharedWorker", ([url, how, ...rest], create) => {
      const given = typeof how === "object" ? how : { name: how }, name = String(given?.name ?? ""), own = { name };
      const known = rewritten.get(String(url)) ?? hooked(url, own);
      if (known) rewritten.set(String(url), known);
      const shared = create(known ?? url, known ? { ...given, name } : { ...given, name: named(own) }, ...rest);
      const port = shared.port, keeper = keep(port, (message) => post.call(port, message));
      port.postMessage = function (...message) { post.apply(port, message); keeper.expect(); };
      add.call(shared, "error", keeper.end);
      const { port1, port2 } = new MessageChannel();
      port1.onmessage = () => port.start();                // the page's own listener is there by then
      port2.postMessage(0);
      keeper.expect();
      return shared;
    });
  }
}
