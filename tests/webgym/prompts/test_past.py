"""Past actions in compact prompts: named from what was recorded, as they were when the prompt before was searched for them."""

import random
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

import pytest

from webgym.prompts.compact import mention
from webgym.prompts.prompt import prompt_text
from webgym.prompts.settings import COMPACT, PromptSettings
from webgym.rollout.arena import Arena
from webgym.rollout.contract import Record
from webgym.types import Completion, EpisodeKey, Node, Observation, Turn

# --- the referee: a past action's ref is replaced by what stands before it in the recorded prompt ----------------------------


def _plain(text: str) -> str:
    return re.sub(r"([#$*])(?=\d)", r"\1 ", re.sub(r"\s+", " ", text).strip().lower())


def named(turn: Turn) -> str:
    text = turn.completion.text.strip().splitlines()[-1] if turn.completion.text.strip() else "nothing"
    ref = re.search(r"[#*]\d+", text)
    if ref is None:
        return _plain(text)[:60]
    lines = turn.completion.prompt.splitlines()
    line = next((line for line in reversed(lines) if line.endswith(f" {ref[0]}")), "")
    name = line.removesuffix(f" {ref[0]}") if line else "?"
    failed = " failed" if turn.error else ""
    return f"{text.replace(ref[0], name, 1)[:60]}{failed}"


def searched(observation: Observation, history: list[Turn], settings: PromptSettings) -> str:
    """The compact prompt of a window whose past actions are named by the referee."""
    lines = prompt_text(observation, (), settings).split("\n")
    recent = history[-settings.history :] if settings.history else []
    return "\n".join([*lines[:2], *(f"done: {named(turn)}" for turn in recent), *lines[2:]])


# --- random pages and texts ------------------------------------------------------------------------------------------------

WORDS = ["Save", "Ann", "ann, today", "#2", "*3 stars", "$1", "", "price $20", "a\u2028b", "x" * 250, "By Ann #1", "Bob  Smith", "ends #"]
VALUES = [None, "", "v", "two\nlines #4"]
GOALS = ['Press "Save" for Ann.', "Find #2 by Ann, then press Bob Smith", 'Type "a b" and "c".', "Do it"]
TEXTS = [
    "click {a}", "click {a}", "click {a}", "type {a} $1", "type {a} see {b}", "drag {a} {b}", "write see {a} and {b}", "clck {a}",
    "message look at {a} {b}", "click {a} now", "<think>{b}?</think> click {a}", "<think>\n{b}\n</think>\nclick {a}", "click {a}\n",
    "first {b}\nclick {a}\n\n", "wait", "", "click 10,20", "click #٣", "click #0{n}", "press Enter {a}", "press {a} Enter", "stop {a}",
    "select {a} x{b}", "{a}", "click{a}", "type {a} \u2028{b}", "type {a} " + "long " * 20 + "{b}", "click #" + "9" * 5000,
]  # fmt: skip
SETTINGS = [COMPACT, replace(COMPACT, marks=False, history=2), replace(COMPACT, max_nodes=3), replace(COMPACT, history=1)]


def page(rng: random.Random, goal: str) -> Observation:
    nodes, ref = [], 0
    for _ in range(rng.randrange(9)):
        node = Node(rng.choice(["button", "textbox", "link", "text"]), rng.choice(WORDS), value=rng.choice(VALUES))
        node = replace(node, states=rng.choice([(), ("focused",), ("checked", "required")]), depth=rng.randrange(3))
        if rng.random() < 0.7:
            node, ref = replace(node, ref=ref), ref + 1
        nodes.append(node)
    return Observation(goal, "http://a.localhost/", "A", tuple(nodes), turns_left=rng.randrange(9), error=rng.choice(["", "no #3 *1"]))


def written(rng: random.Random) -> str:
    a, b = (f"{rng.choice('#*')}{rng.randrange(8)}" for _ in range(2))
    return rng.choice(TEXTS).replace("{a}", a).replace("{b}", b).replace("{n}", str(rng.randrange(4)))


@pytest.mark.parametrize(
    "settings", [COMPACT, replace(COMPACT, marks=False, history=2), replace(COMPACT, max_nodes=3), replace(COMPACT, history=1)]
)
def test_past_actions_are_named_as_the_search_named_them(settings):
    rng, seen = random.Random(0), Counter()
    for _ in range(300):
        goal = rng.choice(GOALS)
        kept: list[Turn] = []  # with prompts, for the referee
        bare: list[Turn] = []  # as Record(prompts=False) leaves them
        for _ in range(8):
            shown = page(rng, goal)
            prompt = searched(shown, kept, settings)
            assert prompt_text(shown, bare, settings) == prompt_text(shown, kept, settings) == prompt
            text = written(rng)
            turn = Turn(Completion(text), "", rng.choice(["", "", "gone"]), 0.0, False, False, "", "", mention=mention(text, shown.nodes))
            bare.append(turn)
            kept.append(replace(turn, completion=Completion(text, prompt)))
            seen.update(kinds(kept[-1], shown, settings))
    expected = {"named", "other mark", "unknown", "of a past action"} | ({"cut"} if settings.max_nodes < 8 else set())
    assert all(seen[kind] > 3 for kind in expected), seen


