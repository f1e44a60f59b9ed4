"""Agents that write odd texts on every site: no text may end a run, or become a fault, which would take a lost episode out of training.

    python -m benchmarks.fuzz_agents [--turns 2000] [--backend browser] [--tasks '*'] [--seed 0]

An agent walks at random and puts odd values into fields, addresses and answers: numbers without end, half characters, names of files, tags,
100,000 letters. On the text twin, for packs whose pages are plain, a turn takes a millisecond.
"""

# ruff: noqa: E501
import argparse
import json
import random
from collections import Counter
from collections.abc import Sequence
from urllib.parse import parse_qsl, quote, urlencode, urlsplit, urlunsplit

from webgym import backends
from webgym import types as t
from webgym.actions import parse, render
from webgym.env.core import AsyncWebEnv
from webgym.errors import EpisodeStateError, Fault
from webgym.loop_thread import loop_thread
from webgym.packs import applications, registry
from webgym.packs import sets as task_sets
from webgym.policies.scripted import random_action

ODD = (
    "", " ", "0", "-1", "1e999", "NaN", "inf", "9" * 30, "9" * 5000, "1.5", "true", "null", "None", "\0", "a\0b", "\ud800", "\udfff", "\u202e", "é" * 300,
    "漢字", "😀", "\x1b[2J", "\r\nset-cookie: a=b", "a\nb", "<script>alert(1)</script>", "<b>", "&amp;", "'", '"', "\\", "%", "%00", "%ff", "%2f..%2f", "../..",
    "..", "/", "//", "/etc/passwd", "file:///etc/passwd", "javascript:alert(1)", "{{7*7}}", "${7*7}", "; drop table x", "' or '1'='1", "a" * 256,
    "a" * 100_000, "[" * 3000, "2026-02-31", "0000-00-00", "9999999999-01-01", "99:99", "-0", "0x10", "1_000", "\u0661\u0662", "½", "²", "①", "a@b", "a@@b", "@",
    "+", "*", "?", "#", "..;/", "__proto__", "constructor", "con", "%u0041", "\ufffe", "\U0010ffff",
)  # fmt: skip


def odd_address(url: str, rng: random.Random) -> str:
    """An address of the same site with an odd piece."""
    parts = urlsplit(url)
    odd = rng.choice(ODD)
    kind = rng.randrange(6)
    if kind == 0:
        path = "/".join([*parts.path.split("/")[:-1], rng.choice((odd, quote(odd, errors="surrogatepass")))])
    elif kind == 1:
        pieces = parts.path.split("/")
        pieces[rng.randrange(len(pieces))] = odd
        path = "/".join(pieces)
    else:
        path = parts.path
    query = parse_qsl(parts.query, keep_blank_values=True)
    if kind == 2 and query:
        at = rng.randrange(len(query))
        query[at] = (query[at][0], odd)
    elif kind in (3, 4):
        query.append((rng.choice(("page", "q", "sort", "highest", "id", "order", "from", "to", "date", "seats", odd)), odd))
    text = urlencode(query, errors="surrogatepass") if rng.random() < 0.7 else "&".join(f"{name}={value}" for name, value in query)
    return urlunsplit((parts.scheme, parts.netloc, path or "/", text, odd if kind == 5 else parts.fragment))


def odd_action(page: t.Observation, rng: random.Random) -> t.Action | t.InvalidAction:
    """An action as an agent would write it, with an odd text in one of five."""
    if rng.random() < 0.65:
        return random_action(page, rng)
    fields = [node.ref for node in page.nodes if node.role in ("textbox", "searchbox", "combobox", "spinbutton") and node.ref is not None]
    things = [node.ref for node in page.nodes if node.ref is not None] or [0]
    odd, ref = rng.choice(ODD), rng.choice(fields or things)
    made: Sequence[t.Action] = (
        t.Fill(ref, odd), t.Fill(ref, odd), t.Type(odd[:200]), t.Select(rng.choice(things), (odd,)), t.Goto(odd_address(page.url, rng)),
        t.Goto(odd_address(page.url, rng)), t.Goto(odd), t.Back(), t.Forward(), t.Reload(), t.Upload(ref, (odd,)), t.Press("Enter", ref),
        t.Message(odd),
    )  # fmt: skip
    action = rng.choice(made)
    return parse(render(action, "call"), "call", page.goal)


async def walked(task_ids: Sequence[str], turns: int, backend: str, seed: int) -> tuple[list[str], Counter[str]]:
    """What went wrong, in words, and how often each kind of action was tried."""
    env, rng = AsyncWebEnv(backend=backend), random.Random(seed)
    wrong: list[str] = []
    tried: Counter[str] = Counter()
    page: t.Observation | None = None
    task_id, past = "", []
    try:
        while sum(tried.values()) < turns and len(wrong) < 20:
            action: t.Action | t.InvalidAction | None = None
            try:
                if page is None:
                    task_id, past = rng.choice(task_ids), []
                    page = await env.reset(task_id, rng.randrange(50))
                action = odd_action(page, rng)
                past.append(action)
                tried[type(action).__name__] += 1
                step = await env.step(action)
                page = None if step.kind or rng.random() < 0.03 else step.observation
                if not 0.0 <= step.reward <= 1.0:
                    wrong.append(f"{task_id}: the reward {step.reward}")
            except (Fault, EpisodeStateError, Exception) as error:
                last = render(past[-1], "call")[:300] if past and not isinstance(past[-1], t.InvalidAction) else past[-1:]
                wrong.append(f"{task_id}: {type(error).__name__}: {str(error)[:200]} after {last!r}"[:800])
                await env.close()
                page = None
    finally:
        await env.close()
    return wrong, tried


def playable(patterns: Sequence[str], backend: str) -> list[str]:
    """The tasks that can be played here."""
    chosen, _ = applications.playable(task_sets.choose(list(patterns)))
    found = backends.get(backend)
    return [one for one in chosen if not found.can_play(registry.task(one), registry.sites_of(registry.task(one)))]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--turns", type=int, default=2_000)
    parser.add_argument("--backend", default="browser")
    parser.add_argument("--tasks", nargs="*", default=["shop.*", "mail.*", "travel.*", "wizard.*", "miniwob.*"])
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    tasks = playable(arguments.tasks, arguments.backend)
    wrong, tried = loop_thread().run(walked(tasks, arguments.turns, arguments.backend, arguments.seed))
    print("\n".join(wrong) or "nothing is wrong")
    print(json.dumps({"tasks": len(tasks), "turns": sum(tried.values()), "wrong": len(wrong), "tried": dict(tried)}))
    raise SystemExit(bool(wrong))


if __name__ == "__main__":
    main()
