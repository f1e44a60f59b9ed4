// Noise. What a page says to nobody, in its console and by errors that it does not catch, is told to the browser's driver, letter by letter.
// A document that says a thousand things is heard no more: it would hold up all that the driver has to do.
(kit) => {
  const MOST = 1000, WORDS = ["assert", "count", "debug", "dir", "dirxml", "error", "group", "groupCollapsed", "info", "log", "table", "timeLog", "trace", "warn"];
  let said = 0;
  for (const name of WORDS) kit.wrap(console, name, (native) => function (...given) { if (++said <= MOST) kit.apply(native, this, given); });
  for (const type of ["error", "unhandledrejection"]) kit.add.call(globalThis, type, (event) => { if (++said > MOST) event.preventDefault(); }, true);
}
