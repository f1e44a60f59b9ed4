// A file field that is no part of its page asks for a file. Nothing may hold it then, and the browser lets go of it before the file comes.
(kit) => {
  if (!kit.page) return;
  const MOST = 4;
  let held = [];
  const holds = (native) => function (...given) {
    if (this instanceof HTMLInputElement && this.type === "file" && !this.isConnected) held = [...held.slice(1 - MOST), this];
    return kit.apply(native, this, given);
  };
  kit.wrap(HTMLElement.prototype, "click", holds);
  kit.wrap(HTMLInputElement.prototype, "showPicker", holds);
}
