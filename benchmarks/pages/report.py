"""Tables of a run by kind, and the findings in words: what is wrong, on which smallest page."""

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from benchmarks.pages.coverage import REASONS
from benchmarks.pages.referee import Finding

DIMENSIONS = ("control", "label", "listener", "layout", "veil", "frame", "shadow")
VERDICTS = ("equal", "both refuse", "Playwright refuses", "refused", "differs", "wrong target", "silent miss", "no copy")


def values(finding: Finding, dimension: str) -> list[str]:
    """The values that a finding has in a dimension; wrappers in wrappers count for each."""
    if dimension == "role":
        return [finding.role]
    if dimension == "verb":
        return [finding.verb]
    return finding.kinds.get(dimension, "").split(" > ") if finding.kinds.get(dimension) else ["none"]


def by_kind(findings: Sequence[Finding], dimension: str) -> dict[str, dict[str, int]]:
    """Counts of verdicts by value of one dimension."""
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    for finding in findings:
        for value in set(values(finding, dimension)):
            counts[value][finding.verdict] += 1
    return {value: dict(counts[value]) for value in sorted(counts)}


def table(counts: Mapping[str, Mapping[str, int]], columns: Iterable[str], name: str) -> str:
    """The counts as a Markdown table, without the columns that are empty."""
    used = [column for column in columns if any(row.get(column) for row in counts.values())]
    lines = [f"| {name} | all | {' | '.join(used)} |", f"|---|{'---:|' * (len(used) + 1)}"]
    for value, row in counts.items():
        lines.append(f"| {value} | {sum(row.values())} | {' | '.join(str(row.get(column, 0) or '') for column in used)} |")
    return "\n".join(lines)


def plain(detail: str) -> str:
    """A detail without keys, refs and words of one page."""
    text = re.sub(r"#\d+", "#N", detail)
    text = re.sub(r"\b(page|html|body|k|f|s)(\d+)[a-z]?([/^][\w/^-]+)?", "X", text)
    text = re.sub(r"<[^>]*>( \"[^\"]*\")?", "<...>", text)
    return re.sub(r"event \d+", "event", text)


def groups(findings: Sequence[Finding], bad: Callable[[Finding], bool]) -> list[tuple[tuple[str, ...], list[Finding]]]:
    """The bad findings by sort, verdict and cause, the largest group first."""
    found: dict[tuple[str, ...], list[Finding]] = defaultdict(list)
    for finding in findings:
        if bad(finding):
            found[_cause(finding)].append(finding)
    return sorted(found.items(), key=lambda item: -len(item[1]))


def _cause(finding: Finding) -> tuple[str, ...]:
    kinds = finding.kinds
    near = next((f"{d} {kinds[d].split(' > ')[-1]}" for d in ("shadow", "frame") if kinds.get(d) and kinds[d].split(" > ")[-1] not in ("open",)), "")
    if finding.sort == "control":
        return (finding.verdict, near or kinds.get("control") or finding.role)
    return (finding.verdict, finding.verb, plain(finding.detail)[:60], near if finding.verdict == "wrong target" else "")


def unexplained(finding: Finding) -> bool:
    """True for what the bar forbids, and for what differs or is refused besides."""
    return finding.verdict in ("unexplained", "wrong target", "silent miss", "differs", "refused", "Playwright refuses")


def summary(findings: Sequence[Finding]) -> dict[str, Any]:
    """All figures of the findings, as JSON."""
    controls = [f for f in findings if f.sort == "control"]
    deeds = [f for f in findings if f.sort == "deed"]
    return {
        "controls": dict(Counter(f.verdict for f in controls)),
        "deeds": dict(Counter(f.verdict for f in deeds)),
        "names": dict(Counter(f.naming for f in controls if f.naming)),
        "controls_by": {d: by_kind(controls, d) for d in ("role", *DIMENSIONS)},
        "deeds_by": {d: by_kind(deeds, d) for d in ("verb", *DIMENSIONS)},
    }


def markdown(figures: Mapping[str, Any]) -> str:
    """The tables of a summary."""
    reasons = (*REASONS, "unexplained")
    shown = ["### Controls of the accessibility tree", table({"all": figures["controls"]}, reasons, "")]
    shown += [table(counts, reasons, name) for name, counts in figures["controls_by"].items()]
    shown += ["### Actions", table({"all": figures["deeds"]}, VERDICTS, "")]
    shown += [table(counts, VERDICTS, name) for name, counts in figures["deeds_by"].items()]
    return "\n\n".join(shown)
