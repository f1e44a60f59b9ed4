"""Trajectories on disk: one JSON object a line, screenshots as PNG files beside it.

Appending is one write of one line, so a reader may look while a writer writes, and a process that is killed damages at most the
last line; that line is skipped with a warning in the log, and cut off when the file is next written to. A damaged line elsewhere is
an error that names it. What is read equals what was written: floats exactly, NaN rewards (faults) as null, any text.
"""

import json
import logging
import math
import re
import struct
import zlib
from collections.abc import Iterator
from io import SEEK_END, FileIO
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, cast, get_args

from webgym.errors import UsageError
from webgym.types import Completion, EpisodeKey, Mention, Node, Outcome, OutcomeKind, Sampling, Times, Trajectory, Turn

if TYPE_CHECKING:
    import numpy as np

log = logging.getLogger(__name__)

Box = tuple[float, float, float, float]

KINDS = get_args(OutcomeKind)
FORMAT = 1  # stands in every line; raised when older readers would misread


class TrajectoryStore:
    """An append-only file of trajectories; iterating reads them from the start.

    >>> import tempfile
    >>> from webgym.types import EpisodeKey, Outcome
    >>> with tempfile.TemporaryDirectory() as folder, TrajectoryStore(Path(folder) / "t.jsonl") as store:
    ...     store.append(Trajectory(EpisodeKey("demo.task", 7), "Click OK.", (), Outcome("success", 1.0)))
    ...     [trajectory.key.seed for trajectory in store]
    [7]
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self._file: FileIO | None = None

    def append(self, trajectory: Trajectory) -> None:
        """Write one trajectory; it is in the file when this returns. After an OSError (a full disk) the store can be used again."""
        line = memoryview(encode(trajectory))
        if self._file is None:
            self._file = self._opened()
        try:
            while line:
                line = line[self._file.write(line) :]
        except OSError:
            self.close()  # opening it again cuts off what was written of this line
            raise

    def save_screenshot(self, key: EpisodeKey, turn: int, pixels: "np.ndarray") -> str:
        """Write pixels [height, width, 3] uint8 as PNG; its name beside the trajectory file, for `Turn.screenshot`."""
        task = re.sub(r"[^\w.-]", "_", key.task_id)
        name = f"{self.path.stem}-screenshots/{task}-{key.seed}-{key.iteration}-{key.group}-{key.member}-{turn}.png"
        file = self.path.parent / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(png(pixels))
        return name

    def __iter__(self) -> Iterator[Trajectory]:
        return read(self.path)

    def close(self) -> None:
        """Close the file; a later append opens it again."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def __enter__(self) -> "TrajectoryStore":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def _opened(self) -> FileIO:
        """The file for appending, a damaged last line cut off."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        file = FileIO(self.path, "a+")  # no buffer: an append is one write
        end = file.seek(0, SEEK_END)
        whole = _line_end(file, end)
        if whole and not _is_whole(file, start := _line_end(file, whole - 1), whole):
            whole = start
        if whole < end:
            log.warning("%s: cut off a damaged last line of %d bytes", self.path, end - whole)
            file.truncate(whole)
        return file


def _line_end(file: FileIO, end: int) -> int:
    """The place after the last line feed before `end`; 0 when there is none."""
    while end > 0:
        start = max(0, end - (1 << 16))
        file.seek(start)
        found = (file.read(end - start) or b"").rfind(b"\n")
        if found >= 0:
            return start + found + 1
        end = start
    return 0


def _is_whole(file: FileIO, start: int, end: int) -> bool:
    """True if the line between these places is a trajectory."""
    file.seek(start)
    try:
        decode(file.read(end - start) or b"")
    except (ValueError, KeyError, TypeError):
        return False
    return True


def load(path: str | Path) -> list[Trajectory]:
    """All trajectories of a file. Raises UsageError when there is no such file, or a line other than the last is damaged."""
    return list(read(path))


def read(path: str | Path) -> Iterator[Trajectory]:
    """The trajectories of a file, one at a time; see :func:`load`."""
    path = Path(path)
    if not path.exists():
        raise UsageError(f"there is no trajectory file {path}")
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            if not line.endswith(b"\n"):
                log.warning("%s, line %d: half-written, skipped", path, number)
                return
            try:
                yield decode(line)
            except (ValueError, KeyError, TypeError) as error:
                if not file.peek(1):
                    log.warning("%s, line %d: damaged, skipped (%s)", path, number, error)
                    return
                raise UsageError(f"{path}, line {number} is no trajectory: {type(error).__name__}: {error}") from error


# --- one line ------------------------------------------------------------------------------------------------------------


def encode(trajectory: Trajectory) -> bytes:
    """One line, the line feed included."""
    key, outcome = trajectory.key, trajectory.outcome
    record = {
        "format": FORMAT,
        "key": _key_record(key),
        "goal": trajectory.goal,
        "outcome": {
            "kind": outcome.kind,
            "reward": _number(outcome.reward),
            "raw_reward": _number(outcome.raw_reward),
            "message": outcome.message,
            "retries": outcome.retries,
            **({"faults": list(outcome.faults)} if outcome.faults else {}),
        },
        "final_hash": trajectory.final_hash,
        "turns": [_turn_record(turn) for turn in trajectory.turns],
    }
    if trajectory.final_prompt_ids:
        record["final_prompt_ids"] = [int(i) for i in trajectory.final_prompt_ids]
    text = json.dumps(record, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return text.encode("utf-8", "surrogatepass") + b"\n"  # agents can write lone surrogates


def decode(line: bytes) -> Trajectory:
    """The trajectory of one line. Raises ValueError, KeyError or TypeError on a damaged one."""
    try:
        return _decoded(json.loads(line.decode("utf-8", "surrogatepass"), parse_constant=_no_number))
    except (RecursionError, OverflowError, AttributeError) as error:
        raise ValueError(f"damaged: {type(error).__name__}") from None


def _no_number(name: str) -> float:
    raise ValueError(f"{name} is no number that JSON knows")


def _decoded(record: dict[str, Any]) -> Trajectory:
    if record["format"] != FORMAT:
        raise ValueError(f"format {record['format']} is not known, this version reads {FORMAT}")
    outcome = record["outcome"]
    _all_of(str, record["goal"], outcome["kind"], outcome["message"], record["final_hash"])
    if outcome["kind"] not in KINDS:
        raise ValueError(f"expected an outcome of the kinds {', '.join(KINDS)}, got {outcome['kind']!r:.80}")
    faults = tuple(outcome.get("faults", ()))  # older files have none
    _all_of(str, *faults)
    _all_of(int, outcome["retries"], *record.get("final_prompt_ids", ()))
    return Trajectory(
        key=_key(record["key"]),
        goal=record["goal"],
        turns=tuple(_turn(turn) for turn in record["turns"]),
        outcome=Outcome(**{**outcome, "reward": _float(outcome["reward"]), "raw_reward": _float(outcome["raw_reward"]), "faults": faults}),
        final_hash=record["final_hash"],
        final_prompt_ids=tuple(record.get("final_prompt_ids", ())),
    )


def _key_record(key: EpisodeKey) -> list[str | int]:
    return [key.task_id, key.seed, key.iteration, key.group, key.member]


def _key(record: list[Any]) -> EpisodeKey:
    task_id, *numbers = record
    _all_of(str, task_id)
    _all_of(int, *numbers)
    return EpisodeKey(task_id, *numbers)


def _all_of(kind: type, *values: object) -> None:
    """Raises TypeError for a value of another type, as a damaged or hostile file may hold."""
    for value in values:
        if type(value) is not kind:
            raise TypeError(f"expected {kind.__name__}, got {type(value).__name__}")


_TURN_FIELDS = (
    "action",
    "error",
    "reward",
    "terminated",
    "truncated",
    "observation_hash",
    "state_hash",
    "url",
    "page",
    "screenshot",
)


def _turn_record(turn: Turn) -> dict[str, Any]:
    completion, sampling = turn.completion, turn.completion.sampling
    record: dict[str, Any] = {name: getattr(turn, name) for name in _TURN_FIELDS}
    record["reward"] = _number(turn.reward)
    record["times"] = [_number(turn.times.policy_s), _number(turn.times.browser_s)]
    if turn.box is not None:
        record["box"] = [_number(x) for x in turn.box]
    if turn.target is not None:
        record["target"] = _node_record(turn.target, turn.box)
    if turn.mention is not None:
        same = turn.mention.node == turn.target
        record["mention"] = [turn.mention.line] if same else [turn.mention.line, _node_record(turn.mention.node, None)]
    record["completion"] = {
        "text": completion.text,
        "prompt": completion.prompt,
        "prompt_ids": [int(i) for i in completion.prompt_ids],
        "action_ids": [int(i) for i in completion.action_ids],
        "behaviour_logprobs": [_number(x) for x in completion.behaviour_logprobs],
        "sampling": None
        if sampling is None
        else [
            _number(sampling.temperature),
            _number(sampling.top_p),
            sampling.top_k,
            sampling.max_tokens,
            sampling.greedy,
            *([sampling.grammar] if sampling.grammar else []),
        ],
        "policy_version": completion.policy_version,
    }
    if completion.key:
        record["completion"]["key"] = completion.key
    if completion.origin:
        record["completion"]["origin"] = _key_record(completion.origin)
    return record


def _turn(record: dict[str, Any]) -> Turn:
    fields = {name: record[name] for name in _TURN_FIELDS}
    _all_of(str, *(fields[name] for name in _TURN_FIELDS if name not in ("reward", "terminated", "truncated")))
    _all_of(bool, fields["terminated"], fields["truncated"])
    fields["reward"] = _float(record["reward"])
    completion = dict(record["completion"])
    completion["prompt_ids"] = tuple(completion["prompt_ids"])
    completion["action_ids"] = tuple(completion["action_ids"])
    _all_of(int, *completion["prompt_ids"], *completion["action_ids"], completion.get("policy_version", 0))
    _all_of(str, completion["text"], completion["prompt"], completion.get("key", ""))
    if "origin" in completion:
        completion["origin"] = _key(completion["origin"])
    completion["behaviour_logprobs"] = tuple(_float(x) for x in completion["behaviour_logprobs"])
    if completion["sampling"] is not None:
        temperature, top_p, top_k, max_tokens, greedy, *grammar = completion["sampling"]  # without grammar in most
        _all_of(int, top_k, max_tokens)
        _all_of(bool, greedy)
        _all_of(str, *grammar)
        completion["sampling"] = Sampling(_float(temperature), _float(top_p), top_k, max_tokens, greedy, *grammar)
    policy_s, browser_s = record["times"]
    fields["box"] = box = _box(record.get("box"))
    if "target" in record:  # older files have none
        fields["target"] = _node(record["target"], box)
    if "mention" in record:
        line, *other = record["mention"]
        fields["mention"] = Mention(_node(other[0], None) if other else fields["target"], line)
    return Turn(completion=Completion(**completion), times=Times(_float(policy_s), _float(browser_s)), **fields)


def _node_record(node: Node, box: Box | None) -> dict[str, Any]:
    """The fields in which the node differs from a bare one at `box`."""
    record: dict[str, Any] = {"role": node.role, "text": node.text}
    record |= {name: value for name in ("ref", "value") if (value := getattr(node, name)) is not None}
    if node.states:
        record["states"] = list(node.states)
    if node.depth:
        record["depth"] = node.depth
    if node.box != box:
        record["box"] = None if node.box is None else [_number(x) for x in node.box]
    return record


def _node(record: dict[str, Any], box: Box | None) -> Node:
    _all_of(str, record["role"], record["text"], record.get("value") or "", *record.get("states", ()))
    given = {**record, "states": tuple(record.get("states", ())), "box": _box(record["box"]) if "box" in record else box}
    return Node(**given)


def _box(numbers: list[float | str | None] | None) -> Box | None:
    return cast(Box, tuple(_float(x) for x in numbers)) if numbers else None


def _number(value: float) -> float | str | None:
    """A float as JSON, which knows no NaN and no infinity."""
    number = float(value)
    if math.isfinite(number):
        return number
    return None if math.isnan(number) else ("inf" if number > 0 else "-inf")


def _float(value: float | str | None) -> float:
    return math.nan if value is None else float(value)


# --- pictures ------------------------------------------------------------------------------------------------------------


def png(pixels: "np.ndarray") -> bytes:
    """Pixels [height, width, 3] uint8 as a PNG file (W3C PNG, 8-bit RGB, filter 0)."""
    import numpy as np

    if pixels.ndim != 3 or pixels.shape[2] != 3 or pixels.dtype != np.uint8:
        raise ValueError(f"expected pixels [height, width, 3] of uint8, got {list(pixels.shape)} of {pixels.dtype}")
    height, width, _ = pixels.shape
    rows = np.zeros((height, 1 + 3 * width), np.uint8)
    rows[:, 1:] = pixels.reshape(height, 3 * width)
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(rows.tobytes(), 1)), (b"IEND", b""))
    parts = (struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in chunks)
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)
