// Inside of a worker. Its timers are those of the page that has it: it tells the page how long to wait, and hears when the time has
// come. When the page asks for an echo, it answers as soon as nothing keeps it busy, and says before whether that is its own work or an
// answer of a site (outside.js).
(kit) => {
  if (kit.page) return;
  const { MARK, add } = kit, global = globalThis, is = (name) => global[name] !== undefined && global instanceof global[name];
  const dedicated = is("DedicatedWorkerGlobalScope");
  if (!dedicated && !is("SharedWorkerGlobalScope")) return;  // a service worker belongs to no page
  const timers = new Map(), asked = [];
  const soon = (work) => { const { port1, port2 } = new MessageChannel(); port1.onmessage = work; port2.postMessage(0); };
  let unsent = [], tell = dedicated ? postMessage.bind(global) : (message) => unsent.push(message), number = 0;

  const wait = (repeat) => (call, ms = 0, ...given) => {
    const id = ++number, timer = { call, given, repeat, ms: Math.max(repeat ? 1 : 0, Number(ms) || 0) };
    timers.set(id, timer);
    tell([MARK, "timer", id, timer.ms]);
    return id;
  };
  const drop = (id) => { if (timers.delete(id)) tell([MARK, "clear", id]); };
  Object.assign(global, { setTimeout: wait(false), setInterval: wait(true), clearTimeout: drop, clearInterval: drop });
  kit.later = global.setTimeout;
  kit.never = drop;
  const fire = (id) => {
    const timer = timers.get(id);
    if (!timer) return;
    if (timer.repeat) tell([MARK, "timer", id, timer.ms]);
    else timers.delete(id);
    if (typeof timer.call === "function") timer.call.apply(global, timer.given);
    else (0, eval)(String(timer.call));
  };

  const { port1, port2 } = new MessageChannel();           // what was just heard is dealt with before the echo
  const flush = () => {
    const waits = kit.busy(), rests = waits?.length === 0, said = String(waits);
    for (const one of rests ? asked.splice(0) : asked)
      if (one.said !== said) { one.said = said; one.send([MARK, rests ? "echo" : "waits", one.id, waits]); }
  };
  add.call(port1, "message", flush);
  port1.start();
  kit.tells = (message) => tell(message);
  kit.changes = () => { if (asked.length) port2.postMessage(0); };
  // A call in which this worker hears nothing, until sites have answered.
  kit.stops = (addresses, call) => {
    tell([MARK, "stops", 0, addresses]);
    try { return call(); } finally { tell([MARK, "stops", 0, null]); }
  };
  kit.wrap(global, "importScripts", (native) => (...urls) => kit.stops(urls.map(kit.siteOf), () => kit.apply(native, global, urls)));
  const hear = (send) => (event) => {
    if (!Array.isArray(event.data) || event.data[0] !== MARK) return;
    event.stopImmediatePropagation();
    const [, verb, id] = event.data;
    if (verb === "fire") fire(id);
    if (verb === "arrives") kit.arrives(id);
    if (verb === "echo") {
      const known = asked.findIndex((one) => one.send === send);  // the last one that a page asks for matters
      if (known >= 0) asked.splice(known, 1);
      asked.push({ id, send, said: "null" });
      kit.changes();
    }
  };
  if (dedicated) add.call(global, "message", hear(tell));
  else
    add.call(global, "connect", (event) => {
      const port = event.ports[0], send = port.postMessage.bind(port);
      add.call(port, "message", hear(send));
      if (unsent) for (const message of unsent) { if (message[1] === "wire") send(message); }
      else { tell([MARK, "wire", "goes", []]); kit.recalls(send); }
      unsent = null;
      tell = send;                                         // the page that came last keeps the timers
      for (const [id, timer] of timers) send([MARK, "timer", id, timer.ms]);
      soon(() => port.start());                            // the worker's own listener is there by then
    });
  kit.wrap(global, "close", (native) => function () { tell([MARK, "closed"]); return native.call(this); });
}
