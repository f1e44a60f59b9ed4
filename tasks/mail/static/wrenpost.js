// Keys, dialogs, menus and "select all". Everything also works without this script, but for deleting, which asks first.
(() => {
  const all = (selector, root = document) => [...root.querySelectorAll(selector)];

  document.addEventListener("click", (event) => {
    const opener = event.target.closest("[data-opens]"), closer = event.target.closest("[data-closes]");
    if (opener) document.querySelector(opener.dataset.opens)?.showModal();
    if (closer) closer.closest("dialog")?.close();
    for (const menu of all("details.menu[open]")) if (!menu.contains(event.target)) menu.open = false;
  });

  for (const box of all("[data-all]")) {
    const form = box.closest("form"), boxes = () => all(`input[name="${box.dataset.all}"]`, form);
    form.addEventListener("change", (event) => {
      if (event.target === box) for (const each of boxes()) each.checked = box.checked;
      const ticked = boxes().filter((each) => each.checked).length;
      box.checked = ticked > 0 && ticked === boxes().length;
      box.indeterminate = ticked > 0 && ticked < boxes().length;
    });
  }

  const follow = (selector) => document.querySelector(selector)?.click();
  const KEYS = {
    c: () => location.assign("/compose"), "/": () => document.querySelector(".find input").focus(), r: () => follow('a[href*="?reply="]'),
    e: () => follow('.deeds [value="to-archive"]'), "#": () => follow('.deeds [value="to-trash"]'), s: () => follow('.deeds [value$="star"]'),
  };
  let before = "";
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest("input,textarea,select,dialog[open]")) return;
    if (before === "g" && event.key === "i") location.assign("/mail/inbox");
    else if (event.key in KEYS) { event.preventDefault(); KEYS[event.key](); }
    before = event.key;
  });
})();
