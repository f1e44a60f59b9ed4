"""Fuzzing of all that reads texts of strangers: actions, answers, addresses, task files, trajectories, checkpoints' files, prompts.

    python -m benchmarks.fuzz [--inputs 1000000] [--seed 0] [--only NAME] [--json FILE]

Inputs are made by mutation: pieces of good inputs are cut, doubled, swapped and mixed with characters that break things (lone surrogates,
NULs, bidi marks, brackets by the thousand, numbers without end). A target says what is wrong with what it made of an input: an error of a
kind that is none of its own, or a property that must hold. Nothing here is drawn by the clock, so a seed finds the same again.
"""

# ruff: noqa: E501
import argparse
import json
import random
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from benchmarks.fuzz_runs import JSON_FILES, manifest, reader, spoiled
from trainers.runs.checkpoint import Checkpoint
from trainers.runs.journal import Journal
from webgym import types as t
from webgym.actions import DIALECTS, parse, render
from webgym.authoring import task_file
from webgym.authoring.checks import read_date, read_items, read_number
from webgym.errors import CheckpointError, TaskFileError
from webgym.prompts.prompt import prompt_text
from webgym.prompts.settings import COMPACT, PromptSettings
from webgym.record import layout
from webgym.record.episodes import glance
from webgym.record.store import decode
from webgym.sites.address import allowed_address
from webgym.types import InvalidAction, Node, Observation, well_formed

EVIL = (
    "\ud800", "\udfff", "\0", "\u202e", "\u2028", "\x85", "\ufeff", "\u0301", "\x1b[2J", "\r", "\n\n", "\t", '"', "'", "\\", "`", "[" * 200, "(" * 200,
    "{" * 200, "]" * 50, "9" * 400, "-", "1e999", "NaN", "Infinity", "null", "true", "<think>", "</think>", "<|im_end|>", "$1", "#0", "*3", "%00", "://",
    "@", "../", "!!python/object:x", "&a", "*a", "<<:", "é", "漢", "😀", "", " ",
)  # fmt: skip
GOAL = 'Type "Ann" and press "Submit".'
HOSTS = ("a.localhost", "https://b.example:8443")


def mutated(seeds: Sequence[str], rng: random.Random) -> str:
    """An input: a good one with a few pieces changed."""
    text = rng.choice(seeds)
    for _ in range(rng.randrange(5)):
        at, upto = sorted((rng.randrange(len(text) + 1), rng.randrange(len(text) + 1)))
        kind = rng.randrange(6)
        if kind == 0:
            text = text[:at] + rng.choice(EVIL) + text[at:]
        elif kind == 1:
            text = text[:at] + text[upto:]
        elif kind == 2:
            text = text[:upto] + text[at:upto] * rng.randrange(1, 4) + text[upto:]
        elif kind == 3:
            text = text[:at] + rng.choice(seeds) + text[at:]
        elif kind == 4:
            text = text[:at] + chr(rng.choice((rng.randrange(128), rng.randrange(0x3000), rng.randrange(0x110000)))) + text[at + 1 :]
        else:
            text = text[:at] + rng.choice(EVIL) + text[upto:]
        text = text[:20_000]
    return text


@dataclass(frozen=True)
class Target:
    """A reader of texts. `wrong` returns what is wrong with what it makes of an input, or ""; any exception is wrong too."""

    name: str
    seeds: Sequence[str]
    wrong: Callable[[str], str]
    share: float = 1.0  # of the inputs; slow readers get fewer
    make: Callable[[Sequence[str], random.Random], str] = mutated


# --- targets -----------------------------------------------------------------------------------------------------------------


def _action(dialect: str) -> Callable[[str], str]:
    def wrong(text: str) -> str:
        action = parse(text, dialect, GOAL)
        if isinstance(action, InvalidAction):
            return "" if isinstance(str(action), str) else "no words"
        again = parse(render(action, "call"), "call", "")
        return "" if again == action else f"{action!r} is written as {render(action, 'call')!r}, which reads as {again!r}"

    return wrong


def _answer(text: str) -> str:
    number = read_number(text)
    read_date(text)
    items = read_items(text)
    if number is not None and not isinstance(number, float):
        return f"a number that is a {type(number).__name__}"
    return "" if all(isinstance(item, str) for item in items) else "an item that is no text"


