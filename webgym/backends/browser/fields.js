// Runs in an isolated world of the page, after reach.js: gives things the focus, and writes into fields and select boxes what needs no keys.
//
// Keys go where the focus is, so the focus is checked before any key is sent. It counts as the thing's own where it lies in the thing,
// in something inside of it (an editor's own field, a shadow root that delegates), or in a helper: a field that nobody can see and that
// shares with the thing the nearest box around both that holds no other field. Editors type through such a field. Anything else is
// another field, and no text of the agent goes there. A thing that can have the focus itself gets it from what stands in it.
//
// Fields and buttons in an edited text are things of their own: they inherit that they can be edited, but take their own keys.
(() => {
  const w = globalThis.webgym, { squash, clip, refs, roleOf, FIELDS, tag, find, describe, holds, around, inertAround } = w;
  if (w.focusOn) return;
  const TYPED = new Set(["text", "search", "email", "url", "tel", "password", "number"]);
  const EDITABLE = "input,textarea,select,[contenteditable]:not([contenteditable=false])";
  const OWN_KEYS = new Set(["input", "textarea", "select", "button", "iframe", "embed", "object", "audio", "video", "summary"]);
  const HELD = ":not(br,p,div,span),[contenteditable=false]";                     // what an edited text can hold beside words
  const WRAPPERS = new Set(["textbox", "searchbox", "combobox", "spinbutton"]);   // roles of boxes around the field that takes their keys

  // --- the focus ------------------------------------------------------------------------------------------------------------
  const activeOf = (doc) => {                              // what the keyboard reaches in this document, inside of open roots and frames too
    let active = doc.activeElement;
    for (;;) {
      let inner = active?.shadowRoot?.activeElement;
      if (!inner && active?.contentDocument) inner = active.contentDocument.activeElement;
      if (!inner) return active;
      active = inner;
    }
  };
  const unseen = (el) => {
    if (!el.checkVisibility({ opacityProperty: true, visibilityProperty: true })) return true;
    let depth = 0;
    for (const n of around(el)) {
      const rect = w.rectOf(n), small = rect.width < 4 || rect.height < 4;
      if (small && (n === el || getComputedStyle(n).overflow !== "visible")) return true;
      if (rect.right < 0 || rect.left > w.documentOf(n).defaultView.innerWidth || (n === el && /^rect\(/.test(getComputedStyle(n).clip))) return true;
      if (++depth === 3) return false;
    }
    return false;
  };
  const helps = (active, el) => {
    if (!active?.matches?.(EDITABLE) || tag(active) === "select" || (tag(active) === "input" && !TYPED.has(active.type)) || !unseen(active)) return false;
    for (const box of around(active)) {
      if (tag(box) === "body" || tag(box) === "html") return false;
      if (!holds(box, el)) continue;
      return [...w.all(box, EDITABLE)].every((field) => field === active || holds(el, field) || holds(field, el) || unseen(field));
    }
    return false;
  };
  const rich = (el) => el.isContentEditable && !OWN_KEYS.has(tag(el));
  // True where keys come to the thing as it is. What stands in it can have the focus for it; one that takes it itself is asked first.
  const focused = (el, asked) => {
    if (!el.ownerDocument.hasFocus()) return false;
    const active = el.getRootNode().activeElement;
    if (!active) return false;
    if (active === el || helps(activeOf(el.ownerDocument), el)) return true;
    if (!holds(el, active)) return false;
    const field = !asked && WRAPPERS.has(roleOf(el)) ? fieldOf(el) : null;
    return asked || (!!field && field !== el && holds(field, activeOf(el.ownerDocument)));
  };
  const modalOver = (el) => {
    const doc = w.documentOf(el), top = w.topModal(w.modalsOf(doc), activeOf(doc));
    return top && !holds(top, el) ? top : null;
  };
  // The thing that takes the focus for another: the field of a label, the box of an option, the host of an edited text.
  const keeperOf = (el) => {
    if (tag(el) === "label" && el.control) return el.control;
    if (tag(el) === "option") return el.closest("select") ?? el;
    if (!rich(el) || (w.has(el, "tabindex") && !w.has(el, "contenteditable"))) return el;
    let host = el;
    while (host.parentElement?.isContentEditable) host = host.parentElement;
    return host;
  };
  const take = (el, ref) => {                              // "" where the keyboard reaches the thing now, else why it does not
    const barred = (why) => `element #${ref} cannot have the focus: ${why}`;
    if (el.matches(":disabled")) return `element #${ref} is disabled`;
    if (inertAround(el)) return barred("it is inert");
    const modal = modalOver(el);
    if (modal) return barred(`it lies behind ${describe(modal)}`);
    if (!el.checkVisibility({ visibilityProperty: true })) return `element #${ref} is hidden now`;
    let had = false;
    const got = () => { had = true; };
    el.addEventListener("focus", got, true);
    el.scrollIntoView({ block: "nearest", inline: "nearest", behavior: "instant" });
    if (!focused(el, false)) el.focus({ preventScroll: true });
    if (!focused(el, true) && (tag(el) === "body" || el.ownerDocument.designMode === "on")) el.ownerDocument.defaultView.focus();
    el.removeEventListener("focus", got, true);
    if (focused(el, true)) return "";
    const after = activeOf(el.ownerDocument);
    return barred(!had ? "it takes none" : after && tag(after) !== "body" ? `the page moved it to ${describe(after)}` : "the page took it away");
  };
  const focusOn = (ref) => {
    const { el, error } = find(ref);
    if (error) return { error };
    const why = take(keeperOf(w.use(el)), ref);
    return why ? { error: why } : {};
  };

  // --- values that are set at once ------------------------------------------------------------------------------------------
  const MONTHS = ["january", "february", "march", "april", "may", "june", "july", "august", "september", "october", "november", "december"];
  const two = (digits) => String(digits).padStart(2, "0");
  const monthOf = (word) => { const at = MONTHS.findIndex((name) => name === word || (word.length >= 3 && name.startsWith(word))); return at < 0 ? null : two(at + 1); };
  const dateOf = (text) => {                               // year first, or the month by its name: nothing else is unambiguous
    let m = /^(\d{4})[-/.](\d{1,2})[-/.](\d{1,2})$/.exec(text);
    if (m) return `${m[1]}-${two(m[2])}-${two(m[3])}`;
    m = /^(\d{1,2})(?:st|nd|rd|th)?\.? ([a-z]+)\.?,? (\d{4})$/.exec(text);
    if (m) return monthOf(m[2]) && `${m[3]}-${monthOf(m[2])}-${two(m[1])}`;
    m = /^([a-z]+)\.? (\d{1,2})(?:st|nd|rd|th)?,? (\d{4})$/.exec(text);
    return m && monthOf(m[1]) && `${m[3]}-${monthOf(m[1])}-${two(m[2])}`;
  };
  const timeOf = (text) => {
    const m = /^(\d{1,2})(?::(\d{2})(?::(\d{2}(?:\.\d{1,3})?))?)? ?([ap])?\.?(?:m\.?)?$/.exec(text);
    if (!m || (!m[2] && !m[4]) || (m[4] && !(m[1] >= 1 && m[1] <= 12)) || (!m[4] && /m/.test(text))) return null;
    const hour = m[4] ? (m[1] % 12) + (m[4] === "p" ? 12 : 0) : Number(m[1]);
    return `${two(hour)}:${m[2] ?? "00"}${m[3] ? ":" + m[3] : ""}`;
  };
  const colourOf = (text) => {
    if (/^#?[0-9a-f]{6}$/.test(text)) return `#${text.replace("#", "")}`;
    if (!CSS.supports("color", text) || /current|var\(|inherit|initial|unset|revert/.test(text)) return null;
    const brush = new OffscreenCanvas(1, 1).getContext("2d");
    brush.fillStyle = text;
    return /^#[0-9a-f]{6}$/.test(brush.fillStyle) ? brush.fillStyle : null;
  };
  const SPELLINGS = {                                      // of a text in lower case, to what the field takes; and the format that is told
    date: [dateOf, "a date as YYYY-MM-DD, such as 2026-01-31"],
    time: [timeOf, "a time as HH:MM, such as 09:30"],
    month: [(text) => {
      const m = /^(\d{4})[-/.](\d{1,2})$/.exec(text), named = /^([a-z]+)\.?,? (\d{4})$/.exec(text);
      return m ? `${m[1]}-${two(m[2])}` : named && monthOf(named[1]) && `${named[2]}-${monthOf(named[1])}`;
    }, "a month as YYYY-MM, such as 2026-01"],
    week: [(text) => { const m = /^(\d{4})[- ]?w(\d{1,2})$/.exec(text); return m && `${m[1]}-W${two(m[2])}`; }, "a week as YYYY-Www, such as 2026-W05"],
    "datetime-local": [(text) => {
      const m = /^(.*\d)(?:t|,? (?:at )?)(\d{1,2}(?::| ?[ap]).*)$/.exec(text), day = m && dateOf(m[1]), hour = m && timeOf(m[2]);
      return day && hour && `${day}T${hour}`;
    }, "a date and a time as YYYY-MM-DDTHH:MM, such as 2026-01-31T09:30"],
    color: [colourOf, "a colour as #rrggbb, such as #ff0000"],
    range: [(text) => (Number.isFinite(Number(text)) ? text : null), "a number"],
  };
  const setter = Object.getOwnPropertyDescriptor(HTMLInputElement.prototype, "value").set;
  const taken = (el, text) => {                            // what the field would hold, tried on a field that is no part of the page
    const trial = el.ownerDocument.createElement("input");
    trial.type = el.type;
    for (const name of ["min", "max", "step"]) if (el.hasAttribute(name)) trial.setAttribute(name, el.getAttribute(name));
    setter.call(trial, text);
    return trial.value;
  };
  const asWritten = (el, text) => {                        // {value}, or {error} with the format that is expected
    const [spelled, format] = SPELLINGS[el.type], plain = squash(text).toLowerCase();
    if (!plain && el.type !== "range" && el.type !== "color") return { value: "" };
    const refused = `"${clip(text, 60)}" is not a value that this ${el.type} field takes: expected ${format}`;
    if (!plain) return { error: refused };
    if (el.type === "range") {
      const low = Number(el.min || 0), high = Math.max(low, Number(el.max || 100));
      const number = Number(plain);
      if (!Number.isFinite(number) || number < low || number > high) return { error: `${refused} from ${low} to ${high}` };
      return { value: taken(el, plain) };
    }
    const direct = taken(el, text.trim()), value = direct || taken(el, spelled(plain) ?? "");
    // A colour field takes anything, and makes black of what it does not know.
    if (el.type === "color") { const colour = spelled(plain); return colour ? { value: colour } : { error: refused }; }
    return value ? { value } : { error: refused };
  };
  const changed = (el) => {
    el.dispatchEvent(new Event("input", { bubbles: true, composed: true }));
    el.dispatchEvent(new Event("change", { bubbles: true }));
  };

  // --- fields ---------------------------------------------------------------------------------------------------------------
  const writable = (el) => (tag(el) === "input" ? TYPED.has(el.type) || el.type in SPELLINGS : tag(el) === "textarea" || rich(el));
  const fieldOf = (el) => {                                // the thing itself, the field of a label, or the only field inside
    const keeper = tag(el) === "label" && el.control ? el.control : el;
    if (writable(keeper) || tag(keeper) === "select") return keeper;
    if (tag(keeper) === "input") return null;
    if (FIELDS.has(roleOf(keeper)) && "value" in keeper && !keeper.shadowRoot) return keeper;
    const inside = [...(keeper.shadowRoot ?? keeper).querySelectorAll("input,textarea,[contenteditable]")]
      .filter((field) => writable(field) && !field.parentElement?.isContentEditable && field.checkVisibility({ visibilityProperty: true }));
    return inside.length === 1 ? inside[0] : null;
  };
  const numberFor = (text) => (/^[-+]?(\d+\.?\d*|\.\d+)(e[-+]?\d+)?$/i.test(text.trim()) ? text.trim().replace(/^\+/, "") : null);
  const selectAll = (el) => {
    if (!rich(el)) { if (el.value || el.validity?.badInput) el.select?.(); return; }
    el.ownerDocument.getSelection().selectAllChildren(el);
  };
  // Makes a field ready for `text`: it has the focus, and all that it holds is selected. {done} where the text is in it already.
  const prepareFill = (ref, text, mostLines) => {
    const { el: found, error } = find(ref);
    if (error) return { error };
    const el = fieldOf(found), role = roleOf(found);
    if (tag(found) === "select" || tag(el) === "select") return { error: `element #${ref} is a select box: choose one of its options instead` };
    if (found.type === "file") return { error: `element #${ref} is a file field: give it a file with upload_file` };
    if (!el) return { error: `element #${ref} is a ${role || tag(found)}, text cannot be put into it` };
    if (w.isDisabled(el)) return { error: `element #${ref} is disabled` };
    if (el.readOnly) return { error: `element #${ref} is read-only` };
    if (!el.checkVisibility({ visibilityProperty: true })) return { error: `element #${ref} is hidden now` };
    let wanted = text;
    const set = tag(el) === "input" && el.type in SPELLINGS && asWritten(el, text);
    if (set?.error) return { error: set.error };
    if (tag(el) === "input" && el.type === "number" && text) {
      wanted = numberFor(text);
      if (wanted === null) return { error: `"${clip(text, 60)}" is not a value that this number field takes: expected a number such as 12 or 0.5` };
    }
    const lines = rich(el) ? text.split(/\r\n|\r|\n/).length : 1; // each of which is a key there
    if (lines > mostLines) return { error: `the text has ${lines} lines: expected at most ${mostLines} in one action` };
    const why = take(keeperOf(el), ref);
    if (why) return { error: why };
    if (set) {
      setter.call(el, set.value);
      changed(el);
      return { done: true };
    }
    selectAll(el);
    if (wanted) watch(el, wanted);
    return { text: wanted, kind: rich(el) ? "rich" : tag(el) === "textarea" ? "text" : "line", empty: !holdsAny(el) && !el.validity?.badInput };
  };
  const holdsAny = (el) => !!(rich(el) ? el.textContent || w.all(el, HELD)[0] : el.value ?? el.textContent);

  // --- whether a text arrived -----------------------------------------------------------------------------------------------
  // Keys go where the focus is, as a person's do, so that a page can spread a text over several fields, or stop it: each field that hears
  // of input meanwhile is kept, with what it held then.
  let writing = null;
  const textIn = (el) => (rich(el) ? el.innerText ?? el.textContent : el.value);
  const watch = (el, text) => {
    writing?.end();
    const heard = new Map(), view = w.documentOf(el).defaultView;
    const hear = (event) => { const at = event.composedPath()[0]; if (event.isTrusted && w.kindOf(at) === 1) heard.set(at, textIn(at)); };
    view.addEventListener("input", hear, { capture: true, passive: true });
    writing = { el, text, heard, end: () => { try { view.removeEventListener("input", hear, { capture: true }); } catch { /* it left */ } } };
  };
  // Pages write a text anew, with signs of their own: it is all there where its letters and digits go on as far as those of the text.
  const letters = (text) => text.normalize("NFKC").toLowerCase().replace(/[^\p{L}\p{N}]/gu, "");
  const starts = (held, text) => text.startsWith(held) && held !== text;
  const lacks = (held, text) => starts(squash(held), squash(text)) || (letters(held) !== "" && starts(letters(held), letters(text)));
  // Whether a page made another text of it, one without some of its letters and digits.
  const alters = (held, text) => {
    const counts = new Map();
    for (const letter of letters(held)) counts.set(letter, (counts.get(letter) ?? 0) + 1);
    return [...letters(text)].some((letter) => { const count = counts.get(letter) ?? 0; counts.set(letter, count - 1); return count < 1; });
  };
  const called = (el) => {                                 // its name, as the page is read to the agent
    w.beginSheets();
    w.beginNames();
    const name = clip(squash(w.fieldName(el, roleOf(el))), 60);
    return name === tag(el) && name.includes("-") ? "" : name;   // what a page's own element says of itself begins with its tag
  };
  const quoted = (el) => { const name = called(el); return name ? `"${name}"` : describe(el); };
  const whyNot = (el) => {
    if (!el.isConnected) return "; the field is gone";
    if (el.matches(":disabled")) return "; it is disabled now";
    if (el.readOnly) return "; it is read-only now";
    if (focused(el, true)) return "";
    const active = activeOf(w.documentOf(el));
    return !active || tag(active) === "body" ? "; the page took the focus away" : `; the page moved the focus to ${describe(active)}`;
  };
  // What became of a text after its keys, in words where it is not all in its field. Only the `last` look ends the watch then, as a page
  // may take some time over it.
  const written = (last) => {
    if (!writing) return [];                               // the document is another one
    const { el, text, heard, end } = writing, words = [];
    end();
    const others = [...heard.keys()].filter((other) => other !== el && other.isConnected && !holds(other, el) && !holds(el, other));
    const there = el.isConnected ? [el, ...others] : others;
    const held = there.length ? there.map((field) => textIn(field) ?? "").join("") : [...heard.values()].at(-1) ?? "";
    const judged = !el.isConnected || (!unseen(el) && typeof textIn(el) === "string");
    if (el.isConnected && others.length) words.push(`the page moved the focus while the text was typed: it went into ${there.map(quoted).join(", ")}`);
    if (!others.length && el.maxLength >= 0 && text.length > el.maxLength) words.push(`the field takes ${el.maxLength} characters at most: the rest of the text was left out`);
    else if (judged && lacks(held, text)) words.push(`not all of the text arrived: expected "${clip(squash(text), 60)}", ${others.length && el.isConnected ? "these fields hold" : "the field holds"} "${clip(squash(held), 60)}"${others.length ? "" : whyNot(el)}`);
    else if (judged && alters(held, text)) words.push(`the page changed the text: the field holds "${clip(squash(held), 60)}"`);
    if (last || !words.length) writing = null;
    return words;
  };

  // --- select boxes ---------------------------------------------------------------------------------------------------------
  // The option of a select box or of a list of suggestions that a word means.
  const meant = (options, word) => {
    const same = (text) => squash(text).toLowerCase() === squash(word).toLowerCase();
    return options.find((o) => squash(o.label) === squash(word) || o.value === word) ?? options.find((o) => same(o.label) || same(o.value));
  };
  const told = (options) => clip(options.map((o) => `"${squash(o.label)}"`).join(", "), 300);
  // Takes a suggestion into its field, which is the last one before it on the page with that list.
  const suggest = (el, ref, list, wanted) => {
    const field = tag(el) === "option" ? refs().slice(0, ref).findLast((other) => tag(other) === "input" && other.list === list) : el;
    if (!field?.isConnected) return { error: `element #${ref} is gone: the page has changed since it was shown` };
    if (w.isDisabled(field) || field.readOnly) return { error: `the field of element #${ref} is ${field.readOnly ? "read-only" : "disabled"}` };
    if (tag(el) !== "option" && wanted.length !== 1) return { error: `element #${ref} takes one suggestion, ${wanted.length} were given` };
    const options = [...list.options], option = tag(el) === "option" ? el : meant(options, wanted[0]);
    if (!option) return { error: `field #${ref} has no suggestion "${clip(wanted[0], 60)}"; it has: ${told(options)}` };
    if (w.isDisabled(option)) return { error: `option "${clip(squash(option.label), 60)}" is disabled` };
    const why = take(field, ref);
    if (why) return { error: why };
    setter.call(field, option.value);
    changed(field);
    return {};
  };
  const choose = (ref, wanted) => {
    const { el, error } = find(ref);
    if (error) return { error };
    const list = tag(el) === "option" ? el.closest("datalist") : tag(el) === "input" ? el.list : null;
    if (list) return suggest(el, ref, list, wanted);
    const select = tag(el) === "option" ? el.closest("select") : el;
    if (tag(select) !== "select") return { error: `element #${ref} is no select box` };
    if (w.isDisabled(select)) return { error: `element #${ref} is disabled` };
    if (inertAround(select)) return { error: `element #${ref} is inert: the page lets nobody use it now` };
    const modal = modalOver(select);
    if (modal) return { error: `element #${ref} lies behind ${describe(modal)}` };
    let picked = [];
    if (tag(el) === "option") picked = select.multiple ? [...select.selectedOptions].filter((o) => o !== el).concat(el.selected ? [] : [el]) : [el];
    else
      for (const word of wanted) {
        const options = [...select.options], option = meant(options, word);
        if (!option) return { error: `select box #${ref} has no option "${clip(word, 60)}"; it has: ${told(options)}` };
        picked.push(option);
      }
    if (!select.multiple && picked.length > 1) return { error: `select box #${ref} takes one option, ${picked.length} were given` };
    const off = picked.find((option) => w.isDisabled(option) && !option.selected);
    if (off) return { error: `option "${clip(squash(off.label), 60)}" is disabled` };
    select.focus({ preventScroll: true });
    for (const option of select.options) option.selected = picked.includes(option);
    changed(select);
    return {};
  };
  Object.assign(w, { prepareFill, written, called, focusOn, choose, activeOf, modalOver });
})
