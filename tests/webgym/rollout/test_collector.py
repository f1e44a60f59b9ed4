"""The collector against sessions that fail on purpose, on a clock that jumps: seconds of waiting cost nothing and are exact."""

import asyncio
import doctest
import math
import random
import selectors
from collections import Counter
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import replace
from typing import Any, TypeVar

import numpy as np
import pytest

import webgym.rollout.contract
from benchmarks.no_barrier import collector_s, draw, greedy_s, naive_s
from webgym.errors import BrowserFault, Fault, HangFault, RendererFault, SiteFault, UnknownTaskError
from webgym.policies.scripted import OraclePolicy
from webgym.rollout.collector import collect
from webgym.rollout.contract import Counts, Deadlines, Event, Record, Retries
from webgym.task import PENDING, Oracle, OracleEnded, Start, Task
from webgym.types import (
    Action,
    Click,
    Completion,
    EpisodeKey,
    Infeasible,
    InvalidAction,
    Node,
    Observation,
    Outcome,
    Step,
    Stop,
    Trajectory,
    Turn,
    digest,
    group_keys,
    groups_of,
)

T = TypeVar("T")


class JumpingSelector(selectors.SelectSelector):
    """Does not wait: its clock jumps to where the loop wants to wake."""

    now = 0.0

    def select(self, timeout: float | None = None) -> list[Any]:
        ready = super().select(0)
        if not ready and timeout:
            self.now += timeout
        return ready


class JumpingLoop(asyncio.SelectorEventLoop):
    def __init__(self) -> None:
        self.selector = JumpingSelector()
        super().__init__(self.selector)

    def time(self) -> float:
        return self.selector.now


def play(main: Coroutine[Any, Any, T]) -> T:
    with asyncio.Runner(loop_factory=JumpingLoop) as runner:
        return runner.run(main)


Trouble = Callable[["FakeEnv", int], Coroutine[Any, Any, None]]


class FakeEnv:
    """Counts clicks: the goal names a number, so many clicks win; stop and infeasible end; 12 turns are the limit.

    `trouble(env, turn)` is awaited before each step (turn -1: reset) and may raise, hang or sleep. `life` counts sessions begun.
    """

    deterministic = True

    def __init__(self, trouble: Trouble | None = None, log: list[str] | None = None) -> None:
        self.trouble, self.log = trouble, log if log is not None else []
        self.life = 0
        self.open = False
        self.salt = ""  # to make pages differ where a test wants a page that cannot be had again

    async def reset(self, task_id: str, seed: int) -> Observation:
        if not task_id.startswith("fake."):
            raise UnknownTaskError(f"no task {task_id}")
        self.life += not self.open
        self.open = True
        self.task_id, self.seed, self.turn, self.clicks, self.error = task_id, seed, 0, 0, ""
        self.log.append(f"reset {seed}")
        await self._trouble(-1)
        return self.see()

    async def step(self, action: Action | InvalidAction) -> Step:
        assert self.open, "a step in a session that was closed"
        self.log.append(f"step {self.seed} {self.turn}")
        await self._trouble(self.turn)
        self.turn += 1
        self.clicks += isinstance(action, Click)
        self.error = action.error if isinstance(action, InvalidAction) else ""
        kind = ""
        if self.clicks == self.seed % 100:
            kind = "success"
        elif isinstance(action, Stop | Infeasible):
            kind = "stopped" if isinstance(action, Stop) else "infeasible"
        elif self.turn == 12:
            kind = "truncated"
        return Step(self.see(), float(kind == "success"), kind not in ("", "truncated"), kind == "truncated", kind, 0.5)

    async def screenshot(self) -> np.ndarray:
        return np.full((2, 2, 3), 10 + self.turn, np.uint8)

    async def close(self) -> None:
        self.log.append("close")
        self.open = False

    async def _trouble(self, turn: int) -> None:
        if self.trouble is not None:
            await self.trouble(self, turn)

    def see(self) -> Observation:
        nodes = (Node("text", f"{self.clicks} clicks{self.salt}"), Node("button", "More", ref=0))
        return Observation(
            goal=f"Click {self.seed % 100} times.",
            url="http://fake.test/",
            title="fake",
            nodes=nodes,
            turn=self.turn,
            turns_left=12 - self.turn,
            error=self.error,
            state_hash=digest(self.clicks),
        )


