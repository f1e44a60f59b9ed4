import React from "react";
import { createRoot } from "react-dom/client";
import { LexicalComposer } from "@lexical/react/LexicalComposer";
import { RichTextPlugin } from "@lexical/react/LexicalRichTextPlugin";
import { ContentEditable } from "@lexical/react/LexicalContentEditable";
import { HistoryPlugin } from "@lexical/react/LexicalHistoryPlugin";
import { LexicalErrorBoundary } from "@lexical/react/LexicalErrorBoundary";
createRoot(document.getElementById("app")).render(<LexicalComposer initialConfig={{ namespace: "n", onError: console.error }}><RichTextPlugin contentEditable={<ContentEditable aria-label="Text" style={{ minHeight: 40, border: "1px solid" }} />} ErrorBoundary={LexicalErrorBoundary} /><HistoryPlugin /></LexicalComposer>);
