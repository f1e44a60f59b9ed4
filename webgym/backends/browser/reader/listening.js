// Who listens, as the page's own world tells (listeners.js), and for whom those listen who listen for others.
(w, ask, answer) => {
  // What a custom element says of itself to assistive technology only (ElementInternals): element -> attribute -> value.
  const internals = new WeakMap(), { attr, has } = w;
  let told = false;                                        // whether there is such an element
  w.attr = (el, name) => { const given = attr(el, name); return given === null && told ? internals.get(el)?.[name] ?? null : given; };
  w.has = (el, name) => has(el, name) || (told && internals.get(el)?.[name] !== undefined);
  w.saysOf = (el) => (told && internals.get(el)?.message) || "";
  const closed = new WeakMap();                            // host -> its closed root, handed over by the session
  const adopted = new WeakSet();
  let hosts = [];                                          // of closed roots that were not handed over yet
  const toldBefore = new WeakMap();                        // what listens -> the selectors that its handlers look for, and whether they ask where
  let listening = new Map(), delegated = new Set(), passing = new Set();

  const asked = new WeakSet();
  const HOSTS = new Set(["article", "aside", "blockquote", "div", "footer", "header", "main", "nav", "p", "section", "span"]);
  // Whether an element may have a closed root that the page's parser made, which no script can know: one of the page's own making, or one
  // that is as high as something in it, with nothing in it.
  w.mayHide = (el, tag, display, rect) => {
    const made = tag.includes("-");
    if ((!made && !HOSTS.has(tag)) || rect.height < 2 || (!made && w.firstOf(el)) || w.rootIn(el) || asked.has(el)) return false;
    asked.add(el);                                         // such a root is there from the beginning, or never
    if (made) return w.isHtml(el);
    const given = el.computedStyleMap(), style = getComputedStyle(el);
    return String(given.get("height")) === "auto" && String(given.get("min-height")) === "auto" && /^(block|inline-block|flow-root)$/.test(display) && style.position === "static"
      && el.clientHeight > parseFloat(style.paddingTop) + parseFloat(style.paddingBottom);
  };
  w.askRoot = (el) => { hosts.push(el); };
  let opened = false;                                      // whether there was a closed root
  w.rootIn = (el) => w.shadowOf(el) ?? (opened ? closed.get(el) ?? null : null);
  w.closedHost = (number) => hosts[number] ?? null;
  w.adopt = (number, root) => {
    if (root?.nodeType !== 11 || !hosts[number] || root.host !== hosts[number]) return;
    closed.set(root.host, root);
    opened = true;
    adopted.add(root.host);
    if (toldBefore.has(root.host) && !toldBefore.has(root)) toldBefore.set(root, toldBefore.get(root.host));  // heard in its name, once
    root.addEventListener(answer, heard, true);            // of what is inside, the document hears the host's name only
  };

  const heard = (event) => {
    const target = event.composedPath()[0], detail = typeof event.detail === "string" ? event.detail : "";
    if (adopted.has(target) && !detail.startsWith("x") && event.currentTarget !== closed.get(target)) return;
    event.stopImmediatePropagation();
    if (detail[0] === "i") { speak(target, detail.slice(1)); return; }
    const end = detail.indexOf("\n"), kinds = end < 0 ? detail : detail.slice(0, end);
    if (end >= 0) learn(target, joined(detail.slice(end + 1).split("\n")));
    if (kinds.includes("x") && !closed.has(target)) hosts.push(target);
    listening.set(target, (listening.get(target) ?? "") + kinds);
  };
  const speak = (target, words) => {
    const said = JSON.parse(words);
    if (said.name !== w.nameOfTag(target)) return;         // of one in a closed root that was not handed over yet
    told = true;
    internals.set(target, said);
  };
  const learn = (target, hints) => {
    const known = toldBefore.get(target) ?? { selectors: new Set(), where: false, everywhere: false };
    for (const hint of hints)
      for (const selector of hint[0] === "s" ? [hint.slice(1)] : w.selectorsIn(hint)) known.selectors.add(selector);
    known.everywhere ||= hints.some((hint) => /\belements?FromPoint\b/.test(hint));
    known.where ||= hints.some((hint) => /\boffset[XY]\b|canvas|getBoundingClientRect/i.test(hint));
    toldBefore.set(target, known);
  };
  // A function's text has lines of its own; each hint begins with "f" or "s".
  const joined = (lines) => lines.reduce((found, line) => {
    if (/^[fs]/.test(line) && (line[0] === "s" || /^f(async\b|function\b|class\b|\(|[\w$]+\s*(=>|\())/.test(line))) found.push(line);
    else if (found.length) found.push(found.pop() + "\n" + line);
    return found;
  }, []);

  const dashed = (name) => name.replace(/[A-Z]/g, (letter) => "-" + letter.toLowerCase());
  const LOOKS = [                                          // how handlers tell apart what was clicked -> selectors
    [/(.{0,40})\b(?:closest|matches|is|webkitMatchesSelector)\s*(?:\?\.)?\(\s*(["'`])((?:(?!\2)[^$\\])+)\2/g, (m) => (/![\w.$?()\s]*$/.test(m[1]) ? [] : [m[3]])],
    [/(.{0,40})\bclassList\s*\??\.\s*contains\(\s*(["'`])([\w-]+)\2/g, (m) => (/![\w.$?()\s]*$/.test(m[1]) ? [] : ["." + CSS.escape(m[3])])],
    [/\b(?:has|get)Attribute\(\s*(["'`])(data-[\w-]+|role|value)\1/g, (m) => [`[${m[2]}]`]],
    [/\bdataset\s*\??\.\s*(\w+)/g, (m) => [`[data-${dashed(m[1])}]`]],
    [/\bdataset\[\s*(["'`])(\w+)\1/g, (m) => [`[data-${dashed(m[2])}]`]],
    [/\{([^{}]{1,200})\}\s*=\s*[\w.$?]+\.dataset\b/g, (m) => m[1].split(",").map((name) => `[data-${dashed(name.split(":")[0].trim())}]`)],
    [/\b(?:tagName|nodeName|localName)\b(?:\s*\.\s*to\w+\(\))?\s*={2,3}\s*(["'`])([\w-]+)\1/g, (m) => [m[2]]],
    [/\binstanceof\s+HTML(LI|Table(?:Cell|Row)|Button|Anchor|Image|Option|Span|Div|Paragraph|Label)Element\b/g, (m) => [{ TableCell: "td", TableRow: "tr", Anchor: "a", Image: "img", Paragraph: "p" }[m[1]] ?? m[1].toLowerCase()]],
    [/(["'`])([\w-]+)\1\s*={2,3}\s*[\w.$?]+\.(?:tagName|nodeName|localName)\b/g, (m) => [m[2]]],
    [/\bclassName\s*={2,3}\s*(["'`])([\w -]+)\1/g, (m) => [m[2].trim().split(/\s+/).map((name) => "." + CSS.escape(name)).join("")]],
    [/\b(?:target|srcElement|t)\.id\s*={2,3}\s*(["'`])([\w-]+)\1/g, (m) => ["#" + CSS.escape(m[2])]],
  ];
  // What a handler compares with what it has read of the thing that was clicked: its id, class or name.
  const READ = /(?:\b(?:target|srcElement|el|elem|element|node|btn|button|item|row|t|n)|\])\s*\??\.\s*(id|className|name|title)\b|\{([^{}]{1,200})\}\s*=\s*[\w.$?]*(?:target|srcElement)\b/g;
  const COMPARED = /(?:(?<![!=])={2,3}\s*|\bcase\s+)(["'`])([\w -]+)\1|(["'`])([\w-]+)\3\s*={2,3}|\[\s*((?:"[\w-]+"|'[\w-]+')(?:\s*,\s*(?:"[\w-]+"|'[\w-]+'))*)\s*\]\s*\.\s*(?:includes|indexOf)\(/g;
  const STARTS = /\.(id|className|name)\s*\??\.\s*(startsWith|includes|indexOf)\(\s*(["'`])([\w-]+)\3/g;
  const named = { id: (word) => "#" + CSS.escape(word), className: (word) => word.trim().split(/\s+/).map((part) => "." + CSS.escape(part)).join(""), name: (word) => `[name=${CSS.escape(word)}]`, title: (word) => `[title="${CSS.escape(word)}"]`, tag: (word) => word };
  const compared = (source) => {
    const read = new Set(), words = [];
    for (const [, property, list] of source.matchAll(READ)) for (const name of property ? [property] : list.split(",").map((part) => part.split(":")[0].trim())) if (name in named) read.add(name);
    if (/\b(?:tagName|nodeName|localName)\b/.test(source)) read.add("tag");
    if (read.size) for (const [, , right, , left, list] of source.matchAll(COMPARED)) words.push(...(list ? list.split(",").map((part) => part.trim().slice(1, -1)) : [right ?? left]));
    const found = words.filter((word) => word?.trim()).flatMap((word) => [...read].map((name) => (name === "tag" && !/^[\w-]+$/.test(word) ? null : named[name](word))).filter(Boolean));
    for (const [, name, how, , word] of source.matchAll(STARTS)) found.push(`[${name === "className" ? "class" : name}${how === "startsWith" ? "^" : "*"}=${CSS.escape(word)}]`);
    if (/\bclassList\b/.test(source)) for (const [, , word] of source.matchAll(/[^!\w]\w+\.contains\(\s*(["'`])([\w-]+)\1/g)) found.push("." + CSS.escape(word));
    for (const [, name] of source.matchAll(/\b(?:closest|matches)\(\s*([A-Za-z_$][\w$]*)\s*\)/g)) {
      const told = new RegExp(`\\b${name.replaceAll("$", "\\$")}\\s*=\\s*(["'\`])((?:(?!\\1)[^$\\\\])+)\\1`).exec(source);
      if (told) found.push(told[2]);
    }
    for (const [, name, , word] of source.matchAll(/\bparent(?:Element|Node)\s*\??\.\s*(id|className)\s*={2,3}\s*(["'`])([\w-]+)\2/g)) found.push(`${named[name](word)} > *`);
    return found;
  };
  const kept = new Map();                                  // a handler's text -> its selectors
  w.selectorsIn = (source) => {
    if (!kept.has(source)) {
      const found = new Set();
      for (const [look, told] of LOOKS) for (const match of source.matchAll(look)) for (const selector of told(match)) found.add(selector);
      for (const selector of compared(source)) found.add(selector);
      kept.set(source, [...found]);
    }
    return kept.get(source);
  };
  const ROOTS = new Set(["html", "body", "main", "form", "head", "dialog"]);
  const CONTROLS = "a[href],button,input,select,textarea,[role=button],[contenteditable]";
  // Those whom a selector of a handler means: not what merely holds what can be acted on.
  const meant = (root, selector) => {
    let found;
    try { found = [...w.all(root, selector)]; } catch { return []; }
    if (found.length > 1000) return [];
    return found.filter((el) => !ROOTS.has(w.nameOfTag(el)) && !(found.length === 1 && w.all(el, CONTROLS).length > 1) && !found.some((other) => other !== el && found.length < 50 && selector !== "*" && w.contains(el, other) && w.all(el, selector).length > 3));
  };

  const ON = { oncontextmenu: "c", onauxclick: "c", ontouchstart: "c", ontouchend: "c", ondragenter: "d", onclick: "c", onmousedown: "c", onpointerdown: "c", ondblclick: "c", onmouseup: "c", onpointerup: "c", ondrop: "d", ondragover: "d", onmouseenter: "h", onmouseover: "h", onpointerenter: "h" };
  const WRITTEN = Object.keys(ON).map((name) => `[${name}]`).join(",");
  // Take in what a tree's markup says of who listens.
  w.hearWritten = (root) => {
    for (const el of w.all(root, WRITTEN)) {
      let source = "";
      for (const name in ON) if (w.has(el, name)) { listening.set(el, (listening.get(el) ?? "") + ON[name]); if (ON[name] === "c") source += `${w.attr(el, name)};`; }
      if (/\btarget\b|\bsrcElement\b/.test(source)) delegate(el, w.selectorsIn(source));
    }
  };
  w.beginListening = () => {
    listening = new Map();
    delegated = new Set();
    passing = new Set();
    hosts = [];
  };
  // Ask a document that is walked from here.
  w.listen = (doc) => {
    const before = new Set(listening.keys());
    doc.addEventListener(answer, heard, true);
    w.viewOf(doc).dispatchEvent(new Event(ask));
    doc.removeEventListener(answer, heard, true);
    for (const [target, kinds] of listening) if (/[cd]/.test(kinds) && !before.has(target) && toldBefore.has(target)) hand(target, kinds, toldBefore.get(target));
    w.hearWritten(doc);
  };
  // Those for whom a target listens; one that asks what lies at a point may mean any thing of the page. Drops that are taken for others are
  // not its own.
  const hand = (target, kinds, { selectors, everywhere }) => {
    const found = delegate(everywhere && w.kindOf(target) === 1 ? w.rootOf(target) : target, selectors);
    if (kinds.includes("d") && found) passing.add(target);
  };
  const delegate = (target, selectors) => {
    let found = 0;
    for (const selector of selectors) for (const el of meant(target, selector)) { delegated.add(el); found++; }
    return found;
  };
  const hears = (el, kind) => listening.get(el)?.includes(kind) ?? false;
  w.listens = (el) => hears(el, "c") && !hears(el, "r");    // a framework's root hears for those on which the framework writes
  // Whether a document listens for where it is clicked.
  w.documentHears = (doc) => hears(doc, "c") && (toldBefore.get(doc)?.where ?? false);
  w.delegatedTo = (el) => delegated.has(el);
  w.hovered = (el) => hears(el, "h");
  w.hearsDrops = (el) => hears(el, "d");
  w.takesDrops = (el) => hears(el, "d") && !passing.has(el);
  w.unread = () => hosts.length;
}
