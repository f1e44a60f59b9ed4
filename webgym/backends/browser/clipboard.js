// Runs in every page's own world before its scripts. The browser has one clipboard for all sessions; this gives the page the one of
// its session instead. What is copied or cut is caught before the browser keeps it, and a paste is answered with the session's text:
// the browser's own event is stopped, and the page gets one like it in its place. `name` is a secret: of the event by which the
// session says what its clipboard holds, and of the binding, given with that event, that tells the session what was copied.
((name) => {
  const add = EventTarget.prototype.addEventListener, emit = EventTarget.prototype.dispatchEvent, { apply } = Reflect;
  let text = "", untold = null, tell = null;
  const keep = (copied) => {
    text = untold = String(copied);
    if (tell) { tell(text); untold = null; }
  };
  const hears = [[name, (event) => {
    event.stopImmediatePropagation();
    tell = globalThis[name] ?? tell;
    delete globalThis[name];
    if (untold !== null) keep(untold);
    else if (event.detail !== null) text = event.detail;
  }, true]];
  const secret = () => {
    let active = document.activeElement;
    while (active?.shadowRoot?.activeElement) active = active.shadowRoot.activeElement;
    return active?.type === "password";
  };
  for (const type of ["copy", "cut", "paste"])
    hears.push([type, (event) => {
      if (!event.isTrusted) return;
      event.stopImmediatePropagation();
      event.preventDefault();
      const data = new DataTransfer();
      if (type === "paste") data.setData("text/plain", text);
      const twin = new ClipboardEvent(type, { bubbles: true, cancelable: true, composed: true, clipboardData: data });
      const handled = !emit.call(event.composedPath()[0], twin);
      if (type === "paste") {
        if (!handled && text) document.execCommand("insertText", false, text);
        return;
      }
      const copied = handled ? data.getData("text/plain") : secret() ? "" : String(getSelection());
      if (copied) keep(copied);
      if (type === "cut" && !handled && copied) document.execCommand("delete") || getSelection().deleteFromDocument();
    }, true]);
  const listen = () => { for (let i = 0; i < hears.length; i++) apply(add, globalThis, hears[i]); };
  listen();
  new MutationObserver(listen).observe(document, { childList: true });  // a document that is opened anew drops all that listened
  if (!globalThis.Clipboard) return;
  Object.assign(Clipboard.prototype, {
    writeText: async (copied) => keep(copied),
    readText: async () => text,
    write: async (items) => {
      for (const item of items) if (item.types.includes("text/plain")) keep(await (await item.getType("text/plain")).text());
    },
    read: async () => [new ClipboardItem({ "text/plain": new Blob([text], { type: "text/plain" }) })],
  });
})
