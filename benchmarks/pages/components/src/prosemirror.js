import { EditorState } from "prosemirror-state";
import { EditorView } from "prosemirror-view";
import { schema } from "prosemirror-schema-basic";
import { DOMParser } from "prosemirror-model";
import { exampleSetup } from "prosemirror-example-setup";
import "prosemirror-view/style/prosemirror.css";
import "prosemirror-menu/style/menu.css";
const content = Object.assign(document.createElement("div"), { innerHTML: "<p>Hello <b>there</b></p>" });
new EditorView(document.body, { state: EditorState.create({ doc: DOMParser.fromSchema(schema).parse(content), plugins: exampleSetup({ schema }) }) });
