"""Does this tree do what an earlier commit did, bit for bit, on this machine? For changes that must not change any result.

    make golden [ARGS='--only twin']
    python -m benchmarks.golden [--base REV] [--only tasks default archer twin] [--keep FOLDER] [--json]

Both trees play the same small runs at the same time, each through its own command line and in a folder of its own: GRPO on the default
tasks and ArCHer-PPO in the browser; on the text twin an overlapped run that is resumed, ArCHer with its replay, DAPO under the grammar,
and imitation. One episode of every task goes through `benchmarks/golden_worker.py`, since no command records such episodes.

Then every file that they left is compared, value by value: rows of metrics and of the critic's values, episodes (keys, prompt ids,
sampled ids, log-probabilities, hashes, actions, errors, rewards, outcomes, pages, boxes), weights of policy and critic, optimisers and
generators, configurations, reports, pictures. Floats are equal where all their bits are. Left out is what a clock decides and what says
where and when a run was: metrics and times of turns by the name `time…`, and the files of LEFT_OUT. The text of prompts is left out too,
since their ids are compared. Configurations are compared by their present keys, and fields of turns that are new are left out.
"""

import argparse
import json
import os
import shlex
import signal
import subprocess
import sys
import tempfile
import time
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import asdict, dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Any, Literal, get_args

import torch
from rich.console import Console
from rich.table import Table
from rich.text import Text
from safetensors.torch import load_file

BASE = "6dd7be44c5785e1bc4489fe509cc565cda0f6b2f"
"""The commit whose results this tree must have."""
ROOT = Path(__file__).resolve().parents[1]
WORKER = Path(__file__).with_name("golden_worker.py")
PATIENCE_S = 1200.0
"""Longest wait for one command."""
TAIL = 30
"""Lines that are shown of what a command said before it failed."""

LEFT_OUT = {
    "run.json": "start time, command, platform",
    "live.json": "what sessions do, and since when",
    "lock": "empty",
    "manifest.json": "digests of files that are compared themselves",
    "tensorboard": "the rows of metrics.jsonl, with times",
    "latest": "a link to the run",
}
"""Files and folders that are not compared, and what is in them."""

NEW_OF_TURNS = ("target", "mention")
"""Fields of turns that the base does not record: they say once what the prompt's text and the box say too."""
NO_KEYS_OF_LOCAL = {"base_url": "", "model": "", "reload": "vllm", "logprobs": "raw"}
"""Keys that the base writes into the configuration of samplers of this process, which have none of them."""

Part = Literal["tasks", "default", "archer", "twin"]
Side = Literal["base", "here"]
SIDES: tuple[Side, ...] = get_args(Side)


@dataclass(frozen=True)
class Play:
    """Commands of one folder, one after the other. What one prints with `--json` is kept as a file there."""

    part: Part
    name: str
    commands: tuple[tuple[str, ...], ...]


def training(algo: str, where: str, *settings: str) -> tuple[str, ...]:
    """The command of a small run in `runs/run`: three iterations, evaluated before and after."""
    common = ("iterations=3", "minutes=null", "eval_seeds=1", "checkpoint_every=3")
    return "train", "--algo", algo, *where.split(), "--out", "runs", "--name", "run", *_set(*common, *settings)


def _set(*settings: str) -> list[str]:
    return [word for setting in settings for word in ("--set", setting)]


BROWSER = "--tasks miniwob.click-button --tasks miniwob.login-user"
TWIN = "--tasks wizard.h3 --backend text"
PLAYS = (
    Play("tasks", "every task", (("golden_worker",),)),
    Play("default", "grpo", (training("grpo", "", "groups=6", "negative=1"),)),
    Play(
        "archer",
        "archer",
        (training("archer", BROWSER, "groups=3", "sessions=4", "screenshots=1", "critic.warmup_iterations=1", "trackers=[]"),),
    ),
    Play(
        "twin",
        "archer, overlapped, resumed",
        (
            training(
                "archer", TWIN, "iterations=2", "groups=3", "group_size=3", "sessions=4", "async=true", "gate=false", "trackers=[]",
                "bootstrap_at_limit=true", "critic.warmup_iterations=1", "critic.values_from=cross_fit", "critic.folds=2",
            ),
            ("train", "--resume", "runs/run", *_set("iterations=3")),
            ("eval", "--checkpoint", "runs/run", "--backend", "text", "--seeds", "4", "--greedy", "--json"),
            ("truth", "--run", "runs/run", "--episodes", "2", "--continuations", "4", "--json"),
        ),
    ),
    Play(
        "twin",
        "archer_q",
        (training("archer_q", TWIN, "groups=2", "group_size=2", "sessions=2", "replay=2", "q.epochs=1", "trackers=[]"),),
    ),
    Play(
        "twin",
        "dapo, grammar",
        (
            training(
                "dapo", TWIN, "groups=2", "group_size=3", "grammar=true", "resample=2", "loss.kl=k3", "loss.kl_coef=0.01", "trackers=[]",
                "sampler.kind=batched", "sessions=1",  # what a batch holds depends on the clock, and the last bits on what it holds
            ),
        ),
    ),
    Play(
        "twin",
        "imitation",
        (
            ("demos", *TWIN.split(), "--episodes", "20", "--slips", "0.35", "--out", "demos"),
            ("sft", "--demos", "demos", "--out", "model", "--threads", "1",
             *_set("epochs=4", "batch_tokens=2048", "held_out=0.2", "shape.layers=1", "shape.hidden=64")),
        ),
    ),
)  # fmt: skip