class Clicker:
    """Clicks, or says what `words` maps the turn to; remembers what it was asked."""

    dialect = "call"

    def __init__(self, words: dict[int, str] | None = None, seconds: float = 0.0) -> None:
        self.words, self.seconds = words or {}, seconds
        self.asked: list[tuple[int, int]] = []

    async def act(self, observation: Observation, history: Sequence[Turn], key: EpisodeKey) -> Completion:
        assert observation.turn == len(history)
        self.asked.append((key.seed, observation.turn))
        await asyncio.sleep(self.seconds)
        return Completion(self.words.get(observation.turn, "click('0')"), prompt="secret", policy_version=7)


def raising(places: Counter[tuple[int, int]], error: Callable[[str], Fault] = BrowserFault) -> Trouble:
    """Trouble that fails so many times at each (seed, turn)."""
    left = Counter(places)

    async def trouble(env: FakeEnv, turn: int) -> None:
        if left[env.seed, turn] > 0:
            left[env.seed, turn] -= 1
            raise error("killed")

    return trouble


def keys(*seeds: int) -> list[EpisodeKey]:
    return [EpisodeKey("fake.clicks", seed) for seed in seeds]


def without_times(trajectory: Trajectory) -> tuple[Any, ...]:
    turns = [(t.completion, t.action, t.error, t.reward, t.observation_hash, t.state_hash, t.page) for t in trajectory.turns]
    return trajectory.key, trajectory.goal, turns, trajectory.outcome.kind, trajectory.final_hash


# --- what is recorded ----------------------------------------------------------------------------------------------------


def test_a_trajectory_tells_what_happened() -> None:
    env, policy = FakeEnv(), Clicker({1: "what now?"}, seconds=2.0)

    async def slow(env: FakeEnv, turn: int) -> None:
        await asyncio.sleep(0.5)

    env.trouble = slow
    [trajectory] = play(collect([env], policy, keys(2)))
    assert [t.action for t in trajectory.turns] == ["click('0')", "", "click('0')"]
    assert [t.reward for t in trajectory.turns] == [0.0, 0.0, 1.0]
    assert [t.terminated for t in trajectory.turns] == [False, False, True]
    assert "no action found" in trajectory.turns[1].error and trajectory.turns[0].error == ""
    assert [t.page.splitlines()[0] for t in trajectory.turns] == ["0 clicks", "1 clicks", "1 clicks"]
    assert trajectory.turns[1].state_hash == trajectory.turns[2].state_hash != trajectory.turns[0].state_hash
    assert len({t.observation_hash for t in trajectory.turns} | {trajectory.final_hash}) == 4
    assert trajectory.turns[0].completion == Completion("click('0')", prompt="secret", policy_version=7)
    assert [(t.times.policy_s, t.times.browser_s) for t in trajectory.turns] == [(2.0, 0.5)] * 3
    assert trajectory.outcome == Outcome("success", 1.0, 0.5)
    assert trajectory.goal == "Click 2 times."


@pytest.mark.parametrize(("word", "kind"), [("stop('x')", "stopped"), ("infeasible()", "infeasible"), ("wait()", "truncated")])
def test_other_ends_have_reward_zero(word: str, kind: str) -> None:
    [trajectory] = play(collect([FakeEnv()], Clicker(dict.fromkeys(range(20), word)), keys(3)))
    assert (trajectory.outcome.kind, trajectory.outcome.reward) == (kind, 0.0)
    assert trajectory.turns[-1].truncated == (kind == "truncated") != trajectory.turns[-1].terminated