def _address(text: str) -> str:
    found = allowed_address(text, HOSTS)
    if found is None:
        return ""
    parts = urlsplit(found)
    known = (parts.scheme, parts.hostname, parts.port) in (("http", "a.localhost", None), ("https", "b.example", 8443))
    return "" if known else f"lets {found!r} through"


def _task_file(suffix: str) -> Callable[[str], str]:
    folder = tempfile.TemporaryDirectory(prefix="webgym-fuzz-")
    Path(folder.name, "pages").mkdir()
    path = Path(folder.name, f"tasks{suffix}")

    def wrong(text: str) -> str:
        path.write_bytes(text.encode("utf-8", "surrogatepass"))
        try:
            task_file.read(path)
        except TaskFileError as error:
            return "" if str(path) in str(error) or str(error) else "an error without words"
        return ""

    wrong.folder = folder  # type: ignore[attr-defined]  # it lives as long as the target
    return wrong


def _line(text: str) -> str:
    line = text.encode("utf-8", "surrogatepass")
    for read in (lambda: decode(line), lambda: glance(line, "f", 1, 0)):
        try:
            read()
        except (ValueError, KeyError, TypeError):
            continue
    return ""


def _manifest() -> Callable[[str], str]:
    folder = tempfile.TemporaryDirectory(prefix="webgym-fuzz-")
    path = Path(folder.name)

    def wrong(text: str) -> str:
        (path / layout.MANIFEST).write_bytes(text.encode("utf-8", "surrogatepass"))
        try:
            Checkpoint.open(path).verify()
        except CheckpointError:
            return ""
        return "a forged manifest is taken"

    wrong.folder = folder  # type: ignore[attr-defined]
    return wrong


def _journal() -> Callable[[str], str]:
    folder = tempfile.TemporaryDirectory(prefix="webgym-fuzz-")
    path = Path(folder.name, layout.METRICS)

    def wrong(text: str) -> str:
        path.write_bytes(text.encode("utf-8", "surrogatepass"))
        try:
            list(Journal(path))
        except CheckpointError:
            return ""
        return ""

    wrong.folder = folder  # type: ignore[attr-defined]
    return wrong


def _prompt(text: str) -> str:
    told = well_formed(text)
    line = " ".join(told.split())
    node = Node("textbox", line, ref=0, value=told)
    page = Observation(GOAL, "http://a.localhost/", line, (node, Node("text", line)), tabs=(line, line), error=line, notices=(line,))
    for settings in (COMPACT, PromptSettings()):
        shown = prompt_text(page, (), settings)
        shown.encode()
        if settings is not COMPACT and sum(part.startswith("Goal:") for part in shown.split("\n")) != 1:
            return "a second line of the goal"
        if settings is COMPACT and sum(part.startswith("goal:") for part in shown.split("\n")) != 1:
            return "a second line of the goal"
    return ""


_SAMPLES = (
    t.Click(3), t.Click(1, button="right", count=2, modifiers=("Control",)), t.Fill(0, "Ann"), t.Goto("http://a.localhost/x?y=1"), t.Stop("it is 5"),
    t.Press("Control+a"), t.Press("Enter", 5), t.Drag(1, 2), t.Wait(100), t.Scroll(0.0, 200.0), t.Select(1, ("a", "b")), t.MouseClick(3.0, 4.0),
    t.Upload(0, ("a.txt",)), t.Infeasible("no"), t.Back(), t.Message("hi"), t.Type("x"), t.FocusTab(1), t.Hover(2),
)  # fmt: skip
_ACTIONS = {dialect: tuple(render(action, dialect) for action in _SAMPLES) for dialect in DIALECTS}
_TASKS = """pack: fuzz
site: {pages: pages}
tasks:
  - name: one
    start: /index.html
    goal: Find {name} and say "{n}".
    parameters: {name: [Ann, Bob], n: {integer: [1, 9]}}
    check: {answer: {number: "{n}", tolerance: 0.5}}
    max_turns: 5
  - name: two
    start: /index.html
    goal: Send it.
    check: {all: [{site: {path: index, exists: true}}, {url: /done.html}]}
    files: {cv.txt: me}
"""
_LINE = (
    '{"format":1,"key":["a.b",1,0,0,0],"goal":"g","outcome":{"kind":"failure","reward":0.0,"raw_reward":0.0,"message":"","retries":0},"final_hash":"",'
    '"turns":[{"action":"click(\'0\')","error":"","reward":0.0,"terminated":false,"truncated":false,"observation_hash":"h","state_hash":"s","url":"u",'
    '"page":"p","screenshot":"","times":[0.1,0.2],"box":[1,2,3,4],"target":{"role":"button","text":"b","ref":0},"mention":[3],"completion":{"text":"t",'
    '"prompt":"p","prompt_ids":[1,2],"action_ids":[3],"behaviour_logprobs":[-0.5],"sampling":[1.0,1.0,0,9,false],"policy_version":0}}]}'
)
_MANIFEST = '{"format": 1, "iteration": 1, "score": 0.5, "files": {"a": {"bytes": 1, "blake2b": "00"}}, "digest": "00"}'
_ADDRESSES = (
    "http://a.localhost/x",
    "a.localhost",
    "https://b.example:8443/",
    "http://u:p@a.localhost/",
    "file:///etc/passwd",
    "//a.localhost",
    "http://[::1]/",
)
_TEXTS = (
    "Goal: pay",
    "[3] button",
    "goal: x #1",
    "Ann and Bob",
    "5 January 2026",
    "1,204.50",
    '["a", "b"]',
    "Turns left: 9",
    "plain words",
)