# --- playing -------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Failure:
    """A command that did not end well, and the last of what it said."""

    side: Side
    command: str
    how: str
    tail: str


@contextmanager
def worktree(revision: str) -> Iterator[tuple[str, Path]]:
    """The commit's full name, and a temporary folder with its files. Ends the program where the clone does not hold it."""
    name = _git("rev-parse", "--verify", "--quiet", f"{revision}^{{commit}}")
    if not name:
        shallow = "git fetch --unshallow" if _git("rev-parse", "--is-shallow-repository") == "true" else "git fetch"
        raise SystemExit(f"golden: this clone does not hold the commit {revision}: bring it with `{shallow}`, or give another --base")
    with tempfile.TemporaryDirectory(prefix="golden-base-") as folder:
        path = Path(folder).resolve() / "tree"
        try:
            added = subprocess.run(
                ["git", "worktree", "add", "--quiet", "--detach", str(path), name], cwd=ROOT, stderr=subprocess.PIPE, text=True
            )
            if added.returncode:
                raise SystemExit(f"golden: git could not check out {revision}: {added.stderr.strip()}")
            yield name, path
        finally:
            _git("worktree", "remove", "--force", str(path))


def _git(*words: str) -> str:
    """What git says; nothing where it fails or is not there."""
    with suppress(OSError):
        found = subprocess.run(["git", *words], cwd=ROOT, capture_output=True, text=True)
        return found.stdout.strip() if found.returncode == 0 else ""
    return ""


def played(play: Play, trees: Mapping[Side, Path], parent: Path) -> tuple[dict[Side, Path], list[Failure]]:
    """The folders that this play left for both trees, which take each command at the same time; failures end it."""
    folders: dict[Side, Path] = {side: parent / side / play.name.replace(", ", "-").replace(" ", "-") for side in trees}
    for folder in folders.values():
        folder.mkdir(parents=True)
    for number, words in enumerate(play.commands):
        if failures := _both(words, number, trees, folders):
            return folders, failures
    return folders, []


def _both(words: tuple[str, ...], number: int, trees: Mapping[Side, Path], folders: Mapping[Side, Path]) -> list[Failure]:
    """The failures of one command in both trees."""
    processes: dict[Side, subprocess.Popen[bytes]] = {}
    deadline, failures = time.monotonic() + PATIENCE_S, []
    try:
        for side, tree in trees.items():
            said, errors = _said(folders[side], number)
            with said.open("wb") as out, errors.open("wb") as err:
                processes[side] = subprocess.Popen(
                    _argv(tree, words), cwd=folders[side], env=_environment(tree), stdout=out, stderr=err, start_new_session=True
                )
        for side, process in processes.items():
            how = ""
            try:
                if process.wait(max(0.0, deadline - time.monotonic())):
                    how = f"ended with {process.returncode}"
            except subprocess.TimeoutExpired:
                how = f"did not end within {PATIENCE_S:g} s"
            said, errors = _said(folders[side], number)
            if how:
                text = (errors if errors.read_bytes().strip() else said).read_text("utf-8", "replace")
                failures.append(Failure(side, shlex.join(words), how, "\n".join(text.rstrip().splitlines()[-TAIL:])))
            elif "--json" in words:
                (folders[side] / f"report-{number}.json").write_bytes(said.read_bytes())
    finally:
        for process in processes.values():
            if process.poll() is None:  # with its browser
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                process.wait()
    return failures


def _said(folder: Path, number: int) -> tuple[Path, Path]:
    """Files for standard output and standard error, beside the folder."""
    return folder.with_name(f"{folder.name}-{number}.out"), folder.with_name(f"{folder.name}-{number}.err")


