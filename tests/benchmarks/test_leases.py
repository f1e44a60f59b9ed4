"""The benchmark of leases: its other process, and its figures from a short run."""

import asyncio

from benchmarks.leases import Elsewhere, Worker, counting, figures, measure, play, summary
from webgym.env.core import AsyncWebEnv
from webgym.packs import registry


def test_a_counter_of_another_process_is_played_and_released():
    async def played():
        async with Worker.started(0.0) as worker:
            registry.register(counting(), sites=[Elsewhere(worker)])
            env = AsyncWebEnv(backend="text")
            await play(env, "elsewhere.count", 0)
            await env.close()
            return await worker.ask("asked")

    try:
        # three steps: the site reads the counter for each of four pages, and each step's check reads it once
        assert asyncio.run(played()) == {"lease": 1, "add": 3, "read": 7, "release": 1, "asked": 1}
    finally:
        registry._remove("elsewhere.count")


def test_a_short_run_has_all_figures():
    try:
        result = asyncio.run(measure(leases=2, sessions=2, rounds=1, tell=lambda words: None))
    finally:
        registry._remove("elsewhere.count")
    assert result["leases_measured"] == 2 and result["asked"]["lease"] == result["asked"]["release"] == 4  # one before, one that blocks
    assert {"added_ms", "longest_stall_ms", "longest_step_ratio", "steps_ratio", "missed"} <= result.keys()
    assert all(result[kind].keys() == figures_keys() for kind in ("without", "leases", "blocking"))
    assert summary(result).row_count == 9


def figures_keys():
    from benchmarks.leases import Round, Watch

    return figures([Round(Watch(), 1.0, 0.0, [1.0], [1.0])]).keys()
