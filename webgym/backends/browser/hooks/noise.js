// Noise. What a page says to nobody, in its console and by errors that it does not catch, is told to the browser's driver, letter by letter.
// A page that says a thousand things, or ten million letters, is heard no more: it would hold up all that the driver has to do.
(kit) => {
  const MOST = 1000, LETTERS = 1e4, SILENT = ["context", "createTask"];
  const { apply, page } = kit, { ask } = kit.settings, emit = EventTarget.prototype.dispatchEvent, Said = globalThis.CustomEvent;
  // Frames say it to the topmost document that they may speak to.
  let top = globalThis, said = 0;
  if (page) try { while (top.parent !== top && top.parent.document) top = top.parent; } catch { /* of another origin */ }
  const add = (weight) => { said += weight; return said > MOST; };
  if (page) kit.answers("-said", (event) => { if (add(event.detail)) event.preventDefault(); });
  const hushed = (weight) => !apply(emit, top, [new Said(ask + "-said", { __proto__: null, cancelable: true, detail: weight })]);
  const loud = (weight) => add(weight) || (top !== globalThis && hushed(weight));
  const weigh = (given) => {
    let weight = 1;
    for (let i = 0; i < given.length; i++) if (typeof given[i] === "string") weight += given[i].length / LETTERS;
    return weight;
  };
  for (const name of Object.keys(console))
    if (!SILENT.includes(name)) kit.wrap(console, name, (native) => function (...given) { if (!loud(weigh(given))) return apply(native, this, given); });
  if (!page) return;                                       // an error of a worker is told to who made it
  const hush = (event) => { if (loud(weigh([event.message]))) event.preventDefault(); };
  kit.hears("error", hush, true);
  kit.hears("unhandledrejection", hush, true);
}
