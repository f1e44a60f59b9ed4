import { TabulatorFull } from "tabulator-tables";
import "tabulator-tables/dist/css/tabulator.css";
document.body.innerHTML = `<div id=t style="width:600px"></div>`;
new TabulatorFull("#t", { data: Array.from({ length: 12 }, (_, i) => ({ id: i, name: `Person ${i}`, age: 20 + i, ok: i % 2 === 0 })), pagination: true, paginationSize: 6,
  columns: [{ title: "Name", field: "name", editor: "input", headerFilter: "input" }, { title: "Age", field: "age", sorter: "number" }, { title: "OK", field: "ok", formatter: "tickCross", editor: true }] });
