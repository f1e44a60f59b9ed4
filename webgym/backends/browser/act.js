// Runs in an isolated world of the page, after snapshot.js: finds where to act on a ref, and does what needs no mouse.
// It writes into the page only what an action asks for (focus, selection, scrolling, choosing options).
(() => {
  const { squash, clip, roleOf, offsetOf, FIELDS, refs } = globalThis.webgym;
  if (globalThis.webgym.locate) return;
  const describe = (el) => {
    const text = squash(el.innerText ?? el.textContent);
    return `<${el.tagName.toLowerCase()}${el.id ? " id=" + el.id : ""}>${text ? ` "${clip(text, 40)}"` : ""}`;
  };
  const find = (ref) => {
    const el = refs()[ref];
    if (!el) return { error: `there is no element #${ref} on this page; the refs are #0 to #${refs().length - 1}` };
    if (!el.isConnected) return { error: `element #${ref} is gone: the page has changed since it was shown` };
    return { el };
  };
  const hitBy = (el, x, y) => {
    let hit = el.ownerDocument.elementFromPoint(x, y);
    while (hit?.shadowRoot) { const inner = hit.shadowRoot.elementFromPoint(x, y); if (!inner || inner === hit) break; hit = inner; }
    if (!hit) return null;
    for (let n = hit; n; n = n.parentNode ?? n.host) if (n === el) return el;
    const label = hit.closest?.("label");
    if (label && label.control === el) return el;
    if (el.tagName === "LABEL" && el.control === hit) return el;
    if (el.contains(hit) || (hit.contains(el) && getComputedStyle(el).pointerEvents === "none")) return el;
    return hit;
  };
  const locate = (ref, enabled) => {
    const { el: found, error } = find(ref);
    if (error) return { error };
    let el = found;
    if (el.tagName === "OPTION") {
      const select = el.closest("select");
      if (select?.disabled || el.disabled) return { error: `option #${ref} is disabled` };
      return { option: true };
    }
    if (enabled && (el.matches(":disabled") || el.getAttribute("aria-disabled") === "true")) return { error: `element #${ref} is disabled` };
    let rect = el.getBoundingClientRect();
    if ((rect.width < 1 || rect.height < 1) && el.labels?.[0]) { el = el.labels[0]; rect = el.getBoundingClientRect(); }
    const style = getComputedStyle(el);
    if (style.visibility !== "visible" || style.display === "none" || rect.width + rect.height < 1) return { error: `element #${ref} is hidden now` };
    const view = el.ownerDocument.defaultView;
    const inside = (r) => r.left >= 0 && r.top >= 0 && r.right <= view.innerWidth && r.bottom <= view.innerHeight;
    const points = () => {
      const boxes = [...el.getClientRects()].filter((r) => r.width >= 1 && r.height >= 1), [first] = boxes.length ? boxes : [el.getBoundingClientRect()];
      return [[0.5, 0.5], [0.25, 0.5], [0.75, 0.5], [0.5, 0.2], [0.5, 0.8], [0.1, 0.1]].map(([a, b]) => [first.left + first.width * a, first.top + first.height * b]);
    };
    const free = () => points().find(([x, y]) => x >= 0 && y >= 0 && x < view.innerWidth && y < view.innerHeight && hitBy(el, x, y) === el);
    let point = inside(rect) && free();
    if (!point) { el.scrollIntoView({ block: "center", inline: "nearest", behavior: "instant" }); point = free(); }
    if (!point) {
      const [x, y] = points()[0], over = hitBy(el, x, y);
      return { error: over ? `element #${ref} is covered by ${describe(over)}` : `element #${ref} cannot be brought into view` };
    }
    const [dx, dy] = offsetOf(el);
    return { x: point[0] + dx, y: point[1] + dy };
  };

  const changed = (el) => { for (const type of ["input", "change"]) el.dispatchEvent(new Event(type, { bubbles: true, composed: true })); };
  const prepareFill = (ref, text) => {
    const { el, error } = find(ref);
    if (error) return { error };
    const role = roleOf(el);
    if (el.tagName === "SELECT") return { error: `element #${ref} is a select box: choose one of its options instead` };
    if (!FIELDS.has(role) || role === "file" || !("value" in el || el.isContentEditable)) return { error: `element #${ref} is a ${role || el.tagName.toLowerCase()}, text cannot be put into it` };
    if (el.matches(":disabled")) return { error: `element #${ref} is disabled` };
    if (el.readOnly) return { error: `element #${ref} is read-only` };
    if (!el.checkVisibility({ visibilityProperty: true })) return { error: `element #${ref} is hidden now` };
    el.scrollIntoView({ block: "nearest", inline: "nearest", behavior: "instant" });
    el.focus({ preventScroll: true });
    if (["date", "time", "month", "week", "datetime-local", "color", "range"].includes(el.type)) {
      Object.getOwnPropertyDescriptor(HTMLInputElement.prototype, "value").set.call(el, text);
      if (el.value !== text && text) return { error: `"${text}" is not a value that this ${el.type} field takes` };
      changed(el);
      return { done: true };
    }
    if (el.isContentEditable) getSelection().selectAllChildren(el);
    else if (el.value) el.select();
    return { empty: !(el.value ?? el.textContent) };
  };
  const focusOn = (ref) => {
    const { el, error } = find(ref);
    if (error) return { error };
    el.scrollIntoView({ block: "nearest", inline: "nearest", behavior: "instant" });
    el.focus({ preventScroll: true });
    return {};
  };
  const choose = (ref, wanted) => {
    const { el, error } = find(ref);
    if (error) return { error };
    const select = el.tagName === "OPTION" ? el.closest("select") : el;
    if (select?.tagName !== "SELECT") return { error: `element #${ref} is no select box` };
    if (select.matches(":disabled")) return { error: `element #${ref} is disabled` };
    let picked = [];
    if (el.tagName === "OPTION") picked = select.multiple ? [...select.selectedOptions].filter((o) => o !== el).concat(el.selected ? [] : [el]) : [el];
    else
      for (const word of wanted) {
        const options = [...select.options], same = (text) => squash(text).toLowerCase() === squash(word).toLowerCase();
        const option = options.find((o) => squash(o.label) === squash(word) || o.value === word) ?? options.find((o) => same(o.label) || same(o.value));
        if (!option) return { error: `select box #${ref} has no option "${word}"; it has: ${clip(options.map((o) => `"${squash(o.label)}"`).join(", "), 300)}` };
        picked.push(option);
      }
    if (!select.multiple && picked.length > 1) return { error: `select box #${ref} takes one option, ${picked.length} were given` };
    select.focus({ preventScroll: true });
    for (const option of select.options) option.selected = picked.includes(option);
    changed(select);
    return {};
  };
  const scroll = (ref, dx, dy) => {
    let el = document.scrollingElement ?? document.documentElement;
    if (ref !== null) {
      const found = find(ref);
      if (found.error) return { error: found.error };
      el = found.el;
    } else if (el.scrollHeight <= innerHeight && dy) {      // a page that scrolls in a box of its own
      el = [...document.querySelectorAll("*")].filter((e) => e.scrollHeight > e.clientHeight + 1 && /auto|scroll/.test(getComputedStyle(e).overflowY))
        .sort((a, b) => b.clientWidth * b.clientHeight - a.clientWidth * a.clientHeight)[0] ?? el;
    }
    for (let n = el; n && ref !== null; n = n.parentElement) {
      const style = getComputedStyle(n);
      if ((n.scrollHeight > n.clientHeight + 1 && /auto|scroll/.test(style.overflowY)) || (n.scrollWidth > n.clientWidth + 1 && /auto|scroll/.test(style.overflowX)) || n.tagName === "TEXTAREA") { el = n; break; }
    }
    const before = [el.scrollLeft, el.scrollTop];
    el.scrollBy({ left: dx, top: dy, behavior: "instant" });
    return before[0] === el.scrollLeft && before[1] === el.scrollTop ? { error: "nothing scrolled: the end is reached, or there is nothing to scroll" } : {};
  };
  const draggable = (ref) => ({ draggable: !!refs()[ref]?.closest("[draggable=true]") });
  Object.assign(globalThis.webgym, { locate, draggable, prepareFill, focusOn, choose, scroll, element: (ref) => refs()[ref] ?? null });
})
