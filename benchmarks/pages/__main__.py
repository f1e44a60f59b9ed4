"""The referee of pages: what WebGym reads of a page beside Chrome's accessibility tree, and what it does beside plain Playwright.

    python -m benchmarks.pages [--pages 2000] [--seed N] [--sample 2] [--walks 2] [--steps 5] [--json FILE] [--write docs/pages.md]
    python -m benchmarks.pages --page FILE        one generated page again, all its actions
    python -m benchmarks.pages --from FILE --write docs/pages.md

- generated pages: so many are drawn from `--seed`, which is drawn itself where it is not given, and printed. On each, every control of the
  accessibility tree is looked for among the refs, and `--sample` refs are acted on by both sides, each on a fresh copy.
- component pages (`benchmarks/pages/components`, built by `make bench-pages`): `--walks` walks of `--steps` actions on each.
- `--save DIR` shrinks the first page of each kind of finding, and writes it to a file for `--page`.

The exit status is 1 where a control is unexplained, or an action hits a wrong target or is missed in silence.
"""

import argparse
import json
import secrets
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarks.pages import components, report
from benchmarks.pages.generator import Page, draw
from benchmarks.pages.referee import Finding, Referee, Result, judge_all
from webgym.errors import UsageError
from webgym.loop_thread import loop_thread
from webgym.types import seed_from


def tell(words: str) -> None:
    print(words, flush=True)


async def save(folder: Path, findings: list[Finding], most: int = 12, tries: int = 40) -> None:
    """Write a shrunk page of each kind of finding, the most frequent kinds first."""
    folder.mkdir(parents=True, exist_ok=True)
    referee = await Referee.open()
    try:
        for i, (cause, found) in enumerate(report.groups(findings, report.bad)[:most]):
            page = await referee.shrink(draw(found[0].seed), found[0], tries)
            file = folder / f"{i:02} {report.file_name(cause)}.json"
            file.write_text(page.to_json() + "\n")
            tell(f"{len(found)} × {' · '.join(filter(None, cause))}: {file}")
    finally:
        await referee.close()


async def alone(page: Page) -> list[Finding]:
    """The findings on one page, all its refs acted on."""
    referee = await Referee.open(sample=None)
    try:
        return await referee.judge(page)
    finally:
        await referee.close()


def measured(arguments: argparse.Namespace) -> dict[str, Any]:
    """The figures of a run, as JSON."""
    seed = secrets.randbits(32) if arguments.seed is None else arguments.seed
    tell(f"seed {seed}: the same pages again with --seed {seed}")
    seeds = [seed_from(seed, "page", i) % 2**40 for i in range(arguments.pages)]
    result: Result = loop_thread().run(judge_all(seeds, arguments.sample, tell, 60 * arguments.minutes))
    wanted = [name for name in components.names() if not arguments.only or name in arguments.only] if arguments.walks else []
    walked = loop_thread().run(components.judge(wanted, seed, arguments.walks, arguments.steps, tell)) if wanted else []
    if arguments.save:
        loop_thread().run(save(arguments.save, result.findings))
    return {
        "seed": seed,
        "pages": result.pages,
        "pages_a_second": result.pages / max(result.seconds, 1e-9),
        "cpu_s_a_page": None if result.cpu_s is None else result.cpu_s / max(result.pages, 1),
        "faults": result.faults,
        "pairs": report.pairs(result.findings),
        "generated": report.summary(result.findings),
        "components": report.summary(walked),
        "findings": [asdict(f) for f in (*result.findings, *walked) if report.bad(f)],
    }


def show(findings: list[Finding]) -> None:
    """Print all findings on one page."""
    for f in findings:
        around = ", ".join(f"{name} {value}" for name, value in f.kinds.items() if value)
        print(f"{f.verdict}: {f.what} ({around}) {f.detail}")
        for side, events in (("WebGym", f.ours), ("Playwright", f.theirs)):
            for event in events:
                print(f"    {side}: {event}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pages", type=int, default=2000, help="generated pages")
    parser.add_argument("--seed", type=int, default=None, help="of the run; drawn where it is not given")
    parser.add_argument("--sample", type=int, default=2, help="refs of each page that are acted on")
    parser.add_argument("--minutes", type=float, default=float("inf"), help="for the generated pages, at most")
    parser.add_argument("--walks", type=int, default=2, help="walks on each component page; 0: none")
    parser.add_argument("--steps", type=int, default=5, help="actions of a walk")
    parser.add_argument("--only", nargs="+", default=[], help="names of component pages")
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    parser.add_argument("--from", dest="source", type=Path, help="take the figures of this file instead of a run")
    parser.add_argument("--write", type=Path, help="put the tables into this Markdown file")
    parser.add_argument("--save", type=Path, help="shrink a page of each kind of finding, and write it into this folder")
    parser.add_argument("--page", type=Path, help="a page that --save wrote: judge it alone")
    arguments = parser.parse_args()
    try:
        if arguments.page:
            show(loop_thread().run(alone(Page.from_json(arguments.page.read_text("utf-8")))))
            return
        figures: Mapping[str, Any] = json.loads(arguments.source.read_text("utf-8")) if arguments.source else measured(arguments)
        if arguments.json:
            arguments.json.write_text(json.dumps(figures, indent=1) + "\n")
        if arguments.write:
            report.write(arguments.write, report.markdown(figures))
    except (UsageError, OSError, ValueError) as error:
        parser.error(str(error))
    tell(report.told(figures))
    raise SystemExit(report.missed(figures) > 0)


if __name__ == "__main__":
    main()
