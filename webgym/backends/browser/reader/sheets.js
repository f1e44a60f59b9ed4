// What the style sheets of a document say that is asked for rarely: text before and after elements, what they count, looks that hide text,
// what shows under the pointer only. Sheets are read once, and elements are found by their selectors, since to ask each element costs much more.
(w) => {
  const { attr } = w;
  const PSEUDO = /::?(before|after)\b/;
  const read = new WeakMap();                              // sheet -> {rules: how many it had, pseudo, odd, counts: selectors, pictures}

  const split = (text) => {                                // at the commas of a list of selectors
    const parts = [];
    let depth = 0, part = "";
    for (const c of text) { if (c === "(" || c === "[") depth++; if (c === ")" || c === "]") depth--; if (c === "," && !depth) { parts.push(part); part = ""; } else part += c; }
    return [...parts, part];
  };
  const bare = (selector) => selector.replace(PSEUDO, "").trim().replace(/(^|[\s>+~])$/, "$1*");
  const little = (value, least) => value !== "" && !(parseFloat(value) > least), BLANK = /transparent|, 0\)|\/ 0/;
  const isOdd = (style) => little(style.opacity, 0.02) || style.clip !== "" || (style.clipPath !== "" && style.clipPath !== "none") || style.contentVisibility === "hidden" || /opacity\(0/.test(style.filter)
    || (style.textIndent !== "" && !/^(\d|[1-4]\d)(\.\d+)?[a-z%]*$/.test(style.textIndent)) || (style.fontSize !== "" && /^(0|1(\.\d+)?px|var|calc)/.test(style.fontSize)) || little(style.zoom, 0.2)
    || BLANK.test(style.color) || style.webkitTextFillColor !== "" || /none/.test(style.fill) || BLANK.test(style.fill) || little(style.fillOpacity, 0.02)
    || /gradient|url\("?#/.test(style.maskImage) || /paint|strict|content/.test(style.contain);
  // The attributes of drawings that say the same; and what is drawn for readers of some language only.
  const DRAWN = ":is(svg,g,a,text,tspan,textPath,foreignObject,switch)", SMALL = ["opacity", "fill-opacity", "font-size"].flatMap((name) => [`[${name}^="0"]`, `[${name}^="1e-"]`, `[${name}^="."]`]);
  const ODD_DRAWN = [`${DRAWN}:is(${SMALL},[fill=none],[fill=transparent],[fill$="0)"],[clip-path],[mask],[filter^=opacity])`, "switch > *", "[systemLanguage]"];
  const nothing = () => ({ pseudo: [], odd: [], backs: [], marks: [], counts: [], reveals: [], pictures: [] });
  // Those under whose pointer something else shows: `.menu:hover .list`, `.info:hover::after`.
  const HOVERED = /^(.*[^\s>+~(,]):hover(?![\w-])([^\s>+~:]*)(?:(\s*[>+~\s]\s*\S.*)|::?(?:before|after))$/;
  // The same in other words: `.menu:is(:hover, :focus-within) .list`, `.list:is(.menu:hover *)`, and what hides while it is `:not(:hover)`.
  const plainly = (part) => part.replace(/:(?:is|where)\((?:[^()]*, *)?:hover(?:,[^()]*)?\)|:not\(:hover\)/g, ":hover").replace(/^(.*):is\((.+):hover \*\)(.*)$/, "$2:hover $1$3");
  const PLACES = ["transform", "translate", "rotate", "scale", "height", "maxHeight", "width", "maxWidth", "left", "right", "top", "bottom", "clip", "clipPath"];
  const shows = (style) => {
    const { display, visibility, opacity, content } = style;
    return (display !== "" && display !== "none") || visibility === "visible" || parseFloat(opacity) > 0 || (content !== "" && !/^(none|normal)$/.test(content)) || PLACES.some((name) => style[name] !== "");
  };
  const hides = ({ display, visibility, opacity }) => display === "none" || visibility === "hidden" || parseFloat(opacity) === 0;
  const gather = (rules, parent, found, base, scope = "*") => {
    for (const rule of rules) {
      const own = rule.selectorText?.replaceAll(/:scope\b/g, `:is(${scope})`), mine = own === undefined ? parent : parent ? own.replaceAll("&", `:is(${parent})`) : own;
      if (own !== undefined || (parent && rule.style)) {   // declarations may stand by themselves in a rule in another
        const { style } = rule, { content } = style;
        if (content && PSEUDO.test(mine) && !/^(normal|none|""|'')$|\/ ""$/.test(content)) found.pseudo.push(...split(mine).filter((part) => PSEUDO.test(part)).map(bare));
        if (content && mine.includes("::marker")) found.marks.push(...split(mine).filter((part) => part.includes("::marker")).map((part) => bare(part.replace("::marker", ""))));
        if (isOdd(style)) found.odd.push(mine);
        if (style.backfaceVisibility === "hidden") found.backs.push(mine);
        if (mine.includes(":hover")) for (const part of split(mine)) { const told = (part.includes(":not(:hover)") ? hides : shows)(style) && HOVERED.exec(plainly(part)); if (told) found.reveals.push([(told[1] + told[2]).trim(), told[3] ? " " + bare(told[3]) : ""]); }
        if (/counters?\(/.test(content) || style.counterReset || style.counterIncrement || style.counterSet) found.counts.push(...split(mine).filter((part) => !/::?(?!before|after)[a-z-]*(marker|letter|line)/.test(part)));
        if (content && mine.includes(":hover"))
          for (const [, url] of content.matchAll(/url\("([^"]+)"\)/g)) { const address = URL.parse(url, base)?.href; if (address) found.pictures.push(address); }  // what is no address shows nothing
      }
      if (rule.styleSheet) inSheet(rule.styleSheet, found, base);
      else if (rule.cssRules?.length) gather(rule.cssRules, mine, found, base, rule.start ?? scope);
    }
  };
  const inSheet = (sheet, found, base) => {
    let rules;
    try { rules = sheet.cssRules; } catch { found.pseudo.push("*"); found.odd.push("*"); found.backs.push("*"); found.counts.push("*", "*::before", "*::after"); return; }  // of another origin
    if (!read.has(sheet) || read.get(sheet).rules !== rules.length) {
      const own = { rules: rules.length, ...nothing() };
      read.set(sheet, own);
      gather(rules, "", own, sheet.href ?? base);
    }
    for (const kind in nothing()) found[kind].push(...read.get(sheet)[kind]);
  };
  const saidIn = (root) => {
    const found = nothing(), base = w.documentOf(root)?.baseURI ?? root.baseURI;
    for (const sheet of [...(root.styleSheets ?? []), ...(root.adoptedStyleSheets ?? [])]) if (!sheet.disabled) inSheet(sheet, found, base);
    return found;
  };
  let known = new Map();                                   // root -> {pseudo, odd, backs, marks, reveals, veiled}: the elements there, and what their sheets count
  w.beginSheets = () => { known = new Map(); };
  const all = (root, selectors) => new Set(selectors.length ? w.all(root, `:is(${[...new Set(selectors)].join(",")})`) : []);  // which forgives what is no selector
  // Those that a rule shows something for which is there and does not show now.
  const revealing = (root, pairs) => {
    const found = new Set(), veiled = new Set();
    const hidden = (el) => {
      const style = getComputedStyle(el);
      if (w.rectsOf(el).length === 0 || style.visibility !== "visible" || style.opacity === "0") return true;
      const backs = style.transformStyle === "preserve-3d" ? [...w.childrenOf(el)].filter((child) => w.kindOf(child) === 1 && w.facesAway(child, getComputedStyle(child))) : [];
      for (const back of backs) veiled.add(back);
      if (backs.length) return true;
      return w.veiled(el, style) && !!veiled.add(el);
    };
    for (const [holder, inside] of pairs) {
      if (!inside) { for (const el of all(root, [holder])) found.add(el); continue; }
      for (const shown of all(root, [holder + inside])) {
        if (!hidden(shown)) continue;
        const beside = /^\s*[+~]/.test(inside), parent = w.parentOf(shown);
        if (!beside) { const el = w.kindOf(parent) === 1 && w.closest(parent, holder); if (el) found.add(el); continue; }
        for (let el = shown.previousElementSibling; el; el = el.previousElementSibling) if (w.matches(el, holder)) { found.add(el); break; }
      }
    }
    return { reveals: found, veiled };
  };
  const counted = (root, selectors) => {
    if (!selectors.some((part) => PSEUDO.test(part))) return new Map();  // what is counted is not written anywhere
    const at = (place) => all(root, selectors.filter((part) => (PSEUDO.exec(part)?.[1] ?? "own") === place).map(bare));
    return w.countersOf(root, { own: new Set([...at("own"), ...w.all(root, "[style*=counter-]")]), before: at("before"), after: at("after") });
  };
  w.sheetsOf = (root) => {
    if (!known.has(root)) {
      const { pseudo, odd, backs, marks, counts, reveals } = saidIn(root), found = { pseudo: all(root, [...pseudo, "q"]), odd: all(root, [...odd, ...ODD_DRAWN]), backs: all(root, [...backs, "[style*=backface]"]), marks: all(root, marks), ...revealing(root, reveals), counters: counted(root, counts) };
      for (const animation of root.getAnimations?.() ?? []) if (animation.effect?.target) found.odd.add(animation.effect.target);
      for (const el of found.backs) found.odd.add(el);
      known.set(root, found);
    }
    return known.get(root);
  };
  // Whether an element may look odd: see-through, clipped by itself, without size, turned away.
  w.odd = (el, said) => said.odd.has(el) || w.has(el, "hidden") || (w.has(el, "style") && /opacity|clip|indent|font|color|content-vis|mask|fill|zoom|contain:/.test(attr(el, "style")));

  const PRIVATE = /[\ue000-\uf8ff\u{f0000}-\u{10ffff}]/gu;  // glyphs of icon fonts
  const PART = /"((?:[^"\\]|\\.)*)"|attr\(([\w-]+)[^)]*\)|counters?\(([\w-]+)(?:, "((?:[^"\\]|\\.)*)")?(?:, ([\w-]+))?\)|(open|close)-quote/gs;
  const words = (el, content, values) => {
    if (!content || content === "none" || content === "normal") return "";
    const alternative = /^(.*?)\s\/\s("(?:[^"\\]|\\.)*")$/s.exec(content);
    let text = "";
    for (const [, string, name, counter, between, kind, quote] of (alternative?.[2] ?? content).replace(/url\("(?:[^"\\]|\\.)*"\)/gs, "").matchAll(PART))
      text += name ? attr(el, name) ?? "" : counter ? w.counted(values, counter, between, kind) : quote ? (quote === "open" ? "“" : "”") : string.replace(/\\([0-9a-f]{1,6}) ?|\\(.)/gis, (_, code, c) => (code ? String.fromCodePoint(Math.min(0x10ffff, parseInt(code, 16))) : c));
    return text.replace(PRIVATE, "");
  };
  // The text that style sheets write before or after what stands in an element.
  w.pseudoText = (el, where, said) => {
    if (!said.pseudo.has(el)) return "";
    const style = getComputedStyle(el, where);
    if (style.display === "none" || style.visibility !== "visible") return "";
    const text = words(el, style.content, said.counters.get(el)?.[where.slice(2)]);
    return text && !/^inline/.test(style.display) && style.position === "static" ? ` ${text} ` : text;
  };
  // As much of it as a person sees.
  w.pseudoSeen = (el, where, said) => {
    const text = w.pseudoText(el, where, said);
    return text && !w.effaced(el, getComputedStyle(el, where)) ? text : "";
  };

  // The mark of an item of a list: what a sheet writes there, or its number.
  w.markText = (el, style, said) => {
    const content = said.marks.has(el) ? getComputedStyle(el, "::marker").content : "normal";
    return content === "normal" || /counters?\(/.test(content) ? w.markOf(el, style) : words(el, content, undefined);
  };

  // --- pictures that show under the pointer only, kept so that they stay in the browser's memory ---------------------------------

  const pictures = new Map();
  // Load those that are not there yet; returns how many were not.
  w.preload = () => {
    const before = pictures.size;
    for (const address of saidIn(document).pictures) if (!pictures.has(address)) pictures.set(address, Object.assign(new Image(), { src: address }));
    return pictures.size - before;
  };
}
