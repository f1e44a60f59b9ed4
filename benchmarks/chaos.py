"""Chaos: kills, stops, closed ports, full disks and hostile pages at random moments of a collection and of a training run.

    python -m benchmarks.chaos [--faults 300] [--seed 0] [--sessions 2] [--ledger FILE] [--write docs/faults.md] [--json FILE]

Collection: oracles play MiniWoB++, a site with state and an application in a process of its own. Between their episodes, pages that block,
eat memory, open windows, redirect without end, and flood downloads, sockets and dialogs are opened. Meanwhile one blow after another falls
(`BLOWS`), each on a victim drawn at random. Every episode must end as it does on a calm day, with the same pages, or as a fault; no hostile
page may be a success. Afterwards no process, descriptor or temporary folder may be left.

Training: a run of the browser is struck in the same way, from outside. It must end, and be the calm run bit for bit where every fault was
mended. Then a run is written to a small disk that fills up: it must end with one sentence, and what was saved before must be whole.

With a ledger, each round is on the disk before the next begins, and a run that was cut off goes on from there.
"""

# ruff: noqa: E501
import argparse
import ctypes
import json
import logging
import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch

from benchmarks import marks
from benchmarks.applications import COMMAND
from benchmarks.chaos_tally import Ledger, Tally
from benchmarks.hacks.world import HOST, HackSite
from benchmarks.resume import CASES, Case, _process, _to_the_end, differences
from trainers.runs.run_folder import RunFolder
from webgym.backends.browser import chromium, profile
from webgym.backends.browser.pool import shared_pool
from webgym.backends.browser.session import in_browser
from webgym.commands.processes import descendants
from webgym.errors import CheckpointError
from webgym.loop_thread import loop_thread
from webgym.packs import registry
from webgym.policies.policy import Policy
from webgym.policies.scripted import OraclePolicy
from webgym.rollout.arena import Arena
from webgym.rollout.contract import Deadlines, Retries
from webgym.sites import Query, Server, Sqlite
from webgym.sites.apps.clock import environment, library, set_clock
from webgym.task import PENDING, SUCCESS, Evidence, Start, Task, Verdict
from webgym.types import Action, Click, EpisodeKey, Observation, Trajectory, Wait

CALM_TASKS = ("miniwob.click-button", "miniwob.login-user", "mail.star", "chaos.cards")
PAUSE_S = (0.5, 3.0)  # between two blows
PR_SET_CHILD_SUBREAPER = 36  # of prctl(2)
DISK_MB = 1024  # of the disk that holds all temporary files
BUTTON = "<h1>hostile</h1><button id=b>b</button>"
HOSTILE = {
    "blocks": "<script>b.onclick = () => { for (;;); }</script>",
    "blocks while it loads": "<script>for (;;);</script>",
    "eats memory": "<script>b.onclick = () => { k = []; for (let i = 0; i < 60; i++) k.push(new Uint8Array(1e7).fill(i)) }</script>",
    "opens windows": "<script>b.onclick = () => { for (let i = 0; i < 100; i++) open('/plain?' + i) }</script>",
    "redirects without end": "<script>location = '/?' + Math.random()</script>",
    "floods downloads": "<script>for (let i = 0; i < 200; i++) { const a = document.createElement('a'); a.href = URL.createObjectURL(new Blob(['x']));"
    "a.download = i; a.click() }</script>",
    "floods sockets": "<script>for (let i = 0; i < 300; i++) new WebSocket('ws://' + location.host + '/s')</script>",
    "floods dialogs": "<script>b.onclick = () => { for (let i = 0; i < 300; i++) alert(i) }</script>",
    "floods workers": "<script>for (let i = 0; i < 20; i++) new Worker(URL.createObjectURL(new Blob(['for (;;) {}'])))</script>",
    "crashes its process": "<script>b.onclick = () => { let e = document.body; for (let i = 0; i < 20000; i++) { const d = document.createElement('div');"
    "e.append(d); e = d } }</script>",
    "closes itself": "<script>b.onclick = () => close()</script>",
}  # fmt: skip


# --- what is played ----------------------------------------------------------------------------------------------------------


class Cards:
    """The way through the application: a card is opened, and marked."""

    def __call__(self, page: Observation) -> Action:
        wanted = next(
            (node for name in ("Mark as done", "Card number 3") for node in page.nodes if node.text == name and node.ref is not None), None
        )
        return Click(wanted.ref) if wanted is not None and wanted.ref is not None else Wait()


