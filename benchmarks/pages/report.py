"""Tables of a run by kind, for people."""

import re
import textwrap
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks import marks
from benchmarks.pages.coverage import REASONS
from benchmarks.pages.equality import NORMALISATION
from benchmarks.pages.referee import Finding

DIMENSIONS = ("control", "label", "listener", "layout", "veil", "frame", "shadow")
VERDICTS = ("equal", "both refuse", "Playwright refuses", "Playwright misses", "refused", "differs", "wrong target", "silent miss",
            "no copy", "unseen")  # fmt: skip
GOOD = frozenset((*REASONS, "equal", "both refuse", "Playwright misses"))
FORBIDDEN = ("unexplained", "wrong target", "silent miss")
MARKS = ("<!-- figures: written by `make bench-pages` -->", "<!-- end of figures -->")
MOST_ROWS = 12  # of a table of causes


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


def pairs(findings: Sequence[Finding]) -> dict[str, int]:
    """The number of different controls in each layout, veil, frame and shadow root that were seen together."""
    seen: dict[str, set[tuple[str, str]]] = defaultdict(set)
    for finding in findings:
        for dimension in ("layout", "veil", "frame", "shadow", "label"):
            seen[dimension].update((finding.kinds.get("control", ""), value) for value in values(finding, dimension))
    return {dimension: len(found) for dimension, found in seen.items()}


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
        "refused": dict(Counter(plain(f.detail) for f in deeds if f.verdict == "refused").most_common()),
        "playwright_refuses": dict(Counter(plain(f.detail) for f in deeds if f.verdict == "Playwright refuses").most_common()),
        "differs": dict(Counter(f"{f.verb}: {plain(f.detail)}" for f in deeds if f.verdict == "differs").most_common()),
    }


# --- causes ----------------------------------------------------------------------------------------------------------------


def bad(finding: Finding) -> bool:
    """True for what the bar forbids, and for what differs or is refused besides."""
    return finding.verdict not in GOOD


def plain(detail: str) -> str:
    """A detail without keys, refs and words of one page.

    >>> plain("element #4 is covered by <div id=k3> 'Cedar 2'"), plain("event 3: click k4/div 0 instead of none")
    ("element #N is covered by <...> '...'", 'event: click X 0 instead of none')
    """
    text = re.sub(r"#\d+|#\w+\b", "#N", detail)
    text = re.sub(r"\b(page|html|body|k|f|s)\d*[a-z]?([/^][\w/^-]+)?(?=\W|$)", "X", text) if "event" in text or "state" in text else text
    text = re.sub(r"<[^>]*>", "<...>", text)
    text = re.sub(r"'[^']*'", "'...'", re.sub(r'"[^"]*"', '"..."', text))
    return re.sub(r"event \d+", "event", text)


def groups(findings: Sequence[Finding], wanted: Callable[[Finding], bool]) -> list[tuple[tuple[str, ...], list[Finding]]]:
    """The wanted findings by verdict and cause, the largest group first."""
    found: dict[tuple[str, ...], list[Finding]] = defaultdict(list)
    for finding in findings:
        if wanted(finding):
            found[_cause(finding)].append(finding)
    return sorted(found.items(), key=lambda item: -len(item[1]))


def _cause(finding: Finding) -> tuple[str, ...]:
    kinds = finding.kinds
    inner = {dimension: kinds.get(dimension, "").split(" > ")[-1] for dimension in ("shadow", "frame")}
    near = next((f"{dimension} {name}" for dimension, name in inner.items() if name and name != "open"), "")
    if finding.sort == "control":
        return (finding.verdict, near or kinds.get("control") or finding.role)
    return (finding.verdict, finding.verb, plain(finding.detail)[:60], near if finding.verdict == "wrong target" else "")


def file_name(cause: Sequence[str]) -> str:
    """A cause as a part of a file's name.

    >>> file_name(("refused", "click", "element #N is hidden", ""))
    'refused click element N is hidden'
    """
    return " ".join(re.sub(r"[^\w-]+", " ", " ".join(cause)).split())[:80]


# --- telling ---------------------------------------------------------------------------------------------------------------


def missed(figures: Mapping[str, Any]) -> int:
    """The number of findings that the bar forbids."""
    parts = [figures[half][sort] for half in ("generated", "components") for sort in ("controls", "deeds")]
    return sum(part.get(verdict, 0) for part in parts for verdict in FORBIDDEN)


def told(figures: Mapping[str, Any]) -> str:
    """A run in a few lines."""
    cost = f" ({figures['cpu_s_a_page']:.2f} s of processor time a page)" if figures["cpu_s_a_page"] else ""
    lines = [
        f"{figures['pages']} pages, {figures['pages_a_second']:.2f} a second{cost}, {len(figures['faults'])} faults, seed {figures['seed']}"
    ]
    for half in ("generated", "components"):
        for sort in ("controls", "deeds"):
            counts = figures[half][sort]
            lines.append(f"{half}, {sort}: " + ", ".join(f"{n} {verdict}" for verdict, n in sorted(counts.items(), key=lambda x: -x[1])))
    return "\n".join([*lines, *figures["faults"][:5]])