def _argv(tree: Path, words: Sequence[str]) -> list[str]:
    if words[0] == "golden_worker":  # without its own folder on the path, whose modules have the names of packages
        return [sys.executable, "-P", str(WORKER), str(tree), "."]
    return [sys.executable, str(tree / "cli.py"), *words]


def _environment(tree: Path) -> dict[str, str]:
    """One thread in libraries that would take more, and no hub."""
    fixed = {"PYTHONPATH": str(tree), "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}
    return {**os.environ, **fixed}


def check_imports(tree: Path) -> None:
    """Ends the program unless Python takes the modules of this tree, rather than installed ones."""
    code = "import cli, trainers, webgym; print(cli.__file__, trainers.__file__, webgym.__file__, sep='\\n')"
    found = subprocess.run([sys.executable, "-P", "-c", code], env=_environment(tree), cwd=tree.parent, capture_output=True, text=True)
    if found.returncode:
        raise SystemExit(f"golden: {tree} cannot be imported:\n{found.stderr}")
    for file in found.stdout.split("\n")[:3]:
        if not Path(file).resolve().is_relative_to(tree):
            raise SystemExit(f"golden: expected the modules of {tree}, got {file}")


# --- is it the same? -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Compared:
    """One kind of values of one play. `difference` is the first one in words, empty where all are equal."""

    part: str
    play: str
    what: str
    values: int
    difference: str = ""


Contents = dict[str, dict[str, Any]]
"""Values by kind, then by where they stand. A value is a scalar, a flat list of scalars, or a tensor."""

HASHES = ("observation_hash", "state_hash", "final_hash")
TOKENS = ("completion", "final_prompt_ids")


def compared(play: Play, base: Path, here: Path, trees: Mapping[Side, Path]) -> list[Compared]:
    """A row for each kind of values that either folder holds."""
    one, other = contents(base, trees["base"]), contents(here, trees["here"])
    if not one:
        return [Compared(play.part, play.name, "files", 0, "there are none")]
    found = []
    for what in dict.fromkeys([*one, *other]):
        first, second = one.get(what, {}), other.get(what, {})
        values = sum(size(first[where]) for where in first.keys() & second.keys())
        found.append(Compared(play.part, play.name, what, values, difference(first, second) or faults(first)))
    return found


def contents(folder: Path, tree: Path) -> Contents:
    """All values of the files in this folder but those left out. Its own path and the tree's become FOLDER and TREE in texts."""
    found: Contents = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder)
        if path.is_dir() or not LEFT_OUT.keys().isdisjoint(name.parts):
            continue
        found.setdefault("files", {})[name.as_posix()] = True
        for what, where, value in _values(path, name, {str(folder): "FOLDER", str(tree): "TREE"}):
            found.setdefault(what, {})[where] = value
    return found


def _values(path: Path, name: Path, placeholders: Mapping[str, str]) -> Iterator[tuple[str, str, Any]]:
    """(kind, where, value) of one file."""
    if path.suffix == ".safetensors":
        model = next((part for part in ("critic", "policy") if part in name.parts), "model")
        yield from ((f"weights of the {model}", f"{name}, {where}", x) for where, x in load_file(path).items())
    elif path.name == "state.pt":
        state = torch.load(path, map_location="cpu", weights_only=True)
        yield from (("optimisers, generators, counters", f"{name}{where}", x) for where, x in leaves(state))
    elif path.suffix in (".jsonl", ".json", ".toml"):
        text = path.read_text("utf-8", "surrogatepass")
        for old, new in placeholders.items():
            text = text.replace(old, new)
        if path.suffix == ".jsonl":
            for number, line in enumerate(text.splitlines(), 1):
                record = json.loads(line)
                yield from _episode(name, number, record) if "turns" in record else _row(name, number, record)
        else:
            what = "reports" if path.name.startswith("report-") else "configurations, tokenizers"
            data = json.loads(text) if path.suffix == ".json" else tomllib.loads(text)
            data = grouped(data) if path.name == "config.toml" else data
            yield from ((what, f"{name}{where}", x) for where, x in leaves(data))
    else:
        yield "pictures" if path.suffix == ".png" else "other files", str(name), blake2b(path.read_bytes()).hexdigest()


