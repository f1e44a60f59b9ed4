import slider from "nouislider";
import "nouislider/dist/nouislider.css";
document.body.innerHTML = `<div style="padding:40px;width:400px"><div id=one></div><br><div id=two></div><p id=o></p></div>`;
slider.create(document.getElementById("one"), { start: 20, range: { min: 0, max: 100 }, step: 5 });
slider.create(document.getElementById("two"), { start: [10, 60], connect: true, range: { min: 0, max: 100 }, handleAttributes: [{ "aria-label": "from" }, { "aria-label": "to" }] });
document.getElementById("one").noUiSlider.on("update", (v) => { document.getElementById("o").textContent = v; });
