"""The clipboard of one session. The browser has one for all its contexts, so pages never reach that one (clipboard.js)."""

import json
import secrets
from typing import Any

from webgym.backends.browser.scripts import script

SCRIPT = script("clipboard.js")
OFFER = """((name, detail) => {
    const visit = (frame) => {
        try { frame.dispatchEvent(new CustomEvent(name, {detail})) } catch { return }
        for (let i = 0; i < frame.length; i++) visit(frame[i]);
    };
    visit(window);
})"""


class Clipboard:
    """Text that the pages of one session copied last. `script` must run in each of their documents before anything else."""

    def __init__(self) -> None:
        self.text = ""
        self.name = f"webgym-{secrets.token_hex(8)}"  # of the binding by which a document tells what it copied
        self.script = f"{SCRIPT}({json.dumps(self.name)})"

    def offer(self) -> str:
        """An expression for the isolated world that tells the documents of all frames what the clipboard holds."""
        return f"{OFFER}({json.dumps(self.name)}, {json.dumps(self.text or None)})"

    def hear(self, event: dict[str, Any]) -> None:
        """Keep what a document says (CDP `Runtime.bindingCalled`)."""
        if event["name"] == self.name:
            self.text = event["payload"]

    def clear(self) -> None:
        """Forget what was copied."""
        self.text = ""
