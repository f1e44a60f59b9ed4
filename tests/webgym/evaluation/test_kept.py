"""Evaluations that are cut off and go on: nothing is played twice, and the figures are those of one that was never cut off."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from webgym.errors import UsageError
from webgym.evaluation.assessment import Assessment, model_free
from webgym.evaluation.kept import ABOUT, EPISODES, KeptEpisodes
from webgym.packs import sets as task_sets
from webgym.rollout.arena import Arena
from webgym.rollout.executor import Played
from webgym.types import EpisodeKey, Outcome, Trajectory

WANTED = Assessment(("wizard.h3", "wizard.h4"), "valid", seeds=4, sessions=2, backend="text")


class CutOff(Arena):
    """An arena that is lost after so many episodes, and counts what it is asked for."""

    def __init__(self, after: int) -> None:
        super().__init__(2, backend="text")
        self.after, self.asked = after, 0

    def play(self, policy: Any, keys: Any, **options: Any) -> Iterator[Played]:
        keys = list(keys)
        self.asked += len(keys)
        for number, played in enumerate(super().play(policy, keys, **options)):
            if number == self.after:
                raise KeyboardInterrupt
            yield played


def test_an_evaluation_that_was_cut_off_goes_on(tmp_path: Path) -> None:
    wanted = replace(WANTED, keep=tmp_path / "kept")
    with CutOff(3) as arena, pytest.raises(KeyboardInterrupt):
        wanted.play(model_free("random"), arena, played_by={"policy": "random"})
    with (tmp_path / "kept" / EPISODES).open("ab") as file:
        file.write(b'{"key": ["torn')
    with CutOff(99) as arena:
        found = wanted.play(model_free("random"), arena, played_by={"policy": "random"})
        assert arena.asked == 8 - 3
        again = wanted.play(model_free("random"), arena, played_by={"policy": "random"})
        assert arena.asked == 8 - 3, "nothing is played twice"
        whole = WANTED.play(model_free("random"), arena)
    assert [x.key for x in found] == [x.key for x in whole] == [x.key for x in again]
    ends, uncut = ([(x.outcome, x.final_hash) for x in some] for some in (found, whole))
    assert ends == uncut == [(x.outcome, x.final_hash) for x in again]
    more = replace(wanted, seeds=5)
    with CutOff(99) as arena:
        assert len(more.play(model_free("random"), arena, played_by={"policy": "random"})) == 10 and arena.asked == 2


def test_a_folder_of_another_policy_or_of_something_else_is_refused(tmp_path: Path) -> None:
    with KeptEpisodes(tmp_path / "kept", {"policy": "a", "seed": 0}):
        pass
    with pytest.raises(UsageError, match="holds episodes of another policy: its policy was 'a', now it is 'b'"):
        KeptEpisodes(tmp_path / "kept", {"policy": "b", "seed": 0})
    with pytest.raises(UsageError, match="its seed was 0, now it is None"):
        KeptEpisodes(tmp_path / "kept", {"policy": "a"})
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/letter.txt").write_text("dear")
    with pytest.raises(UsageError, match="is no folder of an evaluation"):
        KeptEpisodes(tmp_path / "mine", {"policy": "a"})
    with pytest.raises(UsageError, match="is a file"):
        KeptEpisodes(tmp_path / "mine/letter.txt", {"policy": "a"})
    for damaged in ("{", "[]", '"a"'):
        (tmp_path / "kept" / ABOUT).write_text(damaged)
        with pytest.raises(UsageError):
            KeptEpisodes(tmp_path / "kept", {"policy": "a"})


def test_an_episode_in_which_the_machinery_failed_is_played_again(tmp_path: Path) -> None:
    by = {"policy": "a"}
    good, bad = (Trajectory(EpisodeKey("a.b", n), "Go.", (), Outcome(kind, n / 1)) for n, kind in ((1, "success"), (2, "fault")))  # type: ignore[arg-type]
    with KeptEpisodes(tmp_path / "kept", by) as kept:
        kept.add(good)
        kept.add(bad)
        assert kept.found() == {good.key: good}
    assert json.loads((tmp_path / "kept" / ABOUT).read_text()) == by


def test_the_set_of_browsergym_is_miniwob_without_three_flights() -> None:
    chosen = task_sets.choose(["browsergym"])
    rest = {task for task in task_sets.choose(["miniwob"]) if task not in chosen}
    assert len(chosen) == 125 and rest == {"miniwob.flight.AA", "miniwob.flight.Alaska", "miniwob.flight.Alaska-auto"}
