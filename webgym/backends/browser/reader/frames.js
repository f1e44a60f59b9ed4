// Frames of a document: those whose document can be walked from here, and the others, which are read in worlds of their own.
(w) => {
  const FRAMES = new Set(["iframe", "frame", "object", "embed"]);
  const known = new WeakMap();                             // frame element -> [its window, the frame's id], for those that are not walked
  let foreign = [];                                        // frame elements of the last snapshot that are read in worlds of their own

  w.isFrame = (el, tag = w.nameOfTag(el)) => FRAMES.has(tag) && w.spaceOf(el) === "http://www.w3.org/1999/xhtml";
  // The document in a frame element, null where it is not to be walked from here or there is none.
  w.documentIn = (el) => {
    try { return el.contentDocument ?? null; } catch { return null; }
  };
  const windowIn = (el) => {
    try { return el.contentWindow ?? null; } catch { return null; }
  };
  w.holdsFrame = (el) => w.isFrame(el) && (w.nameOfTag(el) === "embed" || windowIn(el) !== null);

  w.beginFrames = () => { foreign = []; };
  // Keep a frame that is read elsewhere: its number, and its id, "" where that is not known yet.
  w.keepFrame = (el) => {
    const [view, id] = known.get(el) ?? [null, ""];
    return [foreign.push(el) - 1, id && view === windowIn(el) ? id : ""];
  };
  w.frame = (number) => foreign[number] ?? null;
  w.know = (number, id) => { known.set(foreign[number], [windowIn(foreign[number]), id]); };
  w.frameNumber = (el) => foreign.indexOf(el);

  const turned = (style) => style.transform !== "none" || style.rotate !== "none" || style.scale !== "none";
  // The linear part of all transforms of an element and of what it stands in.
  const linear = (el) => {
    let m = new DOMMatrix();
    for (let n = el; n && n.nodeType === 1; n = w.above(n)) {
      const style = getComputedStyle(n);
      if (!turned(style)) continue;
      const own = new DOMMatrix();
      if (style.rotate !== "none" && !/[xyz ]/.test(style.rotate)) own.rotateSelf(parseFloat(style.rotate));
      if (style.scale !== "none") { const [x, y = x] = style.scale.split(" ").map(Number); own.scaleSelf(x, y); }
      if (style.transform !== "none") own.multiplySelf(new DOMMatrix(style.transform));
      m = own.multiply(m);
    }
    return m;
  };
  // How far what a turned or mirrored box holds can be moved in the view by its scrolling, as [left, right, down]; null for one that is
  // neither, or that does not scroll.
  w.carries = (el) => {
    const aside = el.scrollWidth - el.clientWidth, down = el.scrollHeight - el.clientHeight;
    if ((aside <= 1 && down <= 1) || !/auto|scroll/.test(getComputedStyle(el).overflow)) return null;
    const { a, b, c, d } = linear(el);
    if (b === 0 && c === 0 && a > 0 && d > 0) return null;
    const [left, top] = [w.asideOf(el), w.downOf(el)], xs = [], ys = [];
    for (const dx of [left, left - aside]) for (const dy of [top, top - down]) { xs.push(a * dx + c * dy); ys.push(b * dx + d * dy); }
    return [Math.min(...xs), Math.max(...xs), Math.max(...ys)];
  };
  // [a, b, c, d, e, f] from the viewport of the frame in an element to that of the element's own document. Whatever the transforms are,
  // the middle of the element's box is the middle of the rectangle around it.
  w.matrixOf = (el) => {
    const rect = w.rectOf(el), style = getComputedStyle(el), { a, b, c, d } = linear(el), zoom = el.currentCSSZoom ?? 1;
    const plain = a === 1 && b === 0 && c === 0 && d === 1;
    const left = el.clientLeft + parseFloat(style.paddingLeft), top = el.clientTop + parseFloat(style.paddingTop);
    if (plain && zoom === 1) return [1, 0, 0, 1, rect.left + left, rect.top + top];
    const m = [a * zoom, b * zoom, c * zoom, d * zoom];
    const x = left - el.offsetWidth / 2, y = top - el.offsetHeight / 2;
    return [...m, rect.left + rect.width / 2 + m[0] * x + m[2] * y, rect.top + rect.height / 2 + m[1] * x + m[3] * y];
  };
  // Whether the matrix does not tell where the frame in an element is, because it is drawn in perspective or moved along a path.
  w.bent = (el) => {
    const rect = w.rectOf(el), style = getComputedStyle(el), m = w.matrixOf(el);
    const left = -el.clientLeft - parseFloat(style.paddingLeft), top = -el.clientTop - parseFloat(style.paddingTop);
    const [x, y, width, height] = w.mappedBox(m, { left, top, right: left + el.offsetWidth, bottom: top + el.offsetHeight });
    return Math.abs(x - rect.left) + Math.abs(y - rect.top) + Math.abs(width - rect.width) + Math.abs(height - rect.height) > 4;
  };
  const SAME = [1, 0, 0, 1, 0, 0];
  w.times = (p, q) => [p[0] * q[0] + p[2] * q[1], p[1] * q[0] + p[3] * q[1], p[0] * q[2] + p[2] * q[3], p[1] * q[2] + p[3] * q[3],
    p[0] * q[4] + p[2] * q[5] + p[4], p[1] * q[4] + p[3] * q[5] + p[5]];
  // From the viewport of a document to the viewport of the document in which this world is.
  w.matrixIn = (doc) => {
    let m = SAME;
    for (let view = w.viewOf(doc); view && view !== globalThis; ) {
      const el = view.frameElement;
      if (!el) break;
      m = w.times(w.matrixOf(el), m);
      view = w.viewOf(w.documentOf(el));
    }
    return m;
  };
  w.matrix = (number) => (foreign[number]?.isConnected ? w.times(w.matrixIn(w.documentOf(foreign[number])), w.matrixOf(foreign[number])) : null);
  w.mapped = (m, x, y) => [m[0] * x + m[2] * y + m[4], m[1] * x + m[3] * y + m[5]];
  // The rectangle around a mapped rectangle, as [left, top, width, height].
  w.mappedBox = (m, rect) => {
    if (m === SAME) return [rect.left, rect.top, rect.width, rect.height];
    const corners = [[rect.left, rect.top], [rect.right, rect.top], [rect.left, rect.bottom], [rect.right, rect.bottom]].map(([x, y]) => w.mapped(m, x, y));
    const xs = corners.map((p) => p[0]), ys = corners.map((p) => p[1]), left = Math.min(...xs), top = Math.min(...ys);
    return [left, top, Math.max(...xs) - left, Math.max(...ys) - top];
  };
  // A point in the viewport of an element's document, in the viewport of this world's document.
  w.pointOf = (el, x, y) => w.mapped(w.matrixIn(w.documentOf(el)), x, y);
}
