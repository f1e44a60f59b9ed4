"""Statistics against published figures, enumeration and hand-computed tables."""

import doctest
import io
import itertools
import json
import math
import re
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

import webgym.evaluation.statistics
from webgym.errors import UsageError
from webgym.evaluation.assessment import Assessment
from webgym.evaluation.statistics import Interval, clustered_bootstrap, compare, mcnemar, report, wilson
from webgym.types import Completion, EpisodeKey, Outcome, OutcomeKind, Trajectory, Turn


@pytest.mark.parametrize(
    ("successes", "episodes", "low", "high"),
    [  # Newcombe, Statistics in Medicine 17 (1998) 857-872, table I, method 3 (score, without continuity correction)
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0000, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ],
)
def test_wilson_as_published(successes: int, episodes: int, low: float, high: float) -> None:
    interval = wilson(successes, episodes)
    assert (round(interval.low, 4), round(interval.high, 4)) == (low, high)


@given(st.integers(0, 200).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))), st.sampled_from([0.5, 0.9, 0.95, 0.99]))
def test_wilson_identities(case: tuple[int, int], confidence: float) -> None:
    k, n = case
    interval, mirror = wilson(k, n, confidence), wilson(n - k, n, confidence)
    assert 0.0 <= interval.low <= (k / n if n else 0.5) <= interval.high <= 1.0
    assert interval.low == pytest.approx(1 - mirror.high) and interval.high == pytest.approx(1 - mirror.low)
    if 0 < k < n:  # its bounds are the p at which the score test is just significant
        z = (k / n - interval.low) / math.sqrt(interval.low * (1 - interval.low) / n)
        assert math.erf(z / math.sqrt(2)) == pytest.approx(confidence)


def test_wilson_of_nothing_and_of_nonsense() -> None:
    assert wilson(0, 0) == Interval(0.0, 1.0)
    for wrong in ((-1, 5), (6, 5)):
        with pytest.raises(ValueError, match="successes"):
            wilson(*wrong)


def test_the_bootstrap_against_all_possible_draws() -> None:
    clusters = [[0.0, 0.0, 1.0, 0.0], [1.0, 1.0], [1.0, 0.0, 1.0]]
    means = []
    for picks in itertools.product(clusters, repeat=3):
        pooled = [x for cluster in picks for x in cluster]
        means.append(sum(pooled) / len(pooled))
    for confidence in (0.4, 0.6, 0.8):
        interval = clustered_bootstrap(clusters, confidence, draws=200_000)
        assert interval is not None
        # The quantiles of a discrete distribution: between the neighbours of the wanted probability, up to the noise of the draws.
        for value, probability in ((interval.low, (1 - confidence) / 2), (interval.high, (1 + confidence) / 2)):
            assert np.mean([m < value - 1e-9 for m in means]) <= probability + 0.005
            assert np.mean([m <= value + 1e-9 for m in means]) >= probability - 0.005


def test_the_bootstrap_nears_the_normal_interval_of_the_mean() -> None:
    rates = np.random.default_rng(3).normal(0.5, 0.1, 200)
    interval = clustered_bootstrap([[r] for r in rates])
    half = 1.959964 * rates.std() / math.sqrt(200)
    assert interval is not None
    assert interval.low == pytest.approx(rates.mean() - half, abs=0.0015)
    assert interval.high == pytest.approx(rates.mean() + half, abs=0.0015)


def test_the_bootstrap_sees_tasks_not_episodes() -> None:
    """Each task is all or nothing: a hundred times the episodes are no more evidence about other tasks."""
    few = clustered_bootstrap([[float(i % 2)] * 2 for i in range(10)])
    many = clustered_bootstrap([[float(i % 2)] * 200 for i in range(10)])
    assert few == many and few is not None and few.high - few.low > 0.5


def test_the_bootstrap_is_seeded_and_needs_two_clusters() -> None:
    clusters = [[float(i % 3 == 0), float(i % 2)] for i in range(40)]
    assert clustered_bootstrap(clusters, seed=1) == clustered_bootstrap(clusters, seed=1) != clustered_bootstrap(clusters, seed=2)
    assert clustered_bootstrap([[1.0, 0.0]]) is None and clustered_bootstrap([]) is None and clustered_bootstrap([[1.0], []]) is None
    assert clustered_bootstrap([[1.0], [1.0, 1.0], [1.0]]) is None, "no spread is no certainty"


@pytest.mark.parametrize(
    ("wins", "losses", "p"), [(0, 0, 1.0), (5, 0, 2 / 32), (9, 1, 22 / 1024), (1, 9, 22 / 1024), (3, 3, 1.0), (4, 3, 1.0)]
)
def test_mcnemar_by_hand(wins: int, losses: int, p: float) -> None:
    assert mcnemar(wins, losses) == p