def test_prompts_and_pages_can_be_left_out_and_pictures_kept() -> None:
    class Camera(FakeEnv):
        def see(self) -> Observation:
            return replace(super().see(), screenshot=np.full((2, 2, 3), self.turn, np.uint8))

    saved: list[tuple[int, int]] = []

    def save(key: EpisodeKey, turn: int, pixels: np.ndarray) -> str:
        saved.append((turn, int(pixels[0, 0, 0])))
        return f"{turn}.png"

    [bare] = play(collect([FakeEnv()], Clicker(), keys(2), record=Record(prompts=False, pages=False)))
    assert {t.completion.prompt for t in bare.turns} == {t.page for t in bare.turns} == {t.screenshot for t in bare.turns} == {""}
    [shot] = play(collect([Camera()], Clicker(), keys(2), on_picture=save))
    assert [t.screenshot for t in shot.turns] == ["0.png", "1.png"] and saved == [(0, 0), (1, 1)]

    saved.clear()
    wanted = [replace(key, group=1 - n) for n, key in enumerate(keys(2, 3))]
    two, three = play(collect([FakeEnv()], Clicker(), wanted, record=Record(pictured_groups=1), on_picture=save))
    assert [t.screenshot for t in two.turns] == ["", ""] and [t.screenshot for t in three.turns] == ["0.png", "1.png", "2.png"]
    assert saved == [(0, 10), (1, 11), (2, 12)], "a picture shows the page that is acted on, not the one after"


def test_where_an_action_takes_place_is_kept() -> None:
    class Boxed(FakeEnv):
        def see(self) -> Observation:
            seen = super().see()
            return replace(seen, nodes=(*seen.nodes[:1], replace(seen.nodes[1], box=(1.0, 2.0, 30.0, 4.0))))

    words = {0: "click('0')", 1: "mouse_click(7, 9)", 2: "scroll(0, 100)", 3: "click('5')", 4: "nonsense"}
    [trajectory] = play(collect([Boxed()], Clicker(words), keys(9)))
    assert [t.box for t in trajectory.turns[:5]] == [(1.0, 2.0, 30.0, 4.0), (7.0, 9.0, 0.0, 0.0), None, None, None]
    target = trajectory.turns[0].target
    assert target is not None and (target.ref, target.box) == (0, (1.0, 2.0, 30.0, 4.0))
    assert [t.target for t in trajectory.turns[1:5]] == [None] * 4


def test_a_picture_for_the_record_is_not_shown_to_the_policy() -> None:
    class Looking(Clicker):
        def __init__(self) -> None:
            super().__init__()
            self.pictures: list[bool] = []

        async def act(self, observation: Observation, history: Sequence[Turn], key: EpisodeKey) -> Completion:
            self.pictures.append(observation.screenshot is not None)
            return await super().act(observation, history, key)

    policy = Looking()
    record, taken = Record(pictured_groups=1), lambda key, turn, pixels: f"{turn}.png"
    [trajectory] = play(collect([FakeEnv()], policy, keys(2), record=record, on_picture=taken))
    assert [t.screenshot for t in trajectory.turns] == ["0.png", "1.png"] and policy.pictures == [False, False]


def test_events_name_their_session() -> None:
    heard: list[Event] = []
    play(collect([FakeEnv(), FakeEnv()], Clicker(), keys(2, 3, 4, 5), on_event=heard.append))
    assert {e.session for e in heard} == {0, 1}
    for session in (0, 1):  # a session plays one episode after the other
        order = [e.key.seed for e in heard if e.session == session]
        assert len(set(order)) == sum(a != b for a, b in zip([None, *order], order, strict=False))


# --- scheduling ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("sessions", [1, 3, 64])
def test_no_barrier_the_greedy_schedule_is_kept_to_the_second(sessions: int) -> None:
    """On the jumping clock nothing but the drawn latencies passes, so the collector must take exactly what greedy workers take."""
    draws = draw(150, scale=1.0, seed=sessions)
    assert play(collector_s(draws, sessions)) == pytest.approx(greedy_s(draws, sessions), rel=1e-9)


def test_the_naive_loop_waits_for_the_slowest() -> None:
    draws = draw(300, scale=1.0)
    assert naive_s(draws, 1) == pytest.approx(greedy_s(draws, 1))  # nobody to wait for
    assert naive_s(draws, 64) > 4 * greedy_s(draws, 64)