class Poke:
    """Clicks the button of a hostile page, and waits."""

    def __call__(self, page: Observation) -> Action:
        button = next((node.ref for node in page.nodes if node.text == "b" and node.ref is not None), None)
        return Wait(100) if button is None or page.turn % 2 else Click(button)


def _marked(evidence: Evidence) -> Verdict:
    state: Any = evidence.site_state
    return SUCCESS if any(row["done"] for row in state["cards"]) else PENDING


@contextmanager
def tasks() -> Iterator[None]:
    """The application and the hostile pages, registered."""
    server = Server(
        "http://cards.localhost/", command=COMMAND, reset=[Sqlite("cards.db")], readers={"cards": Query("cards.db", "select * from card")}
    )
    cards = Task(
        "chaos.cards", lambda seed: Start("http://cards.localhost/", "Mark card number 3."), _marked, 6, hosts=(server.host,), oracle=Cards
    )
    hostile = [
        Task(
            f"chaos.hostile-{number}",
            partial(_hostile, BUTTON + script),
            lambda evidence: PENDING,
            3,
            hosts=(HOST,),
            oracle=Poke,
        )
        for number, script in enumerate(HOSTILE.values())
    ]
    site = HackSite()
    registry.register(cards, [server])
    for task in hostile:
        registry.register(task, [site])
    try:
        yield
    finally:
        for task in (cards, *hostile):
            registry.forget(task.id)
        loop_thread().run(server.close())


def _hostile(page: str, seed: int) -> Start:
    return Start(f"http://{HOST}/", "Press b.", site_state={"/": page, "/plain": BUTTON})


# --- blows -------------------------------------------------------------------------------------------------------------------


def _command(process: int) -> bytes:
    try:
        return Path(f"/proc/{process}/cmdline").read_bytes()
    except OSError:
        return b""


def _below(root: int, *signs: bytes, but: bytes = b"\0\0") -> list[int]:
    """Processes below `root` whose command lines hold all of these."""
    return [one for one in descendants(root)[1:] if (line := _command(one)) and all(sign in line for sign in signs) and but not in line]


PROCESSES: Mapping[str, tuple[bytes, ...]] = {
    "browser": (b"remote-debugging-pipe", b"--no-first-run"),
    "renderer": (b"--type=renderer",),
    "graphics process": (b"--type=gpu-process",),
    "driver": (b"run-driver",),
    "site's process": (b"applications_app",),
}
"""Victims by what their command lines hold."""


def strike(root: int, what: str, number: signal.Signals, rng: random.Random) -> bool:
    """Send a signal to one process of the kind below `root`; False where there is none."""
    but = b"--type=" if what == "browser" else b"\0\0"
    found = _below(root, *PROCESSES[what], but=but)
    if not found:
        return False
    try:
        os.kill(rng.choice(found), number)
    except ProcessLookupError:
        return False
    return True


async def _close_port(arena: Arena, rng: random.Random) -> bool:
    """Close the port of a session."""
    living = [env._session for env in arena.envs if env._session is not None]
    if not living:
        return False
    listener = in_browser(rng.choice(living))._profile.listener
    if listener._server is not None:
        listener._server.close()
    return True


def _fill(folder: Path, rng: random.Random) -> bool:
    """Leave no byte of the small disk free for a second or two; False where the folder is on no disk of its own."""
    if not os.path.ismount(folder):
        return False
    path = folder / "filler"
    with path.open("wb") as file:
        try:
            while True:
                file.write(bytes(1 << 20))
                file.flush()
        except OSError:
            time.sleep(rng.uniform(0.5, 2.0))
    path.unlink(missing_ok=True)  # closing a file on a full disk can fail, which is why it was flushed
    return True


def _jump(clock: Path, rng: random.Random) -> bool:
    """Set the wall clock of this process by up to two days; the monotonic clock stays real. Browsers keep the real time: `_with_clock`."""
    set_clock(clock, time.time() + rng.choice((-1, 1)) * rng.choice((1, 60, 3600, 86_400, 172_800)))
    return True


def blows(arena: Arena, rng: random.Random, folder: Path, clock: Path | None) -> dict[str, Callable[[], bool]]:
    """What can fall on a collection of this process, by name."""
    here = os.getpid()
    found: dict[str, Callable[[], bool]] = {f"kill a {what}": partial(strike, here, what, signal.SIGKILL, rng) for what in PROCESSES}
    stopped = ("browser", "renderer", "driver", "site's process")
    found |= {f"stop a {what}": partial(strike, here, what, signal.SIGSTOP, rng) for what in stopped}
    found["close a port"] = lambda: loop_thread().run(_close_port(arena, rng))
    found["fill the disk"] = partial(_fill, folder, rng)
    if clock is not None:
        found["set the clock"] = partial(_jump, clock, rng)
    return found


