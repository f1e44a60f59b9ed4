"""Memory and processor time of a tree of processes, against ones that are started for it."""

import os
import subprocess
import sys

from webgym.commands.processes import descendants, pss_mb, tree_cpu_s, tree_mb

WAITS = "print(1, flush=True); input()"
WORKS = "import time\nwhile time.process_time() < 0.35: pass\n"


def test_memory_of_a_tree_of_processes():
    code = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {WAITS!r}])"
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as parent:
        parent.stdout.readline()
        tree = descendants(parent.pid)
        assert tree[0] == parent.pid and len(tree) == 2 and set(tree) < set(descendants(os.getpid()))
        assert all(pss_mb(one) > 0.5 for one in tree)
        assert tree_mb(parent.pid) > pss_mb(parent.pid)
        parent.communicate("\n")
    assert pss_mb(parent.pid) == 0.0


def test_processor_time_counts_those_that_work_and_those_that_have_ended():
    before = tree_cpu_s(os.getpid())
    code = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {WORKS!r}]); {WAITS}"
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as parent:
        parent.stdout.readline()  # its own child has worked, and has ended
        assert 0.3 <= tree_cpu_s(parent.pid) < 3  # counted in ticks of 10 ms, each process's rounded down
        parent.communicate("\n")
    assert tree_cpu_s(os.getpid()) - before >= 0.3
    assert tree_cpu_s(parent.pid) == 0.0
