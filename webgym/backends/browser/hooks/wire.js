// Wire. Counts what a document sends to servers and hears from them as they please, because only this world can see it: no time is granted
// while something is on its way to it (flow.py), and sites are given the time to take in what it sent.
(kit) => {
  const sent = new Map(), asked = new Map(), got = new Map(), pending = new Map(), waits = new Set();
  const eachWait = Set.prototype.forEach, eachSent = Map.prototype.forEach, written = JSON.stringify;
  const addressOf = (url) => {
    try {
      const found = new URL(url instanceof Request ? url.url : url, kit.page ? document.baseURI : self.location.href);
      return `${found.origin}${decodeURIComponent(found.pathname)}${found.search}`.replace(/^ws/, "http");  // as servers hear it
    } catch { return ""; }
  };
  kit.siteOf = (url) => addressOf(url).replace(/\?.*/s, "");
  const more = (map, url, amount) => map.set(url, (map.get(url) ?? 0) + amount);
  kit.sends = (url) => more(sent, addressOf(url), 1);
  kit.gets = (url, amount) => {
    const address = addressOf(url);
    more(got, address, amount);
    kit.apply(eachWait, waits, [(wait) => { if (wait.address === address && got.get(address) >= wait.most) waits.delete(wait); }]);
  };
  const asks = (url) => { more(pending, url, 1); if (/^http/.test(url)) more(asked, url, 1); };
  const then = Promise.prototype.then;
  kit.wrap(globalThis, "fetch", (native) => function (...given) {
    const url = addressOf(given[0]), answer = native.apply(this ?? globalThis, given), over = () => { more(pending, url, -1); kit.gets(url, 1); };
    asks(url);
    then.call(answer, over, over);
    return answer;
  });
  const opened = new WeakMap();
  kit.wrap(globalThis.XMLHttpRequest?.prototype, "open", (native) => function (...given) { opened.set(this, addressOf(given[1])); return native.apply(this, given); });
  kit.wrap(globalThis.XMLHttpRequest?.prototype, "send", (native) => function (...given) {
    const url = opened.get(this);
    asks(url);
    kit.add.call(this, "loadend", () => { more(pending, url, -1); kit.gets(url, 1); }, { once: true });
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
  if (!kit.page) return;
  const { ask } = kit.settings;
  kit.add.call(globalThis, ask + "-sent", () => {
    const list = [];
    let length = 0;
    kit.apply(eachSent, sent, [(amount, url) => { list[length++] = [url, amount, 1]; }]);
    kit.apply(eachSent, asked, [(amount, url) => { list[length++] = [url, amount, pending.get(url)]; }]);
    kit.tell("-sent", written(list));
  });
  kit.add.call(globalThis, ask + "-due", () => kit.tell("-due", written(waits.size)));
  kit.add.call(globalThis, ask + "-expect", (event) => {
    const [address, amount] = JSON.parse(event.detail);
    waits.clear();                                         // what did not come by now does not come
    if (sent.has(address) || pending.get(address) > 0) waits.add({ address, most: (got.get(address) ?? 0) + amount });
  });
}