def test_results_come_in_the_order_of_the_keys() -> None:
    async def slow(env: FakeEnv, turn: int) -> None:
        await asyncio.sleep(10.0 - env.seed)

    wanted = keys(9, 1, 8, 2, 7, 3)
    trajectories = play(collect([FakeEnv(slow) for _ in range(4)], Clicker(), wanted))
    assert [t.key for t in trajectories] == wanted
    assert [len(t) for t in trajectories] == [9, 1, 8, 2, 7, 3]


def test_keys_are_drawn_only_when_a_session_is_free() -> None:
    drawn: list[int] = []
    ended: list[int] = []

    def lazily() -> Any:
        for seed in (1, 2, 3, 4, 5):
            drawn.append(len(ended))
            yield EpisodeKey("fake.clicks", seed)

    def hear(event: Event) -> None:
        ended.extend([event.key.seed] if event.kind == "end" else [])

    play(collect([FakeEnv(), FakeEnv()], Clicker(seconds=1), lazily(), on_event=hear))
    assert drawn == [0, 0, 1, 2, 3]


def test_no_keys_and_more_sessions_than_keys() -> None:
    assert play(collect([FakeEnv()], Clicker(), [])) == []
    assert len(play(collect([FakeEnv() for _ in range(9)], Clicker(), keys(1, 2)))) == 2
    with pytest.raises(ValueError, match="at least one"):
        play(collect([], Clicker(), keys(1)))


# --- faults --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("turn", [-1, 0, 1, 4])
def test_a_fault_changes_nothing_but_the_count(turn: int) -> None:
    [calm] = play(collect([FakeEnv()], Clicker({2: "wait()"}), keys(5)))
    env, policy = FakeEnv(raising(Counter({(5, turn): 1}))), Clicker({2: "wait()"})
    [trajectory] = play(collect([env], policy, keys(5)))
    assert without_times(trajectory) == without_times(calm)
    assert trajectory.outcome == Outcome("success", 1.0, 0.5, retries=1, faults=("browser",))
    assert policy.asked == [(5, t) for t in range(6)], "recorded and chosen actions are performed again, not asked for again"
    assert env.life == 2, "a fresh session"


def test_a_second_fault_at_the_same_action_is_the_agents() -> None:
    env = FakeEnv(raising(Counter({(5, 3): 2})))
    [trajectory] = play(collect([env], Clicker(), keys(5)))
    assert trajectory.outcome.kind == "agent_caused" and math.isnan(trajectory.outcome.reward) and trajectory.outcome.retries == 1
    assert trajectory.outcome.message == "click('0'): killed"
    assert [t.reward for t in trajectory.turns] == [0.0] * 3 and len(trajectory.final_hash) == 32
    assert env.log.count("reset 5") == 2 and env.log[-1] == "close"


def test_too_many_faults_are_a_fault_without_reward() -> None:
    env = FakeEnv(raising(Counter({(5, -1): 99}), SiteFault))
    [first, second] = play(collect([env], Clicker(), keys(5, 1), retries=Retries(limit=3)))
    assert first.outcome.kind == "fault" and math.isnan(first.outcome.reward) and first.outcome.retries == 3
    assert first.turns == () and first.goal == "" and first.final_hash == ""
    assert second.outcome.success, "the session goes on with the next episode"
    assert env.log.count("reset 5") == 4


def test_faults_at_different_actions_are_not_the_agents() -> None:
    env = FakeEnv(raising(Counter({(5, 1): 1, (5, 2): 1, (5, 4): 1})))
    [trajectory] = play(collect([env], Clicker(), keys(5)))
    assert trajectory.outcome == Outcome("success", 1.0, 0.5, retries=3, faults=("browser",) * 3)


def test_the_pause_before_a_new_attempt_doubles() -> None:
    times: list[float] = []

    async def trouble(env: FakeEnv, turn: int) -> None:
        times.append(asyncio.get_running_loop().time())
        raise BrowserFault("down")

    play(collect([FakeEnv(trouble)], Clicker(), keys(1), retries=Retries(limit=3, backoff_s=0.5)))
    assert times == pytest.approx([0.0, 0.5, 1.5, 3.5])


