"""The simulation behind `webgym plan`: cases whose times are known without it, and its calibration on a run of one session."""

import math
from dataclasses import replace

import pytest
from typer.testing import CliRunner

from cli import app
from trainers.recipes.plan import Fleet, Rates, _pipelined, collected, forecast, parameters, split
from webgym.errors import ConfigError

RATES = Rates(page_s=0.5, cpu_s=0.5, alone=(1.5, 4.0), publish_s=0.0, network=math.inf)
FLEET = Fleet(1e9, cores=4, sessions=1, groups=2, group_size=2, rates=RATES)


def seconds(fleet: Fleet, *turns: int) -> float:
    return collected(fleet, turns)[0]


def test_one_session_plays_one_turn_after_the_other() -> None:
    now, cores, generators = collected(FLEET, [2, 3, 1])
    assert now == pytest.approx(6 * (0.5 + 1.5))
    assert cores == pytest.approx(6 * 0.5 / (now * 4)) and generators == pytest.approx(6 * 1.5 / (now * 4))


def test_sessions_with_a_place_each_do_not_slow_each_other_down_and_the_longest_episode_counts() -> None:
    assert seconds(replace(FLEET, sessions=4), 2, 7, 3, 1) == pytest.approx(7 * 2.0)
    assert seconds(replace(FLEET, sessions=2), 2, 7, 3, 1) == pytest.approx(7 * 2.0), "the short ones follow one another beside it"


def test_a_station_with_too_few_places_is_what_a_batch_takes() -> None:
    busy = replace(FLEET, sessions=64, rates=replace(RATES, alone=(1.5, 1.0)))
    now, _, generators = collected(busy, [4] * 64)
    assert now == pytest.approx(4 * (64 * 1.5 + 64 * 0.5 / 4)), "equal turns stay together: all at one station, then all at the other"
    assert generators == pytest.approx(64 * 4 * 1.5 / now)
    assert seconds(replace(busy, cores=1, rates=replace(RATES, alone=(0.1, 64.0))), *[4] * 64) == pytest.approx(64 * 4 * 0.5, rel=0.01)


def test_batches_follow_one_another_as_the_trainer_has_them() -> None:
    assert _pipelined([10.0] * 8, 4.0, 1.0, 0) == pytest.approx(15.0)
    assert _pipelined([10.0] * 8, 4.0, 1.0, 1) == pytest.approx(11.0), "the update is hidden"
    assert _pipelined([3.0] * 8, 12.0, 1.0, 1) == pytest.approx(12.0), "collecting is hidden"
    slow_at_times = [2.0, 14.0] * 8
    lockstep, one, two = (_pipelined(slow_at_times, 8.0, 0.0, k) for k in (0, 1, 2))
    assert lockstep == pytest.approx(16.0) and two < one < lockstep, "a second batch ahead evens slow ones out"
    assert two == pytest.approx(8.0)


def test_gpus_are_shared_so_that_an_iteration_is_shortest() -> None:
    fleet = Fleet(4e9, staleness=1, groups=4)
    best = split(fleet, 4)
    assert best.generators + best.learners == 4
    times = {n: forecast(replace(fleet, generators=n, learners=4 - n)).iteration_s for n in (1, 2, 3)}
    assert forecast(best).iteration_s == min(times.values()) < max(times.values())
    with pytest.raises(ConfigError, match="at least two GPUs"):
        split(fleet, 1)


def test_rates_of_a_run_give_the_run_back() -> None:
    row = {
        "time/iteration_s": 10.0, "rollout/turns": 4.0, "rollout/episodes": 5, "time/browser_s": 2.0, "time/sampling_s": 6.0,
        "time/publish_s": 0.5, "time/update_s": 1.0, "time/critic_s": 0.5,
    }  # fmt: skip
    rates = Rates.of_run([row, row], prompt=100.0, answer=10.0, sessions=1, cores=2)
    assert (rates.page_s, rates.alone, rates.publish_s) == (pytest.approx(0.1), (pytest.approx(0.3), 2.0), 0.5)
    fleet = Fleet(1e6, cores=2, sessions=1, groups=5, group_size=1, turns=4.0, prompt=100.0, answer=10.0, rates=rates)
    assert fleet.update_s == pytest.approx(1.5) and fleet.publish_s == 0.5
    assert seconds(fleet, 4, 4, 4, 4, 4) == pytest.approx(8.0)
    with pytest.raises(ConfigError, match=r"machine\.sessions=1"):
        Rates.of_run([row], prompt=1.0, answer=1.0, sessions=8, cores=2)


@pytest.mark.parametrize(
    ("name", "value"),
    [("turns", math.inf), ("turns", math.nan), ("turns", 0.0), ("turns", 1e6), ("prompt", math.inf), ("answer", math.nan),
     ("cores", 10**400), ("sessions", 10**9), ("groups", 10**7), ("parameters", 1e300)],
)  # fmt: skip
def test_figures_that_no_fleet_has_are_refused_in_one_sentence(name: str, value: float) -> None:
    with pytest.raises(ConfigError, match=rf"^expected {name} to be a number from 1 to [\d,]+, got "):
        replace(FLEET, **{name: value})


def test_what_would_be_simulated_for_hours_is_refused() -> None:
    large = replace(FLEET, groups=1000, group_size=100, turns=15.0)
    with pytest.raises(ConfigError, match=r"^expected at most 10,000,000 turns to simulate, got 12,000,000 \(8 iterations of 1,000 × 100"):
        forecast(large)
    with pytest.raises(ConfigError, match=r"got 13,200,000 .* for 110 ways to share the GPUs\): take a part of the fleet"):
        split(replace(large, groups=10), 111)


def test_the_command_refuses_them_too() -> None:
    for given, words in (("inf", "expected turns to be"), ("1e6", "expected turns to be"), ("9e3", "expected at most")):
        result = CliRunner().invoke(app, ["plan", "--turns", given, "--groups", "100"])
        assert isinstance(result.exception, ConfigError) and str(result.exception).startswith(words)


def test_sizes_of_models() -> None:
    assert parameters("0.6B") == 6e8
    for wrong in ("", "4", "big", "-1b", "nanb"):
        with pytest.raises(ConfigError, match="expected a size of model"):
            parameters(wrong)
