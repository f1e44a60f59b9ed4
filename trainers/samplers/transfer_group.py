"""A group of the trainer (rank 0) and the workers of one generation server, over which weights go.

It is no part of torch's default process group, which other processes of the update may share. Its members meet at a TCPStore that the
trainer serves, as the members of a StatelessProcessGroup of vLLM do (vllm/distributed/utils.py of 0.32.0):

    trainer    TCPStore(host, port, size, is_master=True)       worker r    TCPStore(host, port, size, is_master=False)

On a GPU the trainer then makes an id of NCCL and puts it into the store, all ranks open an NCCL communicator with it, and sum one number
(PyNcclCommunicator in vllm/distributed/device_communicators/pynccl.py). The id is stored as a pickle of vLLM's own class: it is written
here by hand, and nothing is unpickled on this side. On the CPU the group is one of gloo over the same store, which our own server of the
tests speaks; vLLM has none for the CPU.

Everybody who can reach the port can join the group, so it belongs into a private network.
"""

import asyncio
import contextlib
import socket
import threading
from collections.abc import Callable
from datetime import timedelta
from typing import Any, Protocol
from urllib.parse import urlsplit

import torch
import torch.distributed
from torch import Tensor

from trainers.samplers.nccl_library import NcclLibrary
from webgym.errors import ConfigError

ID_KEY = "broadcast_from/0/0"  # of the first object that rank 0 of a StatelessProcessGroup broadcasts
ID_CLASS = ("vllm.distributed.device_communicators.pynccl_wrapper", "ncclUniqueId")
GLOO_KEYS = "gloo"  # before the keys of gloo in the store
dist: Any = torch.distributed  # whose stubs lack half of its classes, and their methods


class Communicator(Protocol):
    """The trainer's end of a group."""

    def send(self, packed: Tensor) -> Callable[[], bool]:
        """Begin to send bytes (uint8) to all workers. The function that is returned says whether they have gone.

        Both raise RuntimeError or PolicyFault where the group is broken.
        """
        ...

    def close(self) -> None:
        """End the group, without waiting for its workers."""
        ...


class GlooCommunicator(Communicator):
    """A group of gloo, between processes on the CPU. What is under way in it ends after `timeout_s`."""

    def __init__(self, store: Any, size: int, host: str, timeout_s: float) -> None:
        options = dist.ProcessGroupGloo._Options()
        options._devices = [dist.ProcessGroupGloo.create_device(hostname=host)]
        options._timeout = timedelta(seconds=timeout_s)
        self._group: Any = dist.ProcessGroupGloo(dist.PrefixStore(GLOO_KEYS, store), 0, size, options)
        self._from_trainer = dist.BroadcastOptions()
        self._from_trainer.rootRank = self._from_trainer.rootTensor = 0

    def send(self, packed: Tensor) -> Callable[[], bool]:
        """A broadcast from rank 0."""
        assert self._group is not None, "the group is closed"
        work = self._group.broadcast([packed], self._from_trainer)

        def gone() -> bool:
            if not work.is_completed():
                return False
            work.wait()  # raises what went wrong
            return True

        return gone

    def close(self) -> None:
        """End the group in a thread of its own, because gloo waits for what is under way."""
        group, self._group = self._group, None
        if group is not None:
            threading.Thread(target=group.abort, name="end-of-group", daemon=True).start()


