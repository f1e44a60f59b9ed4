import DataTable from "datatables.net-dt";
import "datatables.net-dt/css/dataTables.dataTables.css";
const rows = Array.from({ length: 35 }, (_, i) => `<tr><td>Person ${i}</td><td>${["Bonn", "Oslo", "Rome"][i % 3]}</td><td>${20 + i}</td></tr>`);
document.body.innerHTML = `<table id=t><thead><tr><th>Name</th><th>City</th><th>Age</th></tr></thead><tbody>${rows.join("")}</tbody></table>`;
new DataTable("#t");
