"""Replays: what is recorded happens again, a difference is seen, films and traces show it."""

import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from webgym.commands import replay as r
from webgym.commands.film import Film
from webgym.errors import UsageError
from webgym.policies.scripted import RandomPolicy
from webgym.record.store import TrajectoryStore
from webgym.rollout.arena import Arena
from webgym.types import EpisodeKey, Trajectory


@pytest.fixture(scope="module")
def recorded() -> Trajectory:
    """An episode with clicks, typing and errors."""
    with Arena(1) as arena:
        return arena.collect(RandomPolicy(1), [EpisodeKey("miniwob.login-user", 3)])[0]


def test_what_was_recorded_happens_again_and_is_filmed(recorded: Trajectory, tmp_path: Path) -> None:
    found = r.replay(recorded, video=tmp_path / "film.webp", trace=tmp_path / "trace.zip")
    assert found.same and len(found.checks) == len(recorded) + 1
    assert found.lines()[-1].endswith("the replay is what was recorded")
    with Image.open(tmp_path / "film.webp") as film:
        assert film.n_frames == len(recorded) + 1
    with zipfile.ZipFile(tmp_path / "trace.zip") as trace:
        steps = trace.read("trace.trace").decode()
        assert recorded.turns[0].action.replace('"', '\\"') in steps and '"type":"frame-snapshot"' in steps


def test_another_page_or_another_end_is_seen(recorded: Trajectory) -> None:
    first = replace(recorded.turns[0], observation_hash="0" * 32)
    other = replace(recorded, turns=(first, *recorded.turns[1:]), outcome=replace(recorded.outcome, kind="success", reward=1.0))
    found = r.replay(other)
    assert not found.same and not found.checks[0].observation and found.checks[0].state and all(c.observation for c in found.checks[1:])
    assert "another view of the same state" in found.lines()[1] and "NOT what was recorded" in found.lines()[-1]


def test_episodes_are_found_by_their_address(recorded: Trajectory, tmp_path: Path) -> None:
    with TrajectoryStore(tmp_path / "run/trajectories/iter-000002.jsonl") as store:
        store.append(recorded)
        store.append(replace(recorded, key=EpisodeKey("miniwob.login-user", 9)))
    assert r.find(f"{tmp_path}/run/iter-000002/2").key.seed == 9
    assert r.find(f"{tmp_path}/run/trajectories/iter-000002.jsonl#1") == recorded
    for address, words in (
        (f"{tmp_path}/run/iter-000002/7", "there is no episode iter-000002/7"),
        (f"{tmp_path}/run", "names no episode"),
        (f"{tmp_path}/nothing.jsonl#1", "there is no trajectory file"),
        (f"{tmp_path}/rum/iter-000002/1", "did you mean 'run'"),
    ):
        with pytest.raises(UsageError, match=words):
            r.find(address)


def test_where_there_is_no_display_a_window_is_refused_in_words(recorded: Trajectory, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(r.platform, "system", lambda: "Linux")
    with pytest.raises(UsageError, match="no window can be shown: there is no display"):
        r.replay(recorded, headed=True)


def test_films_of_other_kinds_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"expected a name that ends in \.webp"):
        Film(tmp_path / "film.avi")
    film = Film(tmp_path / "film.gif")
    film.add(np.zeros((21, 33, 3), np.uint8), "click('1')", (4.0, 4.0, 6.0, 6.0))
    film.write()
    with Image.open(film.path) as image:
        assert image.width % 2 == image.height % 2 == 0
