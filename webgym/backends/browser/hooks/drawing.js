// Drawing. Notes that a document waits for something that comes with its frames, which are drawn for it from then on.
(kit) => {
  if (!kit.page) return;
  const { uses, later } = kit;
  const noted = (native) => function (...given) { uses.frames = true; return native.apply(this, given); };
  const moving = (native) => function (...given) { uses.frames = uses.transitions = true; return native.apply(this, given); };
  const smooth = (native) => function (...given) {
    if (given.some((option) => option?.behavior === "smooth")) uses.frames = uses.smooth = true;
    return native.apply(this ?? globalThis, given);
  };
  for (const name of ["IntersectionObserver", "ResizeObserver"]) kit.wrap(globalThis[name]?.prototype, "observe", noted);
  kit.wrap(Document.prototype, "startViewTransition", moving);
  kit.wrap(Element.prototype, "animate", moving);
  kit.wrap(globalThis.Animation?.prototype, "play", moving);
  kit.wrap(HTMLVideoElement.prototype, "requestVideoFrameCallback", noted);
  kit.wrap(HTMLImageElement.prototype, "decode", noted);
  for (const name of ["scroll", "scrollTo", "scrollBy", "scrollIntoView"]) { kit.wrap(Element.prototype, name, smooth); kit.wrap(globalThis, name, smooth); }
  // A canvas is encoded when the browser is at leisure, which virtual time never is.
  const encoded = (canvas, how) => {
    const [kind, data] = canvas.toDataURL(...how).split(",");
    return data ? new Blob([Uint8Array.from(atob(data), (char) => char.charCodeAt(0))], { type: kind.slice(5).split(";")[0] }) : null;
  };
  kit.wrap(HTMLCanvasElement.prototype, "toBlob", () => function (hear, ...how) { const blob = encoded(this, how); later(() => hear(blob), 0); });
  kit.wrap(globalThis.OffscreenCanvas?.prototype, "convertToBlob", () => async function (how = {}) {
    const canvas = Object.assign(document.createElement("canvas"), { width: this.width, height: this.height });
    canvas.getContext("2d").drawImage(this, 0, 0);
    return encoded(canvas, [how.type, how.quality]);
  });
  kit.answers("-uses", () => {
    kit.tell("-uses", (uses.frames ? 1 : 0) + (uses.transitions ? 2 : 0) + (uses.smooth ? 4 : 0) + (uses.streams ? 16 : 0) + (uses.cut ? 32 : 0));
  });
}
