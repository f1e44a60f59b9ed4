// The page's document as its own prototypes have it. A form answers for its fields' names (`<input name=parentElement>`), so that no
// property of an element is asked of the element itself: each is a function here, taken from the isolated world's prototypes.
(w) => {
  const call = Function.prototype.call;
  const method = (proto, name) => call.bind(proto[name]);
  const getter = (proto, name) => call.bind(Object.getOwnPropertyDescriptor(proto, name).get);

  w.attr = method(Element.prototype, "getAttribute");
  w.has = method(Element.prototype, "hasAttribute");
  w.matches = method(Element.prototype, "matches");
  w.closest = method(Element.prototype, "closest");
  const queries = { 1: method(Element.prototype, "querySelectorAll"), 9: method(Document.prototype, "querySelectorAll"), 11: method(DocumentFragment.prototype, "querySelectorAll") };
  w.all = (root, selector) => queries[w.kindOf(root)](root, selector);
  w.rectOf = method(Element.prototype, "getBoundingClientRect");
  w.rectsOf = method(Element.prototype, "getClientRects");
  w.downOf = getter(Element.prototype, "scrollTop");
  w.asideOf = getter(Element.prototype, "scrollLeft");
  w.wideOf = getter(HTMLElement.prototype, "offsetWidth");
  w.tallOf = getter(HTMLElement.prototype, "offsetHeight");
  w.shadowOf = getter(Element.prototype, "shadowRoot");
  w.nameOfTag = getter(Element.prototype, "localName");
  w.spaceOf = getter(Element.prototype, "namespaceURI");
  w.labellersOf = Object.hasOwn(Element.prototype, "ariaLabelledByElements") ? getter(Element.prototype, "ariaLabelledByElements") : () => null;
  w.slotOf = getter(Element.prototype, "assignedSlot");
  w.kindOf = getter(Node.prototype, "nodeType");
  w.parentOf = getter(Node.prototype, "parentNode");
  w.childrenOf = getter(Node.prototype, "childNodes");
  w.firstOf = getter(Node.prototype, "firstChild");
  w.nextOf = getter(Node.prototype, "nextSibling");
  w.rootOf = method(Node.prototype, "getRootNode");
  w.contains = method(Node.prototype, "contains");
  w.textOf = getter(Node.prototype, "textContent");
  w.bodyOf = getter(Document.prototype, "body");
  w.activeIn = getter(Document.prototype, "activeElement");
  w.viewOf = getter(Document.prototype, "defaultView");
  w.documentOf = getter(Node.prototype, "ownerDocument");
  w.titleOf = getter(Document.prototype, "title");

  // The parent in the tree that is drawn: a slot for what is slotted, the host for what stands in a shadow root.
  w.above = (node) => {
    const parent = (node.nodeType === 1 && w.slotOf(node)) || w.parentOf(node);
    return w.kindOf(parent ?? document) === 11 ? parent.host ?? null : parent;
  };

  w.cellsOf = (row) => [...w.childrenOf(row)].filter((c) => w.kindOf(c) === 1 && (/^t[dh]$/.test(w.nameOfTag(c)) || /^(cell|gridcell|columnheader|rowheader)$/.test(w.attr(c, "role") ?? "")));

  // The columns of a table's cells, where some of them span several columns or rows: `at` tells that of a cell, and `last` the last one of
  // a row that is taken; without spans, both tell what they are given.
  const span = (cell, kind) => Math.min(1000, parseInt(w.attr(cell, kind) ?? w.attr(cell, `aria-${kind}`), 10) || 1);
  w.columnsOf = (table) => {
    if (!w.all(table, "[colspan],[rowspan],[aria-colspan],[aria-rowspan]")[0]) return { at: (_, otherwise) => otherwise, last: (_, otherwise) => otherwise };
    const columns = new Map(), lasts = new Map();
    let above = [], section = null;                        // rows for which each column is still taken from above
    for (const row of w.all(table, "tr,[role=row]")) {
      if (w.parentOf(row) !== section) [above, section] = [[], w.parentOf(row)];
      const taken = above.map((left) => left > 0);
      let column = 0;
      above = above.map((left) => Math.max(0, left - 1));
      for (const cell of w.cellsOf(row)) {
        while (taken[column]) column++;
        columns.set(cell, column);
        const down = w.attr(cell, "rowspan") === "0" ? 1000 : span(cell, "rowspan");
        for (const end = column + span(cell, "colspan"); column < end; column++) [taken[column], above[column]] = [true, down - 1];
      }
      lasts.set(row, Math.max(0, taken.lastIndexOf(true)));
    }
    return { at: (cell, otherwise) => columns.get(cell) ?? otherwise, last: (row, otherwise) => lasts.get(row) ?? otherwise };
  };

  // White space is one space, and what marks only where a line may break is nothing.
  w.squash = (text) => (text ?? "").replace(/[\u00ad\u200b\u2060\ufeff]/g, "").replace(/\s+/g, " ").trim();
  // Cut at a code point: half an emoji is no text.
  w.clip = (text, limit) => {
    if (text.length <= limit) return text;
    const end = limit - 1, code = text.charCodeAt(end - 1);
    return text.slice(0, code >= 0xd800 && code < 0xdc00 ? end - 1 : end) + "…";
  };
}
