"""Runs side by side in a real browser: table, seeds as one curve, axes, notes; the advantages of training; a trainer that died."""

import json
import re
import statistics
import time
from dataclasses import asdict
from pathlib import Path
from typing import get_args

import pytest
from axe_playwright_python.base import AXE_FILE_PATH
from playwright.sync_api import Page, expect

from tests.webgym.view.runs import add_iteration, run_folder
from webgym.errors import UsageError
from webgym.record import layout, notes
from webgym.record.live import Cell, State
from webgym.rollout.contract import Counts
from webgym.view.runs import Library


def seeded(folder: Path, seed: int, held_out: tuple[float, ...] = (), **options: object) -> Path:
    """A run of this seed, with test evaluations before and after it."""
    run_folder(folder, **options)  # type: ignore[arg-type]
    about = json.loads((folder / layout.ABOUT).read_text())
    metrics = {"loss/entropy": "nats that the policy leaves open, per sampled token"}
    (folder / layout.ABOUT).write_text(json.dumps({**about, "seed": seed, "metrics": metrics}))
    with (folder / layout.METRICS).open("a") as file:
        for iteration, success in zip((0, options.get("iterations", 6)), held_out, strict=False):
            file.write(json.dumps({"iteration": iteration, "eval/success": success, "eval/split": "test"}) + "\n")
    return folder


def sessions(run: Path, written: float, cells: list[dict[str, object]]) -> None:
    """The live file of a run that collects, written at a time."""
    live = {"written": written, "phase": "collecting", "iteration": 2, "counts": asdict(Counts(done=3)), "cells": cells}
    (run / layout.LIVE).write_text(json.dumps(live))


def cells(page: Page, row: str) -> list[str]:
    return page.locator(".runs tbody tr", has=page.get_by_role("link", name=row, exact=True)).locator("td").all_inner_texts()


def test_runs_are_found_sorted_and_compared(viewer, tmp_path: Path) -> None:
    for seed, success in enumerate((0.5, 0.7, 0.9)):
        seeded(tmp_path / f"base-{seed}", seed, (0.25, success))
    seeded(tmp_path / "other", 7, (0.3,), lr=0.5)
    notes.write(tmp_path / "other", notes.Note("a larger <b>step</b>", ("bold",)))
    with viewer(tmp_path) as v:
        page = v.go("")
        expect(page.get_by_role("status")).to_have_text("4 runs")
        assert cells(page, "base-2")[6].split() == ["90.0%", "25.0%", "before"] and cells(page, "other")[6].strip() == "30.0%"
        page.get_by_role("button", name="held out").click()
        names = page.locator(".runname a")
        assert names.all_inner_texts() == ["base-2", "base-1", "base-0", "other"]
        page.get_by_role("button", name="held out").click()
        assert names.all_inner_texts() == ["other", "base-0", "base-1", "base-2"]
        page.get_by_label("search runs").fill("BOLD step")
        expect(names).to_have_text(["other"])
        expect(page.locator(".runname")).to_contain_text("a larger <b>step</b>")
        page.get_by_label("search runs").fill("")

        page.get_by_label("seeds together").check()
        half = 4.303 * statistics.stdev([0.5, 0.7, 0.9]) / 3**0.5
        expected = f"held out 70.0% [{100 * (0.7 - half):.1f}%, {100 * (0.7 + half):.1f}%] over seeds"
        expect(page.locator(".family")).to_contain_text(expected)
        page.reload()
        expect(page.locator(".family")).to_contain_text("3 seeds")
        for name in ("base-0", "base-1", "other"):
            page.get_by_label(f"choose {name}").check()
        page.get_by_role("button", name="compare 3 runs").click()
        expect(page.locator(".bar .legend")).to_have_count(3)
        success = page.locator(".chart").first
        expect(success).to_contain_text("mean of 2 seeds")
        page.get_by_label("seeds as one curve").uncheck()
        expect(success).to_contain_text("base-1, held out")
        assert page.locator(".tasks thead th").all_inner_texts()[-3:] == ["base-1", "other", "by iteration"]
        assert "%" in page.locator(".tasks tbody tr").first.locator("td").nth(-2).inner_text()

        # x by episodes: the run's own counts, since this run logged no steps
        axis = page.get_by_label("x axis")
        assert "environment steps" not in axis.inner_text() and "hours" in axis.inner_text()
        axis.select_option("episodes")
        expect(page.get_by_label("success over episodes")).to_be_visible()
        page.get_by_text("what each metric means").click()
        expect(page.locator(".glossary")).to_contain_text("nats that the policy leaves open")
        assert v.trouble == []


def test_pooled_curves_are_the_mean_and_the_interval_of_students_t(viewer, tmp_path: Path) -> None:
    with viewer(run_folder(tmp_path / "run", iterations=1)) as v:
        v.go("").wait_for_selector("h1")
        found = v.page.evaluate("x => webgymPooled.pooled(x)", [{"x": [0, 10], "y": [0.0, 1.0]}, {"x": [5, 10], "y": [1.5, 4.0]}])
        ends = v.page.evaluate("x => webgymPooled.interval(x)", [2.0, 4.0, 9.0])
    assert found["x"] == [0, 5, 10] and found["y"] == [None, 1.0, 2.5] and found["low"][0] is None
    half = 12.706 * statistics.stdev([1.0, 4.0]) / 2**0.5
    assert found["high"][2] == pytest.approx(2.5 + half) and found["low"][2] == pytest.approx(2.5 - half)
    assert ends == pytest.approx({"mean": 5.0, "half": 4.303 * statistics.stdev([2.0, 4.0, 9.0]) / 3**0.5})


