"""The part of NCCL that sends weights: six calls of libnccl by ctypes, for a group that torch.distributed does not know.

A worker of vLLM opens its communicator with raw NCCL calls from an id that rank 0 has made, so a trainer must make the same calls.
torch's own NCCL group does more than that when it opens, and cannot meet it. The library is the one that torch brings along.

Signatures: nccl.h of NCCL 2.x. The same calls in vLLM 0.32.0: vllm/distributed/device_communicators/pynccl_wrapper.py and pynccl.py.
"""

import ctypes

from torch import Tensor

from webgym.errors import PolicyFault, UsageError

LIBRARY = "libnccl.so.2"
ID_BYTES = 128
UINT8, FLOAT32, SUM = 1, 7, 0  # ncclUint8, ncclFloat32, ncclSum
_STREAM = _POINTER = _COMMUNICATOR = ctypes.c_void_p


class _Id(ctypes.Structure):
    _fields_ = [("internal", ctypes.c_byte * ID_BYTES)]


SIGNATURES = {
    "ncclGetUniqueId": [ctypes.POINTER(_Id)],
    "ncclCommInitRank": [ctypes.POINTER(_COMMUNICATOR), ctypes.c_int, _Id, ctypes.c_int],
    "ncclAllReduce": [_POINTER, _POINTER, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, _COMMUNICATOR, _STREAM],
    "ncclBroadcast": [_POINTER, _POINTER, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, _COMMUNICATOR, _STREAM],
    "ncclCommAbort": [_COMMUNICATOR],
}


class NcclLibrary:
    """libnccl. A call that fails raises PolicyFault with NCCL's words; a communicator is the number that NCCL gave it.

    Raises UsageError where the library cannot be loaded.
    """

    def __init__(self, path: str = LIBRARY) -> None:
        try:
            self._library = ctypes.CDLL(path)
        except OSError as error:
            raise UsageError(f"sampler.transport=nccl needs NCCL, and {path} cannot be loaded ({error})") from error
        for name, arguments in SIGNATURES.items():
            function = getattr(self._library, name)
            function.restype, function.argtypes = ctypes.c_int, arguments
        self._library.ncclGetErrorString.restype = ctypes.c_char_p

    def unique_id(self) -> bytes:
        """The id of a new group, by which all its ranks find each other."""
        made = _Id()
        self._call("ncclGetUniqueId", ctypes.byref(made))
        return bytes(made)

    def join(self, unique_id: bytes, size: int, rank: int) -> int:
        """The communicator of this rank on the present device. Blocks until all ranks have joined."""
        communicator = _COMMUNICATOR()
        self._call("ncclCommInitRank", ctypes.byref(communicator), size, _Id.from_buffer_copy(unique_id), rank)
        assert communicator.value is not None
        return communicator.value

    def sum_float(self, one: Tensor, communicator: int, stream: int) -> None:
        """Put the sum over all ranks of a float32 tensor in its place, on a stream."""
        self._call("ncclAllReduce", one.data_ptr(), one.data_ptr(), one.numel(), FLOAT32, SUM, communicator, stream)

    def send_bytes(self, packed: Tensor, communicator: int, stream: int) -> None:
        """Send a uint8 tensor from rank 0, which this is, to all others, on a stream."""
        self._call("ncclBroadcast", packed.data_ptr(), packed.data_ptr(), packed.numel(), UINT8, 0, communicator, stream)

    def abort(self, communicator: int) -> None:
        """End the communicator and what goes on in it, without the others."""
        self._call("ncclCommAbort", communicator)

    def _call(self, name: str, *arguments: object) -> None:
        code = getattr(self._library, name)(*arguments)
        if code:
            raise PolicyFault(f"{name} of NCCL failed ({self._library.ncclGetErrorString(code).decode()})")
