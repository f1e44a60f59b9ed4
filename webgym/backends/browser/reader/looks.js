// How things look: hidden, clipped or see-through, where they stand, and the text that style sheets write before and after them.
(w) => {
  const { attr } = w;

  const alpha = (colour) => { const m = /^rgba\([^)]*[,/]\s*([\d.]+)\)$/.exec(colour); return m ? Number(m[1]) : 1; };
  // Text that is drawn in no colour, or in no size; one that a picture shines through is seen. Asked of what a sheet makes odd only.
  w.seeThrough = (style) => style.fontSize === "0px" || parseFloat(style.textIndent) < -500
    || (alpha(style.webkitTextFillColor) === 0 && style.backgroundClip !== "text" && style.textShadow === "none");
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
  // Clips of an element, given those around it: [what its own box is seen through, and for those in it: in the flow, absolute, fixed].
  w.NO_CLIPS = [null, null, null, null];
  // What a box scrolls can be brought into the part of the box that is seen, whatever cuts the rest of the box.
  const scrolledIn = (el, clip, x, y) => {
    const aside = /auto|scroll/.test(x) && el.scrollWidth > el.clientWidth, down = /auto|scroll/.test(y) && el.scrollHeight > el.clientHeight;
    return { left: aside ? -BOUNDLESS : clip.left, right: aside ? BOUNDLESS : clip.right, top: down ? -BOUNDLESS : clip.top, bottom: down ? BOUNDLESS : clip.bottom };
  };
  w.clipsOf = (el, style, overflow, display, rect, around) => {
    if (overflow === "visible" && around === w.NO_CLIPS) return around;
    const [, flow, absolute, fixed] = around, position = style.position;
    const own = position === "fixed" ? fixed : position === "absolute" ? absolute : flow;
    const holds = position !== "static", turned = holds && style.transform !== "none";
    const [x, y = x] = overflow.split(" "), cutX = x === "hidden" || x === "clip", cutY = y === "hidden" || y === "clip";
    const inner = (cutX || cutY) && display !== "inline" && display !== "contents"
      ? { left: cutX ? rect.left : -BOUNDLESS, right: cutX ? rect.right : BOUNDLESS, top: cutY ? rect.top : -BOUNDLESS, bottom: cutY ? rect.bottom : BOUNDLESS } : null;
    const beyond = own && /auto|scroll/.test(overflow) && !w.clippedAway(rect, own) ? scrolledIn(el, own, x, y) : own;
    const inside = inner ? meet(beyond, inner) : beyond;
    return own || inside || absolute || fixed ? [own, inside, holds ? inside : absolute, turned ? inside : fixed] : w.NO_CLIPS;
  };
  w.narrow = (clip) => clip !== null && (clip.right - clip.left <= NARROW || clip.bottom - clip.top <= NARROW);
  // Nothing of the rectangle is seen.
  w.clippedAway = (rect, clip) => (clip !== null && (w.narrow(clip) || (rect.width > 0 && rect.height > 0 && (rect.right <= clip.left || rect.left >= clip.right || rect.bottom <= clip.top || rect.top >= clip.bottom))));

  // Whether a field is drawn itself, and not kept for screen readers behind what shows in its place.
  w.drawn = (field) => {
    for (let n = field, up = 0; n && w.kindOf(n) === 1 && up < 3; n = w.above(n), up++) {
      const style = getComputedStyle(n), rect = w.rectOf(n), small = rect.width <= NARROW || rect.height <= NARROW;
      if (n === field && (style.visibility !== "visible" || style.display === "none" || small)) return false;
      if (w.clipsItself(style) || (small && /hidden|clip/.test(style.overflow))) return false;
    }
    return true;
  };
  // Whether the overflow of a box goes to the left, or upwards, so that it scrolls back from where it begins.
  w.leftwards = (style) => /-rl$/.test(style.writingMode) || (style.direction === "rtl" && style.writingMode === "horizontal-tb");
  w.scrollsBack = (el) => {
    const style = getComputedStyle(el);
    if (!/auto|scroll/.test(style.overflow) || (el.scrollWidth <= el.clientWidth && el.scrollHeight <= el.clientHeight)) return false;
    return w.leftwards(style) || style.direction === "rtl" || (/flex/.test(style.display) && /reverse/.test(style.flexDirection));
  };

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
      const box = w.rectOf(el), style = getComputedStyle(el), line = parseFloat(style.lineHeight) || 1.2 * parseFloat(style.fontSize);
      const left = box.left + el.clientLeft + parseFloat(style.paddingLeft), top = box.top + el.clientTop + parseFloat(style.paddingTop);
      return [new DOMRect(left, top, Math.min(box.width, 60), Math.min(line, box.height))];
    }
    const own = [...w.rectsOf(el)].filter(has);
    if (own.length || getComputedStyle(el).display !== "contents") return own;
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
}
