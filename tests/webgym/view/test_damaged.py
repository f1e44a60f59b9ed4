"""Lines that were damaged or written by an enemy: such a line costs itself, and neither its group nor the report."""

import json
from pathlib import Path
from typing import Any

import pytest
from tokenizers import Tokenizer, decoders, models, pre_tokenizers

from tests.webgym.view.runs import start, trajectory
from webgym.record.store import TrajectoryStore
from webgym.types import EpisodeKey
from webgym.view.export import DETAILS, choose, export, page, report
from webgym.view.runs import Library, Run
from webgym.view.tokens import Tokens, _shared


def run_with(path: Path, *changes: Any) -> Run:
    """A run with a group of two good episodes, and a copy of the first one's line for each change, which is a function of its record."""
    start(path)
    file = path / "trajectories/iter-000001.jsonl"
    with TrajectoryStore(file) as store:
        for member in range(2):
            store.append(trajectory(EpisodeKey("shop.a", 40, 1, 0, member), [0.0, 1.0]))
    record = file.read_text().splitlines()[0]
    with file.open("a") as more:
        for change in changes:
            copy = json.loads(record)
            change(copy)
            more.write(json.dumps(copy, separators=(",", ":")) + "\n")
    run = Library.open(path).run(path.name)
    run.refresh()
    return run


def a_url_that_is_a_number(record: dict[str, Any]) -> None:
    record["turns"][0]["url"] = 7


def a_page_that_is_missing(record: dict[str, Any]) -> None:
    del record["turns"][0]["page"]


def a_completion_that_is_a_list(record: dict[str, Any]) -> None:
    record["turns"][0]["completion"]["action_ids"] = ["a"]


DAMAGES = [a_url_that_is_a_number, a_page_that_is_missing, a_completion_that_is_a_list]


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_sibling_that_cannot_be_read_is_left_out(tmp_path: Path, damage: Any) -> None:
    run = run_with(tmp_path / "run", damage)
    assert len(run.episodes) == 3, "the list looks at the beginning of a line only"
    assert [x["id"] for x in run.episode("iter-000001", 1)["siblings"]] == ["iter-000001/1", "iter-000001/2"]
    assert [x["id"] for x in run.group("iter-000001", 2)["members"]] == ["iter-000001/1", "iter-000001/2"]
    with pytest.raises(KeyError):
        run.episode("iter-000001", 3)


def test_a_report_leaves_out_what_cannot_be_read(tmp_path: Path) -> None:
    run = run_with(tmp_path / "run", *DAMAGES)
    assert [x.id for x in choose(run, 100)] == ["iter-000001/1", "iter-000001/2"]
    said: list[str] = []
    export(tmp_path / "run", tmp_path / "report.html", say=said.append)
    assert "with 2 of 5 episodes" in said[0] and (tmp_path / "report.html").stat().st_size > 1000


def test_a_number_that_json_does_not_know_is_no_end_of_a_report(tmp_path: Path) -> None:
    run = run_with(tmp_path / "run")
    data = report(Library([run]), run, choose(run, 100), DETAILS[-1])
    assert page({**data, "more": float("inf")})


def letters() -> Tokenizer:
    """A tokenizer of bytes: id 0 is the first letter of its alphabet."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    found = Tokenizer(models.BPE(vocab={letter: number for number, letter in enumerate(alphabet)}, merges=[]))
    found.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    found.decoder = decoders.ByteLevel()
    return found


def test_ids_that_are_no_tokens_are_shown_as_they_are() -> None:
    ids = letters().encode("ab").ids
    assert Tokens(letters()).pieces([ids[0], -1, 2**70, 5000, ids[1]]) == ["a", "‹-1›", "‹" + str(2**70) + "›", "‹5000›", "b"]


class Counting:
    """A tokenizer that counts the ids which it was given to decode."""

    def __init__(self) -> None:
        self.inner, self.decoded = letters(), 0

    def id_to_token(self, i: int) -> str | None:
        return self.inner.id_to_token(i)

    def decode(self, ids: list[int], skip_special_tokens: bool) -> str:
        self.decoded += len(ids)
        return self.inner.decode(ids, skip_special_tokens=skip_special_tokens)


def test_pieces_of_a_long_completion_take_no_longer_each() -> None:
    text = "Grüße, 世界! 👍🏽 click('3')\n" * 50
    tokenizer = Counting()
    ids = tokenizer.inner.encode(text).ids
    pieces = Tokens(tokenizer).pieces(ids)
    assert "".join(pieces).replace("\ufffd", "") == text
    assert len(ids) > 1500 and tokenizer.decoded < 50 * len(ids)
    whole = [tokenizer.inner.decode(ids[: n + 1], skip_special_tokens=False) for n in range(60)]
    grown = zip(["", *whole], whole, strict=False)
    assert pieces[:60] == [after[_shared(before, after) :] for before, after in grown]


@pytest.mark.parametrize(("kind", "success", "faults"), [("fault", 1.0, 1), ("agent_caused", 2 / 3, 0), ("failure", 2 / 3, 0)])
def test_a_crash_that_the_agent_caused_counts_as_no_success(tmp_path: Path, kind: str, success: float, faults: int) -> None:
    run = run_with(tmp_path / "run", lambda record: record["outcome"].update(kind=kind, reward=None))
    (row,) = run.tasks()
    assert (row["episodes"], row["faults"]) == (3, faults)
    assert row["success"] == pytest.approx(success) and row["first"] == pytest.approx(success) and row["trend"] == [pytest.approx(success)]
