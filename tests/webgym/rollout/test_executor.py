"""The contract of executors: what crosses to a worker elsewhere is data, and a stranger's executor gives the same batch."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from webgym.errors import ConfigError, UnknownTaskError, UsageError
from webgym.evaluation.assessment import Assessment
from webgym.policies.scripted import RandomPolicy
from webgym.rollout.arena import Arena
from webgym.rollout.contract import Deadlines, PolicyHandle, Record, Request, Retries
from webgym.rollout.executor import play_in_order
from webgym.types import EpisodeKey, Times, Trajectory, group_keys

TASK = "wizard.h4-x1-late1-undo-slack4"
KEYS = list(group_keys([(TASK, seed) for seed in range(3)], 2, iteration=5))
RANDOM = PolicyHandle("webgym.policies.scripted:RandomPolicy", {"seed": 1})


def without_times(trajectory: Trajectory) -> Trajectory:
    return replace(trajectory, turns=tuple(replace(turn, times=Times()) for turn in trajectory.turns))


@pytest.fixture(scope="module")
def arena():
    with Arena(3, backend="text") as found:
        yield found


@pytest.fixture(scope="module")
def alone(arena: Arena) -> list[Trajectory]:
    return [without_times(x) for x in arena.collect(RandomPolicy(1), KEYS)]


# --- data ----------------------------------------------------------------------------------------------------------------


def test_what_a_worker_must_know_imports_no_machinery() -> None:
    root = Path(__file__).parents[3]
    code = f"import sys; sys.path.insert(0, {str(root)!r}); import webgym.rollout.contract; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    heavy = {"playwright", "numpy", "uvicorn", "starlette", "gymnasium", "torch", "transformers", "rich", "pydantic", "jinja2", "PIL"}
    assert heavy & set(loaded) == set()
    assert {"webgym.env.core", "webgym.backends.browser", "webgym.backends.text"} & set(loaded) == set()


def test_a_request_goes_through_json_and_back() -> None:
    request = Request(
        tuple(KEYS),
        PolicyHandle("my.policies:served", {"address": "http://127.0.0.1:8000/v1", "version": 3, "prompts": {"style": "compact"}}),
        Record(prompts=False, pictured_groups=2, final_prompts=True),
        Deadlines(step_s=7.5),
        Retries(limit=1),
        pictures=True,
        task_files=("tips/tasks.yaml",),
    )
    assert Request.from_json(json.loads(json.dumps(request.to_json()))) == request
    least = {"keys": [["a.b", 7]], "policy": {"factory": "a:b"}}
    assert Request.from_json(least) == Request((EpisodeKey("a.b", 7),), PolicyHandle("a:b"))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"kyes": []}, "a Request has no 'kyes'; did you mean 'keys'?"),
        ({"keys": [7]}, r"expected a request with keys \[task id, seed"),
        ({"policy": {"factory": "nothing"}}, "expected a policy's factory as 'module:function', got 'nothing'"),
        ({"policy": {"factori": "a:b"}}, "a PolicyHandle has no 'factori'; did you mean 'factory'?"),
        ({"record": {"promts": True}}, "a Record has no 'promts'; did you mean 'prompts'?"),
        ({"deadlines": 3}, "expected a table with reset_s, step_s, policy_s, close_s, got int"),
    ],
)
def test_a_wrong_request_is_named(change: dict[str, object], words: str) -> None:
    data = Request(tuple(KEYS), RANDOM).to_json() | change
    with pytest.raises(UsageError, match=words):
        Request.from_json(data)


def test_a_request_lacks_nothing() -> None:
    with pytest.raises(UsageError, match="expected a request with keys"):
        Request.from_json({"policy": {"factory": "a:b"}})


@pytest.mark.parametrize("settings", [{"model": object()}, {"sizes": (1, 2)}, {1: "one"}])
def test_settings_that_json_would_change_are_refused(settings: dict) -> None:
    with pytest.raises(UsageError, match="the settings of a:b must be plain data"):
        PolicyHandle("a:b", settings)


@pytest.mark.parametrize(
    ("handle", "words"),
    [
        (PolicyHandle("no.such.place:made"), "'no.such.place:made' cannot be imported here"),
        (PolicyHandle("webgym.policies.scripted:RandomPolici"), "no function 'RandomPolici'; did you mean 'RandomPolicy'"),
        (PolicyHandle("webgym.policies.scripted:RandomPolicy", {"sed": 1}), r"does not take the settings \{'sed': 1\}"),
    ],
)
def test_a_handle_of_nothing(handle: PolicyHandle, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        handle.make()


# --- the body in this process --------------------------------------------------------------------------------------------


def test_the_arena_yields_as_episodes_end(arena: Arena, alone: list[Trajectory]) -> None:
    played = {key: without_times(trajectory) for key, trajectory in arena.play(RANDOM, iter(KEYS))}
    assert [played[key] for key in KEYS] == alone
    assert play_in_order(arena, RandomPolicy(1), []) == []


def test_a_key_twice_is_two_episodes(arena: Arena, alone: list[Trajectory]) -> None:
    assert [without_times(x) for x in play_in_order(arena, RANDOM, [KEYS[0], KEYS[1], KEYS[0]])] == [alone[0], alone[1], alone[0]]


def test_an_iterator_that_is_closed_stops_the_episodes(arena: Arena, alone: list[Trajectory]) -> None:
    begun: list[EpisodeKey] = []
    playing = arena.play(RANDOM, (EpisodeKey(TASK, 0, group=n) for n in range(10_000)), on_event=lambda e: begun.append(e.key))
    next(playing)
    playing.close()  # type: ignore[attr-defined]
    told = len(begun)
    assert [without_times(x) for x in play_in_order(arena, RANDOM, KEYS)] == alone
    assert len(begun) == told


def test_errors_of_the_caller_are_raised(arena: Arena) -> None:
    with pytest.raises(UnknownTaskError, match=r"there is no task 'wizzard\.h3'"):
        play_in_order(arena, RANDOM, [EpisodeKey("wizzard.h3", 0)])
    with pytest.raises(UsageError, match="asks for final_prompts, but RandomPolicy has no method prompt_ids"):
        play_in_order(arena, RANDOM, KEYS, record=Record(final_prompts=True))


# --- a stranger's body -----------------------------------------------------------------------------------------------------

FAR = '''
import json, os, signal, subprocess, sys
from webgym.record.store import decode
from webgym.rollout.contract import Record, Request

WORKER = """
import json, sys
sys.path[:] = json.loads(sys.stdin.readline())
from webgym.record.store import encode
from webgym.rollout.arena import Arena
from webgym.rollout.contract import Request
request = Request.from_json(json.loads(sys.stdin.readline()))
with Arena(2, backend="text") as arena:
    for key, trajectory in arena.play(request.policy, request.keys, record=request.record, retries=request.retries):
        sys.stdout.buffer.write(encode(trajectory))
        sys.stdout.buffer.flush()
