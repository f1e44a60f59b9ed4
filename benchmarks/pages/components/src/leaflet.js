import L from "leaflet";
import "leaflet/dist/leaflet.css";
document.body.innerHTML = `<div id=m style="width:600px;height:300px"></div>`;
const map = L.map("m", { zoomAnimation: false, fadeAnimation: false, inertia: false }).setView([50, 7], 6);
const icon = L.divIcon({ html: "P" });
L.marker([50, 7], { title: "Bonn", icon }).addTo(map).bindPopup("Here is <a href='#bonn'>Bonn</a>");
L.marker([51, 9], { title: "Kassel", icon, draggable: true }).addTo(map);
L.polygon([[49, 5], [49.5, 6], [48.5, 6]]).addTo(map).on("click", () => { document.title = "area"; });