def test_mcnemar_with_thousands_of_pairs() -> None:
    z = (1030 - 970 - 1) / math.sqrt(2000)  # the normal approximation with continuity correction
    assert mcnemar(1030, 970) == pytest.approx(math.erfc(z / math.sqrt(2)), rel=0.01)


# --- report --------------------------------------------------------------------------------------------------------------


def episode(task: str, seed: int, kind: OutcomeKind, turns: str = "ok", member: int = 0, retries: int = 0) -> Trajectory:
    """An episode; each letter of `turns` is a turn: o worked, e an action that failed, x a text that was no action."""
    made = tuple(Turn(Completion(""), "" if c == "x" else "wait()", "" if c in "ok" else "no", 0.0, False, False, "", "") for c in turns)
    reward = math.nan if kind in ("fault", "agent_caused") else float(kind == "success")
    return Trajectory(EpisodeKey(task, seed, member=member), "goal", made, Outcome(kind, reward, retries=retries))


EPISODES = [
    episode("b.two", 1, "success", "oooo"),
    episode("a.one", 1, "success", "oo"),
    episode("a.one", 2, "success", "oxe", retries=1),
    episode("a.one", 3, "stopped", "o"),
    episode("a.one", 4, "truncated", "oooooo"),
    episode("a.one", 5, "fault", "oooo", retries=3),
    episode("a.one", 6, "agent_caused", "oooo", retries=1),
]


def test_a_report_by_hand() -> None:
    result = report(EPISODES)
    one, two = result.rows
    assert (one.name, two.name, result.overall.name) == ("a.one", "b.two", "all")
    assert (one.episodes, one.successes, one.faults, one.agent_caused, one.retries) == (6, 2, 1, 1, 5)
    assert one.success == 2 / 5, "the fault is left out, the episode that the agent killed is not"
    assert one.success_strict == 2 / 6
    assert one.interval == wilson(2, 5) and one.strict_interval == wilson(2, 6)
    assert one.mean_reward == 2 / 4 and one.mean_turns == (2 + 3 + 1 + 6) / 4
    assert one.invalid_actions == 1 / 20 and one.failed_actions == 2 / 20
    assert one.outcomes == {"agent_caused": 1, "fault": 1, "stopped": 1, "success": 2, "truncated": 1}
    assert (two.success, two.mean_turns, two.invalid_actions) == (1.0, 4.0, 0.0)
    assert result.overall.success == 3 / 6 and result.overall.episodes == 7
    assert result.task_interval == clustered_bootstrap([[1.0, 1.0, 0.0, 0.0, 0.0], [1.0]])


def test_partial_scores_are_counted_beside_success() -> None:
    def scored(kind: OutcomeKind, raw: float) -> Trajectory:
        found = episode("a.b", 1, kind)
        return replace(found, outcome=replace(found.outcome, raw_reward=raw))

    some = [scored("success", 1.0), scored("failure", 0.5), scored("failure", -1.0), scored("agent_caused", 0.5), scored("fault", 0.5)]
    row = report(some).overall
    assert (row.success, row.success_partial) == (1 / 4, 2 / 4) and row.partial_interval == wilson(2, 4)
    own = report([episode("a.b", 1, "success"), episode("a.b", 2, "failure")]).overall
    assert own.success_partial == own.success, "a site without scores of its own"


def test_a_report_of_nothing_and_of_faults_only() -> None:
    empty = report([])
    assert empty.rows == () and empty.task_interval is None and math.isnan(empty.overall.success)
    faults = report([episode("a.one", 1, "fault", "")])
    assert math.isnan(faults.overall.success) and faults.overall.success_strict == 0.0 and math.isnan(faults.overall.mean_turns)
    assert json.loads(json.dumps(faults.to_json(), allow_nan=False))["overall"]["success"] is None


def test_rows_by_anything() -> None:
    result = report(EPISODES, by=lambda t: "odd" if t.key.seed % 2 else "even")
    assert [(row.name, row.episodes) for row in result.rows] == [("even", 3), ("odd", 4)]
    assert result.task_interval == report(EPISODES).task_interval, "tasks stay the clusters"


def test_json_is_complete_and_plain() -> None:
    data = json.loads(json.dumps(report(EPISODES).to_json(), allow_nan=False))
    assert data["overall"]["successes"] == 3 and [row["name"] for row in data["rows"]] == ["a.one", "b.two"]
    assert data["rows"][0]["interval"]["low"] == wilson(2, 5).low
    assert data["rows"][0]["outcomes"]["stopped"] == 1 and set(data["task_interval"]) == {"low", "high"}


def shown(episodes: list[Trajectory]) -> str:
    console = Console(width=120, record=True, file=open("/dev/null", "w"))  # noqa: SIM115
    with console.file:
        console.print(report(episodes).table("evaluation"))
        return console.export_text()


