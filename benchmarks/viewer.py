"""How long it takes from `webgym view` to a usable page: python -m benchmarks.viewer [--episodes 1000] [--repeats 7]

A run of so many episodes is written, then each time a fresh process of the command line is started, its page is opened in a browser
that runs already, and the clock stops when the curves, the tasks and the number of episodes are on the screen. The first paint is
the browser's own figure. A bare page of the same browser and an import of the command line are measured in turn, as the floor.
"""

import argparse
import re
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from playwright.sync_api import Browser, sync_playwright

from tests.webgym.view.runs import run_folder
from webgym.backends.browser import executable


def once(browser: Browser, run: Path) -> dict[str, float]:
    """Seconds of one opening."""
    start, before = time.perf_counter(), used()
    process = subprocess.Popen([sys.executable, "-m", "cli", "view", str(run), "--no-browse"], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        [address] = re.findall(r"http://\S+", process.stdout.readline())
        served = time.perf_counter()
        page = browser.new_page()
        page.goto(address)
        page.wait_for_selector(".tasks tbody tr")
        page.wait_for_selector(".chart canvas")
        usable = time.perf_counter()
        paint = page.evaluate("performance.getEntriesByName('first-contentful-paint')[0]?.startTime ?? NaN") / 1000
        page.close()
    finally:
        process.kill()
        process.wait()
    return {
        "command to address": served - start,
        "address to usable page": usable - served,
        "first paint": paint,
        "in all": usable - start,
        "processor time of the command": used() - before,
    }


def used() -> float:
    """Processor seconds of all child processes that have ended: what a busy machine does not stretch as it does the clock."""
    times = resource.getrusage(resource.RUSAGE_CHILDREN)
    return times.ru_utime + times.ru_stime


def floor(browser: Browser) -> dict[str, float]:
    """What the interpreter with the command line's imports and an empty page of the browser cost by themselves."""
    start, before = time.perf_counter(), used()
    subprocess.run([sys.executable, "-c", "import cli"], check=True)
    imported = time.perf_counter()
    page = browser.new_page()
    page.goto("data:text/html,<p>x")
    page.wait_for_selector("p")
    opened = time.perf_counter()
    page.close()
    return {"import of the command line": imported - start, "its processor time": used() - before, "an empty page": opened - imported}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--episodes", type=int, default=1000)
    parser.add_argument("--repeats", type=int, default=7)
    asked = parser.parse_args()
    found = executable.find()
    rows: list[dict[str, float]] = []
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as p:
        run = run_folder(Path(folder) / "run", iterations=max(1, asked.episodes // 100), groups=25)
        browser = p.chromium.launch(executable_path=str(found.path), chromium_sandbox=executable.sandbox(found.path).enabled)
        for _ in range(asked.repeats):
            rows.append(once(browser, run) | floor(browser))
        browser.close()
    print(f"{asked.episodes} episodes, {asked.repeats} times; seconds")
    for name in rows[0]:
        values = sorted(row[name] for row in rows)
        print(f"  {name:<32} median {statistics.median(values):.2f}   {values[0]:.2f} … {values[-1]:.2f}")


if __name__ == "__main__":
    main()