# --- collection --------------------------------------------------------------------------------------------------------------


def _keys(begin: int, count: int) -> list[EpisodeKey]:
    """Episodes of calm tasks from number `begin` on, and a hostile one after every fourth; all kinds come in turn."""
    found = []
    for number in range(begin, begin + count):
        found.append(EpisodeKey(CALM_TASKS[number % len(CALM_TASKS)], 100 + number % 7, group=2 * number))
        if number % 4 == 3:
            found.append(EpisodeKey(f"chaos.hostile-{number // 4 % len(HOSTILE)}", 0, group=2 * number + 1))
    return found


def shape(trajectory: Trajectory) -> tuple[Any, ...]:
    """What must be the same on every day."""
    return (
        trajectory.outcome.kind,
        trajectory.outcome.reward,
        [(turn.action, turn.observation_hash, turn.state_hash) for turn in trajectory.turns],
    )


@dataclass(frozen=True)
class Field:
    """What a collection is struck with, and where its figures go."""

    rng: random.Random
    folder: Path
    clock: Path | None
    ledger: Ledger
    tell: Callable[[str], None]


def collected(wanted: int, sessions: int, field: Field) -> None:
    """Play rounds until so many blows have hit, those of earlier runs in the ledger included."""
    policy = OraclePolicy(registry.task)
    calm: dict[tuple[str, int], tuple[Any, ...]] = {}
    with Arena(sessions) as arena:
        for found in arena.collect(policy, [key for key in _keys(0, 28) if "hostile" not in key.task_id]):
            calm[found.key.task_id, found.key.seed] = shape(found)
        over, done = threading.Event(), deque[tuple[str, bool]]()
        striker = threading.Thread(target=_strike_on, args=(blows(arena, field.rng, field.folder, field.clock), field, over, done))
        striker.start()
        try:
            while (total := field.ledger.total("collection")).struck < wanted and striker.is_alive():
                _round(arena, policy, calm, field, done, total.episodes)
        finally:
            over.set()
            striker.join()


def _round(arena: Arena, policy: Policy, calm: Mapping[Any, tuple[Any, ...]], field: Field, done: "deque[Any]", played: int) -> None:
    """Play a few episodes, judge them, and write down what fell on them."""
    before, tally = time.monotonic(), Tally()
    found = arena.collect(policy, _keys(played, 8), deadlines=Deadlines(step_s=40.0, close_s=5.0), retries=Retries(limit=6, backoff_s=0.1))
    tally.seconds = tally.longest_s = time.monotonic() - before
    tally.note(found)
    for one in found:
        _judge(one, calm, tally)
    while done:
        name, hit = done.popleft()
        (tally.blows if hit else tally.missed)[name] += 1
    field.ledger.add("collection", tally)
    field.tell(
        f"round: {dict(tally.outcomes)}, {tally.seconds:.0f} s, {field.ledger.total('collection').struck} blows; {tally.wrong or 'ok'}"
    )


def _judge(one: Trajectory, calm: Mapping[tuple[str, int], tuple[Any, ...]], tally: Tally) -> None:
    """Note what is wrong with an episode's end."""
    if "hostile" in one.key.task_id:
        tally.hostile += 1
        if one.outcome.success or one.outcome.reward > 0:
            tally.wrong.append(f"{one.key.task_id} was won")
        return
    tally.episodes += 1
    if not one.outcome.faulted and shape(one) != calm[one.key.task_id, one.key.seed]:
        tally.wrong.append(
            f"{one.key.task_id} (seed {one.key.seed}) ended as {one.outcome.kind}, not as on a calm day, after {one.outcome.faults}"
        )


def _strike_on(known: Mapping[str, Callable[[], bool]], field: Field, over: threading.Event, done: "deque[tuple[str, bool]]") -> None:
    """Let blows fall until it is over."""
    while not over.wait(field.rng.uniform(*PAUSE_S)):
        name = field.rng.choice(sorted(known))
        done.append((name, known[name]()))
        field.tell(f"{name}: {'hit' if done and done[-1][1] else 'nobody there'}")


# --- what is left ------------------------------------------------------------------------------------------------------------


def left(before: set[str], folder: Path) -> list[str]:
    """Processes, descriptors and temporary folders that are still there."""
    loop_thread().run(_close_pool())
    time.sleep(2.0)
    processes = [f"process {one}: {_command(one)[:60]!r}" for one in descendants(os.getpid())[1:] if _state(one) not in ("Z", "")]
    folders = [f"temporary folder {path.name}" for path in folder.glob("*") if path.name.startswith(("playwright", "webgym"))]
    opened = {f"descriptor {name}" for name in _descriptors() - before}
    return [*processes, *folders, *sorted(opened)]


