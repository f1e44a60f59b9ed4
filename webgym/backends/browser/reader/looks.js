// How things look: hidden, clipped or see-through, where they stand, and the text that style sheets write before and after them.
(w) => {
  const { attr } = w;

  const SVG = "http://www.w3.org/2000/svg";
  const alpha = (colour) => { const m = /^rgba\([^)]*,\s*([\d.e-]+)\)$|\/\s*([\d.e-]+)\)$/.exec(colour); return m ? Number(m[1] ?? m[2]) : 1; };
  const FAINT = 0.02, UNREAD = 2;                          // what is less is not seen, and pixels: what is smaller is not read
  const painted = (paint, opacity) => paint !== "none" && alpha(paint) > 0 && parseFloat(opacity) > FAINT;
  // Text that is drawn in no colour, or in no size; one that a picture shines through is seen. Asked of what a sheet makes odd only.
  w.seeThrough = (el, style) => {
    if (parseFloat(style.fontSize) * (el.currentCSSZoom ?? 1) < UNREAD || parseFloat(style.textIndent) < -500) return true;
    if (w.spaceOf(el) === SVG) return !painted(style.fill, style.fillOpacity) && !(painted(style.stroke, style.strokeOpacity) && parseFloat(style.strokeWidth) > 0);
    return alpha(style.webkitTextFillColor) === 0 && style.backgroundClip !== "text" && style.textShadow === "none";
  };
  // What a clip or a mask refers to, and which holds nothing that could be seen.
  const hollow = (el, value) => {
    const id = /^url\("#(.+)"\)$/.exec(value)?.[1], found = id ? w.byId(w.rootOf(el), id) : null;
    return found !== null && /^(clipPath|mask)$/.test(w.nameOfTag(found)) && ![...w.childrenOf(found)].some((n) => w.kindOf(n) === 1 && !/^(title|desc|metadata|script)$/.test(w.nameOfTag(n)));
  };
  const COLOURS = /\b(?:rgba?|hsla?|color|(?:ok)?l(?:ab|ch))\([^()]*\)/g;
  // Drawn so faintly, with all that is in it, that nothing is seen; it is there for the mouse all the same.
  w.faded = (el, style) => {
    if (parseFloat(style.opacity) < FAINT || parseFloat(/opacity\(([\d.e-]+)/.exec(style.filter)?.[1] ?? 1) < FAINT) return true;
    const mask = style.maskImage;
    if (mask === "none") return false;
    return hollow(el, mask) || (/gradient/.test(mask) && !/url\(/.test(mask) && mask.match(COLOURS)?.every((colour) => alpha(colour) === 0));
  };
  // Whether what a sheet writes before or after an element, in this style, is not seen.
  w.effaced = (el, style) => w.faded(el, style) || w.seeThrough(el, style) || /^matrix\(0, 0, 0, 0,/.test(style.transform) || style.scale === "0";
  // Whether lines end where they end in the source.
  w.keepsBreaks = (el) => w.kindOf(el) === 1 && /^(preserve|preserve-breaks|break-spaces)$/.test(getComputedStyle(el).whiteSpaceCollapse);
  // A length of a clip in pixels, where all of it is `size`: "12px", "50%", "calc(100% - 12px)".
  const pixels = (length, size) => [...length.replace(/ *([+-]) +/g, " $1").matchAll(/([+-]?[\d.]+(?:e-?\d+)?)(px|%)/g)].reduce((sum, [, n, unit]) => sum + (unit === "%" ? (Number(n) * size) / 100 : Number(n)), 0);
  const parts = (text) => text.match(/(?:[^\s()]|\((?:[^()]|\([^()]*\))*\))+/g) ?? [];
  const flat = (points) => {                               // points of a line
    const [x, y] = points[0] ?? [0, 0], [a, b] = points.find((p) => Math.abs(p[0] - x) + Math.abs(p[1] - y) > 0.01) ?? [x, y];
    return points.every((p) => Math.abs((a - x) * (p[1] - y) - (b - y) * (p[0] - x)) < 0.01);
  };
  // A clip of its own that leaves nothing.
  w.clipsItself = (el, style) => {
    if (style.clip !== "auto" && /^rect\(/.test(style.clip)) {
      const [top, right, bottom, left] = style.clip.slice(5, -1).split(/[ ,]+/).map(parseFloat);
      if (right - left <= 1 || bottom - top <= 1) return true;
    }
    return w.cutOut(el, style);
  };
  w.cutOut = (el, style) => {
    const path = style.clipPath;
    if (path === "none") return false;
    const [, kind, inner] = /^([a-z]+)\((.*?)\)(?: [a-z-]+)?$/s.exec(path) ?? [];
    if (kind === "url") return hollow(el, path);
    if (kind === "path") return !/[lhvcsqta]/i.test(/"(.*)"/s.exec(inner)?.[1] ?? "l");
    const html = w.isHtml(el), rect = html ? null : w.rectOf(el), wide = html ? w.wideOf(el) : rect?.width, tall = html ? w.tallOf(el) : rect?.height;
    if (kind === "inset") {
      const [t, r = t, b = t, l = r] = parts(inner.split(" round ")[0]);
      return pixels(t, tall) + pixels(b, tall) >= tall || pixels(l, wide) + pixels(r, wide) >= wide;
    }
    if (kind === "circle" || kind === "ellipse") return parts(inner.split(/(?:^| )at /)[0]).some((radius) => /\d/.test(radius) && pixels(radius, 100) <= 0);
    return kind === "polygon" && flat(inner.replace(/^(evenodd|nonzero), /, "").split(", ").map((point) => { const [x, y = "0px"] = parts(point); return [pixels(x, wide), pixels(y, tall)]; }));
  };
  // --- faces ----------------------------------------------------------------------------------------------------------------

  const turn = ({ rotate, scale, transform }) => {
    if (rotate === "none" && scale === "none") return transform === "none" ? null : new DOMMatrix(transform);
    const [a, b, c, d] = rotate.split(" "), [x, y = x, z = 1] = scale.split(" "), axis = d ? [a, b, c] : { x: [1, 0, 0], y: [0, 1, 0] }[a] ?? [0, 0, 1];
    return new DOMMatrix(`${rotate === "none" ? "" : `rotate3d(${axis},${d ?? b ?? a})`} ${scale === "none" ? "" : `scale3d(${x},${y},${z})`} ${transform === "none" ? "" : transform}`);
  };
  const keepsDepth = (style) => style.transformStyle === "preserve-3d" && style.overflow === "visible" && style.opacity === "1" && style.filter === "none" && style.clipPath === "none"
    && style.maskImage === "none" && style.mixBlendMode === "normal" && style.isolation === "auto" && style.display !== "inline" && !/paint|strict|content/.test(style.contain);
  // Whether the back of what shows its front only is turned to the one who looks.
  w.facesAway = (el, style) => {
    if (style.backfaceVisibility !== "hidden" || style.display === "inline") return false;
    let turned = turn(style);
    for (let n = w.above(el); n && w.kindOf(n) === 1; n = w.above(n)) {
      const around = getComputedStyle(n);
      if (!keepsDepth(around)) break;
      const outer = turn(around);
      if (outer) turned = turned ? outer.multiply(turned) : outer;
    }
    return turned !== null && turned.inverse().m33 < -1e-6;
  };
  // --- what cuts ------------------------------------------------------------------------------------------------------------

  w.CUT = 1;
  w.TURNED = 2;
  // Whether an element is not seen, whatever stands in it: cut off, turned away, or left out of its drawing; 0 where it is.
  w.lost = (el, style, said) => {
    if (said.backs.has(el) && w.facesAway(el, style)) return w.TURNED;
    return w.cutOut(el, style) || (w.spaceOf(el) === SVG && w.rectsOf(el).length === 0) ? w.CUT : 0;
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
  w.clipsOf = (el, style, overflow, display, rect, around, paint) => {
    if (paint && overflow === "visible") overflow = "clip clip";
    if (overflow === "visible" && around === w.NO_CLIPS) return around;
    const [, flow, absolute, fixed] = around, position = style.position;
    const own = position === "fixed" ? fixed : position === "absolute" ? absolute : flow;
    const turned = paint || style.transform !== "none", holds = turned || position !== "static";
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
      if (w.clipsItself(n, style) || (small && /hidden|clip/.test(style.overflow))) return false;
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

  // --- what lies behind, beside or out of the view ------------------------------------------------------------------------------

  const modals = new Map();                                // document -> its modal dialogs in shadow roots
  // Keep the modal dialogs of a shadow root; true where one was not known.
  w.modalsIn = (root) => {
    const doc = w.documentOf(root), known = modals.get(doc) ?? [], fresh = [...w.all(root, "dialog:modal")].filter((dialog) => !known.includes(dialog));
    if (fresh.length) modals.set(doc, [...known, ...fresh]);
    return fresh.length > 0;
  };
  w.modalsOf = (doc) => [...w.all(doc, "dialog:modal"), ...(modals.get(doc) ?? []).filter((dialog) => dialog.isConnected && w.documentOf(dialog) === doc && w.matches(dialog, ":modal"))];
  // The one on top of the others: that with the focus in it, else the last.
  w.topModal = (found, active) => {
    const around = new Set();
    for (let n = active; n; n = w.kindOf(n) === 9 ? w.viewOf(n)?.frameElement ?? null : w.above(n)) around.add(n);
    return found.findLast((dialog) => around.has(dialog)) ?? found.at(-1) ?? null;
  };
  // What is drawn of a document: its body, or all of it where more than the body is.
  w.drawnOf = (doc) => {
    const body = w.bodyOf(doc), html = doc.documentElement;
    return body && html && [...w.childrenOf(html)].every((n) => w.kindOf(n) !== 1 || n === body || w.nameOfTag(n) === "head") ? body : html;
  };
  // Whether a page cuts what is beside it, so that nothing scrolls there.
  w.cutsAside = (doc) => {
    const html = doc.documentElement, body = w.bodyOf(doc), own = html ? getComputedStyle(html).overflowX : "visible";
    return /hidden|clip/.test(own === "visible" && body ? getComputedStyle(body).overflowX : own);
  };
  w.scrollsOn = (el, style) => /auto|scroll/.test(style.overflow) && (el.scrollHeight > el.clientHeight + 1 || el.scrollWidth > el.clientWidth + 1);
  w.scrollsAside = (el) => !/^(body|html)$/.test(w.nameOfTag(el)) && el.scrollWidth > el.clientWidth + 1 && /auto|scroll/.test(getComputedStyle(el).overflowX);
  // Whether what is fixed is so in the view, and not in a box around it that is moved or filtered.
  w.holdsStill = (el) => {
    for (let n = w.above(el); n && w.kindOf(n) === 1; n = w.above(n)) {
      const { transform, translate, rotate, scale, perspective, filter, backdropFilter, willChange, contain, containerType } = getComputedStyle(n);
      if ([transform, translate, rotate, scale, perspective, filter, backdropFilter].some((value) => value && value !== "none") || /transform|filter|perspective/.test(willChange)
        || /paint|layout|strict|content/.test(contain) || /size/.test(containerType)) return false;
    }
    return true;
  };
  // Whether a transform leaves nothing of a box that has a size.
  w.flattened = (el, rect) => (rect.width < 0.5 || rect.height < 0.5) && w.isHtml(el) && w.wideOf(el) > 1 && w.tallOf(el) > 1;
  // Whether what has words or things in it has no room, or no place on the page, until the pointer makes it one.
  w.veiled = (el, style) => {
    if (!w.squash(w.textOf(el)) && !w.all(el, "img,svg,input,button")[0]) return false;
    const rect = w.rectOf(el), small = rect.width <= NARROW || rect.height <= NARROW;
    return (small && /hidden|clip/.test(style.overflow)) || w.flattened(el, rect) || rect.right + scrollX <= 0 || rect.bottom + scrollY <= 0 || w.clipsItself(el, style);
  };

  // --- places ---------------------------------------------------------------------------------------------------------------

  const around = (rects) => {
    const left = Math.min(...rects.map((r) => r.left)), top = Math.min(...rects.map((r) => r.top));
    return new DOMRect(left, top, Math.max(...rects.map((r) => r.right)) - left, Math.max(...rects.map((r) => r.bottom)) - top);
  };
  const mapNamed = (image) => /#(.+)$/s.exec(attr(image, "usemap") ?? "")?.[1] ?? "";
  // The map of a picture, and the picture of an area: a map is called by its name or its id.
  w.mapOf = (image) => { const name = mapNamed(image); return name ? [...w.all(w.rootOf(image), "map")].find((map) => attr(map, "name") === name || attr(map, "id") === name) ?? null : null; };
  w.imageOf = (area) => {
    const map = w.parentOf(area) && w.closest(area, "map");
    return (map && [...w.all(w.rootOf(area), "img[usemap],object[usemap]")].find((image) => w.mapOf(image) === map)) ?? null;
  };
  // Where an area lies: the browser counts from the picture's border.
  const ofArea = (el) => {
    const image = w.imageOf(el);
    if (!image) return [];
    const shape = (attr(el, "shape") ?? "rect").toLowerCase(), n = (attr(el, "coords") ?? "").match(/-?[\d.]+(?:e-?\d+)?/gi)?.map(Number) ?? [];
    if (shape.startsWith("def")) return [w.rectOf(image)];
    const style = getComputedStyle(image), aside = image.clientLeft + parseFloat(style.paddingLeft), down = image.clientTop + parseFloat(style.paddingTop);
    const at = (left, top, right, bottom) => [new DOMRect(...w.mappedBox(w.matrixOf(image), { left: left - aside, top: top - down, right: right - aside, bottom: bottom - down }))];
    if (shape.startsWith("c") && n.length >= 3) return at(n[0] - n[2], n[1] - n[2], n[0] + n[2], n[1] + n[2]);
    if (n.length < 4) return [];
    const xs = n.filter((_, i) => i % 2 === 0), ys = n.filter((_, i) => i % 2);
    return at(Math.min(...xs), Math.min(...ys), Math.max(...xs), Math.max(...ys));
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
    const boxes = [...w.rectsOf(el)].filter(has), own = boxes.filter((r) => r.width > 0 && r.height > 0);
    if (own.length) return own;
    const found = [], inside = [el];                       // it has no box of its own: those of what stands in it
    for (let n, looked = 0; (n = inside.shift()) && found.length < 50 && looked++ < 200; ) {
      for (const child of w.innerOf(n)) {
        if (child.nodeType === 3 && child.data.trim()) { const range = w.documentOf(child).createRange(); range.selectNodeContents(child); found.push(...[...range.getClientRects()].filter(has)); }
        else if (child.nodeType === 1) { const boxes = [...w.rectsOf(child)].filter((r) => r.width > 0 && r.height > 0); if (boxes.length) found.push(...boxes); else inside.push(child); }
      }
    }
    return found.length ? found : boxes;
  };
  w.boxOf = (el) => {
    const rect = w.rectOf(el);
    if (rect.width > 0 && rect.height > 0) return rect;
    const boxes = w.boxesOf(el);
    return boxes.length ? around(boxes) : rect;
  };
}