def grouped(config: dict[str, Any]) -> dict[str, Any]:
    """A run's configuration with keys by their present names, so that old and new spellings of one setting are equal."""
    from trainers.runs.moved_keys import moved

    config = moved(config)
    sampler = dict(config.get("sampler", {}))
    if sampler.get("kind") in ("local", "batched"):
        sampler = {key: x for key, x in sampler.items() if NO_KEYS_OF_LOCAL.get(key) != x and (key, x) != ("options", {})}
    return {**config, "sampler": sampler}


def _row(name: Path, number: int, record: Mapping[str, Any]) -> Iterator[tuple[str, str, Any]]:
    """A row of metrics, of the critic's values, of truths; without what the clock says."""
    timeless = {key: x for key, x in record.items() if not key.startswith("time")}
    yield from ((f"rows of {name.stem}", f"{name}, row {number}{where}", x) for where, x in leaves(timeless))


def _episode(name: Path, number: int, record: Mapping[str, Any]) -> Iterator[tuple[str, str, Any]]:
    """An episode: its own values, then those of each turn; without times and the text of prompts."""
    place = f"{name}, episode {number} of {record['key'][0]}"
    yield from _fields(place, {key: x for key, x in record.items() if key != "turns"})
    yield "episodes", f"{place}: turns", len(record["turns"])
    for index, turn in enumerate(record["turns"]):
        completion = {key: x for key, x in turn["completion"].items() if key != "prompt" and (key, x) != ("key", "")}
        timeless = {key: x for key, x in turn.items() if key not in ("times", *NEW_OF_TURNS)}
        yield from _fields(f"{place}, turn {index}", {**timeless, "completion": completion})


def _fields(place: str, record: Mapping[str, Any]) -> Iterator[tuple[str, str, Any]]:
    for key, x in record.items():
        what = "hashes of pages and states" if key in HASHES else "tokens, log-probabilities" if key in TOKENS else "episodes"
        yield from ((what, f"{place}{where}", value) for where, value in leaves({key: x}))


def leaves(value: Any, where: str = "") -> Iterator[tuple[str, Any]]:
    """Where each value of nested data stands, and the value.

    >>> list(leaves({"a": {"b": [1, 2]}, "c": [{"d": None}]}))
    [(': a.b', [1, 2]), (': c.0.d', None)]
    """
    if isinstance(value, dict) and value:
        items: Any = value.items()
    elif isinstance(value, list | tuple) and any(isinstance(x, dict | list | tuple | torch.Tensor) for x in value):
        items = enumerate(value)
    else:
        yield where, value
        return
    for key, x in items:
        yield from leaves(x, f"{where}.{key}" if where else f": {key}")


def size(value: Any) -> int:
    """How many numbers or texts a value holds; an empty one counts as one."""
    return value.numel() if isinstance(value, torch.Tensor) else max(1, len(value)) if isinstance(value, list | tuple) else 1


def difference(one: Mapping[str, Any], other: Mapping[str, Any]) -> str:
    """Where two sets of values first differ, with both values, and how many places do; empty where none does."""
    apart = [where for where in one if where not in other or not same(one[where], other[where])]
    apart += [where for where in other if where not in one]
    if not apart:
        return ""
    where, more = apart[0], f" (and {len(apart) - 1} more)" if len(apart) > 1 else ""
    if where not in other:
        return f"{where}: only in the base{more}"
    if where not in one:
        return f"{where}: only here{more}"
    return f"{where}{told(one[where], other[where])}{more}"


def same(one: Any, other: Any) -> bool:
    """Whether two values are of one type and equal in all bits; a NaN equals itself."""
    if isinstance(one, torch.Tensor) and isinstance(other, torch.Tensor):
        return one.dtype == other.dtype and one.shape == other.shape and torch.equal(_bits(one), _bits(other))
    return type(one) is type(other) and repr(one) == repr(other)


def _bits(tensor: torch.Tensor) -> torch.Tensor:
    """Its bytes, [elements, bytes of one]."""
    return tensor.contiguous().reshape(-1, 1).view(torch.uint8)


def told(one: Any, other: Any) -> str:
    """Where inside the values the difference is, and what stands there in the base and here."""
    if isinstance(one, torch.Tensor) and isinstance(other, torch.Tensor):
        if (one.dtype, one.shape) != (other.dtype, other.shape):
            return f": base {one.dtype} {list(one.shape)}, here {other.dtype} {list(other.shape)}"
        index = int((_bits(one) != _bits(other)).any(1).nonzero()[0])
        return f"[{index}]: base {one.reshape(-1)[index].item()!r}, here {other.reshape(-1)[index].item()!r}"
    if isinstance(one, list | tuple) and type(one) is type(other):
        if len(one) != len(other):
            return f": base {len(one)} values, here {len(other)}"
        index = next(i for i, pair in enumerate(zip(one, other, strict=True)) if not same(*pair))
        return f"[{index}]: base {one[index]!r}, here {other[index]!r}"
    if isinstance(one, str) and isinstance(other, str) and max(len(one), len(other)) > 80:  # from a little before they part
        start = max(0, next((i for i, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other))) - 20)
        return f", from character {start}: base {one[start : start + 60]!r}, here {other[start : start + 60]!r}"
    return f": base {one!r}, here {other!r}"