def _adopt() -> None:
    """Have whatever loses its parent below this process become a child of it, so that it is seen when it is left (Linux only)."""
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


async def _close_pool() -> None:
    await (await shared_pool()).close()


def _state(process: int) -> str:
    try:
        return Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except (OSError, IndexError):
        return ""


def _descriptors() -> set[str]:
    """The sockets and pipes that this process holds, and its files."""
    found = set()
    for link in Path("/proc/self/fd").iterdir():
        try:
            found.add(os.readlink(link))
        except OSError:
            continue
    return {name for name in found if not name.startswith("/proc")}


# --- training ----------------------------------------------------------------------------------------------------------------


def trained(parent: Path, wanted: int, rng: random.Random, tell: Callable[[str], None]) -> Tally:
    """A run that is struck from outside, beside the same run on a calm day."""
    case, tally = CASES[0], Tally()
    _to_the_end(partial(case.start, parent, "calm"))
    tell("the calm run is over")
    process = _process(partial(case.start, parent, "struck"))
    assert process.pid is not None
    begun = time.monotonic()
    while process.is_alive() and sum(tally.blows.values()) < wanted:
        process.join(rng.uniform(*PAUSE_S))
        name, number = rng.choice(
            [("browser", signal.SIGKILL), ("renderer", signal.SIGKILL), ("driver", signal.SIGKILL), ("renderer", signal.SIGSTOP)]
        )
        hit = strike(process.pid, name, number, rng)
        (tally.blows if hit else tally.missed)[f"{number.name} of a {name}"] += 1
        tell(f"training: {number.name} of a {name}: {'hit' if hit else 'nobody there'}")
    process.join(900)
    tally.seconds = time.monotonic() - begun
    if process.is_alive() or process.exitcode:
        tally.wrong.append(f"the struck run ended with {process.exitcode}")
        process.kill()
        return tally
    with RunFolder.open(parent / "struck", write=False) as run:
        for path in sorted(run.trajectory_path(1).parent.glob("*.jsonl")):
            from webgym.record.store import load

            tally.note(load(path))
    differ = differences(parent / "calm", parent / "struck")
    lost = tally.outcomes["fault"] + tally.outcomes["agent_caused"]
    if differ and not lost:
        own = [words for words in differ if "rows" not in words]  # the rows count the faults
        tally.wrong += [f"the struck run differs from the calm one: {words}" for words in own]
    return tally


@contextmanager
def small_disk(megabytes: int) -> Iterator[Path | None]:
    """A disk of so many MB; None where this user cannot mount one."""
    with tempfile.TemporaryDirectory(prefix="webgym-disk-") as folder:
        done = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", folder], capture_output=True, check=False)
        if done.returncode:
            yield None
            return
        try:
            yield Path(folder)
        finally:
            subprocess.run(["umount", "-l", folder], capture_output=True, check=False)


def filled(case: Case, megabytes: int) -> str:
    """What is wrong with a run on a disk that fills up; "" for nothing, "skipped: ..." where none can be mounted."""
    with small_disk(megabytes) as disk:
        if disk is None:
            return "skipped: this user cannot mount a small disk"
        process = _process(partial(case.start, disk, "full"))
        process.join(600)
        if process.is_alive():
            process.kill()
            return "the run hangs on a full disk"
        if process.exitcode == 0:
            return "the disk was too large to fill up"
        if not (disk / "full").is_dir():
            return ""  # it ended before anything was written
        with RunFolder.open(disk / "full", write=False) as run:
            try:
                run.latest().verify()
            except CheckpointError as error:
                return "" if "holds no checkpoint yet" in str(error) else str(error)
    return ""


# --- report ------------------------------------------------------------------------------------------------------------------

BEGIN, END = "<!-- chaos: begin -->", "<!-- chaos: end -->"


def table(parts: Mapping[str, Tally], skipped: Sequence[str]) -> str:
    """The figures in Markdown."""
    one, other = parts["collection"], parts["training"]
    lines = ["| what | collection | training |", "|---|---|---|", f"| faults injected | {one.struck} | {other.struck} |"]
    for name in ("episodes", "hostile", "retries"):
        lines.append(f"| {name} | {getattr(one, name)} | {getattr(other, name)} |")
    for name in ("blows", "faults", "outcomes"):
        lines.append(f"| {name} | {_counted(getattr(one, name))} | {_counted(getattr(other, name))} |")
    lines.append(f"| longest ten episodes (s) | {one.longest_s:.0f} | |")
    lines.append(f"| seconds | {one.seconds:.0f} | {other.seconds:.0f} |")
    lines.append(f"| false outcomes, leaks, hangs, torn files | {sum(len(part.wrong) for part in parts.values())} | (all parts) |")
    return "\n".join([*lines, "", *(f"Skipped: {words}." for words in skipped)]).rstrip()


