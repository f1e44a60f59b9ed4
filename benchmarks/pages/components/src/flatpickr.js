import flatpickr from "flatpickr";
import "flatpickr/dist/flatpickr.css";
document.body.innerHTML = `<label for=d>Day</label><input id=d><label for=r>Stay</label><input id=r><div id=inline></div>`;
flatpickr("#d", { defaultDate: "2026-01-05" });
flatpickr("#r", { mode: "range", defaultDate: ["2026-01-05", "2026-01-07"] });
flatpickr("#inline", { inline: true, defaultDate: "2026-01-05", enableTime: true });