"""


class Far:
    """Sends a request as JSON to another process, which answers with lines of a trajectory file; asks again for what did not come."""

    def __init__(self):
        self.killed = 0

    def play(self, policy, keys, *, record=Record(), on_event=None, on_picture=None):
        wanted = list(keys)
        while wanted:
            request = Request(tuple(wanted), policy, record)
            worker = subprocess.Popen([sys.executable, "-c", WORKER], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
            with worker:
                worker.stdin.write(f"{json.dumps(sys.path)}\\n{json.dumps(request.to_json())}\\n".encode())
                worker.stdin.flush()
                for line in worker.stdout:
                    trajectory = decode(line)
                    wanted.remove(trajectory.key)
                    yield trajectory.key, trajectory
                    if not self.killed:
                        self.killed += 1
                        os.kill(worker.pid, signal.SIGKILL)
                        worker.wait()
                        break
'''


def test_a_strangers_executor_over_json_plays_the_same_batch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, alone: list[Trajectory]
) -> None:
    (tmp_path / "far_away.py").write_text(FAR, "utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    import far_away  # type: ignore[import-not-found]

    far = far_away.Far()
    assert [without_times(x) for x in play_in_order(far, RANDOM, KEYS)] == alone and far.killed == 1


def test_an_assessment_takes_any_executor(arena: Arena) -> None:
    asked: list[tuple[object, Record]] = []

    class Counting:
        def play(self, policy, keys, *, record=Record(), on_event=None, on_picture=None):
            asked.append((policy, record))
            return arena.play(policy, keys, record=record)

    wanted = Assessment((TASK,), seeds=3, backend="text")
    oracle = PolicyHandle("webgym.evaluation.assessment:model_free", {"name": "oracle"})
    assert wanted.report(wanted.play(oracle, Counting())).overall.success == 1.0
    assert asked == [(oracle, Record(pages=False))]


def test_a_backend_must_be_known() -> None:
    from webgym.rollout.processes import ProcessExecutor

    with pytest.raises(ConfigError, match="there is no backend 'txt'"):
        ProcessExecutor(backend="txt")  # type: ignore[arg-type]