def _counted(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {count}" for name, count in sorted(counts.items())) or "none"


PARTS = ("collection", "training", "disks", "left")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--faults", type=int, default=300, help="blows on the collection; a tenth as many fall on the training run")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--sessions", type=int, default=2)
    parser.add_argument("--no-training", action="store_true", help="the collection only")
    parser.add_argument("--ledger", type=Path, help="a file of the rounds that were played: a run that was cut off goes on from there")
    parser.add_argument("--faketime", type=Path, default=library(), help="the library of libfaketime, where it is not installed")
    parser.add_argument("--write", type=Path, help="put the table into this page")
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    return parser.parse_args()


def _wait(seconds: float) -> None:
    threading.Event().wait(seconds)


def _with_clock(library: Path) -> Path:
    """The file of this process's clock. Begins the process again under the library, where it is not yet."""
    if "FAKETIME_TIMESTAMP_FILE" not in os.environ:
        file = Path(tempfile.mkdtemp(prefix="chaos-clock-"), "clock")
        file.write_text("+0\n")
        os.execve(sys.executable, [sys.executable, "-m", "benchmarks.chaos", *sys.argv[1:]], {**os.environ, **environment(file, library)})
    os.environ.pop("LD_PRELOAD", None)  # under libfaketime, the idle threads of a browser never sleep: it would take the whole machine
    time.sleep = _wait  # type: ignore[assignment]  # where the clock jumped, libfaketime refuses some sleeps
    return Path(os.environ["FAKETIME_TIMESTAMP_FILE"])


@contextmanager
def _folder() -> Iterator[tuple[Path, str]]:
    """The folder of all temporary files, on a small disk where one can be mounted; and what is skipped where none can be."""
    with small_disk(DISK_MB) as disk, tempfile.TemporaryDirectory(prefix="chaos-") as plain:
        folder = disk or Path(plain)
        os.environ["TMPDIR"] = tempfile.tempdir = str(folder)
        yield folder, "" if disk else "a full disk under a collection (this user cannot mount a small disk)"


def main() -> None:
    arguments = _arguments()
    clock = None if arguments.faketime is None else _with_clock(arguments.faketime)
    ledger = Ledger(arguments.ledger)
    rng = random.Random(f"{arguments.seed} {len(ledger)}")
    _adopt()
    torch.set_num_threads(1)  # a process that has threads cannot be forked
    logging.disable(logging.CRITICAL)
    chromium.ANSWER_S, profile.CLOSE_S = 4.0, 2.0  # a stopped process costs less of the time in which others are struck

    def tell(words: str) -> None:
        print(words, file=sys.stderr, flush=True)

    with _folder() as (folder, skip):
        skipped = [words for words in (skip, "" if clock else "a clock that jumps (libfaketime is not installed)") if words]
        if not arguments.no_training and not ledger.has("disks"):  # first: what is forked must not have a browser yet
            if not ledger.has("training"):
                ledger.add("training", trained(folder / "runs", max(1, arguments.faults // 10), rng, tell))
                tell(f"training: {ledger.total('training')}")
            disks = {f"{size} MB": filled(CASES[0], size) for size in (3, 12)}
            ledger.add("disks", Tally(wrong=[f"disk of {size}: {x}" for size, x in disks.items() if x and not x.startswith("skipped")]))
        before = _descriptors()
        with tasks():
            collected(arguments.faults, arguments.sessions, Field(rng, folder, clock, ledger, tell))
        ledger.add("left", Tally(wrong=[f"left: {words}" for words in left(before, folder) if not words.startswith("descriptor")]))
    parts = {name: ledger.total(name) for name in PARTS}
    wrong = [words for part in parts.values() for words in part.wrong]
    result = {name: part.to_json() for name, part in parts.items()} | {"skipped": skipped, "seed": arguments.seed}
    print(table(parts, skipped))
    print("\n".join(wrong) or "nothing is wrong")
    print(json.dumps(result))
    if arguments.json:
        arguments.json.write_text(json.dumps(result, indent=1) + "\n")
    if arguments.write:
        marks.put(arguments.write, BEGIN, END, f"\n{table(parts, skipped)}\n")
    raise SystemExit(bool(wrong))


if __name__ == "__main__":
    main()
