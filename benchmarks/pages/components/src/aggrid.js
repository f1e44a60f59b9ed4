import { createGrid, ModuleRegistry, AllCommunityModule } from "ag-grid-community";
ModuleRegistry.registerModules([AllCommunityModule]);
document.body.innerHTML = `<div id=g style="height:300px;width:700px"></div>`;
createGrid(document.getElementById("g"), { rowData: Array.from({ length: 30 }, (_, i) => ({ make: ["Fiat", "Seat", "Opel"][i % 3], price: 900 + i, ok: i % 2 === 0 })),
  columnDefs: [{ field: "make", editable: true, filter: true }, { field: "price", sortable: true }, { field: "ok", editable: true }], rowSelection: { mode: "multiRow" }, suppressColumnVirtualisation: true });
