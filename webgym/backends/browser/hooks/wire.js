// Wire. Counts what a document and its workers send to servers and hear from them as they please, because only this world can see it: no
// time is granted while something is on its way to the document (flow.py), none passes while something is on its way to a worker, and sites
// are given the time to take in what was sent.
(kit) => {
  const { MARK, apply } = kit, each = Set.prototype.forEach, eachIn = Map.prototype.forEach, written = JSON.stringify;
  const counts = (heard) => ({ sent: new Map(), asked: new Map(), pending: new Map(), heard });
  // `whole` are answers of which all is there; `waits` is what is about to be heard.
  const own = counts(), workers = new Set(), whole = new Set(), waits = new Set();
  const addressOf = (url) => {
    try {
      const found = new URL(url instanceof Request ? url.url : url, kit.page ? document.baseURI : self.location.href);
      return `${found.origin}${decodeURIComponent(found.pathname)}${found.search}`.replace(/^ws/, "http");  // as servers hear it
    } catch { return ""; }
  };
  kit.siteOf = (url) => addressOf(url).replace(/\?.*/s, "");
  kit.isWhole = (url) => whole.has(addressOf(url));
  const more = (map, url, amount) => map.set(url, (map.get(url) ?? 0) + amount);
  const notes = {
    __proto__: null,
    opens: (by, address) => more(by.pending, address, 1),
    sends: (by, address) => more(by.sent, address, 1),
    asks: (by, address) => { more(by.pending, address, 1); more(by.asked, address, 1); },
    gets: (by, address, amount) => apply(each, waits, [(wait) => {
      if (wait.address !== address || (wait.left -= amount) > 0) return;
      waits.delete(wait);
      by.heard?.();
      wait.release?.();
    }]),
    answered: (by, address) => { more(by.pending, address, -1); notes.gets(by, address, 1); },
  };
  const note = (what, address, amount) => { notes[what](own, address, amount); kit.tells?.([MARK, "wire", what, [address, amount]]); };
  kit.sends = (url) => note("sends", addressOf(url));
  kit.gets = (url, amount) => note("gets", addressOf(url), amount);
  const asks = (address) => { whole.delete(address); if (/^http/.test(address)) note("asks", address); };
  const answered = (address) => { if (/^http/.test(address)) note("answered", address); };
  // What one worker tells of itself and of its own workers; `heard` is called when it was waited for. A worker hands it on.
  kit.wires = (send, heard) => {
    const by = counts(heard), worker = { by, send };
    workers.add(worker);
    return {
      told: (what, [address, amount]) => {
        if (!kit.page) return kit.tells([MARK, "wire", what, [address, amount]]);
        if (what === "sends") kit.uses.streams = true;
        notes[what]?.(by, address, amount);
      },
      end: () => workers.delete(worker),
    };
  };
  kit.arrives = (address) => { whole.add(address); apply(each, workers, [({ send }) => send([MARK, "arrives", address])]); };
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
    const address = opened.get(this) ?? "";
    asks(address);
    kit.add.call(this, "loadend", () => answered(address), { once: true });
    return native.apply(this, given);
  });
  kit.wrap(globalThis.WebSocket?.prototype, "send", (native) => function (...given) { const answer = native.apply(this, given); kit.sends(this.url); return answer; });
  kit.constructs("WebSocket", (given, create) => {
    const socket = create(...given);
    kit.uses.streams = true;
    kit.sends(socket.url);
    for (const type of ["open", "message", "close"]) kit.add.call(socket, type, () => kit.gets(socket.url, 1));
    return socket;
  });
  // Say anew what is open, to a page that comes later.
  kit.recalls = (send) => {
    apply(eachIn, own.sent, [(_, address) => send([MARK, "wire", "opens", [address]])]);
    apply(eachIn, own.pending, [(amount, address) => { if (amount > 0) send([MARK, "wire", "opens", [address]]); }]);
  };
  if (!kit.page) return;
  const { ask } = kit.settings;
  kit.add.call(globalThis, ask + "-sent", () => {
    const list = [];
    let length = 0;
    const tellOf = ({ sent, asked, pending }, late) => {
      apply(eachIn, sent, [(amount, address) => { list[length++] = [address, amount, 1, late]; }]);
      apply(eachIn, asked, [(amount, address) => { list[length++] = [address, amount, pending.get(address), late]; }]);
    };
    tellOf(own, 0);
    apply(each, workers, [({ by }) => tellOf(by, 1)]);
    kit.tell("-sent", written(list));
  });
  // What was expected last: how much of it is still to come, and whether a worker may hear it, so that the page's time is held; or null.
  let last = null;
  kit.add.call(globalThis, ask + "-due", () => kit.tell("-due", written(last && [last.left, Number(Boolean(last.release))])));
  const drop = (wait) => { waits.delete(wait); wait.release?.(); };
  kit.add.call(globalThis, ask + "-expect", (event) => {
    const [address, left, ends] = JSON.parse(event.detail);
    if (last && (!address || !last.release)) drop(last);   // what did not come by now does not come
    if (ends) kit.arrives(address);
    const hears = ({ sent, pending }) => sent.has(address) || pending.get(address) > 0, wait = { address, left };
    apply(each, workers, [({ by }) => { if (hears(by)) wait.release ??= kit.hold(undefined, () => waits.delete(wait)); }]);
    last = wait.release || hears(own) ? wait : null;
    if (last) waits.add(last);
  });
}
