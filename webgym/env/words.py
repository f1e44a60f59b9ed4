"""An agent's own words in an episode: its messages, and what later pages may repeat (:mod:`webgym.echoes`)."""

from collections.abc import Sequence
from urllib.parse import unquote_plus

from webgym import echoes
from webgym import types as t
from webgym.actions.chords import takes_away, typed_by

MOST = 400_000  # characters that are kept of an episode's texts, and of its messages


class Words:
    """Texts of one episode: messages, and those that the agent wrote. Texts of the goal are none of its own."""

    def __init__(self, goal: str) -> None:
        self.messages: list[str] = []
        self.written: list[tuple[int, str]] = []
        self._goal = goal.casefold()
        self._kept = 0

    def say(self, text: str) -> str:
        """Keep a message; the reason why it is not kept, else ""."""
        said = sum(map(len, self.messages))
        if said + len(text) > MOST:
            return f"nothing was said: the messages of this episode have {said:,} characters by now, of at most {MOST:,}; say less"
        self.messages.append(text)
        return ""

    def note(self, action: t.Action | t.InvalidAction, pages: int) -> None:
        """Keep what an action writes, and that it may take something away, after so many pages."""
        match action:
            case t.Fill(text=str(text)) | t.Type(text=text) | t.Dialog(text=str(text)):
                self._keep(text, pages)
            case t.Goto(url):
                self._keep(unquote_plus(url), pages)
            case t.Press(keys):
                self._keep(typed_by(keys), pages)
                if takes_away(keys):
                    self._cut(pages)
            case t.Click(count=2 | 3) | t.MouseClick(count=2 | 3) | t.Drag() | t.MouseDrag() | t.MouseDown() | t.Clear():
                self._cut(pages)
            case _:
                pass

    def note_fields(self, action: t.Action | t.InvalidAction, before: Sequence[t.Node], after: Sequence[t.Node], pages: int) -> None:
        """Keep what the focused field holds behind an action that can change it: texts, keys and deletions make that together.

        What a field of the page before held already came with the page.
        """
        if isinstance(action, t.Fill | t.Type | t.Press | t.Clear | t.Drag | t.MouseDrag):
            old = {node.value for node in before}
            for node in after:
                if node.value and "focused" in node.states and node.value not in old:
                    self._keep(node.value, pages)

    def _keep(self, text: str, pages: int) -> None:
        """Keep a text, unless it is of the goal: those of one letter are the agent's own in any case."""
        text = text[: echoes.LONGEST]
        if not text.strip() or (len(text) > 1 and text.strip().casefold() in self._goal):
            return
        if self._kept > MOST or (self.written and self.written[-1][1] == text):
            return
        self._kept += len(text)
        self.written.append((pages, text if self._kept <= MOST else echoes.FULL))

    def _cut(self, pages: int) -> None:
        if all(words != echoes.CUT for _, words in self.written):
            self.written.append((pages, echoes.CUT))
