import { Editor } from "@tiptap/core";
import StarterKit from "@tiptap/starter-kit";
document.body.innerHTML = `<div><button id=b>Bold</button><button id=l>List</button></div><div id=e></div>`;
const editor = new Editor({ element: document.getElementById("e"), extensions: [StarterKit], content: "<p>Old <strong>words</strong></p>" });
document.getElementById("b").onclick = () => editor.chain().focus().toggleBold().run();
document.getElementById("l").onclick = () => editor.chain().focus().toggleBulletList().run();
