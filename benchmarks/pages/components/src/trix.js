import "trix";
import "trix/dist/trix.css";
document.body.innerHTML = `<input id=x type=hidden value="<div>Dear all</div>"><trix-editor input=x></trix-editor>`;