def table(counts: Mapping[str, Mapping[str, int]], columns: Iterable[str], name: str) -> str:
    """The counts as a Markdown table, without the columns that are empty.

    >>> print(table({"a": {"ref": 2}}, ["ref", "hidden"], "role"))
    | role | all | ref |
    |---|---:|---:|
    | a | 2 | 2 |
    """
    used = [column for column in columns if any(row.get(column) for row in counts.values())]
    lines = [f"| {name} | all | {' | '.join(used)} |", f"|---|{'---:|' * (len(used) + 1)}"]
    for value, row in counts.items():
        lines.append(f"| {value} | {sum(row.values())} | {' | '.join(str(row.get(column, 0) or '') for column in used)} |")
    return "\n".join(lines)


def _shares(counts: Mapping[str, int], words: Mapping[str, str], name: str) -> str:
    whole = sum(counts.values()) or 1
    lines = [f"| {name} | meaning | number | share |", "|---|---|---:|---:|"]
    for verdict, meaning in words.items():
        lines.append(f"| {verdict} | {meaning} | {counts.get(verdict, 0)} | {counts.get(verdict, 0) / whole:.1%} |")
    return "\n".join(lines)


OF_VERDICT = {
    "equal": "both pages saw the same events and have the same state",
    "both refuse": "neither acts: the thing is hidden, covered, disabled or inert",
    "Playwright refuses": "WebGym acts on the thing itself where Playwright does not",
    "Playwright misses": "Playwright acts on something else unawares; at a point of the thing that the referee finds, all is equal",
    "refused": "WebGym says in words why it does not act, where Playwright acts",
    "differs": "both act on the thing, and an event or a state differs",
    "wrong target": "something else was acted on",
    "silent miss": "nothing happened, and no error was told",
    "no copy": "the thing was not on the other copy of the page",
    "unseen": "both acted in a frame that records nothing, such as an editor's own",
}
OF_NAMING = {
    "equal": "the same text, but for case and white space",
    "part": "one is a part of the other",
    "given": "WebGym names a thing that has no accessible name",
    "empty": "only Chrome has a name",
    "other": "different texts",
}


def _half(figures: Mapping[str, Any], by: Mapping[str, str]) -> list[str]:
    reasons = {**REASONS, "unexplained": "none of these: the bar is 0"}
    shown = [
        "### Controls",
        _shares(figures["controls"], reasons, "reason"),
        "### Actions",
        _shares(figures["deeds"], OF_VERDICT, "verdict"),
    ]
    shown += ["### Names of things that have a ref", _shares(figures["names"], OF_NAMING, "beside Chrome's")]
    for name, column in by.items():
        if name in figures["controls_by"]:
            shown += [f"### Controls by {column}", table(figures["controls_by"][name], reasons, column)]
        shown += [f"### Actions by {column}", table(figures["deeds_by"][name], VERDICTS, column)] if name in figures["deeds_by"] else []
    for name, heading in (("refused", "Refused"), ("playwright_refuses", "Refused by Playwright only"), ("differs", "Different")):
        if figures[name]:
            rows = list(figures[name].items())
            more = sum(number for _, number in rows[MOST_ROWS:])
            lines = [
                f"| {cause.replace('|', '/')} | {number} |" for cause, number in [*rows[:MOST_ROWS], *([("others", more)] if more else [])]
            ]
            shown += [f"### {heading}", "\n".join(["| cause | actions |", "|---|---:|", *lines])]
    return shown


def markdown(figures: Mapping[str, Any]) -> str:
    """The tables of a run."""
    every = {"role": "role", "verb": "action", **{dimension: dimension for dimension in DIMENSIONS}}
    met = ", ".join(f"{number} with a {dimension}" for dimension, number in figures["pairs"].items())
    told_first = f"Run with seed {figures['seed']}: {figures['pages']} generated pages. Different pairs of a control that were met: {met}."
    shown = [textwrap.fill(told_first, 138)]
    shown += ["## Generated pages", *_half(figures["generated"], every)]
    shown += ["## Component pages", *_half(figures["components"], {"control": "library", "role": "role", "verb": "action"})]
    left_out = "\n".join(f"| {name} | {why} |" for name, why in NORMALISATION.items())
    shown += ["## Left out of the comparison", f"| | |\n|---|---|\n{left_out}"]
    return "\n\n".join(shown)


def write(path: Path, text: str) -> None:
    """Put the text between the marks of the file. Raises UsageError where it has none."""
    marks.put(path, *MARKS, f"\n\n{text}\n\n")
