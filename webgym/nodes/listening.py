"""A server for other machines of a run, on this process's own event loop, where its sessions live too."""

import socket
import threading
from types import TracebackType
from typing import Any

import uvicorn

from webgym.errors import UsageError
from webgym.loop_thread import loop_thread
from webgym.sites.patience import PatientProtocol

END_S = 10.0


class Listening:
    """`app` on a port of `host` (0: a free one); a context manager. Raises UsageError where the port cannot be used."""

    def __init__(self, app: Any, host: str, port: int) -> None:
        try:
            family = socket.AF_INET6 if ":" in host else socket.AF_INET
            self._socket = socket.create_server((host, port), family=family, backlog=1024)
        except OSError as error:
            raise UsageError(f"{host}:{port} cannot be listened on ({error.strerror or error}): give another one") from None
        self.host, self.port = host, int(self._socket.getsockname()[1])
        config = uvicorn.Config(
            app, http=PatientProtocol, ws="none", lifespan="off", access_log=False, log_level="error", server_header=False,
            date_header=False, proxy_headers=False, timeout_keep_alive=600, timeout_graceful_shutdown=int(END_S),
        )  # fmt: skip
        self._server = uvicorn.Server(config)
        self._over = threading.Event()

    @property
    def url(self) -> str:
        """The address, with the host as it was given."""
        return f"http://[{self.host}]:{self.port}" if ":" in self.host else f"http://{self.host}:{self.port}"

    async def _serve(self) -> None:
        try:
            await self._server.serve(sockets=[self._socket])
        finally:
            self._over.set()

    def __enter__(self) -> "Listening":
        loop_thread().start(self._serve())
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._server.should_exit = self._server.force_exit = True
        self._over.wait(END_S)
        self._socket.close()

    def leave(self) -> None:
        """Take no more requests, let those under way end within some seconds, and end."""
        self._server.should_exit = True

    def wait(self) -> None:
        """Wait until it has ended."""
        while not self._over.wait(0.5):
            pass
