// What the pages do by themselves; every page works without it.
"use strict";

// A form with data-confirm asks before it is sent.
for (const form of document.querySelectorAll("form[data-confirm]")) {
  form.addEventListener("submit", (event) => {
    if (form.dataset.sure) return;
    event.preventDefault();
    const dialog = document.createElement("dialog"), words = document.createElement("p"), no = document.createElement("button"), yes = document.createElement("button");
    words.textContent = form.dataset.confirm;
    no.textContent = "No, keep it";
    yes.textContent = form.dataset.yes;
    yes.className = "main";
    no.addEventListener("click", () => dialog.close());
    yes.addEventListener("click", () => { form.dataset.sure = "yes"; form.requestSubmit(); });
    dialog.addEventListener("close", () => dialog.remove());
    dialog.append(words, no, yes);
    document.body.append(dialog);
    dialog.showModal();
  });
}

// "/" goes to the search field, as on many sites.
document.addEventListener("keydown", (event) => {
  if (event.key === "/" && !/^(INPUT|TEXTAREA|SELECT)$/.test(document.activeElement.tagName)) {
    event.preventDefault();
    document.querySelector("input[type=search]").focus();
  }
});

// The picture of a product follows the chosen colour.
const colour = document.querySelector(".product select[name=colour]"), picture = document.querySelector(".product .picture");
if (colour && picture) {
  const show = () => picture.setAttribute("class", "picture " + colour.value.toLowerCase());
  colour.addEventListener("change", show);
  show();
}
