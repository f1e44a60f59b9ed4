// Suggestions below the place fields, dialogs, and the return date that shows with the return trip. Every page works without it.
(() => {
  const suggest = (input) => {
    const list = document.createElement("ul");
    let timer = 0, asked = 0;
    list.className = "suggestions";
    list.setAttribute("role", "listbox");
    list.hidden = true;
    input.after(list);
    const close = () => { list.hidden = true; list.replaceChildren(); };
    const choose = (name) => { input.value = name; close(); input.focus(); };
    const show = (names) => {
      list.replaceChildren(...names.map((name) => {
        const option = document.createElement("li");
        option.setAttribute("role", "option");
        option.textContent = name;
        option.addEventListener("mousedown", (event) => { event.preventDefault(); choose(name); });
        return option;
      }));
      list.hidden = names.length === 0;
    };
    const ask = async () => {
      const typed = input.value.trim(), mine = ++asked;
      if (!typed) return close();
      const answer = await fetch("/places?q=" + encodeURIComponent(typed));
      const names = answer.ok ? await answer.json() : [];
      if (mine !== asked || document.activeElement !== input) return;
      names.some((name) => name.toLowerCase() === typed.toLowerCase()) ? close() : show(names);
    };
    input.addEventListener("input", () => { clearTimeout(timer); timer = setTimeout(ask, 120); });
    input.addEventListener("blur", () => { asked++; close(); });
    input.addEventListener("keydown", (event) => {
      const options = [...list.children], at = options.findIndex((o) => o.getAttribute("aria-selected") === "true");
      if (event.key === "Escape") return close();
      if (list.hidden || !options.length) return;
      if (event.key === "ArrowDown" || event.key === "ArrowUp") {
        event.preventDefault();
        const next = options[(at + (event.key === "ArrowDown" ? 1 : -1) + options.length) % options.length];
        options.forEach((o) => o.setAttribute("aria-selected", String(o === next)));
      } else if (event.key === "Enter" && at >= 0) { event.preventDefault(); choose(options[at].textContent); }
    });
  };
  document.querySelectorAll("[data-places]").forEach(suggest);
  document.querySelectorAll("[data-opens]").forEach((button) => {
    const dialog = document.getElementById(button.dataset.opens);
    button.addEventListener("click", () => dialog.showModal());
    dialog.querySelectorAll("[data-closes]").forEach((b) => b.addEventListener("click", () => dialog.close()));
  });
  document.querySelectorAll("form.search").forEach((form) => {
    const back = form.querySelector(".back");
    if (back) form.addEventListener("change", () => { back.hidden = form.elements.trip.value !== "return"; });
  });
})();
