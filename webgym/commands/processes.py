"""Resources of processes: the memory and the processor time of one and of all below it, from `/proc`.

Where there is no `/proc` the figures are 0.
"""

import os
from pathlib import Path

PROC = Path("/proc")


def descendants(process: int) -> list[int]:
    """The process and all below it."""
    parents = {}
    for stat in PROC.glob("[0-9]*/stat"):
        if fields := _stat(int(stat.parent.name)):
            parents[int(stat.parent.name)] = int(fields[1])
    found = [process]
    for one in found:
        found += [child for child, parent in parents.items() if parent == one]
    return found


def pss_mb(process: int) -> float:
    """The process's share of physical memory (proportional set size), in MB; 0 for one that ended."""
    try:
        lines = (PROC / str(process) / "smaps_rollup").read_text().splitlines()
    except OSError:
        return 0.0
    return next((int(line.split()[1]) for line in lines if line.startswith("Pss:")), 0) / 1000


def command_line(process: int) -> str:
    """The words that the process was started with; none for one that ended."""
    try:
        return (PROC / str(process) / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
    except OSError:
        return ""


def tree_mb(process: int) -> float:
    """Physical memory of the process and all below it (proportional set size), in MB."""
    return sum(map(pss_mb, descendants(process)))


def tree_cpu_s(process: int) -> float:
    """Seconds of processor time that the process and all below it have taken, those that have ended and were waited for with them."""
    ticks = 0
    for one in descendants(process):
        if fields := _stat(one):
            ticks += sum(map(int, fields[11:15]))  # utime, stime, cutime, cstime
    return ticks / os.sysconf("SC_CLK_TCK")


def _stat(process: int) -> list[str]:
    """The fields of a process's stat from its state on; none for one that ended."""
    try:
        return (PROC / str(process) / "stat").read_text().rsplit(")", 1)[1].split()
    except (OSError, IndexError):
        return []