class NcclCommunicator(Communicator):
    """An NCCL communicator between GPUs. Opening it blocks until all workers have joined."""

    def __init__(self, store: Any, size: int, device: torch.device) -> None:
        self._library = NcclLibrary()
        unique_id = self._library.unique_id()
        store.set(ID_KEY, pickled_id(unique_id))
        with torch.cuda.device(device):
            self._communicator: int | None = self._library.join(unique_id, size, 0)
            self._stream = torch.cuda.Stream(device)
            one = torch.zeros(1, device=device)
            self._stream.wait_stream(torch.cuda.current_stream(device))
            self._library.sum_float(one, self._communicator, self._stream.cuda_stream)
            self._stream.synchronize()
        self._device, self._store = device, store
        self._sending: Tensor | None = None  # lives as long as it is sent

    def send(self, packed: Tensor) -> Callable[[], bool]:
        """A broadcast from rank 0 on a stream of its own, after what made the bytes."""
        assert self._communicator is not None, "the group is closed"
        with torch.cuda.device(self._device):
            self._stream.wait_stream(torch.cuda.current_stream(self._device))
            self._library.send_bytes(packed, self._communicator, self._stream.cuda_stream)
            sent = torch.cuda.Event()
            sent.record(self._stream)
        self._sending = packed
        return sent.query

    def close(self) -> None:
        """Abort the communicator in a thread of its own, because NCCL may wait for the GPU."""
        communicator, self._communicator = self._communicator, None
        if communicator is not None:
            threading.Thread(target=self._library.abort, args=(communicator,), name="end-of-group", daemon=True).start()


def pickled_id(unique_id: bytes) -> bytes:
    """The id of a group as a pickle of vLLM's ncclUniqueId, a structure of ctypes, as its workers read it from the store."""
    module, name = (part.encode() for part in ID_CLASS)
    rebuild, kind = b"c_ctypes\n_unpickle\n", b"c" + module + b"\n" + name + b"\n"
    state = b"}C" + bytes([len(unique_id)]) + unique_id + b"\x86"  # ({}, the bytes)
    return b"\x80\x03" + rebuild + kind + state + b"\x86R."  # rebuild(kind, state)


def address_towards(url: str) -> str:
    """This machine's address (IPv4) on the way to a server. Raises ConfigError where there is no way."""
    parts = urlsplit(url)
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:  # nothing is sent
            probe.connect((parts.hostname, parts.port or 80))
            return probe.getsockname()[0]
    except OSError as error:
        raise ConfigError(f"no address of this machine leads to {parts.hostname} ({error}): set sampler.transfer_host to one") from error


def listen(host: str) -> socket.socket:
    """A socket that listens on a free port at an address of this machine. Raises ConfigError where it is none."""
    listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        listening.bind((host, 0))
        listening.listen()
    except OSError as error:
        listening.close()
        words = f"sampler.transfer_host={host}: expected an IPv4 address of this machine ({error})"
        raise ConfigError(words) from error
    return listening


async def open_group(listening: socket.socket, size: int, device: torch.device, timeout_s: float) -> Communicator:
    """The trainer's end of a group of `size`, once all workers have come to the socket, which it takes over.

    Raises RuntimeError, PolicyFault or UsageError where they do not come in time or cannot speak to each other.
    """
    loop = asyncio.get_running_loop()
    opened: asyncio.Future[Communicator] = loop.create_future()

    def settle(result: Communicator | None, error: Exception | None) -> None:
        if opened.cancelled():
            if result is not None:
                result.close()
        elif result is not None:
            opened.set_result(result)
        elif error is not None:
            opened.set_exception(error)

    def work() -> None:
        result, error = None, None
        try:
            result = _joined(listening, size, device, timeout_s)
        except Exception as found:  # carried to the loop, where it is raised
            error = found
        with contextlib.suppress(RuntimeError):  # the loop has ended meanwhile
            loop.call_soon_threadsafe(settle, result, error)

    threading.Thread(target=work, name="transfer-group", daemon=True).start()
    return await opened


def _joined(listening: socket.socket, size: int, device: torch.device, timeout_s: float) -> Communicator:
    """The trainer's end of the group. Blocks until all workers have joined, at most `timeout_s` where they never come."""
    host, port = listening.getsockname()
    store = dist.TCPStore(
        host, port, size, is_master=True, timeout=timedelta(seconds=timeout_s), master_listen_fd=listening.detach(), use_libuv=False
    )
    if device.type == "cuda":
        return NcclCommunicator(store, size, device)
    return GlooCommunicator(store, size, host, timeout_s)
