"""The hack matrix: every known attack on rewards, episodes, pages, prompts, files and servers, with its positive control.

    python -m benchmarks.hacks [--quick] [--only WORD] [--ledger FILE] [--write docs/security.md] [--json FILE]

Each row is a script. It is played against the code as it is, and must get nothing. Then its guard is removed and the same script is played
again, and must succeed. A row whose script does not succeed without the guard proves nothing: it is named, and does not count. The exit
code is 1 where a row succeeds, or does not count.
"""

import argparse
import importlib
import json
import logging
import time
from pathlib import Path

from benchmarks import marks
from benchmarks.hacks.matrix import HACKS, Found, table, tried

MODULES = ("addresses", "network", "episodes", "leftovers", "readers", "prompts", "answers", "files", "viewers")
BEGIN, END = "<!-- hacks: begin -->", "<!-- hacks: end -->"


def known() -> None:
    """Let every module register its rows."""
    for name in MODULES:
        importlib.import_module(f"benchmarks.hacks.{name}")


def write(path: Path, found: list[Found]) -> None:
    """Put the table between the two marks of a page."""
    wins, counted = sum(bool(one.got) for one in found), sum(one.counts for one in found)
    words = f"{len(found)} attacks, {wins} succeed; without their guards {counted} succeed (`make hacks`)."
    marks.put(path, BEGIN, END, f"\n{words}\n\n{table(found)}\n")


def _before(ledger: Path | None) -> dict[tuple[str, str], tuple[str, str]]:
    """What rows got, with the guard and without it, by a ledger."""
    lines = ledger.read_text("utf-8").splitlines() if ledger and ledger.is_file() else []
    return {(row["group"], row["attack"]): (row["got"], row["control"]) for row in map(json.loads, lines)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="only rows that need no browser")
    parser.add_argument("--only", default="", help="only rows whose group or attack holds this word")
    parser.add_argument("--ledger", type=Path, help="a file of the rows that were tried: a run that was cut off goes on from there")
    parser.add_argument("--write", type=Path, help="put the table into this page")
    parser.add_argument("--json", type=Path, help="also write the results to this file")
    arguments = parser.parse_args()
    logging.disable(logging.CRITICAL)  # what an attack makes a site or the browser complain of
    known()
    rows = [one for one in HACKS if (one.quick or not arguments.quick) and arguments.only in f"{one.group}: {one.attack}"]
    begun, found = time.monotonic(), []
    before = _before(arguments.ledger)
    for one in rows:
        known_row = before.get((one.group, one.attack))
        found.append(Found(one, *known_row) if known_row else tried(one))
        if arguments.ledger and not known_row:
            with arguments.ledger.open("a", encoding="utf-8") as file:
                file.write(json.dumps({**found[-1].to_json(), "seconds": round(time.monotonic() - begun, 1)}) + "\n")
        sign = "SUCCEEDS" if found[-1].got else "ok" if found[-1].counts else "no control"
        print(f"{sign:<10} {one.group}: {one.attack}  [{found[-1].got or found[-1].control[:60]}]", flush=True)
    seconds = time.monotonic() - begun
    wins, silent = [x for x in found if x.got], [x for x in found if not x.counts]
    result = {"tried": len(found), "succeed": len(wins), "without_control": len(silent), "seconds": round(seconds, 1)}
    print(json.dumps(result))
    if arguments.json:
        arguments.json.write_text(json.dumps({**result, "rows": [one.to_json() for one in found]}, indent=1) + "\n")
    if arguments.write:
        write(arguments.write, found)
    raise SystemExit(bool(wins or silent))


if __name__ == "__main__":
    main()
