"""NCCL's calls without a GPU: a small library of our own records what arrives, and NCCL itself, where it is installed, makes an id."""

import contextlib
import ctypes
import io
import pickle
import shutil
import subprocess
from pathlib import Path

import pytest
import torch

from trainers.samplers import transfer_group
from trainers.samplers.nccl_library import LIBRARY, NcclLibrary
from trainers.samplers.transfer_group import ID_KEY, NcclCommunicator, pickled_id
from webgym.errors import PolicyFault, UsageError

RECORDER = r"""
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

typedef struct { char internal[128]; } Id;
static char told[4096];
static int code = 0;

const char* recorded(void) { return told; }
void refuse(int with) { code = with; }
const char* ncclGetErrorString(int with) { return with == 5 ? "invalid usage" : "no error"; }
int ncclGetUniqueId(Id* id) { for (int i = 0; i < 128; i++) id->internal[i] = (char)i; return code; }
int ncclCommInitRank(void** comm, int size, Id id, int rank) {
    int sum = 0;
    for (int i = 0; i < 128; i++) sum += (unsigned char)id.internal[i];
    sprintf(told + strlen(told), "join %d of %d by %d; ", rank, size, sum);
    *comm = (void*)(uintptr_t)0x7fff12345678;
    return code;
}
int ncclAllReduce(const void* from, void* to, size_t count, int type, int op, void* comm, void* stream) {
    sprintf(told + strlen(told), "sum %zu of type %d by %d in %zx on %zx; ", count, type, op, (size_t)comm, (size_t)stream);
    ((float*)to)[0] = ((const float*)from)[0] + 2;
    return code;
}
int ncclBroadcast(const void* from, void* to, size_t count, int type, int root, void* comm, void* stream) {
    sprintf(told + strlen(told), "send %zu of type %d from %d in %zx on %zx: %d %d; ", count, type, root, (size_t)comm, (size_t)stream,
            from == to, ((const unsigned char*)from)[count - 1]);
    return code;
}
int ncclCommAbort(void* comm) { sprintf(told + strlen(told), "abort %zx; ", (size_t)comm); return code; }
"""


@pytest.fixture
def recorder(tmp_path: Path) -> Path:
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("no C compiler")
    (tmp_path / "recorder.c").write_text(RECORDER)
    path = tmp_path / "librecorder.so"
    subprocess.run([compiler, "-shared", "-fPIC", "-o", str(path), str(tmp_path / "recorder.c")], check=True)
    return path


def recorded(path: Path) -> list[str]:
    library = ctypes.CDLL(str(path))
    library.recorded.restype = ctypes.c_char_p
    return [call for call in library.recorded().decode().split("; ") if call]


def test_arguments_arrive_in_c_as_nccl_declares_them(recorder: Path) -> None:
    library = NcclLibrary(str(recorder))
    unique_id = library.unique_id()
    assert unique_id == bytes(range(128))
    communicator = library.join(unique_id, 3, 0)
    one = torch.full((1,), 5.0)
    library.sum_float(one, communicator, 0xABC)
    library.send_bytes(torch.arange(200, dtype=torch.uint8), communicator, 0xABC)
    library.abort(communicator)
    assert one.tolist() == [7.0] and recorded(recorder) == [
        f"join 0 of 3 by {sum(range(128))}",
        "sum 1 of type 7 by 0 in 7fff12345678 on abc",
        "send 200 of type 1 from 0 in 7fff12345678 on abc: 1 199",
        "abort 7fff12345678",
    ]


def test_a_failed_call_says_so_in_the_words_of_nccl(recorder: Path) -> None:
    library = NcclLibrary(str(recorder))
    ctypes.CDLL(str(recorder)).refuse(5)
    with pytest.raises(PolicyFault, match=r"^ncclGetUniqueId of NCCL failed \(invalid usage\)$"):
        library.unique_id()
    with pytest.raises(UsageError, match=r"^sampler\.transport=nccl needs NCCL, and libnowhere\.so cannot be loaded"):
        NcclLibrary("libnowhere.so")


def test_the_id_is_in_the_store_before_the_trainer_joins_and_one_number_is_summed_first(
    recorder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The order of PyNcclCommunicator. CUDA's streams and events are stood in for."""
    made: list[str] = []

    class Stream:
        def __init__(self, device=None, handle: int = 0xABC) -> None:
            self.cuda_stream = handle

        def wait_stream(self, other: "Stream") -> None:
            made.append(f"{self.cuda_stream:x} waits for {other.cuda_stream:x}")

        def synchronize(self) -> None:
            made.append("synchronised")

    class Event:
        def record(self, stream: Stream) -> None:
            self.on = stream.cuda_stream

        def query(self) -> bool:
            return self.on == 0xABC

    class Store:
        def set(self, key: str, value: bytes) -> None:
            assert recorded(recorder) == []
            made.append(f"set {key} {len(value)}")

    for name, stand_in in (("Stream", Stream), ("Event", Event), ("device", lambda _: contextlib.nullcontext())):
        monkeypatch.setattr(torch.cuda, name, stand_in)
    monkeypatch.setattr(torch.cuda, "current_stream", lambda _: Stream(handle=1))
    monkeypatch.setattr(transfer_group, "NcclLibrary", lambda: NcclLibrary(str(recorder)))
    group = NcclCommunicator(Store(), 3, torch.device("cpu"))
    assert group.send(torch.arange(9, dtype=torch.uint8))() is True
    group.close()
    assert made == [f"set {ID_KEY} {len(pickled_id(bytes(128)))}", "abc waits for 1", "synchronised", "abc waits for 1"]
    assert [call.partition(" ")[0] for call in recorded(recorder)[:3]] == ["join", "sum", "send"]
    assert recorded(recorder)[2].startswith("send 9 of type 1 from 0 in 7fff12345678 on abc: 1 8")


class UniqueId(ctypes.Structure):
    _fields_ = [("internal", ctypes.c_byte * 128)]


def test_the_stored_id_is_the_pickle_of_the_structure_that_the_worker_reads() -> None:
    class Reading(pickle.Unpickler):
        def find_class(self, module: str, name: str):
            if (module, name) == ("vllm.distributed.device_communicators.pynccl_wrapper", "ncclUniqueId"):
                return UniqueId
            assert (module, name) == ("_ctypes", "_unpickle")
            return super().find_class(module, name)

    made = bytes(range(100, 228))
    found = Reading(io.BytesIO(pickled_id(made))).load()
    assert isinstance(found, UniqueId) and bytes(found) == made
    assert bytes(pickle.loads(pickle.dumps(found))) == made, "as Python pickles it"


def test_nccl_itself_makes_an_id() -> None:
    """Where torch has brought NCCL along; without a GPU it can do no more."""
    try:
        library = NcclLibrary(LIBRARY)
    except UsageError:
        pytest.skip("NCCL is not installed")
    one, other = library.unique_id(), library.unique_id()
    assert len(one) == len(other) == 128 and one != other
    if not torch.cuda.is_available():
        with pytest.raises(PolicyFault, match=r"^ncclCommInitRank of NCCL failed \(unhandled cuda error"):
            library.join(one, 1, 0)