def test_an_episode_shows_what_it_was_trained_with(viewer, tmp_path: Path) -> None:
    run = run_folder(tmp_path / "run", iterations=3)
    row = {"task_id": "shop.task-1", "seed": 41, "group": 1, "member": 2, "trajectory_iteration": 3, "advantages": [0.25, None, -0.5]}
    path = layout.credit_file(run, 3)
    path.parent.mkdir()
    path.write_text(json.dumps({**row, "values": [0.5, 0.6, 0.7]}) + "\n{ torn")
    with viewer(run) as v:
        page = v.go("run/run/episode/iter-000003/7")
        expect(page.locator(".bars.used .cell span")).to_have_text(["+0.25", "−0.50"])
        expect(page.locator(".controls")).to_contain_text("as the episode was trained with it")
        expect(page.locator(".bars.td .cell span")).to_have_text(["+0.04", "+0.03", "+0.30"])  # γ is 0.9, and the episode won
        v.go("run/run/episode/iter-000003/8")
        expect(page.get_by_text("No critic has looked at this episode")).to_be_visible()
        expect(page.get_by_label("lambda")).to_have_count(0)
        assert v.trouble == []


def test_a_trainer_that_died_is_said_to_be_gone(viewer, tmp_path: Path) -> None:
    run = run_folder(tmp_path / "run", iterations=2)
    run_folder(tmp_path / "other", iterations=1)
    sessions(run, time.time() - 600, [asdict(Cell("policy", time.time() - 700, "shop.buy", turn=2))] * 2)
    with viewer(tmp_path) as v:
        page = v.go("run/run/live")
        expect(page.locator("h1")).to_have_text("the trainer is gone")
        expect(page.locator(".grid.past button").first).to_have_attribute("title", re.compile(r"for 1[12]\.?\d* min"))
        v.go("run/run")
        expect(page.locator("h1")).to_contain_text("the trainer is gone")
        v.go("nothing/here")
        expect(page.get_by_role("heading", name="There is no such page.")).to_be_visible()
        v.go("run/nobody")
        page.get_by_role("link", name="All runs").click()
        expect(page.locator(".runs tbody tr", has_text="stopped")).to_have_count(1)
        assert v.trouble == []


PLACES = ("", "run/a", "run/a?with=b", "run/a/episodes", "run/a/episode/iter-000001/1", "run/a/group/iter-000001/1", "run/a/live")


@pytest.mark.parametrize("scheme", ["light", pytest.param("dark", marks=pytest.mark.slow)])
def test_nothing_serious_is_wrong_for_readers_of_screens(viewer, tmp_path: Path, scheme: str) -> None:
    for seed, name in enumerate("ab"):
        seeded(tmp_path / name, seed, (0.2, 0.8), iterations=2, pictures=True)
    cells = [Cell(state, time.time(), "shop.buy", message="it failed" * (state == "fault")) for state in get_args(State)]
    sessions(tmp_path / "a", time.time() + 600, [asdict(cell) for cell in cells])
    script = AXE_FILE_PATH.read_text("utf-8")
    with viewer(tmp_path, color_scheme=scheme) as v:
        for place in PLACES:
            page = v.go(place)
            page.locator(".runs, .tasks, .row, .turn, .matrix, .grid").first.wait_for()
            if page.evaluate("typeof axe === 'undefined'"):
                page.evaluate(script)
            found = page.evaluate("axe.run().then(x => x.violations)")
            found = [each for each in found if each["impact"] in ("serious", "critical")]
            grave = [(each["id"], node["html"][:200], node["failureSummary"]) for each in found for node in each["nodes"]]
            assert grave == [], place


def test_a_note_is_kept_and_a_bad_tag_is_refused(tmp_path: Path) -> None:
    notes.write(tmp_path, notes.Note("first try", ("a", "b")))
    assert notes.read(tmp_path) == notes.Note("first try", ("a", "b"))
    for damaged in ("", "{", "[]", '{"text": 1}', '{"text": "x", "tags": 3}'):
        (tmp_path / layout.NOTE).write_text(damaged)
        assert notes.read(tmp_path) == notes.Note()
    for tag in ("", "two words", "a,b"):
        with pytest.raises(UsageError, match="a tag of one word"):
            notes.write(tmp_path, notes.Note("", (tag,)))
    with pytest.raises(UsageError, match="at most 2000 characters"):
        notes.write(tmp_path, notes.Note("x" * 2001))


def test_the_newest_test_evaluation_is_the_headline(tmp_path: Path) -> None:
    run = seeded(tmp_path / "run", 0, (0.5,))
    add_iteration(run, 7)
    with (run / layout.METRICS).open("a") as file:
        file.write(json.dumps({"iteration": 7, "eval/success": 0.75, "eval/split": "valid"}) + "\n")
    card = Library.open(run).run("run").card()
    assert card["held_out"] == {"success": 0.75, "split": "valid", "iteration": 7, "before": None}
    with (run / layout.METRICS).open("a") as file:
        file.write(json.dumps({"iteration": 7, "eval/success": 0.625, "eval/split": "test"}) + "\n")
    card = Library.open(run).run("run").card()
    assert card["held_out"] == {"success": 0.625, "split": "test", "iteration": 7, "before": 0.5}
    assert len(card["family"]) == 12
