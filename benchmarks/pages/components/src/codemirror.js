import { basicSetup, EditorView } from "codemirror";
import { javascript } from "@codemirror/lang-javascript";
new EditorView({ doc: "const a = 1;\nconst b = 2;\n", extensions: [basicSetup, javascript()], parent: document.body });
