"""Three defects of OpenEnv's own BrowserGym environment, played over its protocol. Our conformance tests hold the contrary of each.

    python -m benchmarks.openenv_defects --peer FOLDER --peer-python PYTHON

FOLDER is `envs` of a checkout of OpenEnv, and PYTHON one with openenv, browsergym-core and browsergym-miniwob.

crowd     Eight sessions wait for half a second at the same time; one after the other, that takes eight times as long as one.
members   Four episodes begin without a seed, as in TRL's example for it; members of a group must see one instance.
fault     The browser is killed before a step; the answer has a reward of 0, and the episode goes on.
"""

import argparse
import asyncio
import contextlib
import os
import signal
import sys
import time
from pathlib import Path

from benchmarks.serve import Socket, peer
from webgym.commands.processes import descendants
from webgym.loop_thread import loop_thread

CROWD = 8
WAITS = "noop(500)"
DRAWN = "click-button"  # a task whose goal and buttons are drawn by the seed


def browsers() -> list[int]:
    """The browsers among the processes that come from this one."""
    found = []
    for pid in descendants(os.getpid()):
        with contextlib.suppress(OSError):
            if "chrom" in Path(f"/proc/{pid}/comm").read_text():
                found.append(pid)
    return found


async def crowd(url: str) -> str:
    """Seconds that one session waits, and that eight do at the same time."""
    sockets = [await Socket.open(url) for _ in range(CROWD)]
    for number, socket in enumerate(sockets):
        await socket.ask("reset", seed=number)
    spent = []
    for waiting in (sockets[:1], sockets):
        begun = time.perf_counter()
        await asyncio.gather(*(socket.ask("step", action_str=WAITS) for socket in waiting))
        spent.append(time.perf_counter() - begun)
    await asyncio.gather(*(socket.close() for socket in sockets))
    return f"one session {spent[0]:.2f} s, {CROWD} at the same time {spent[1]:.2f} s"


async def members(url: str) -> str:
    """How many instances four episodes without a seed are."""
    socket = await Socket.open(url)
    begun = [(await socket.ask("reset", task_name=DRAWN))["observation"] for _ in range(4)]
    await socket.close()
    return f"{len({(one['goal'], one['text']) for one in begun})} instances in {len(begun)} episodes"


async def fault(url: str) -> str:
    """The answer to a step whose browser was killed."""
    socket = await Socket.open(url)
    await socket.ask("reset", seed=1)
    for pid in browsers():
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    answer = await socket.ask("step", action_str=WAITS)
    return f"reward {answer['reward']}, done {answer['done']}"


def main() -> None:
    """Play all, and print what came."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peer", type=Path, required=True, help="folder envs of a checkout of OpenEnv")
    parser.add_argument("--peer-python", type=Path, default=Path(sys.executable))
    given = parser.parse_args()
    with peer(given.peer, given.peer_python, 2 * CROWD, "0") as url:
        for defect in (crowd, members, fault):
            print(f"{defect.__name__}: {loop_thread().run(defect(url))}", flush=True)


if __name__ == "__main__":
    main()
