"""Processor seconds of this process and of all that it started, which a busy machine does not stretch as it stretches a clock."""

import os
from pathlib import Path


def cpu_s() -> float | None:
    """Seconds so far, over all living descendants; None where there is no /proc."""
    processes = Path("/proc")
    if not (processes / "self/stat").exists():
        return None
    parents: dict[int, int] = {}
    ticks: dict[int, int] = {}
    for folder in processes.iterdir():
        if not folder.name.isdigit():
            continue
        try:
            fields = (folder / "stat").read_text().rpartition(")")[2].split()
        except OSError:  # it has ended meanwhile
            continue
        parents[int(folder.name)] = int(fields[1])
        ticks[int(folder.name)] = int(fields[11]) + int(fields[12])
    ours = {os.getpid()}
    while more := {process for process, parent in parents.items() if parent in ours} - ours:
        ours |= more
    return sum(ticks.get(process, 0) for process in ours) / os.sysconf("SC_CLK_TCK")
