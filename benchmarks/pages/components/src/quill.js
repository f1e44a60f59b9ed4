import Quill from "quill";
import "quill/dist/quill.snow.css";
document.body.innerHTML = `<div id=e><p>Dear <b>all</b></p></div>`;
new Quill("#e", { theme: "snow" });
