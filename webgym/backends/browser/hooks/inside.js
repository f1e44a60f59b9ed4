// Inside of a worker. Its timers are those of the page that has it: it tells the page how long to wait, and hears when the time has
// come. When the page asks for an echo, it answers as soon as nothing keeps it busy (outside.js).
(kit) => {
  if (kit.page) return;
  const { MARK, add } = kit, global = globalThis, is = (name) => global[name] !== undefined && global instanceof global[name];
  const dedicated = is("DedicatedWorkerGlobalScope");
  if (!dedicated && !is("SharedWorkerGlobalScope")) return;  // a service worker belongs to no page
  const timers = new Map(), asked = [], unsent = [];
  const soon = (work) => { const { port1, port2 } = new MessageChannel(); port1.onmessage = work; port2.postMessage(0); };
  let tell = dedicated ? postMessage.bind(global) : (message) => unsent.push(message), number = 0;

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
  const flush = () => { if (!kit.holds()) for (const echo of asked.splice(0)) echo(); };
  add.call(port1, "message", flush);
  port1.start();
  kit.rested = () => port2.postMessage(0);
  const hear = (send) => (event) => {
    if (!Array.isArray(event.data) || event.data[0] !== MARK) return;
    event.stopImmediatePropagation();
    const [, verb, id] = event.data;
    if (verb === "fire") fire(id);
    if (verb === "echo") { asked.push(() => send([MARK, "echo", id])); kit.rested(); }
  };
  if (dedicated) add.call(global, "message", hear(tell));
  else
    add.call(global, "connect", (event) => {
      const port = event.ports[0], send = port.postMessage.bind(port);
      add.call(port, "message", hear(send));
      tell = send;                                         // the page that came last keeps the timers
      unsent.length = 0;
      for (const [id, timer] of timers) send([MARK, "timer", id, timer.ms]);
      soon(() => port.start());                            // the worker's own listener is there by then
    });
  kit.wrap(global, "close", (native) => function () { tell([MARK, "closed"]); return native.call(this); });
}
