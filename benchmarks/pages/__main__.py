"""The referee's run.

    python -m benchmarks.pages [--pages 2000] [--seed N] [--sample 3] [--json FILE] [--findings FILE] [--page FILE]
"""

import argparse
import json
import re
import secrets
from collections import Counter
from dataclasses import asdict
from pathlib import Path

from benchmarks.pages import report
from benchmarks.pages.generator import Page, draw, render
from benchmarks.pages.referee import Finding, Referee, judge_all
from webgym.loop_thread import loop_thread
from webgym.types import seed_from


async def write_findings(path: Path, groups: list, head: str, shrinks: int) -> None:
    referee = await Referee.open()
    lines = [head]
    try:
        for i, (cause, found) in enumerate(groups):
            finding: Finding = found[0]
            page = draw(finding.seed)
            if i < shrinks:
                page = await referee.shrink(page, finding, 25)
            verb = f" verb={finding.verb}" if finding.verb else ""
            lines.append(f"\n## {len(found)} × {' · '.join(c for c in cause if c)}\n")
            for f in found[:3]:
                lines.append(f"- seed {f.seed}: {f.what}: {f.detail} ({', '.join(f'{a}={b}' for a, b in f.kinds.items() if b)})")
            if finding.sort == "deed":
                lines.append(f"- ours: {list(finding.ours)[:12]}\n- Playwright: {list(finding.theirs)[:12]}")
            lines.append(f"- smallest page{verb}: `{page.to_json()}`")
            if i < shrinks:
                for (host, where), text in render(page, "x").items():
                    body = re.sub(r"<script>.*?</script>|<head>.*?</head>|&lt;script&gt;.*?&lt;/script&gt;", "", text, flags=re.S)
                    lines.append(f"```html\n<!-- {host}{where} -->\n{body[:1500]}\n```")
            path.write_text("\n".join(lines))
    finally:
        await referee.close()


async def alone(page: Page) -> list[Finding]:
    referee = await Referee.open(sample=1000)
    try:
        return await referee.judge(page)
    finally:
        await referee.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pages", type=int, default=200)
    parser.add_argument("--seed", type=int, default=None)
    parser.add_argument("--sample", type=int, default=3)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--findings", type=Path)
    parser.add_argument("--shrinks", type=int, default=12)
    parser.add_argument("--limit-s", type=float, default=1e9)
    parser.add_argument("--html", type=int)
    parser.add_argument("--page", type=Path)
    arguments = parser.parse_args()
    seed = secrets.randbits(32) if arguments.seed is None else arguments.seed
    if arguments.html is not None:
        for address, text in render(draw(arguments.html), f"p{arguments.html}").items():
            print(address, text)
        return
    if arguments.page is not None:
        for f in loop_thread().run(alone(Page.from_json(arguments.page.read_text()))):
            print(f.verdict, "|", f.what, "|", f.detail, "|", {k: v for k, v in f.kinds.items() if v}, *(["\n  ours", f.ours, "\n  theirs", f.theirs] if f.ours or f.theirs else []))
        return
    print("seed", seed)
    seeds = [seed_from(seed, "page", i) % 2**40 for i in range(arguments.pages)]
    result = loop_thread().run(judge_all(seeds, arguments.sample, lambda words: print(words, flush=True), arguments.limit_s))
    print(result.pages, "pages", round(result.seconds, 1), "s", len(result.faults), "faults", result.faults[:5])
    for sort in ("control", "deed"):
        print(Counter(f.verdict for f in result.findings if f.sort == sort))
    print(Counter(f.naming for f in result.findings if f.naming))
    if arguments.json:
        arguments.json.write_text(json.dumps({"seed": seed, "pages": result.pages, "faults": result.faults, "findings": [asdict(f) for f in result.findings]}, indent=1))
    if arguments.findings:
        head = f"# Findings of the referee: seed {seed}, {result.pages} pages\n\n" + report.markdown(report.summary(result.findings))
        loop_thread().run(write_findings(arguments.findings, report.groups(result.findings, report.unexplained), head, arguments.shrinks))


if __name__ == "__main__":
    main()
