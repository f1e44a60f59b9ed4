// Wire. Counts what a document and its workers send to servers and hear from them as they please, because only this world can see it: no
// time is granted while something is on its way to the document (flow.py), none passes while something is on its way to a worker, and sites
// are given the time to take in what was sent.
(kit) => {
  const { MARK, apply, read, written } = kit, each = Set.prototype.forEach, eachIn = Map.prototype.forEach, MOST_WHOLE = 100;
  // By address: how often one world `sent` something of late, and how many of its requests and streams are `open`. `silent` is a worker that
  // was waited for in vain.
  const counts = (heard) => ({ sent: new Map(), open: new Map(), heard, silent: false });
  const own = counts(), workers = new Set();
  // `whole` are answers of which all is there; `waits` is what is about to be heard, and by whom.
  const whole = new Set(), waits = new Set();
  const addressOf = (url) => {
    try {
      const found = new URL(url instanceof Request ? url.url : url, kit.page ? document.baseURI : self.location.href);
      return `${found.origin}${decodeURIComponent(found.pathname)}${found.search}`.replace(/^ws/, "http");  // as servers hear it
    } catch { return ""; }
  };
  kit.siteOf = (url) => addressOf(url).replace(/\?.*/s, "");
  kit.isWhole = (url) => whole.has(addressOf(url));
  const more = (map, address, amount) => map.set(address, (map.get(address) ?? 0) + amount);
  const drop = (wait) => { waits.delete(wait); wait.release?.(); };
  const leaves = (by, left) => apply(each, waits, [(wait) => { if (left(wait) && wait.by.delete(by) && !wait.by.size) { wait.vain = true; drop(wait); } }]);
  const notes = {
    __proto__: null,
    opens: (by, address, amount) => more(by.open, address, amount),
    sends: (by, address, amount) => { if (kit.page) more(by.sent, address, amount); },
    streams: () => { kit.uses.streams = true; },
    gets: (by, address, amount) => apply(each, waits, [(wait) => {
      if (wait.address !== address || (wait.left -= amount) > 0) return;
      by.heard?.();
      drop(wait);
    }]),
    shuts: (by, address) => {
      const left = (by.open.get(address) ?? 0) - 1;
      if (left > 0) return by.open.set(address, left);
      by.open.delete(address);
      leaves(by, (wait) => wait.address === address);
    },
    goes: (by) => { by.open.clear(); leaves(by, () => true); },
  };
  const note = (what, address, amount = 1) => {
    if (!/^http/.test(address)) return;
    notes[what](own, address, amount);
    kit.tells?.([MARK, "wire", what, [address, amount]]);
  };
  const opens = (address) => { note("opens", address); note("sends", address); };
  kit.opens = (url) => { opens(addressOf(url)); note("streams", addressOf(url)); };
  kit.gets = (url, amount) => note("gets", addressOf(url), amount);
  kit.shuts = (url) => note("shuts", addressOf(url));
  // What one worker tells of itself and of its own workers; `heard` is called when it hears what was waited for. A worker hands it on.
  kit.wires = (send, heard) => {
    const by = counts(heard), worker = { by, send };
    workers.add(worker);
    return {
      by,
      told: (what, [address, amount]) => {
        notes[what]?.(by, address, amount);
        if (!kit.page && what === "gets") heard();
        if (what !== "goes") kit.tells?.([MARK, "wire", what, [address, amount]]);
      },
      end: () => {
        const open = (amount, address) => { for (; amount > 0; amount--) kit.tells([MARK, "wire", "shuts", [address, 1]]); };
        if (kit.tells) apply(eachIn, by.open, [open]);
        notes.goes(by);
        workers.delete(worker);
      },
    };
  };
  // Say anew what is open, to a page that comes later.
  kit.recalls = (send) => {
    const tell = (by) => apply(eachIn, by.open, [(amount, address) => send([MARK, "wire", "opens", [address, amount]])]);
    tell(own);
    apply(each, workers, [({ by }) => tell(by)]);
  };
  kit.arrives = (address) => {
    if (whole.size > MOST_WHOLE) whole.clear();
    whole.add(address);
    apply(each, workers, [({ send }) => send([MARK, "arrives", address])]);
  };
  const asks = (address) => { whole.delete(address); opens(address); };
  const answered = (address) => { note("gets", address); note("shuts", address); };
  const then = Promise.prototype.then;
  kit.wrap(globalThis, "fetch", (native) => function (...given) {
    const address = addressOf(given[0]), answer = native.apply(this ?? globalThis, given), over = () => answered(address);
    asks(address);
    then.call(answer, over, over);
    return answer;
  });
  const opened = new WeakMap();
  kit.wrap(globalThis.XMLHttpRequest?.prototype, "open", (native) => function (...given) {
    opened.set(this, given.length > 2 && !given[2] ? "" : addressOf(given[1]));  // nothing is heard while it waits for an answer
    return native.apply(this, given);
  });
  kit.wrap(globalThis.XMLHttpRequest?.prototype, "send", (native) => function (...given) {
    const address = opened.get(this) ?? "", sent = native.apply(this, given);
    asks(address);
    kit.add.call(this, "loadend", () => answered(address), { once: true });
    return sent;
  });
  const shut = new WeakSet(), shuts = (socket) => { if (!shut.has(socket)) { shut.add(socket); kit.shuts(socket.url); } };
  kit.wrap(globalThis.WebSocket?.prototype, "send", (native) => function (...given) {
    const answer = native.apply(this, given);
    note("sends", addressOf(this.url));
    return answer;
  });
  kit.wrap(globalThis.WebSocket?.prototype, "close", (native) => function (...given) { const answer = native.apply(this, given); shuts(this); return answer; });
  kit.constructs("WebSocket", (given, create) => {
    const socket = create(...given);
    kit.opens(socket.url);
    for (const type of ["open", "message", "close"]) kit.add.call(socket, type, () => kit.gets(socket.url, 1));
    kit.add.call(socket, "close", () => shuts(socket));
    return socket;
  });
  if (!kit.page) return;
  // What was sent since the last question: its address, how often, how much to it is open, and whether by a worker, who tells of it late.
  kit.answers("-sent", () => {
    const list = [];
    let length = 0;
    const tellOf = ({ sent, open }, late) => {
      apply(eachIn, sent, [(amount, address) => { list[length++] = kit.plain([address, amount, open.get(address) ?? 0, late]); }]);
      sent.clear();
    };
    tellOf(own, 0);
    apply(each, workers, [({ by }) => tellOf(by, 1)]);
    kit.tell("-sent", written(kit.plain(list)));
  });
  // What was expected last: how much of it is still to come, and whether a worker may hear it, so that the page's time is held; or null.
  let last = null;
  kit.answers("-due", () => {
    kit.tell("-due", written(last && !last.vain ? kit.plain([last.left, Number(Boolean(last.release))]) : null));
  });
  kit.answers("-expect", (event) => {
    const [address, left, ends] = read(event.detail), wait = { address, left, by: new Set() };
    if (last && (!address || !last.release)) drop(last);   // what did not come by now does not come
    last = null;
    if (!address) return;
    if (ends) kit.arrives(address);
    const hears = (by) => !by.silent && by.open.has(address) && wait.by.add(by);
    const late = [];
    apply(each, workers, [({ by }) => { if (hears(by)) late[late.length] = by; }]);
    if (hears(own) || late.length) waits.add(last = wait);
    if (late.length) wait.release = kit.hold(undefined, () => { waits.delete(wait); apply(each, wait.by, [(by) => { by.silent = by !== own; }]); });
  });
}
