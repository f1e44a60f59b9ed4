"""`webgym collector`: sessions of this machine for a trainer elsewhere, until it is told to end."""

import signal
from collections.abc import Callable, Sequence
from types import FrameType

from webgym.loop_thread import loop_thread
from webgym.nodes import wire
from webgym.nodes.collector import FACTORIES, Collector
from webgym.nodes.listening import Listening


def collect(
    listen: str, sessions: int, backend: str, allow: Sequence[str] = (), *, headless: bool = True, say: Callable[[str], None] = print
) -> None:
    """Serve trainers until SIGTERM or Ctrl-C; episodes under way then have some seconds to end. Raises UsageError, BrowserMissingError."""
    token = wire.token()
    host, port = wire.place(listen, token, "--listen")
    collector = Collector(sessions, backend=backend, headless=headless, token=token, factories=(*FACTORIES, *allow))
    try:
        with Listening(collector.app, host, port) as listening:

            def leave(signum: int, frame: FrameType | None) -> None:
                listening.leave()

            old = {number: signal.signal(number, leave) for number in (signal.SIGTERM, signal.SIGINT)}
            try:
                secured = "with a token" if token else f"for this machine only (set {wire.TOKEN} for others)"
                say(f"{listening.url}: {sessions} sessions on the backend {backend}, {secured}; Ctrl-C ends it")
                listening.wait()
            finally:
                for number, handler in old.items():
                    signal.signal(number, handler)
    finally:
        loop_thread().run(collector.close())
