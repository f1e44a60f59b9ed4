"""Programs that reach the goals from an agent's observations; they import nothing of the site and its content."""

from collections.abc import Callable, Mapping

from webgym.authoring.oracle import Memory
from webgym.types import Observation

from . import moderating, talking

ORACLES: Mapping[str, Callable[[Observation], Memory]] = {
    "reply": talking.reply,
    "new-topic": talking.open_topic,
    "like": talking.like,
    "flag": talking.report,
    "mend-comment": talking.mend,
    "write-to": talking.write_to,
    "busier-topic": talking.reply_to_busier,
    "close-topic": moderating.close,
    "pin-topic": moderating.pin,
    "move-topic": moderating.move,
    "rename-topic": moderating.rename,
    "remove-comment": moderating.remove_comment,
}