def faults(values: Mapping[str, Any]) -> str:
    """The first episode in which the machinery failed, though it did so in both trees: what was not played proves nothing."""
    failed = [where for where, x in values.items() if where.endswith(": outcome.kind") and x in ("fault", "agent_caused")]
    return f"{failed[0]}: {values[failed[0]]} in both trees, which proves nothing ({len(failed)} in all)" if failed else ""


# --- what is said --------------------------------------------------------------------------------------------------------


def table(found: Sequence[Compared], title: str) -> Table:
    """What was compared, and the first difference of each kind."""
    shown = Table(title=title, title_justify="left")
    for name in ("part", "run", "compared"):
        shown.add_column(name)
    shown.add_column("values", justify="right")
    shown.add_column("base and here", overflow="fold")
    for row in found:
        shown.add_row(row.part, row.play, row.what, f"{row.values:,}", Text(row.difference or "equal"))
    return shown


def golden(revision: str, parts: Sequence[Part], parent: Path) -> tuple[str, list[Compared], list[Failure]]:
    """The base commit, the rows of all plays, and what failed. Progress goes to standard error."""
    found: list[Compared] = []
    failed: list[Failure] = []
    with worktree(revision) as (commit, base):
        trees: dict[Side, Path] = {"base": base, "here": ROOT}
        for tree in trees.values():
            check_imports(tree)
        for play in (play for play in PLAYS if play.part in parts):
            begun = time.monotonic()
            folders, failures = played(play, trees, parent)
            if failures:
                rows = [Compared(play.part, play.name, x.command.partition(" ")[0], 0, f"{x.side}: {x.how}") for x in failures]
            else:
                rows = compared(play, folders["base"], folders["here"], trees)
            different = sum(bool(row.difference) for row in rows)
            words = f"{different} of {len(rows)} kinds differ" if different else f"{sum(row.values for row in rows):,} values equal"
            print(f"{play.part}, {play.name}: {words} ({time.monotonic() - begun:.0f} s)", file=sys.stderr, flush=True)
            for x in failures:
                print(f"--- {x.side}: `{x.command}` {x.how}:\n{x.tail}\n---", file=sys.stderr, flush=True)
            found += rows
            failed += failures
    return commit, found, failed


def _folder(kept: Path | None) -> Any:
    """Where the trees play: a temporary folder, or one that is kept. Ends the program where that one is not empty."""
    if kept is None:
        return tempfile.TemporaryDirectory(prefix="golden-")
    kept.mkdir(parents=True, exist_ok=True)
    if any(kept.iterdir()):
        raise SystemExit(f"golden: {kept} is not empty: give another --keep, or remove it")
    return nullcontext(kept)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--base", default=BASE, metavar="REV", help="commit whose results this tree must have")
    parser.add_argument("--only", nargs="+", choices=get_args(Part), default=get_args(Part), metavar="PART", help=", ".join(get_args(Part)))
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="play in this folder and keep it")
    parser.add_argument("--json", action="store_true", help="JSON on standard output")
    given = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that the base's folder goes then too
    begun = time.monotonic()
    with _folder(given.keep) as parent:
        commit, found, failed = golden(given.base, given.only, Path(parent).resolve())
    different = sum(bool(row.difference) for row in found)
    if given.json:
        result = {"base": commit, "equal": not different, "seconds": round(time.monotonic() - begun, 1), "left_out": LEFT_OUT}
        print(json.dumps({**result, "rows": [asdict(row) for row in found], "failures": [asdict(x) for x in failed]}, indent=2))
    else:
        console = Console()
        console.width = max(console.width, 160)
        console.print(table(found, f"this tree against {commit[:12]}"))
        values = sum(row.values for row in found)
        verdict = f"{different} of {len(found)} kinds of values differ" if different else f"all {values:,} values are equal, bit for bit"
        left_out = ", ".join(LEFT_OUT)
        print(f"{verdict} ({time.monotonic() - begun:.0f} s); left out: time/…, times of turns, the text of prompts, {left_out}")
    raise SystemExit(bool(different))


if __name__ == "__main__":
    main()
