// Numbers that style sheets count: counters in the text before and after elements, and the marks of list items. The browser tells no script
// of them, so they are counted here, as CSS Lists 3 has it, and only in documents whose sheets count.
(w) => {
  const { attr } = w;
  const ROMAN = [[1000, "m"], [900, "cm"], [500, "d"], [400, "cd"], [100, "c"], [90, "xc"], [50, "l"], [40, "xl"], [10, "x"], [9, "ix"], [5, "v"], [4, "iv"], [1, "i"]];
  const roman = (n) => {
    if (n < 1 || n > 3999) return String(n);
    let text = "";
    for (const [value, letters] of ROMAN) for (; n >= value; n -= value) text += letters;
    return text;
  };
  const letters = (n, first, count) => {
    if (n < 1) return String(n);
    let text = "";
    for (; n > 0; n = Math.floor((n - 1) / count)) text = String.fromCodePoint(first + ((n - 1) % count)) + text;
    return text;
  };
  const STYLES = {
    "decimal": String, "decimal-leading-zero": (n) => (n < 0 ? "-" : "") + String(Math.abs(n)).padStart(2, "0"),
    "lower-roman": roman, "upper-roman": (n) => roman(n).toUpperCase(), "lower-alpha": (n) => letters(n, 97, 26), "lower-latin": (n) => letters(n, 97, 26),
    "upper-alpha": (n) => letters(n, 65, 26), "upper-latin": (n) => letters(n, 65, 26),
  };
  const SILENT = new Set(["none", "disc", "circle", "square", "disclosure-open", "disclosure-closed"]);
  const written = (n, style) => (SILENT.has(style) ? "" : (STYLES[style] ?? String)(n));

  // --- counters -------------------------------------------------------------------------------------------------------------
  const steps = (given, otherwise) => {                    // "a 2 b" -> [["a", 2], ["b", otherwise]]
    const words = given === "none" ? [] : given.split(" "), found = [];
    for (const word of words) if (/^-?\d+$/.test(word) && found.length) found[found.length - 1][1] = Number(word); else found.push([word.replace(/^reversed\((.*)\)$/, "$1"), otherwise]);
    return found;
  };
  // Counters of a document or shadow root: element -> {before, after: counter -> its values, from the outermost}.
  // `counts` has the elements that a rule with counters matches, by place: the element's own box, or the text before or after it.
  const count = (root, counts) => {
    const scopes = new Map(), found = new Map();           // counter -> [[the element in which it counts, its value], ...]
    const values = () => new Map([...scopes].map(([name, list]) => [name, list.map(([, value]) => value)]));
    const turn = (style, holder) => {
      for (const [name, value] of steps(style.counterReset, 0)) {
        const list = scopes.get(name) ?? [];
        if (list.at(-1)?.[0] === holder) list.pop();
        scopes.set(name, [...list, [holder, value]]);
      }
      const own = (name) => { if (!scopes.get(name)?.length) scopes.set(name, [[holder, 0]]); return scopes.get(name).at(-1); };
      for (const [name, by] of steps(style.counterIncrement, 1)) if (name !== "list-item") own(name)[1] += by;
      for (const [name, value] of steps(style.counterSet, 0)) own(name)[1] = value;
    };
    for (const el of w.all(root, "*")) {
      for (const list of scopes.values()) while (list.length && !w.contains(list.at(-1)[0], el)) list.pop();
      if (!counts.own.has(el) && !counts.before.has(el) && !counts.after.has(el)) continue;
      const style = getComputedStyle(el);
      if (style.display !== "contents" && !el.checkVisibility()) continue;
      if (counts.own.has(el)) turn(style, w.parentOf(el));
      const told = {};
      for (const place of ["before", "after"]) {
        if (!counts[place].has(el)) continue;
        const text = getComputedStyle(el, `::${place}`);
        if (text.content === "none" || text.display === "none") continue;
        turn(text, el);
        told[place] = values();
      }
      if (told.before || told.after) found.set(el, told);
    }
    return found;
  };
  w.countersOf = count;
  // What `counter()` or `counters()` writes.
  w.counted = (values, name, between, style = "decimal") => {
    const list = values?.get(name) ?? [0];
    return between === undefined ? written(list.at(-1), style) : list.map((n) => written(n, style)).join(between);
  };

  // --- marks of list items ----------------------------------------------------------------------------------------------------
  let numbers = new Map();                                 // list -> item -> its number
  w.beginCounters = () => { numbers = new Map(); };
  const numbersOf = (list) => {
    if (!numbers.has(list)) {
      const items = [...w.childrenOf(list)].filter((n) => w.kindOf(n) === 1 && w.nameOfTag(n) === "li" && getComputedStyle(n).display !== "none");
      const down = w.has(list, "reversed"), start = parseInt(attr(list, "start"), 10), found = new Map();
      let next = isNaN(start) ? (down ? items.length : 1) : start;
      for (const item of items) {
        const own = parseInt(attr(item, "value"), 10);
        if (!isNaN(own)) next = own;
        found.set(item, next);
        next += down ? -1 : 1;
      }
      numbers.set(list, found);
    }
    return numbers.get(list);
  };
  // The text that the browser writes before a list item, "" where it draws a dot or nothing.
  w.markOf = (el, style) => {
    const kind = style.listStyleType;
    if (SILENT.has(kind) || style.listStyleImage !== "none" || w.nameOfTag(el) !== "li") return "";
    const string = /^"((?:[^"\\]|\\.)*)"$/s.exec(kind);
    if (string) return string[1];
    const list = w.parentOf(el), number = w.kindOf(list) === 1 ? numbersOf(list).get(el) : undefined;
    return number === undefined ? "" : `${written(number, kind)}. `;
  };
}
