import tippy from "tippy.js";
import "tippy.js/dist/tippy.css";
document.body.innerHTML = `<div style="padding:60px"><button id=h>Help</button><button id=c>Menu</button></div>`;
tippy("#h", { content: "Words of help", duration: 0 });
tippy("#c", { content: "<button onclick=\"document.title='chosen'\">Choose</button>", allowHTML: true, interactive: true, trigger: "click", duration: 0 });