def kinds(turn: Turn, shown: Observation, settings: PromptSettings) -> list[str]:
    """The cases that a turn is of, to see that all of them occurred."""
    line = named(turn)
    text = turn.completion.text.strip().splitlines()[-1] if turn.completion.text.strip() else ""
    if not re.search(r"[#*]\d+", text):
        return []
    found = ["of a past action"] if "done: " in line else ["named"] if "?" not in line else ["unknown"]
    if turn.mention and turn.mention.line >= settings.max_nodes:
        found.append("cut")
    elif turn.mention and "?" in line:
        found.append("other mark")
    return found


def test_a_long_past_of_unknown_refs_is_told_too():
    turn = Turn(Completion("drag #1 #9"), "drag_and_drop('1', '9')", "", 0.0, False, False, "", "")
    told = prompt_text(page(random.Random(0), "Do it"), [turn] * 1500, COMPACT)
    assert told.count("done: drag ? #9") == 4


# --- real episodes ---------------------------------------------------------------------------------------------------------


class Scribe:
    """Writes texts at random, keeps what it was shown, and says with each text what the prompt was."""

    dialect = "compact"

    def __init__(self, settings: PromptSettings) -> None:
        self.settings = settings
        self.shown: dict[tuple[EpisodeKey, int], tuple[str, object]] = {}

    async def act(self, observation: Observation, history: Sequence[Turn], key: EpisodeKey) -> Completion:
        prompt = prompt_text(observation, history, self.settings)
        self.shown[key, len(history)] = prompt, observation.screenshot
        rng = random.Random(f"{key.seed} {len(history)}")
        things = [node.ref for node in observation.nodes if node.ref is not None]
        if rng.random() < 0.3 or not things:
            return Completion(written(rng).replace("stop", "halt"), prompt)  # which ends no episode
        return Completion(f"click {rng.choice('#*')}{rng.choice(things)}", prompt)

    def prompt_ids(self, observation: Observation, history: Sequence[Turn], key: EpisodeKey) -> tuple[int, ...]:
        return tuple(prompt_text(observation, history, self.settings).encode())


KEYS = [EpisodeKey(task, seed) for task in ("wizard.h12-undo", "wizard.h12-late3-undo") for seed in range(3)]


@pytest.fixture(scope="module")
def arena():
    with Arena(1, backend="text") as opened:
        yield opened


@pytest.mark.parametrize("settings", [COMPACT, replace(COMPACT, max_nodes=6)])
def test_episodes_are_told_as_the_search_told_them(arena, settings):
    scribe = Scribe(settings)
    turns = 0
    for trajectory in arena.collect(scribe, KEYS):
        for t, turn in enumerate(trajectory.turns):
            prompt, _ = scribe.shown[trajectory.key, t]
            assert turn.completion.prompt == prompt
            done = [line.removeprefix("done: ") for line in prompt.split("\n") if line.startswith("done: ")]
            assert done == [named(before) for before in trajectory.turns[max(0, t - settings.history) : t]]
            turns += len(done) > 0
    assert turns > 20


RECORDS = {
    "prompts left out": Record(prompts=False),
    "pages left out": Record(pages=False),
    "neither": Record(prompts=False, pages=False),
    "the prompt behind the limit": Record(final_prompts=True),
}


@pytest.mark.parametrize("record", RECORDS.values(), ids=RECORDS)
def test_what_is_recorded_changes_nothing_of_what_is_shown(arena, record):
    whole, other = Scribe(COMPACT), Scribe(COMPACT)
    arena.collect(whole, KEYS)
    played = arena.collect(other, KEYS, record=record)
    assert other.shown == whole.shown and any("done: click" in prompt for prompt, _ in other.shown.values())
    assert record.final_prompts == any(x.final_prompt_ids for x in played)
    assert record.prompts or {turn.completion.prompt for x in played for turn in x.turns} == {""}


def test_target_and_mention_are_recorded(arena):
    played = arena.collect(Scribe(COMPACT), KEYS, record=Record(prompts=False, pages=False))
    turns = [turn for x in played for turn in x.turns]
    clicked = [turn for turn in turns if turn.action.startswith("click(")]
    assert clicked and all(turn.target is None or f"'{turn.target.ref}'" in turn.action for turn in clicked)
    assert any(turn.target for turn in clicked)
    others = [turn for turn in turns if turn.mention and not turn.action]
    assert others and all(turn.target is None for turn in others), "a text that is no action touches nothing"