def test_the_table() -> None:
    text = shown(EPISODES)
    line = next(line for line in text.splitlines() if "a.one" in line)
    assert re.split(r"  +", line.strip()) == ["a.one", "6", "40.0%", "11.8 … 76.9%", "3.0", "5.0%", "33.3%", "2 (1)"]
    assert "interval over tasks" in text and "evaluation" in text
    assert "–" in shown([episode("a.one", 1, "fault", "")]) and "interval over tasks" not in shown(EPISODES[:1])


def failed(task: str, seed: int, message: str, kind: str = "fault") -> Trajectory:
    found = episode(task, seed, kind, "")
    return replace(found, outcome=replace(found.outcome, message=message))


def test_the_reasons_for_faults_stand_below_the_table() -> None:
    oracle = [failed("a.one", seed, f"the oracle of a.one failed on seed {seed}, turn 3: LookupError: no Tea") for seed in (1, 2)]
    site = failed("a.one", 3, f"the application: {'its state could not be read ' * 9}; its log ends with:\nno ink")
    killed = failed("a.one", 4, "click('1'): the page crashed", "agent_caused")
    many = [failed("a.one", seed, f"reason {chr(60 + seed)}") for seed in range(5, 9)]
    result = report([site, *oracle, killed, *many, episode("a.one", 9, "success")])
    console = Console(width=120, record=True, file=io.StringIO())
    console.print(result.table())
    lines = [line for line in console.export_text().splitlines() if re.match(r"\d+ f", line)]
    assert lines[0] == "2 faults: the oracle of a.one failed: LookupError: no Tea"
    assert lines[1].startswith("1 fault: the application: its state") and lines[1].endswith("…") and len(lines[1]) <= 120
    assert lines[2] == "1 fault: click('1'): the page crashed" and len(lines) == 6 and lines[5] == "2 for other reasons"
    reasons = result.to_json()["fault_reasons"]
    assert reasons[0] == {"faults": 2, "message": oracle[0].outcome.message} and len(reasons) == 7
    assert reasons[1]["message"].endswith("no ink")
    assert report(oracle[:0]).to_json()["fault_reasons"] == []


def test_tasks_whose_pages_decide_stand_apart() -> None:
    """b.two is decided by its page: below those of server state in the table, with the figures of both kinds."""
    result = report([*EPISODES, episode("c.three", 1, "failure")], on_pages=["b.two", "z.not-played"])
    assert result.on_pages == {"b.two"}
    state, page = result.by_trust
    assert (state.name, state.episodes, state.successes, state.success) == ("state", 7, 2, 2 / 6)
    assert (page.name, page.episodes, page.successes, page.success) == ("page", 1, 1, 1.0)
    assert result.overall == report([*EPISODES, episode("c.three", 1, "failure")]).overall
    console = Console(width=120, record=True, file=io.StringIO())
    console.print(result.table())
    firsts = [re.split(r"  +", line.strip())[0] for line in console.export_text().splitlines()[2:] if line.strip("─ ")]
    assert firsts == [
        "a.one", "c.three", "decided by pages (trust: page):", "b.two", "all of trust: state", "all of trust: page", "all",
        "interval over tasks",
    ]  # fmt: skip
    data = result.to_json()
    assert data["on_pages"] == ["b.two"] and data["by_trust"]["page"]["successes"] == 1 and set(data["by_trust"]) == {"state", "page"}
    only = report(EPISODES, on_pages=["a.one", "b.two"])
    assert [row.name for row in only.by_trust] == ["page"] and "all of trust" not in shown(EPISODES)
    assert report(EPISODES).by_trust == () and report(EPISODES).to_json()["on_pages"] == []
    wanted = Assessment(("miniwob.click-test", "wizard.h3"))
    played = [episode("miniwob.click-test", 1, "success"), episode("wizard.h3", 1, "failure")]
    assert wanted.report(played).on_pages == {"miniwob.click-test"}, "an evaluation knows which tasks these are"


@pytest.mark.parametrize("faulted", [False, True])
def test_the_table_fits_80_columns_and_breaks_no_word(faulted: bool) -> None:
    name = "miniwob.click-checkboxes-transfer"
    kinds: list[OutcomeKind] = [*["success"] * 100, *["fault"] * (20 if faulted else 0)]  # type: ignore[list-item]
    console = Console(width=80, record=True, file=io.StringIO())
    console.print(report([episode(name, seed, kind) for seed, kind in enumerate(kinds)]).table())
    lines = console.export_text().splitlines()
    assert not any("…" in line.replace(" … ", "") for line in lines) and "invalid" in lines[1]
    names = [line[: lines[1].index("episodes")].strip() for line in lines[3:]]
    assert "".join(names).startswith(name)


# --- comparison ----------------------------------------------------------------------------------------------------------