@pytest.mark.parametrize(("turn", "seconds"), [(-1, 7.0), (2, 3.0)])
def test_a_call_past_its_deadline_is_a_fault(turn: int, seconds: float) -> None:
    hung: list[float] = []

    async def trouble(env: FakeEnv, now: int) -> None:
        if now == turn and not hung:
            hung.append(asyncio.get_running_loop().time())
            await asyncio.sleep(1e6)

    async def main() -> tuple[list[Trajectory], float]:
        found = await collect(
            [FakeEnv(trouble)], Clicker(), keys(4), deadlines=Deadlines(reset_s=7, step_s=3), retries=Retries(backoff_s=1)
        )
        return found, asyncio.get_running_loop().time()

    [trajectory], end = play(main())
    assert trajectory.outcome == Outcome("success", 1.0, 0.5, retries=1, faults=("hang",))
    assert end == pytest.approx(seconds + 1)


def test_a_call_that_ignores_its_cancellation_holds_nobody_up() -> None:
    async def trouble(env: FakeEnv, turn: int) -> None:
        if turn == 1 and env.life == 1:
            try:
                await asyncio.sleep(50)
            except asyncio.CancelledError:
                await asyncio.sleep(10)
                raise RuntimeError("a late error that nobody must hear of") from None

    async def main() -> tuple[list[Trajectory], float]:
        found = await collect([FakeEnv(trouble)], Clicker(), keys(3), deadlines=Deadlines(step_s=2), retries=Retries(backoff_s=0))
        end = asyncio.get_running_loop().time()
        await asyncio.sleep(20)  # the late one ends
        return found, end

    [trajectory], end = play(main())
    assert trajectory.outcome.success and end == pytest.approx(2)


def test_a_close_that_hangs_or_fails_is_survived() -> None:
    class BadClose(FakeEnv):
        async def close(self) -> None:
            await super().close()
            if self.life == 1:
                await asyncio.sleep(1e6)
            raise BrowserFault("gone")

    env = BadClose(raising(Counter({(5, 1): 1, (5, 3): 1})))
    [trajectory] = play(collect([env], Clicker(), keys(5), deadlines=Deadlines(close_s=4)))
    assert trajectory.outcome == Outcome("success", 1.0, 0.5, retries=2, faults=("browser",) * 2)


@pytest.mark.parametrize(("error", "kind"), [(BrowserFault, "fault"), (HangFault, "agent_caused"), (RendererFault, "agent_caused")])
def test_a_replay_that_leads_elsewhere_is_a_fault_unless_an_action_hung_the_page(error: type[Fault], kind: str) -> None:
    """Both can be an agent's doing then: an action that hangs, and an earlier one that leads elsewhere the next time."""

    async def trouble(env: FakeEnv, turn: int) -> None:
        env.salt = f" in life {env.life}" if turn == 1 else ""
        if turn == 3:
            raise error("killed")

    [trajectory] = play(collect([FakeEnv(trouble)], Clicker(), keys(5), retries=Retries(limit=2)))
    assert trajectory.outcome.kind == kind and "led to another page at turn 2" in trajectory.outcome.message
    assert math.isnan(trajectory.outcome.reward) and len(trajectory) == 3


def test_a_retry_of_a_task_that_is_not_deterministic_checks_the_outcome_only() -> None:
    async def trouble(env: FakeEnv, turn: int) -> None:
        env.salt = f" life {env.life}"
        if (turn, env.life) == (3, 1):
            raise BrowserFault("killed")

    class Other(FakeEnv):
        deterministic = False

    [trajectory] = play(collect([Other(trouble)], Clicker(), keys(5), retries=Retries(limit=2)))
    assert (trajectory.outcome.kind, trajectory.outcome.retries) == ("success", 1)
    [trajectory] = play(collect([FakeEnv(trouble)], Clicker(), keys(5), retries=Retries(limit=2)))
    assert trajectory.outcome.kind == "fault" and "led to another page" in trajectory.outcome.message


