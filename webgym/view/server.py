"""Serves an ASGI app on loopback: the viewer from the command line, or beside something else in a thread."""

import logging
import os
import platform
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any

import uvicorn

from webgym.errors import UsageError
from webgym.sites.patience import PatientProtocol
from webgym.view.app import create_app, new_token
from webgym.view.runs import Library

log = logging.getLogger(__name__)


class Server:
    """`app` on a port of 127.0.0.1 (0: a free one), served from a thread; a context manager."""

    def __init__(self, app: Any, port: int = 0) -> None:
        try:
            self._socket = socket.create_server(("127.0.0.1", port))
        except OSError as error:
            raise UsageError(f"port {port} cannot be used ({error.strerror}): give another --port, or none for a free one") from None
        self.port: int = self._socket.getsockname()[1]
        config = uvicorn.Config(
            app, loop="asyncio", http=PatientProtocol, ws="none", lifespan="off", access_log=False, log_level="error",
            server_header=False, proxy_headers=False,
        )  # fmt: skip
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._serve, name="webgym-view", daemon=True)

    def _serve(self) -> None:
        self._server.run(sockets=[self._socket])

    def __enter__(self) -> "Server":
        self._thread.start()
        while not self._server.started and self._thread.is_alive():
            time.sleep(0.002)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._server.should_exit = self._server.force_exit = True
        self._thread.join(timeout=5)

    def wait(self, over: Callable[[], bool] = lambda: False) -> None:
        """Wait until Ctrl-C, or until `over`."""
        try:
            while self._thread.is_alive() and not over():
                self._thread.join(timeout=0.5)
        except KeyboardInterrupt:
            log.debug("stopped by Ctrl-C")


def view(path: Path, *, port: int = 0, browse: bool = True, say: Callable[[str], None] = print) -> None:
    """Serve the viewer for the runs at `path` until Ctrl-C; `browse` opens the user's browser. Raises UsageError."""
    library = Library.open(path)
    token = new_token()
    with Server(create_app(library, token), port) as server:
        address = f"http://127.0.0.1:{server.port}/{token}/"
        say(f"{address}  (Ctrl-C ends it)")
        if browse:
            open_browser(address)
        if library.focus:  # while the browser begins, so that its first question is answered at once
            threading.Thread(target=library.run(library.focus).refresh, name="webgym-view-ahead", daemon=True).start()
        server.wait()


def open_browser(address: str) -> None:
    """Show the address in the user's browser, where there is a display for one."""
    import webbrowser

    if platform.system() != "Linux" or os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"):
        webbrowser.open(address)
