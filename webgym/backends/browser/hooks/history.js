// History. A page that goes back by `history.back()` to another document holds virtual time for good, because the browser takes the hold back
// only where nothing came of it. The same way by `navigation.traverseTo` holds none. It is taken where it leads to the same entry: where all
// entries of the tab are this document's own and of its site. What moves within a document, or in a frame, holds nothing either way.
(kit) => {
  const { navigation } = globalThis;
  if (!kit.page || !navigation) return;
  const { apply } = kit, { entries, traverseTo } = navigation, read = (proto, name) => Object.getOwnPropertyDescriptor(proto, name).get;
  const current = read(Navigation.prototype, "currentEntry"), index = read(NavigationHistoryEntry.prototype, "index"), key = read(NavigationHistoryEntry.prototype, "key");
  const same = read(NavigationHistoryEntry.prototype, "sameDocument"), long = read(History.prototype, "length"), then = Promise.prototype.then;
  // Go so far, if that is to another document that is known by its key; false where the browser's own way has to be taken.
  const traversed = (by) => {
    const list = apply(entries, navigation, []), here = apply(current, navigation, []);
    if (!here || !by || list.length !== apply(long, history, [])) return false;
    const entry = list[apply(index, here, []) + by];
    if (!entry || apply(same, entry, [])) return false;
    const { committed, finished } = apply(traverseTo, navigation, [apply(key, entry, [])]);
    for (const promise of [committed, finished]) apply(then, promise, [undefined, () => 0]);
    return true;
  };
  for (const [name, by] of [["back", () => -1], ["forward", () => 1], ["go", (delta) => Math.trunc(delta) || 0]])
    kit.wrap(History.prototype, name, (native) => function (...given) { if (this !== history || !traversed(by(...given))) return apply(native, this, given); });
}
