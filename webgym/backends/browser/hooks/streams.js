// Event streams. The browser's own EventSource stops virtual time for as long as it is open, and a streamed fetch does not: so an
// EventSource is made of a fetch.
(kit) => {
  const Native = globalThis.EventSource, ask = globalThis.fetch?.bind(globalThis);
  if (!Native || !ask) return;
  const RETRY_MS = 3000, inner = new WeakMap();
  const stages = { CONNECTING: 0, OPEN: 1, CLOSED: 2 };

  class Events extends EventTarget {
    constructor(url, how = {}) {
      super();
      let address;
      try { address = new URL(url, kit.page ? document.baseURI : self.location.href); } catch {
        throw new DOMException(`Failed to construct 'EventSource': Cannot open an EventSource to '${url}'. The URL is invalid.`, "SyntaxError");
      }
      inner.set(this, { url: address.href, credentials: !!how?.withCredentials, stage: 0, last: "", retry: RETRY_MS, handlers: {} });
      connect(this);
    }
    get url() { return inner.get(this).url; }
    get withCredentials() { return inner.get(this).credentials; }
    get readyState() { return inner.get(this).stage; }
    close() { const own = inner.get(this); own.stage = stages.CLOSED; own.stop?.abort(); own.shut?.(); kit.never(own.timer); }
  }
  for (const [name, value] of Object.entries(stages)) for (const owner of [Events, Events.prototype]) Object.defineProperty(owner, name, { value, enumerable: true });
  for (const type of ["open", "message", "error"])
    Object.defineProperty(Events.prototype, "on" + type, {
      get() { return inner.get(this).handlers[type]?.call ?? null; },
      set(call) {
        const own = inner.get(this), known = own.handlers[type];
        own.handlers[type] = { call: typeof call === "function" ? call : null, heard: known?.heard };
        if (!known) {
          own.handlers[type].heard = true;
          kit.add.call(this, type, (event) => own.handlers[type].call?.call(this, event));
        }
      },
      configurable: true, enumerable: true,
    });
  Object.defineProperty(Events, "name", { value: "EventSource" });
  Object.defineProperty(Events.prototype, Symbol.toStringTag, { value: "EventSource", configurable: true });

  const fail = (source) => { const own = inner.get(source); own.shut(); if (own.stage !== stages.CLOSED) { own.stage = stages.CLOSED; source.dispatchEvent(new Event("error")); } };
  const again = (source) => {
    const own = inner.get(source);
    own.shut();
    if (own.stage === stages.CLOSED) return;
    own.stage = stages.CONNECTING;
    source.dispatchEvent(new Event("error"));
    if (own.stage !== stages.CLOSED) own.timer = kit.later(() => { if (own.stage === stages.CONNECTING) connect(source); }, own.retry);
  };
  const connect = async (source) => {
    const own = inner.get(source), stop = (own.stop = new AbortController());
    const headers = { Accept: "text/event-stream", ...(own.last ? { "Last-Event-ID": own.last } : {}) };
    let answer;
    let open = true;
    own.shut = () => { if (open) kit.shuts(own.url); open = false; };
    kit.opens(own.url);
    try {
      answer = await ask(own.url, { headers, credentials: own.credentials ? "include" : "same-origin", cache: "no-store", signal: stop.signal });
    } catch { kit.gets(own.url, 1); return again(source); }
    kit.gets(own.url, 1);
    if (own.stage === stages.CLOSED) return;
    const kind = (answer.headers.get("content-type") ?? "").split(";")[0].trim().toLowerCase();
    if (answer.status !== 200 || kind !== "text/event-stream" || !answer.body) { stop.abort(); return fail(source); }
    own.stage = stages.OPEN;
    source.dispatchEvent(new Event("open"));
    const read = parser(source, new URL(answer.url || own.url).origin), reader = answer.body.getReader(), decoder = new TextDecoder();
    try {
      for (;;) {
        const { value, done } = await reader.read();
        if (value) kit.gets(own.url, value.length);
        if (done || own.stage === stages.CLOSED) break;
        read(decoder.decode(value, { stream: true }));
      }
    } catch { /* the connection was lost */ }
    again(source);
  };
  const parser = (source, origin) => {
    const own = inner.get(source);
    let rest = "", data = [], type = "", last = own.last;
    const line = (text) => {
      if (text === "") {
        own.last = last;
        if (data.length && own.stage === stages.OPEN) source.dispatchEvent(new MessageEvent(type || "message", { data: data.join("\n"), lastEventId: last, origin }));
        data = [], type = "";
        return;
      }
      const colon = text.indexOf(":"), field = colon < 0 ? text : text.slice(0, colon), value = colon < 0 ? "" : text.slice(colon + 1).replace(/^ /, "");
      if (field === "data") data.push(value);
      else if (field === "event") type = value;
      else if (field === "id" && !value.includes("\0")) last = value;
      else if (field === "retry" && /^\d+$/.test(value)) own.retry = Number(value);
    };
    return (text) => {
      rest += text;
      for (;;) {
        const end = /\r\n|\n|\r(?!$)/.exec(rest);          // a CR at the end may be half of a CRLF
        if (!end) return;
        const found = rest.slice(0, end.index);
        rest = rest.slice(end.index + end[0].length);
        line(found);
      }
    };
  };
  globalThis.EventSource = Events;
}
