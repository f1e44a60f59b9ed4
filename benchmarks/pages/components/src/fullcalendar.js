import { Calendar } from "@fullcalendar/core";
import dayGrid from "@fullcalendar/daygrid";
import interaction from "@fullcalendar/interaction";
document.body.innerHTML = `<div id=c></div><p id=out></p>`;
new Calendar(document.getElementById("c"), { plugins: [dayGrid, interaction], initialDate: "2026-01-05", editable: true, selectable: true, now: "2026-01-05",
  headerToolbar: { left: "prev,next today", center: "title", right: "dayGridMonth,dayGridWeek" },
  events: [{ title: "Meeting", start: "2026-01-06" }, { title: "Trip", start: "2026-01-12", end: "2026-01-14", url: "#trip" }],
  dateClick: (i) => { document.getElementById("out").textContent = i.dateStr; } }).render();
