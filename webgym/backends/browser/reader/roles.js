// Roles, states and values of things, as ARIA and HTML have them.
(w) => {
  const { attr, has, squash } = w;
  const HTML = "http://www.w3.org/1999/xhtml";
  const BUTTON_INPUTS = new Set(["submit", "button", "reset", "image"]);
  const INPUT_ROLES = { checkbox: "checkbox", radio: "radio", range: "slider", number: "spinbutton", search: "searchbox", file: "file" };
  const TAG_ROLES = { button: "button", option: "option", textarea: "textbox", summary: "button", h1: "heading", h2: "heading", h3: "heading", h4: "heading",
    h5: "heading", h6: "heading", li: "listitem", img: "img", area: "link", progress: "progressbar", meter: "meter", video: "video", audio: "audio",
    canvas: "canvas", fieldset: "group", optgroup: "group", details: "group", dialog: "dialog" };
  // What can be acted on wherever it stands.
  const ACTIVE = new Set(["button", "link", "checkbox", "radio", "textbox", "searchbox", "spinbutton", "slider", "combobox", "listbox", "option", "tab", "menuitem",
    "menuitemcheckbox", "menuitemradio", "switch", "treeitem", "file", "scrollbar"]);
  // What can be acted on where the keyboard or a listener reaches it.
  const SOMETIMES = new Set(["gridcell", "cell", "row", "columnheader", "rowheader", "separator"]);
  const STRUCTURE = new Set(["alert", "alertdialog", "application", "article", "banner", "blockquote", "caption", "code", "complementary", "contentinfo", "definition",
    "deletion", "dialog", "directory", "document", "emphasis", "feed", "figure", "form", "generic", "grid", "group", "heading", "img", "image", "insertion", "list",
    "listitem", "log", "main", "marquee", "math", "menu", "menubar", "meter", "navigation", "none", "note", "paragraph", "presentation", "progressbar", "radiogroup",
    "region", "rowgroup", "search", "status", "strong", "subscript", "superscript", "table", "tablist", "tabpanel", "term", "time", "timer", "toolbar", "tooltip",
    "tree", "treegrid"]);
  w.FIELDS = new Set(["textbox", "searchbox", "spinbutton", "slider", "combobox", "listbox", "file", "scrollbar"]);
  // Those whose name is what stands in them, where their author gave none.
  w.NAMED_BY_CONTENT = new Set(["button", "link", "checkbox", "radio", "option", "tab", "menuitem", "menuitemcheckbox", "menuitemradio", "switch", "treeitem",
    "gridcell", "cell", "columnheader", "rowheader", "heading", "tooltip"]);

  w.isHtml = (el) => w.spaceOf(el) === HTML;
  w.tagOf = (el) => w.nameOfTag(el);
  w.editable = (el) => el.isContentEditable === true;

  w.nativeRole = (el) => {
    const tag = w.nameOfTag(el);
    if (tag === "a") return "link";
    if (!w.isHtml(el)) return "";
    if (tag === "input") return BUTTON_INPUTS.has(el.type) ? "button" : INPUT_ROLES[el.type] ?? "textbox";
    if (tag === "select") return el.multiple || el.size > 1 ? "listbox" : "combobox";
    if (has(el, "contenteditable") ? w.editable(el) && !edited(el) : tag === "body" && wholly(el)) return "textbox";
    if ((tag === "video" || tag === "audio") && !el.controls) return "";
    return TAG_ROLES[tag] ?? "";
  };
  // Whether a body is edited because its document is.
  const wholly = (body) => w.documentOf(body).designMode === "on" || (w.editable(body) && has(w.documentOf(body).documentElement, "contenteditable"));
  // Whether what it stands in is edited as a whole.
  const edited = (el) => {
    const parent = w.parentOf(el);
    return parent?.nodeType === 1 && w.editable(parent) && parent !== w.documentOf(el).documentElement;
  };
  w.roleOf = (el) => {
    const given = attr(el, "role");
    if (given)
      for (const word of squash(given).toLowerCase().split(" ")) {
        if (word === "presentation" || word === "none") break;
        if (word === "image") return "img";
        if (ACTIVE.has(word) || SOMETIMES.has(word) || STRUCTURE.has(word)) return word;
      }
    return w.nativeRole(el);
  };
  w.alwaysActive = (role) => ACTIVE.has(role);
  w.sometimesActive = (role) => SOMETIMES.has(role);

  // Fields that take text of one form only, or show none of it.
  const TOLD = new Set(["date", "time", "month", "week", "datetime-local", "color", "password"]);

  const checkedOf = (el, role) => {
    if (w.nameOfTag(el) === "input" && (el.type === "checkbox" || el.type === "radio")) return el.indeterminate ? "mixed" : String(el.checked);
    if (role === "link" || role === "textbox") return "";
    return attr(el, "aria-checked") ?? (attr(el, "aria-pressed") === "mixed" ? "mixed" : "");
  };
  const selectedOf = (el) => {
    if (w.nameOfTag(el) === "option" && w.isHtml(el) && el.selected && w.closest(el, "datalist") === null) return true;
    return attr(el, "aria-selected") === "true" || attr(el, "aria-pressed") === "true" || (attr(el, "aria-current") ?? "false") !== "false" || byClass(el);
  };
  // Last resort: where nothing is selected in words, one of several that are alike may say so by its class.
  const CHOSEN = /^(?:.*(?:--|__)|is-)?(?:active|selected|current|chosen)$/i;
  const chosen = (el) => !!attr(el, "class")?.split(/\s+/).some((name) => CHOSEN.test(name)) && squash(w.textOf(el)) !== "";
  const byClass = (el) => {
    if (!has(el, "class") || !chosen(el) || has(el, "aria-selected") || has(el, "aria-pressed")) return false;
    let holder = w.parentOf(el), one = el;
    if (holder && w.nameOfTag(holder) === "li") { one = holder; holder = w.parentOf(holder); }
    const alike = holder?.nodeType === 1 ? [...w.childrenOf(holder)].filter((n) => n.nodeType === 1 && w.nameOfTag(n) === w.nameOfTag(one)) : [];
    const those = alike.filter((n) => chosen(n) || (one !== el && n.firstElementChild && chosen(n.firstElementChild)));
    return alike.length > 1 && those.length === 1;
  };
  // What stands in something that is disabled in ARIA's words is so itself, as for assistive technology.
  w.isDisabled = (el) => w.matches(el, ":disabled") || attr(el, "aria-disabled") === "true" || w.closest(el, "[aria-disabled=true]") !== null;
  w.isInvalid = (el) => w.isHtml(el) && /^(input|select|textarea)$/.test(w.nameOfTag(el)) && w.matches(el, ":user-invalid");
  const ownPicker = (el, tag) => tag === "select" && w.isHtml(el) && getComputedStyle(el).appearance === "base-select";  // its options show on the page
  w.statesOf = (el, role, focused) => {
    const states = [], tag = w.nameOfTag(el), checked = checkedOf(el, role);
    if (checked === "true" || checked === "mixed") states.push(checked === "true" ? "checked" : "mixed");
    if (selectedOf(el)) states.push("selected");
    if (w.isDisabled(el)) states.push("disabled");
    const open = tag === "summary" ? String(!!w.parentOf(el)?.open) : tag === "details" && w.isHtml(el) ? String(el.open) : ownPicker(el, tag) ? String(w.matches(el, ":open")) : attr(el, "aria-expanded");
    if (open === "true") states.push("expanded");
    if (open === "false") states.push("collapsed");
    if (focused) states.push("focused");
    if (tag === "input" && TOLD.has(el.type)) states.push(el.type);
    if (w.FIELDS.has(role) || role === "checkbox" || role === "radio") {
      if ((tag !== "form" && el.required === true) || attr(el, "aria-required") === "true") states.push("required");
      if ((el.readOnly === true || attr(el, "aria-readonly") === "true") && role !== "checkbox" && role !== "radio") states.push("readonly");
      if (w.isInvalid(el) || !/^(false)?$/.test(attr(el, "aria-invalid") ?? "")) states.push("invalid");
    }
    if (attr(el, "draggable") === "true") states.push("draggable");
    return states;
  };

  const LONG = 2000, MUCH = 20_000;                        // characters of a value that are kept, and of one that lists several
  // What an attribute says of a value, on one line; null where it says nothing.
  const said = (el, name) => {
    const text = attr(el, name);
    return text === null ? null : w.clip(text, LONG).replace(/ *[\n-\r\x1c-\x1e\x85\u2028\u2029]\s*/g, " ");
  };
  const listed = (options, words) => w.clip(options.map((o) => squash(words(o))).join(", "), MUCH);
  w.valueOf = (el, role) => {
    const tag = w.nameOfTag(el), html = w.isHtml(el);
    if (html && tag === "select") return listed(role === "listbox" ? [...el.selectedOptions] : [...el.selectedOptions].slice(0, 1), (o) => o.label);
    if (role === "file") return w.clip([...(el.files ?? [])].map((f) => f.name).join(", "), MUCH);
    if (html && (tag === "input" || tag === "textarea") && w.FIELDS.has(role)) {
      const secret = el.type === "password" || getComputedStyle(el).webkitTextSecurity !== "none";
      return secret ? "•".repeat(Math.min(LONG, el.value.length)) : w.clip(el.value, LONG);
    }
    if (!w.FIELDS.has(role)) return role === "separator" ? said(el, "aria-valuetext") ?? said(el, "aria-valuenow") : null;
    if (role === "listbox") return listed([...w.all(el, "[aria-selected=true]")], w.textOf);
    const told = said(el, "aria-valuetext") ?? said(el, "aria-valuenow");
    if (told !== null) return told;
    return role === "slider" || role === "spinbutton" || role === "scrollbar" ? "" : w.clip(w.shownText(el, LONG), LONG);
  };
  // What a progress bar or a meter says.
  w.amountOf = (el, role) => {
    const told = said(el, "aria-valuetext");
    if (told) return told;
    const native = w.isHtml(el) && /^(progress|meter)$/.test(w.nameOfTag(el));
    const number = (name, otherwise) => { const text = attr(el, "aria-" + name); return text === null || text === "" || isNaN(text) ? otherwise : Number(text); };
    const now = native ? (has(el, "value") ? el.value : NaN) : number("valuenow", NaN), low = native ? el.min ?? 0 : number("valuemin", 0), high = native ? el.max : number("valuemax", 100);
    if (isNaN(now)) return "";
    const share = high > low ? Math.round((1000 * (now - low)) / (high - low)) / 10 : 0;
    return role === "meter" && !(low === 0 && (high === 1 || high === 100)) ? `${now} of ${low ? `${low} to ` : ""}${high}` : `${share}%`;
  };
}
