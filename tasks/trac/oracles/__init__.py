"""Programs that reach the goals from an agent's observations; they import nothing of the site and its content."""

from collections.abc import Callable, Mapping

from webgym.authoring.oracle import Memory
from webgym.types import Observation

from . import pages, planning, tickets

ORACLES: Mapping[str, Callable[[Observation], Memory]] = {
    "close-ticket": tickets.close,
    "hand-over": tickets.hand_over,
    "file-ticket": tickets.file,
    "sort-ticket": tickets.sort,
    "mark-ticket": tickets.mark,
    "close-duplicate": tickets.close_duplicate,
    "watch-both": tickets.watch_both,
    "take-up-older": tickets.take_up_older,
    "add-line": pages.add_line,
    "new-page": pages.write_page,
    "remove-page": pages.remove,
    "hand-to-deputy": pages.hand_to_deputy,
    "tell-the-store": pages.tell_the_store,
    "new-component": planning.add_component,
    "new-version": planning.add_version,
    "new-milestone": planning.add_milestone,
}