def outcomes(task: str, pattern: str, member: int = 0) -> list[Trajectory]:
    """One episode per seed: + success, - failure, ? fault, a gap is no episode."""
    kinds: dict[str, OutcomeKind] = {"+": "success", "-": "truncated", "?": "fault", "!": "agent_caused"}
    return [episode(task, seed, kinds[c], member=member) for seed, c in enumerate(pattern) if c != " "]


def test_a_comparison_by_hand() -> None:
    first = [*outcomes("a.one", "++--?-- "), *outcomes("a.two", "+-")]
    second = [*outcomes("a.one", "+-++++! "), *outcomes("a.two", "++ +")]
    result = compare(first, second)
    # pairs: a.one 0 1 2 3 5 6, a.two 0 1
    assert (result.pairs, result.dropped) == (8, 2)
    assert (result.first, result.second, result.difference) == (3 / 8, 6 / 8, 3 / 8)
    assert (result.wins, result.losses) == (4, 1) and result.p_value == 2 * 6 / 32
    assert result.interval == clustered_bootstrap([[0, -1, 1, 1, 1, 0], [0, 1]])
    assert (
        "37.5% → 75.0% on 8 shared seeds: +37.5 points, 95% interval" in result.sentence()
        and "4 won, 1 lost, p = 0.375" in result.sentence()
    )
    json.dumps(result.to_json(), allow_nan=False)


def test_turning_a_comparison_round_turns_its_sign() -> None:
    first, second = outcomes("a.one", "++--+-+-"), outcomes("a.one", "+++-+++-")
    there, back = compare(first, second), compare(second, first)
    assert there.difference == -back.difference == 2 / 8 and there.p_value == back.p_value
    assert (there.wins, there.losses) == (back.losses, back.wins)
    assert there.interval is not None and back.interval is not None
    assert there.interval.low <= 0.25 <= there.interval.high, "one task: the bootstrap goes over pairs"


def test_several_episodes_of_a_pair_are_averaged() -> None:
    first = [*outcomes("a.one", "+-"), *outcomes("a.one", "--", member=1), *outcomes("a.one", "?-", member=2)]
    second = [*outcomes("a.one", "+-"), *outcomes("a.one", "+-", member=1)]
    result = compare(first, second)
    assert (result.first, result.second, result.wins, result.losses) == (1 / 4, 1 / 2, 1, 0)


def test_nothing_to_compare() -> None:
    with pytest.raises(UsageError, match="share no task and seed"):
        compare(outcomes("a.one", "+ "), outcomes("a.one", "? +"))


def test_intervals_overlap() -> None:
    assert Interval(0.1, 0.3).overlaps(Interval(0.3, 0.5)) and Interval(0.0, 1.0).overlaps(Interval(0.4, 0.5))
    assert not Interval(0.1, 0.3).overlaps(Interval(0.31, 0.5)) and not Interval(0.5, 0.6).overlaps(Interval(0.1, 0.4))


def test_documentation_examples() -> None:
    result = doctest.testmod(webgym.evaluation.statistics)
    assert result.attempted and not result.failed


# --- pairs of twins ------------------------------------------------------------------------------------------------------


def test_a_pair_is_solved_where_both_twins_are() -> None:
    possible, not_possible = outcomes("a.can", "++-+?+!"), outcomes("a.cannot", "+-+++ +")
    result = report([*possible, *not_possible], twins=[("a.can", "a.cannot")])
    (pair,) = result.pairs
    assert (pair.name, pair.pairs, pair.solved, pair.success) == ("a.can + a.cannot", 5, 2, 2 / 5)  # seeds 0 to 3 and 6; 4 is a fault
    assert pair.interval == wilson(2, 5)
    assert json.loads(json.dumps(result.to_json()))["pairs"][0]["solved"] == 2
    assert report(possible).pairs == () and report(possible).to_json()["pairs"] == []


def test_giving_up_always_solves_no_pair() -> None:
    result = report([*outcomes("a.can", "----"), *outcomes("a.cannot", "++++")], twins=[("a.can", "a.cannot")])
    assert result.overall.success == 0.5 and result.pairs[0].success == 0.0
    console = Console(width=120, record=True, file=open("/dev/null", "w"))  # noqa: SIM115
    with console.file:
        console.print(result.table())
        line = next(line for line in console.export_text().splitlines() if "pair a.can + a.cannot" in line)
    assert re.split(r"  +", line.strip()) == ["pair a.can + a.cannot", "4", "0.0%", "0.0 … 49.0%"]


def test_members_of_one_seed_pair_up_in_order() -> None:
    twice = [*outcomes("a.can", "+", 0), *outcomes("a.can", "-", 1), *outcomes("a.cannot", "+", 0), *outcomes("a.cannot", "+", 1)]
    (pair,) = report(twice, twins=[("a.can", "a.cannot")]).pairs
    assert (pair.pairs, pair.solved) == (2, 1)
