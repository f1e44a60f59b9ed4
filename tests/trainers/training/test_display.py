"""What a person sees: a line an iteration, or a panel with rates, the time split and what is left; both end when the run does."""

from io import StringIO
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from rich.console import Console

from tests.trainers.episodes import episode
from trainers.config import resolve
from trainers.training.display import Lines, LivePanel, Logged, display_for, line
from trainers.training.metrics import rollout_metrics
from trainers.training.progress import Progress
from webgym.evaluation.statistics import report
from webgym.rollout.contract import Counts

ROW = rollout_metrics([episode(1.0, 2), episode(0.0, 4)], 40) | {
    "rollout/groups_dropped": 3.0, "rollout/faults": 2.0, "loss/kl_to_behaviour": 0.0123, "loss/entropy": 0.5, "loss/clip_fraction": 0.04,
    "critic/held_out_ev": 0.3, "optim/tokens_read": 9000.0, "time/iteration_s": 10.0, "time/collect_s": 7.0, "time/critic_s": 0.0,
    "time/update_s": 3.0, "time/browser_share": 0.6, "time/sampling_share": 0.2, "time/training_share": 0.3, "time/saving_share": 0.0,
    "time/unaccounted": 0.02,
}  # fmt: skip
TRAINER = cast(
    Any,
    SimpleNamespace(
        config=resolve({"length": {"iterations": 9}})[0],
        tasks=["a.b"],
        run=SimpleNamespace(
            path="runs/x", algo="grpo", metrics=[{"iteration": 1, "rollout/success": 0.2}, {"iteration": 1, "eval/success": 0.3}]
        ),
    ),
)


def shown(terminal: bool) -> tuple[Console, StringIO]:
    text = StringIO()
    return Console(file=text, force_terminal=terminal, width=120, color_system=None), text


@pytest.mark.parametrize("terminal", [False, True])
def test_an_iteration_is_shown_with_all_its_figures(terminal: bool, tmp_path: Path) -> None:
    console, text = shown(terminal)
    display = display_for(console)
    assert isinstance(display, Logged) and type(display.shown) is (LivePanel if terminal else Lines)
    trainer = SimpleNamespace(**{**vars(TRAINER), "run": SimpleNamespace(**{**vars(TRAINER.run), "path": tmp_path})})
    display.begin(cast(Any, trainer))
    display.collecting(SimpleNamespace(counts=Counts(thinking=1, acting=2, done=5)))
    display.iterated(Progress(3, 9, ROW, 31.0, 90.0))
    display.evaluated(report([episode(1.0, 2)]), "after training")
    display.say("stopped")
    display.end()
    said = text.getvalue()
    both = ("3/9", "0.500", "0.0123", "0.04", "after training", "stopped", tmp_path.name, "1 task, ")
    split = ("browser 60%", "sampling 20%", "training 30%", "unaccounted 2%")
    panel = ("about 2 min left", *split, "3,000 (update)", "▂▅", "groups dropped", "faults")
    lines = ("unaccounted 2%", "dropped 3", "faults 2", "critic EV 0.30")
    assert all(words in said for words in (*both, *(panel if terminal else lines)))
    kept = (tmp_path / "train.log").read_text()
    assert all(words in kept for words in (*both, *lines)) and "\x1b" not in kept
    assert "in the browser" not in said.splitlines()[-2]  # nothing runs any more


def test_a_panel_gives_the_cursor_back_however_the_run_ends() -> None:
    console, text = shown(True)
    display = LivePanel(console)
    display.begin(TRAINER)
    assert "\x1b[?25l" in text.getvalue() and "\x1b[?25h" not in text.getvalue()
    display.end()
    display.end()
    assert text.getvalue().count("\x1b[?25h") == 1


def test_turns_without_an_action_are_told_where_they_are_many() -> None:
    said = [line(Progress(3, 9, ROW | {"rollout/invalid": share}, 31.0, 90.0)) for share in (0.25, 0.75)]
    assert "no action" not in said[0] and "no action in 75% of the turns" in said[1]
