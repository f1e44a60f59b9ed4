"""Evaluations in the course of a run: success on seeds that are not trained on."""

from trainers.training.players import Players
from webgym.evaluation.assessment import Assessment
from webgym.task import Split
from webgym.types import Sampling


def evaluate(players: Players, tasks: tuple[str, ...], split: Split, seeds: int, title: str, iteration: int) -> float:
    """Success of the present policy on `seeds` seeds of each task, which is logged and shown under `title`."""
    config, watch = players.config, players.observers
    policy = players.policy(Sampling(config.evaluation.temperature, max_tokens=config.rollout.max_tokens))
    watch.monitor.phase("evaluating", iteration)
    assessment = Assessment(tasks, split, seeds)
    report = assessment.report(assessment.play(policy, players.executor, watch.hear))
    players.run.log(iteration, {"eval/success": report.overall.success, "eval/split": split, "eval/seeds": seeds})
    watch.display.evaluated(report, title)
    watch.timekeeper.seconds()
    return report.overall.success