def test_a_page_on_which_nothing_was_decided_need_not_come_again() -> None:
    """A dying browser may show half a page; a policy that fails on it must not tie the episode to it."""

    async def trouble(env: FakeEnv, turn: int) -> None:
        env.salt = " half" if (turn, env.life) == (1, 1) else ""

    class Picky(Clicker):
        async def act(self, observation: Observation, history: Sequence[Turn], key: EpisodeKey) -> Completion:
            if "half" in observation.nodes[0].text:
                raise Fault("what is this?")
            return await super().act(observation, history, key)

    [calm] = play(collect([FakeEnv()], Clicker(), keys(5)))
    [trajectory] = play(collect([FakeEnv(trouble)], Picky(), keys(5)))
    assert trajectory.outcome == Outcome("success", 1.0, 0.5, retries=1, faults=("other",))
    assert without_times(trajectory) == without_times(calm)


def test_a_replay_that_ends_early_is_a_fault() -> None:
    async def trouble(env: FakeEnv, turn: int) -> None:
        if turn == 0 and env.life > 1:
            env.clicks = env.seed % 100 - 1
        if turn == 3:
            raise BrowserFault("killed")

    [trajectory] = play(collect([FakeEnv(trouble)], Clicker(), keys(5), retries=Retries(limit=1)))
    assert trajectory.outcome.kind == "fault" and "ended early" in trajectory.outcome.message


def test_a_policy_that_fails_or_hangs_is_a_fault_and_never_the_agents() -> None:
    class Failing(Clicker):
        async def act(self, observation: Observation, history: Sequence[Turn], key: EpisodeKey) -> Completion:
            if observation.turn == 2 and key.seed == 5:
                raise Fault("the server is gone")
            if observation.turn == 1 and key.seed == 6:
                await asyncio.sleep(1e6)
            return await super().act(observation, history, key)

    found = play(collect([FakeEnv()], Failing(), keys(5, 6, 3), deadlines=Deadlines(policy_s=30), retries=Retries(limit=2)))
    assert [t.outcome.kind for t in found] == ["fault", "fault", "success"]
    assert "the server is gone" in found[0].outcome.message and "the policy's answer did not end within 30 s" in found[1].outcome.message
    assert len(found[0]) == 2


def test_what_the_check_misses_is_told_of_an_oracle_that_has_ended() -> None:
    class Strict(FakeEnv):
        async def step(self, action: Action | InvalidAction) -> Step:
            return replace(await super().step(action), message=f"{self.clicks} clicks, expected 3")

    def oracle(error: LookupError) -> Oracle:
        def act(observation: Observation) -> Action:
            if observation.turn == 2:
                raise error
            return Click(0)

        return act

    def ended(error: LookupError) -> str:
        task = Task("fake.a", lambda seed: Start(""), lambda evidence: PENDING, oracle=lambda: oracle(error))
        (found,) = play(collect([Strict()], OraclePolicy(lambda task_id: task), keys(3), retries=Retries(1, 0.0)))
        assert found.outcome.kind == "fault"
        return found.outcome.message

    assert ended(OracleEnded("all is done")).endswith("turn 2: OracleEnded: all is done; 2 clicks, expected 3")
    assert ended(LookupError("there is no Buy")).endswith("turn 2: LookupError: there is no Buy")


def test_many_sessions_many_faults_every_episode_is_there_and_unharmed() -> None:
    """200 episodes, log-normal latencies, a fault at every seventh step: the same trajectories as in calm weather."""
    rng = random.Random(0)
    steps = 0

    async def stormy(env: FakeEnv, turn: int) -> None:
        nonlocal steps
        await asyncio.sleep(rng.lognormvariate(-0.5, 1.0))
        steps += 1
        if steps % 7 == 0:
            raise BrowserFault("storm")

    wanted = [EpisodeKey("fake.clicks", 100 * n + 1 + n % 6) for n in range(200)]
    words = {1: "no action", 3: "wait()"}
    calm = play(collect([FakeEnv()], Clicker(words), wanted))
    found = play(collect([FakeEnv(stormy) for _ in range(16)], Clicker(words, 0.3), wanted, retries=Retries(limit=50)))
    kinds = Counter(t.outcome.kind for t in found)
    assert kinds["success"] + kinds["agent_caused"] == 200 and kinds["agent_caused"] < 60
    for one, other in zip(found, calm, strict=True):
        if one.outcome.success:
            assert without_times(one) == without_times(other)
        else:
            assert math.isnan(one.outcome.reward)
            assert without_times(one)[2] == without_times(other)[2][: len(one)]


