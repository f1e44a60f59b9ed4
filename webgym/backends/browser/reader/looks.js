// How things look: hidden, clipped or see-through, where they stand, and the text that style sheets write before and after them.
(w) => {
  const { attr } = w;

  w.styleOf = (el) => getComputedStyle(el);
  const alpha = (colour) => { const m = /^rgba\([^)]*[,/]\s*([\d.]+)\)$/.exec(colour); return m ? Number(m[1]) : 1; };
  // Text that is drawn in no colour; one that a picture shines through is seen.
  const faint = (style) => alpha(style.webkitTextFillColor) === 0 && style.backgroundClip !== "text" && style.textShadow === "none";
  w.seeThrough = (style) => style.fontSize === "0px" || parseFloat(style.textIndent) < -500 || faint(style);
  // A clip of its own that leaves nothing.
  w.clipsItself = (style) => {
    if (style.clip !== "auto" && /^rect\(/.test(style.clip)) {
      const [top, right, bottom, left] = style.clip.slice(5, -1).split(/[ ,]+/).map(parseFloat);
      if (right - left <= 1 || bottom - top <= 1) return true;
    }
    if (style.clipPath === "none") return false;
    const inset = /^inset\(([^)]*)\)/.exec(style.clipPath);
    if (inset) { const sides = inset[1].split(" round ")[0].split(" "), [t, r = t, b = t, l = r] = sides.map((s) => (s.endsWith("%") ? parseFloat(s) : 0)); return t + b >= 100 || l + r >= 100; }
    return /^circle\(0(px|%)?[ )]/.test(style.clipPath) || /^polygon\(0(px|%)? 0(px|%)?(, 0(px|%)? 0(px|%)?)*\)$/.test(style.clipPath);
  };
  const NARROW = 1.5;                                      // pixels: what is clipped to less is there for screen readers only
  const meet = (a, b) => (a ? { left: Math.max(a.left, b.left), top: Math.max(a.top, b.top), right: Math.min(a.right, b.right), bottom: Math.min(a.bottom, b.bottom) } : b);
  const BOUNDLESS = 1e9;
  // What an element's box leaves to see of what stands in it: null where it clips nothing.
  const window_ = (style, rect) => {
    const x = /hidden|clip/.test(style.overflowX), y = /hidden|clip/.test(style.overflowY);
    if (!x && !y) return null;
    return { left: x ? rect.left : -BOUNDLESS, right: x ? rect.right : BOUNDLESS, top: y ? rect.top : -BOUNDLESS, bottom: y ? rect.bottom : BOUNDLESS };
  };
  // Clips of an element, given those around it: [what its own box is seen through, and for those in it: in the flow, absolute, fixed].
  w.clipsOf = (style, rect, around) => {
    const [, flow, absolute, fixed] = around, position = style.position;
    const own = position === "fixed" ? fixed : position === "absolute" ? absolute : flow;
    const turned = style.transform !== "none" || style.filter !== "none" || style.perspective !== "none" || /paint|layout|strict|content/.test(style.contain);
    const clips = style.overflowX !== "visible" || style.overflowY !== "visible";
    if (!clips && position === "static" && !turned && own === flow) return around[0] === own ? around : [own, flow, absolute, fixed];
    const inner = clips && style.display !== "inline" && style.display !== "contents" ? window_(style, rect) : null;
    const inside = inner ? meet(own, inner) : own, holds = position !== "static" || turned;
    return [own, inside, holds ? inside : absolute, turned ? inside : fixed];
  };
  w.NO_CLIPS = [null, null, null, null];
  w.narrow = (clip) => clip !== null && (clip.right - clip.left <= NARROW || clip.bottom - clip.top <= NARROW);
  // Nothing of the rectangle is seen.
  w.clippedAway = (rect, clip, style) =>
    w.clipsItself(style) || (clip !== null && (w.narrow(clip) || (rect.width > 0 && rect.height > 0 && (rect.right <= clip.left || rect.left >= clip.right || rect.bottom <= clip.top || rect.top >= clip.bottom))));

  // --- places ---------------------------------------------------------------------------------------------------------------

  const around = (rects) => {
    const left = Math.min(...rects.map((r) => r.left)), top = Math.min(...rects.map((r) => r.top));
    return new DOMRect(left, top, Math.max(...rects.map((r) => r.right)) - left, Math.max(...rects.map((r) => r.bottom)) - top);
  };
  const ofArea = (el) => {
    const map = w.parentOf(el) && w.closest(el, "map"), name = map && (map.name || map.id);
    const image = name && [...w.all(w.rootOf(el), "img[usemap],object[usemap]")].find((img) => w.attr(img, "usemap").replace(/^#/, "") === name);
    if (!image) return [];
    const box = w.rectOf(image), shape = (w.attr(el, "shape") ?? "rect").toLowerCase(), n = (w.attr(el, "coords") ?? "").split(",").map(Number);
    if (shape.startsWith("def")) return [box];
    const left = box.left + (image.clientLeft ?? 0), top = box.top + (image.clientTop ?? 0);
    if (shape.startsWith("c") && n.length >= 3) return [new DOMRect(left + n[0] - n[2], top + n[1] - n[2], 2 * n[2], 2 * n[2])];
    if (n.length < 4 || n.some(isNaN)) return [];
    const xs = n.filter((_, i) => i % 2 === 0), ys = n.filter((_, i) => i % 2), x = Math.min(...xs), y = Math.min(...ys);
    return [new DOMRect(left + x, top + y, Math.max(...xs) - x, Math.max(...ys) - y)];
  };
  // The rectangles where a thing can be pointed at, in the viewport of its document; none where it has no place.
  w.boxesOf = (el) => {
    const tag = w.nameOfTag(el), has = (r) => r.width > 0 || r.height > 0;
    if (tag === "area") return ofArea(el);
    if (tag === "option" || tag === "optgroup") { const box = w.closest(el, "select"); return box ? [w.rectOf(box)] : []; }
    if (tag === "details") {                               // one without a summary, of which the browser's own line can be clicked
      const box = w.rectOf(el), style = w.styleOf(el), line = parseFloat(style.lineHeight) || 1.2 * parseFloat(style.fontSize);
      const left = box.left + el.clientLeft + parseFloat(style.paddingLeft), top = box.top + el.clientTop + parseFloat(style.paddingTop);
      return [new DOMRect(left, top, Math.min(box.width, 60), Math.min(line, box.height))];
    }
    const own = [...w.rectsOf(el)].filter(has);
    if (own.length || w.styleOf(el).display !== "contents") return own;
    const found = [], inside = [el];
    for (let n; (n = inside.shift()) && found.length < 50; ) {
      for (const child of w.innerOf(n)) {
        if (child.nodeType === 3 && child.data.trim()) { const range = w.documentOf(child).createRange(); range.selectNodeContents(child); found.push(...[...range.getClientRects()].filter(has)); }
        else if (child.nodeType === 1) { const boxes = [...w.rectsOf(child)].filter(has); if (boxes.length) found.push(...boxes); else inside.push(child); }
      }
    }
    return found;
  };
  w.boxOf = (el) => {
    const rect = w.rectOf(el);
    if (rect.width > 0 || rect.height > 0) return rect;
    const boxes = w.boxesOf(el);
    return boxes.length ? around(boxes) : rect;
  };

  // --- what style sheets write ------------------------------------------------------------------------------------------------

  const read = new WeakMap();                              // style sheet -> [how many rules it had, their selectors]
  const PSEUDO = /::?(before|after)\b/;
  const selectorsOf = (rules, parent, found) => {
    for (const rule of rules) {
      const mine = rule.selectorText === undefined ? parent : parent ? rule.selectorText.replaceAll("&", `:is(${parent})`) : rule.selectorText;
      if (rule.selectorText !== undefined && PSEUDO.test(mine) && rule.style?.content && !/^(normal|none|""|'')$/.test(rule.style.content)) found.push(...split(mine));
      if (rule.styleSheet) { try { selectorsOf(rule.styleSheet.cssRules, parent, found); } catch { found.push("*"); } }
      else if (rule.cssRules?.length) selectorsOf(rule.cssRules, mine, found);
    }
    return found;
  };
  const split = (text) => {
    const parts = [];
    let depth = 0, part = "";
    for (const c of text) { if (c === "(" || c === "[") depth++; if (c === ")" || c === "]") depth--; if (c === "," && !depth) { parts.push(part); part = ""; } else part += c; }
    return [...parts, part].filter((p) => PSEUDO.test(p)).map((p) => p.replace(PSEUDO, "").trim().replace(/(^|[\s>+~])$/, "$1*") || "*");
  };
  const written = (root) => {
    const found = [];
    for (const sheet of [...(root.styleSheets ?? []), ...(root.adoptedStyleSheets ?? [])]) {
      let rules;
      try { rules = sheet.cssRules; } catch { found.push("*"); continue; }  // of another origin
      const known = read.get(sheet);
      if (known?.[0] === rules.length) { found.push(...known[1]); continue; }
      const mine = selectorsOf(rules, "", []);
      read.set(sheet, [rules.length, mine]);
      found.push(...mine);
    }
    return found;
  };
  let pseudo = new Map();                                  // root -> the elements there that have such text
  w.beginLooks = () => { pseudo = new Map(); };
  const withPseudo = (root) => {
    if (!pseudo.has(root)) {
      const found = new Set();
      for (const selector of new Set(written(root))) { try { for (const el of w.all(root, selector)) found.add(el); } catch { /* no selector that can be asked for */ } }
      pseudo.set(root, found);
    }
    return pseudo.get(root);
  };
  const PRIVATE = /[\ue000-\uf8ff\u{f0000}-\u{10ffff}]/gu;  // glyphs of icon fonts
  const told = (el, content) => {
    if (!content || content === "none" || content === "normal") return "";
    const alternative = /^(.*?)\s\/\s("(?:[^"\\]|\\.)*")$/s.exec(content);
    let text = "";
    for (const [, string, name] of (alternative?.[2] ?? content).replace(/url\("(?:[^"\\]|\\.)*"\)/gs, "").matchAll(/"((?:[^"\\]|\\.)*)"|attr\(([\w-]+)[^)]*\)/gs))
      text += name ? attr(el, name) ?? "" : string.replace(/\\([0-9a-f]{1,6}) ?|\\(.)/gis, (_, code, c) => (code ? String.fromCodePoint(Math.min(0x10ffff, parseInt(code, 16))) : c));
    return text.replace(PRIVATE, "");
  };
  // The text that style sheets write before or after what stands in an element.
  w.pseudoText = (el, where, root) => {
    if (!withPseudo(root).has(el)) return "";
    const style = getComputedStyle(el, where);
    if (style.display === "none" || style.visibility !== "visible") return "";
    const text = told(el, style.content);
    return text && !/^inline/.test(style.display) && style.position === "static" ? ` ${text} ` : text;
  };
  w.hasPseudo = (el, root) => withPseudo(root).has(el);
}
