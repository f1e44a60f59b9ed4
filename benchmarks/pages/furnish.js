// Runs last in every document of a generated page: builds shadow roots and writes frames out of attributes, adds listeners, opens dialogs.
(() => {
  const { note } = globalThis.referee;
  const toggle = (el) => { for (const one of ["aria-checked", "aria-pressed", "aria-expanded", "aria-selected"])
    if (el.hasAttribute(one)) { el.setAttribute(one, el.getAttribute(one) === "true" ? "false" : "true"); return; } };
  const act = (el) => { note("acted", el); toggle(el); };
  const furnish = (root) => {
    for (const host of root.querySelectorAll("[data-shadow]")) {
      const shadow = host.attachShadow({ mode: host.dataset.shadow, delegatesFocus: host.hasAttribute("data-delegates") });
      shadow.innerHTML = host.dataset.html;
      host.removeAttribute("data-html");
      host.removeAttribute("data-shadow");
      furnish(shadow);
    }
    for (const frame of root.querySelectorAll("[data-written]")) {
      const inner = frame.contentDocument, { html } = frame.dataset;
      frame.removeAttribute("data-html");
      frame.removeAttribute("data-written");
      inner.open();
      inner.write(html);
      inner.close();
    }
    for (const el of root.querySelectorAll("[data-on]")) {
      const kind = el.dataset.on;
      el.removeAttribute("data-on");
      if (kind === "direct") el.addEventListener("click", () => act(el));
      if (kind === "property") el.onclick = () => act(el);
      if (kind === "mousedown") el.addEventListener("mousedown", () => act(el));
      if (kind === "keys") el.addEventListener("keydown", (event) => { if (event.key === "Enter" || event.key === " ") act(el); });
      if (kind === "delegate") el.addEventListener("click", (event) => { const hit = event.target.closest("[data-act]"); if (hit) act(hit); });
      if (kind === "drop") {
        el.addEventListener("dragover", (event) => event.preventDefault());
        el.addEventListener("drop", (event) => { event.preventDefault(); note(`dropped ${event.dataTransfer.getData("text/plain")}`, el); });
      }
      if (kind === "drag") el.addEventListener("dragstart", (event) => event.dataTransfer.setData("text/plain", el.dataset.k));
    }
    for (const form of root.querySelectorAll("form")) form.addEventListener("submit", (event) => event.preventDefault());
    for (const el of root.querySelectorAll("[data-modal]")) el.showModal();
    for (const el of root.querySelectorAll("[data-popover]")) el.showPopover();
    for (const el of root.querySelectorAll("[data-mixed]")) el.indeterminate = true;
  };
  furnish(document);
  globalThis.referee.act = act;
  globalThis.referee.clear();
})();