# --- errors that are nobody's fault but the caller's ---------------------------------------------------------------------


def test_a_usage_error_stops_all_and_is_raised() -> None:
    env = FakeEnv()
    with pytest.raises(UnknownTaskError, match=r"no task shop\.buy"):
        play(collect([env, FakeEnv()], Clicker(seconds=5), [*keys(11), EpisodeKey("shop.buy", 0), *keys(3, 4, 5)]))
    assert [line for line in env.log if line.startswith("reset")] == ["reset 11"]


def test_a_bug_in_the_policy_is_not_hidden() -> None:
    class Broken(Clicker):
        async def act(self, observation: Observation, history: Sequence[Turn], key: EpisodeKey) -> Completion:
            raise ZeroDivisionError("bug")

    with pytest.raises(ZeroDivisionError, match="bug"):
        play(collect([FakeEnv(), FakeEnv()], Broken(), keys(1, 2, 3)))


def test_cancelling_the_collection_stops_its_sessions() -> None:
    env = FakeEnv()

    async def main() -> None:
        task = asyncio.ensure_future(collect([env], Clicker(seconds=3), keys(9)))
        await asyncio.sleep(7)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        steps = len(env.log)
        await asyncio.sleep(100)
        assert len(env.log) == steps == 3  # a reset and two steps

    play(main())


# --- events and groups ---------------------------------------------------------------------------------------------------


def test_events_count_what_goes_on() -> None:
    heard: list[Event] = []
    trouble = raising(Counter({(2, 1): 1, (4, 0): 2}))
    found = play(collect([FakeEnv(trouble), FakeEnv(trouble)], Clicker(seconds=1), keys(2, 1, 4, 3), on_event=heard.append))
    kinds = Counter(event.kind for event in heard)
    turns = sum(len(t) for t in found)
    assert heard[-1].counts == Counts(done=4, successes=3, faults=1, retries=2, turns=turns)
    assert kinds["begin"] == kinds["end"] == 4 and kinds["retry"] == 2 and kinds["turn"] == turns
    assert all(0 <= e.counts.running <= 2 and e.counts.thinking >= 0 and e.counts.acting >= 0 for e in heard)
    assert max(e.counts.thinking for e in heard) == 2
    ends = {e.key: e.trajectory for e in heard if e.kind == "end"}
    assert [ends[t.key] for t in found] == found
    assert [e.message for e in heard if e.kind == "retry"] == ["killed", "killed"]


def test_groups() -> None:
    wanted = list(group_keys([("fake.clicks", 3), ("fake.clicks", 1), ("fake.clicks", 3)], 2, iteration=4))
    assert [(k.seed, k.iteration, k.group, k.member) for k in wanted] == [
        (3, 4, 0, 0), (3, 4, 0, 1), (1, 4, 1, 0), (1, 4, 1, 1), (3, 4, 2, 0), (3, 4, 2, 1),
    ]  # fmt: skip
    found = play(collect([FakeEnv() for _ in range(4)], Clicker(), wanted))
    groups = groups_of(found)
    assert [[t.key for t in group] for group in groups] == [wanted[0:2], wanted[2:4], wanted[4:6]]
    assert len({t.turns[0].observation_hash for t in groups[0]}) == 1, "one task, one seed: one start"
    mixed = [Trajectory(EpisodeKey(f"t.{n}", seed), "", (), Outcome("fault", math.nan)) for n, seed in ((1, 1), (1, 2), (1, 1), (2, 1))]
    assert [len(group) for group in groups_of(mixed)] == [2, 1, 1]
    assert groups_of([]) == []


def test_documentation_examples() -> None:
    result = doctest.testmod(webgym.rollout.contract)
    assert result.attempted and not result.failed