def targets() -> list[Target]:
    """All readers, fresh."""
    return [
        *(Target(f"actions, {dialect}", _ACTIONS[dialect], _action(dialect)) for dialect in DIALECTS),
        Target("answers", _TEXTS, _answer),
        Target("addresses", _ADDRESSES, _address),
        Target("task files, yaml", (_TASKS,), _task_file(".yaml"), 0.02),
        Target("task files, jsonl", ('{"name": "one", "start": "/", "goal": "g", "check": {"page": "x"}}\n',), _task_file(".jsonl"), 0.1),
        Target("trajectories", (_LINE,), _line),
        Target("manifests", (_MANIFEST,), _manifest(), 0.05),
        Target("rows of metrics", ('{"iteration":1,"rollout/success":0.5}\n',), _journal(), 0.05),
        Target("prompts", _TEXTS, _prompt),
        *(Target(f"runs, {name}", (good,), wrong, 0.05, spoiled) for name in JSON_FILES for good, wrong in [reader(name)]),
        *(Target(f"runs, {name}", (good,), wrong, 0.05) for name in (layout.CONFIG,) for good, wrong in [reader(name)]),
        *(Target("runs, manifests with a right digest", (good,), wrong, 0.05, spoiled) for good, wrong in [manifest()]),
    ]


def fuzzed(target: Target, inputs: int, seed: int, most: int = 5) -> list[str]:
    """What is wrong, with the inputs that show it; at most so many."""
    rng, found = random.Random(f"{seed} {target.name}"), []
    for _ in range(inputs):
        text = target.make(target.seeds, rng)
        try:
            wrong = target.wrong(text)
        except Exception as error:
            wrong = f"{type(error).__name__}: {error}"[:200]
        if wrong:
            found.append(f"{target.name}: {wrong} ({text[:300]!r})")
            if len(found) == most:
                break
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--inputs", type=int, default=1_000_000, help="of all targets together")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", default="", help="only targets whose name holds this word")
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    arguments = parser.parse_args()
    chosen = [one for one in targets() if arguments.only in one.name]
    whole = sum(one.share for one in chosen)
    wrong, counts, begun = [], {}, time.monotonic()
    for one in chosen:
        counts[one.name] = round(arguments.inputs * one.share / whole)
        start = time.monotonic()
        found = fuzzed(one, counts[one.name], arguments.seed)
        wrong += found
        print(f"{one.name}: {counts[one.name]:,} inputs, {len(found)} wrong, {time.monotonic() - start:.0f} s", flush=True)
    result = {
        "inputs": sum(counts.values()),
        "seed": arguments.seed,
        "seconds": round(time.monotonic() - begun, 1),
        "counts": counts,
        "wrong": wrong,
    }
    print("\n".join(wrong) or "nothing is wrong")
    print(json.dumps(result))
    if arguments.json:
        arguments.json.write_text(json.dumps(result, indent=1) + "\n")
    raise SystemExit(bool(wrong))


if __name__ == "__main__":
    main()
