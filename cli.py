"""The command line: parses, validates and calls one function. `webgym --help` lists the commands."""

import errno
import io
import json
import logging
import math
import shlex
import sys
import warnings
from dataclasses import asdict
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import Annotated, Any, NoReturn, TextIO

import typer
from rich.logging import RichHandler
from rich.text import Text

from webgym.commands.console import PlainConsole, plain, show_rows
from webgym.errors import WebGymError

app = typer.Typer(
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    epilog="Exit status: 0 done, 1 below what was asked for, 2 a mistake or a full disk, 130 stopped by Ctrl-C.",
)
tasks_app = typer.Typer(no_args_is_help=True, help="The tasks.")
study_app = typer.Typer(no_args_is_help=True, help="Experiments over many runs, which go on where they were stopped.")
bench_app = typer.Typer(no_args_is_help=True, help="What things cost, against the physical limit.")
sites_app = typer.Typer(no_args_is_help=True, help="Applications that packs play on and that are installed apart.")
app.add_typer(tasks_app, name="tasks")
app.add_typer(sites_app, name="sites")
app.add_typer(bench_app, name="bench")
app.add_typer(study_app, name="study")
recipes_app = typer.Typer(no_args_is_help=True, help="Configurations by size of model and machine, for `webgym train --recipe`.")
app.add_typer(recipes_app, name="recipes")
console = PlainConsole()

TasksOption = Annotated[
    list[str], typer.Option("--tasks", "-t", help="Task set, pack, id or pattern such as 'miniwob.click-*'; may be given again.")
]
TrustOption = Annotated[
    list[Path],
    typer.Option(
        "--trust",
        help="Folder whose task file, or whose run, may run what it names, now and until one of its programs changes.",
        callback=lambda folders: _trusted(folders),
        is_eager=True,
    ),
]
RunArgument = Annotated[Path, typer.Argument(help="Run folder, folder of run folders, or file of trajectories.")]
PortOption = Annotated[int, typer.Option(min=0, max=65535, help="Port on 127.0.0.1; 0 takes a free one.")]
SetOption = Annotated[
    list[str],
    typer.Option(
        "--set", "-s", help="key=value over the configuration, such as optim.lr=1e-4 (`webgym config` lists the keys); may be given again."
    ),
]


BackendOption = Annotated[
    str, typer.Option("--backend", help="Where episodes are played: browser, text (plain pages, without a browser), or another backend.")
]


class ModelFree(StrEnum):
    """Policies without a checkpoint."""

    oracle = "oracle"
    random = "random"
    noop = "noop"
    openai = "openai"


class PageView(StrEnum):
    """View of the page for a server's model."""

    text = "text"
    screenshot = "screenshot"
    both = "both"


class PromptStyle(StrEnum):
    """Style of prompts."""

    compact = "compact"
    chat = "chat"


class PromptContext(StrEnum):
    """Context of prompts."""

    window = "window"
    conversation = "conversation"


StyleOption = Annotated[PromptStyle, typer.Option(help="Prompts of the demonstrations: compact (small models) or chat.")]


def _prompts(style: PromptStyle, context: PromptContext) -> Any:
    """The prompt settings of a style and a context."""
    from webgym.prompts.settings import COMPACT, PromptSettings

    base = COMPACT if style is PromptStyle.compact else PromptSettings()
    return PromptSettings.from_json({**base.to_json(), "style": style.value, "context": context.value})


class Split(StrEnum):
    """Split of the seeds."""

    train = "train"
    valid = "valid"
    test = "test"


class Stage(StrEnum):
    """Stage of a study."""

    tune = "tune"
    measure = "measure"
    all = "all"


class ModelDialect(StrEnum):
    """Dialect in which a server's model writes actions."""

    call = "call"
    json = "json"
    tools = "tools"


def _trusted(folders: list[Path]) -> list[Path]:
    """Remember the folders whose programs may run."""
    if folders:
        from webgym.authoring import consent
        from webgym.errors import UsageError

        for folder in folders:
            if not folder.exists():
                raise UsageError(f"--trust {folder}: expected the folder of a task file or of a run; there is nothing")
            consent.remember(folder if folder.is_dir() else folder.parent)
    return folders


def _examined(task_ids: list[str], out: TextIO) -> list[Any]:
    """Examinations of the applications of tasks, each printed as it is found."""
    from webgym.loop_thread import loop_thread
    from webgym.trust.applications import applications, examine

    found = []
    for url, task in applications(task_ids).items():
        found.append(loop_thread().run(examine(url, task)))
        print(plain("\n".join(found[-1].lines())), file=out, flush=True)
    return found


@tasks_app.command("list")
def tasks_list(
    tasks: TasksOption = ["*"],  # noqa: B006
    trust: TrustOption = [],  # noqa: B006
    as_json: Annotated[bool, typer.Option("--json", help="JSON on standard output.")] = False,
) -> None:
    """List tasks with their difficulty, the turns that a good agent needs, their turn limits and trust."""
    from webgym.packs import applications, registry
    from webgym.packs import sets as task_sets

    found = [registry.task(i) for i in task_sets.choose(tasks)]
    lacks = {t.id: words for t in found if (words := applications.missing(t.id))}
    if as_json:
        rows = [
            {
                "id": t.id,
                "gym_id": t.gym_id,
                "max_turns": t.max_turns,
                "difficulty": t.difficulty,
                "turns": t.turns,
                "twin": t.twin,
                "trust": t.trust,
                "oracle": bool(t.oracle),
                "missing": lacks.get(t.id, ""),
            }
            for t in found
        ]
        _print_json(rows)
        return
    rows = [(t.id, str(t.difficulty), t.turns, str(t.max_turns), "yes" if t.oracle else "", t.trust, t.description) for t in found]
    show_rows(console, ("id", "level", "turns", "limit", "oracle", "trust", "description"), rows)
    _say(f"{len(found)} tasks; sets: {', '.join(task_sets.task_sets())}")
    for words in dict.fromkeys(lacks.values()):
        _say(words)


@tasks_app.command("show")
def tasks_show(
    task_id: Annotated[str, typer.Argument(metavar="ID", help="Task id, or FILE#ID for a task of a file.")],
    page: Annotated[bool, typer.Option("--page", help="Open it and show the goal and the first page of the seed.")] = False,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the episode that is shown.")] = 0,
    trust: TrustOption = [],  # noqa: B006
    as_json: Annotated[bool, typer.Option("--json", help="JSON on standard output.")] = False,
) -> None:
    """Show what is known of a task: limits, trust, splits with their wordings, and, if asked, its first page."""
    from webgym.commands import task_card as card
    from webgym.packs import registry
    from webgym.prompts.page import page_text

    task = registry.task(task_id)
    begun = card.first_page(task.id, seed) if page else None
    if as_json:
        print(json.dumps(card.card(task) | ({"goal": begun.goal, "page": page_text(begun.nodes)} if begun else {}), indent=2))
        return
    print(plain("\n".join(card.lines(task))))
    if begun:
        print(plain(f"\nseed {seed}: {begun.goal}\n{page_text(begun.nodes)}"))


@tasks_app.command("new")
def tasks_new(
    name: Annotated[str, typer.Argument(help="Name of the pack, such as my-shop.")],
    folder: Annotated[Path | None, typer.Option(help="Folder to write; ./NAME unless given.")] = None,
    python: Annotated[bool, typer.Option("--python", help="A Python package with a site of its own instead of a task file.")] = False,
    templated: Annotated[bool, typer.Option("--templated", help="A Python package with goals, oracles and wordings apart.")] = False,
    app: Annotated[
        str,
        typer.Option("--app", help="Your application: the command that starts it, with {port}, or its address. --folder is its folder."),
    ] = "",
) -> None:
    """Write a small pack that works: page, goal, check and oracle, to be changed into your own."""
    from webgym.authoring.starter import create
    from webgym.errors import UsageError
    from webgym.packs.registry import manifests

    if name in manifests():
        raise UsageError(f"there is a pack {name!r} already, whose site and ids it would have: give another name")
    if app:
        if python or templated:
            raise UsageError("--app writes a task file: expected neither --python nor --templated beside it")
        from webgym.commands import new_application

        file, notes = new_application.create(name, app, folder or Path("."))
        print("\n".join([str(file), *notes]))
        place = shlex.quote(str(file))
        print(f"try it: webgym tasks validate {place}; then give `--tasks {place}` to eval, demos or train")
        return
    if python and templated:
        raise UsageError("expected one kind of pack, got --python and --templated: give one of them, or none for a task file")
    target = folder or Path(name)
    for file in create(name, target, "templated" if templated else "python" if python else "written"):
        print(file)
    path = shlex.quote(str(target if target.is_absolute() else f"./{target}"))
    print(f"try it: webgym tasks validate {path}; then give `--tasks {path}` to eval, demos or train")


@tasks_app.command("import")
def tasks_import(
    kind: Annotated[str, typer.Argument(metavar="KIND", help="Form of the suite: infinity, webarena or webharbor.")],
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="Folder of the suite.")],
    trust: Annotated[bool, typer.Option("--trust", help="Let its programs run, now and until one of them changes.")] = False,
) -> None:
    """Take the tasks of another project's suite as they are: writes FOLDER/tasks.yaml, which names its form."""
    from webgym.commands.import_suite import imported

    print(plain("\n".join(imported(kind, folder, trust=trust))))


@tasks_app.command("validate")
def tasks_validate(
    targets: Annotated[list[str], typer.Argument(metavar="FILE...", help="Task files, pack folders, ids, patterns or sets.")],
    seeds: Annotated[int, typer.Option(min=1, help="Seeds for each policy; the splits take turns.")] = 6,
    sessions: Annotated[int, typer.Option(min=1, help="Browser sessions at once.")] = 2,
    ledger: Annotated[Path | None, typer.Option(help="File that keeps the results; WebGym's own tasks that it trusts are skipped.")] = None,
    trust: TrustOption = [],  # noqa: B006
    as_json: Annotated[bool, typer.Option("--json", help="JSON on standard output.")] = False,
) -> None:
    """Try tasks in the browser: the oracle must always win; doing nothing, stopping at once or acting at random must not."""
    from webgym import trust as audit
    from webgym.packs import applications
    from webgym.packs import sets as task_sets
    from webgym.rollout.arena import Arena

    chosen = task_sets.choose([str(Path(name).absolute()) if Path(name).exists() else name for name in targets])
    chosen, lacks = applications.playable(chosen)
    for words in lacks:
        print(plain(f"left out: {words}"), file=sys.stderr if as_json else sys.stdout, flush=True)
    kept = audit.Ledger(ledger) if ledger else None
    audits = []
    ill = [found for found in _examined(chosen, sys.stderr if as_json else sys.stdout) if found.problems]
    with Arena(sessions) as arena:
        for task_id in chosen:
            if kept and kept.knows(task_id, seeds):
                print(f"{task_id}: trusted before", file=sys.stderr if as_json else sys.stdout, flush=True)
                continue
            audits.append(audit.audit(task_id, arena, audit.audit_seeds(seeds), clock=True))
            if kept:
                kept.add(audits[-1], seeds)
            if not as_json:
                print(plain("\n".join(audits[-1].lines())), flush=True)
    if as_json:
        print(json.dumps([each.to_json() for each in audits], indent=2))
    if wrong := [each.task.id for each in audits if not each.trusted]:
        console.print(f"{len(wrong)} of {len(audits)} tasks cannot be trusted: {', '.join(wrong)}", soft_wrap=True) if not as_json else None
        raise typer.Exit(1)
    if ill:
        raise typer.Exit(1)


@sites_app.command("list")
def sites_list(as_json: Annotated[bool, typer.Option("--json", help="JSON on standard output.")] = False) -> None:
    """List the applications, the licence of each, and which are installed."""
    from webgym.commands.sites import listed

    found = listed()
    if as_json:
        _print_json(found)
        return
    there = {row["name"]: "no" if row["missing"] else f"{row['bytes'] / 1e6:.0f} MB" for row in found}
    rows = [(row["name"], there[row["name"]], str(row["tasks"]), row["licence"], row["title"]) for row in found]
    show_rows(console, ("application", "installed", "tasks", "licence", "title"), rows)


@sites_app.command("install")
def sites_install(
    names: Annotated[list[str], typer.Argument(metavar="NAME...", help="Applications, as `webgym sites list` names them.")],
) -> None:
    """Install applications into environments of their own, and prepare the data that their episodes begin with."""
    from webgym.commands.sites import install

    install(names, lambda words: console.print(words, soft_wrap=True))


@app.command()
def doctor(
    install: Annotated[bool, typer.Option(help="Install a browser where there is none.")] = False,
) -> None:
    """Check this machine: Python, packages, browser, sandbox, memory, torch."""
    from webgym.commands import doctor as check

    raise typer.Exit(check.run(install=install, console=console))


@app.command()
def demos(
    out: Annotated[Path, typer.Option(help="Folder for the demonstrations.")] = Path("demos/default"),
    tasks: TasksOption = ["default"],  # noqa: B006
    trust: TrustOption = [],  # noqa: B006
    episodes: Annotated[int, typer.Option(min=1, help="Demonstrations per task.")] = 100,
    sessions: Annotated[int, typer.Option(min=1, help="Browser sessions at once.")] = 4,
    style: StyleOption = PromptStyle.compact,
    context: Annotated[
        PromptContext, typer.Option(help="window (each prompt tells everything anew) or conversation (prompts only grow).")
    ] = PromptContext.window,
    slips: Annotated[
        float,
        typer.Option(min=0, max=1, help="Chance that a turn is a random action, as people slip; failed episodes are then kept too."),
    ] = 0.0,
    seed: Annotated[int, typer.Option(min=0, help="Which training seeds are drawn.")] = 0,
    backend: BackendOption = "browser",
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the folder of a recording that was stopped.")] = False,
) -> None:
    """Record oracle demonstrations on training seeds, for `webgym sft`."""
    from webgym.backends import known_backend
    from webgym.commands.record_demos import Plan, Recording
    from webgym.packs import sets as task_sets
    from webgym.rollout.progress import shown

    plan = Plan(tuple(task_sets.choose(tasks)), _prompts(style, context), episodes, slips, seed, known_backend(backend))
    recording = Recording(out, plan, resume=resume)
    try:
        result = recording.play(sessions, lambda total: shown(total, PlainConsole(stderr=True)))
    except KeyboardInterrupt:
        _say(f"stopped with {recording.kept} demonstrations in {recording.path}; the same command with --resume goes on")
        raise typer.Exit(130) from None
    console.print(result.table("demonstrations"))
    _say(f"{recording.kept} demonstrations in {recording.path}")


@app.command()
def sft(
    demos: Annotated[Path, typer.Option(help="Folder written by `webgym demos`.")],
    out: Annotated[Path, typer.Option(help="Folder for the model.")],
    model: Annotated[str, typer.Option(help="Model or run to go on with; without one, a webgym-tiny is built from scratch.")] = "",
    settings: Annotated[
        list[str],
        typer.Option("--set", "-s", help="key=value of imitation, such as lr=1e-4, epochs=2 or lora.rank=16; may be given again."),
    ] = [],  # noqa: B006
    device: Annotated[str, typer.Option(help="cpu or cuda.")] = "cpu",
    threads: Annotated[int, typer.Option(min=1, max=1024, help="Threads on the CPU; the weights depend on it.")] = 2,
) -> None:
    """Teach a model by imitation of demonstrations."""
    from trainers.imitation.demos_to_model import sft as imitate
    from trainers.models.model import no_progress_bars

    no_progress_bars()
    result = imitate(
        demos,
        out,
        model=model,
        settings=settings,
        device=device,
        threads=threads,
        say=lambda words: console.print(words, soft_wrap=True),
    )
    exact = "no turns held out" if math.isnan(result.final.exact) else f"{result.final.exact:.1%} of held-out turns exact"
    console.print(f"{out}: {exact} after {result.final.step} steps")


@app.command()
def algos(
    name: Annotated[str, typer.Argument(metavar="[NAME]", help="Name or file of one, to see its options and metrics.")] = "",
    as_json: Annotated[bool, typer.Option("--json", help="JSON on standard output.")] = False,
) -> None:
    """List the algorithms, or the options and metrics of one."""
    from trainers import algorithms

    if not name:
        found = algorithms.listed()
        if as_json:
            print(json.dumps([asdict(x) for x in found], indent=2))
            return
        rows = [(x.name, f"{x.summary} ({x.entry_point})" if x.entry_point else x.summary) for x in found]
        show_rows(console, ("algorithm", "summary"), rows)
        return
    from trainers.runs.keys import options
    from trainers.training.metrics import explanations

    algorithm = algorithms.get(name)
    settings = [{"key": key, "default": value, "means": words} for key, value, words in options(algorithm.Config())]
    metrics = explanations(algorithm)
    if as_json:
        print(json.dumps({"name": algorithm.name, "summary": algorithm.summary, "options": settings, "metrics": metrics}, indent=2))
        return
    console.print(f"{algorithm.name}: {algorithm.summary}", soft_wrap=True)
    for title, rows in (
        (("option", "default", "meaning"), [(x["key"], json.dumps(x["default"]), x["means"]) for x in settings]),
        (("metric", "meaning"), list(metrics.items())),
    ):
        show_rows(console, title, rows)


@app.command()
def train(
    context: typer.Context,
    algo: Annotated[str, typer.Option(help="grpo, archer, ppo ... (`webgym algos`), or a file of your own: ./mine.py.")] = "",
    tasks: TasksOption = [],  # noqa: B006
    trust: TrustOption = [],  # noqa: B006
    model: Annotated[str, typer.Option(help="Built-in name, folder, hub name, or a run whose policy to begin with.")] = "",
    config: Annotated[Path | None, typer.Option(help="TOML file with the configuration.")] = None,
    recipe: Annotated[str, typer.Option(help="A configuration that comes along (`webgym recipes list`), to begin with.")] = "",
    settings: SetOption = [],  # noqa: B006
    seed: Annotated[int | None, typer.Option(min=0, help="Seed of the run.")] = None,
    device: Annotated[str, typer.Option(help="cpu or cuda.")] = "",
    backend: BackendOption = "",
    resume: Annotated[Path | None, typer.Option(help="Run folder to go on with.")] = None,
    out: Annotated[Path, typer.Option(help="Folder of the run folders.")] = Path("runs"),
    name: Annotated[str | None, typer.Option(help="Name of the run folder.")] = None,
) -> None:
    """Train a policy with reinforcement learning; `torchrun --nproc-per-node N -m webgym train ...` shares the update among N processes."""
    from trainers import config as configuration
    from trainers.learning.peers import Group, peers
    from trainers.models.model import no_progress_bars
    from trainers.recipes import recipe as recipes
    from trainers.recipes.defaults import chosen
    from trainers.runs import keys
    from trainers.runs.moved_keys import moved
    from trainers.training.display import display_for
    from trainers.training.followers import follow
    from trainers.training.trainer import Trainer

    no_progress_bars()
    given: dict[str, Any] = {"algo": algo, "tasks": tasks, "model": model, "seed": seed}
    flags = {key: value for key, value in given.items() if value not in ("", [], None)}
    if machine := {key: value for key, value in {"device": device, "backend": backend}.items() if value}:
        flags["machine"] = machine
    with peers() as group:
        if isinstance(group, Group) and group.rank:
            follow(group)
            return
        display = display_for(console)
        if resume is not None:
            if recipe:
                raise WebGymError(f"--recipe {recipe}: expected a new run, got --resume: a run goes on with its own configuration")
            elsewhere = f"--out {out}" if _given(context, "out") else ""
            if what := f"--config {config}" if config else f"--name {name}" if name else elsewhere:
                raise WebGymError(
                    f"{what}: expected a new run, got --resume: a run goes on in its own folder; --set changes its configuration"
                )
            trainer = Trainer.resume(resume, display=display, changes=configuration.with_settings(flags, settings), peers=group)
        else:
            data = recipes.get(recipe).config if recipe else {}
            data = keys.merged(keys.merged(data, configuration.read_train(config) if config else {}), flags)
            data = moved(configuration.with_settings(data, settings), warn=True)
            defaults, line = chosen(data)
            if line:
                _say(line)
            resolved = configuration.resolve(keys.merged(defaults, data))[0]
            trainer = Trainer.start(resolved, parent=out, name=name, display=display, chosen=line, peers=group)
        with trainer.run:
            try:
                trainer.train()
            except KeyboardInterrupt:
                _say(f"stopped at once; `webgym train --resume {shlex.quote(str(trainer.run.path))}` goes on from its newest checkpoint")
                raise typer.Exit(130) from None
    place = shlex.quote(str(trainer.run.path))
    console.print(f"run folder {trainer.run.path}; `webgym eval --checkpoint {place}` evaluates it", soft_wrap=True)


@recipes_app.command("list")
def recipes_list(as_json: Annotated[bool, typer.Option("--json", help="JSON on standard output.")] = False) -> None:
    """List the recipes with their machines and estimates."""
    from trainers.recipes import recipe as recipes

    found = [recipes.get(name) for name in recipes.names()]
    if as_json:
        print(
            json.dumps([{"name": x.name, "about": x.about, "machine": x.machine, "gib": round(x.estimate.gib, 1)} for x in found], indent=2)
        )
        return
    for x in found:
        _say(f"{x.name:<22} {x.estimate.gib:6.1f} GiB  {x.about}")


@recipes_app.command("show")
def recipes_show(
    name: Annotated[str, typer.Argument(help="Name of a recipe.")],
    as_json: Annotated[bool, typer.Option("--json", help="JSON on standard output.")] = False,
) -> None:
    """Show a recipe: its machine, what to start first, its estimate and its configuration as TOML."""
    import tomli_w

    from trainers.recipes import recipe as recipes

    found = recipes.get(name)
    if as_json:
        print(json.dumps({**asdict(found), "estimate": asdict(found.estimate)}, indent=2))
        return
    _say("\n".join([found.about, f"machine: {found.machine}", *(f"first: {x}" for x in found.start), *found.estimate.lines()]))
    _say("(estimates by the formulas of trainers/recipes/estimate.py)\n")
    print(tomli_w.dumps(found.config), end="")


@app.command()
def collector(
    listen: Annotated[str, typer.Option(help="HOST:PORT; a host that others reach needs a token in WEBGYM_TOKEN.")] = "127.0.0.1:8400",
    sessions: Annotated[int, typer.Option(min=1, help="Sessions at once.")] = 8,
    backend: BackendOption = "browser",
    tasks: TasksOption = [],  # noqa: B006
    trust: TrustOption = [],  # noqa: B006
    allow: Annotated[list[str], typer.Option(help="Another factory of policies that requests may name, as module:function.")] = [],  # noqa: B006
) -> None:
    """Play episodes for a trainer on another machine (`webgym train --set executor.kind=http`)."""
    from webgym.backends import known_backend
    from webgym.commands import collector as command
    from webgym.packs import sets as task_sets

    if tasks:
        task_sets.choose(tasks)  # task files and packs of others become known
    command.collect(listen, sessions, known_backend(backend), allow, say=lambda words: print(plain(words), flush=True))


@app.command()
def plan(
    gpus: Annotated[int, typer.Option(min=2, help="GPUs, for generation and learning together.")] = 8,
    model: Annotated[str, typer.Option(help="Size of the model, such as 4b or 135m.")] = "4b",
    turns: Annotated[float, typer.Option(min=1, help="Turns of an episode.")] = 15,
    prompt: Annotated[float, typer.Option(min=1, help="Tokens of a turn's prompt.")] = 1500,
    answer: Annotated[float, typer.Option(min=1, help="Tokens of a turn's answer.")] = 64,
    groups: Annotated[int, typer.Option(min=1, help="Groups of an iteration.")] = 16,
    group_size: Annotated[int, typer.Option(min=1, help="Episodes of a group.")] = 8,
    cores: Annotated[int, typer.Option(min=1, help="Processor cores of all collectors together.")] = 32,
    sessions: Annotated[int, typer.Option(min=1, help="Browser sessions of all collectors together.")] = 128,
    staleness: Annotated[int, typer.Option(min=0, max=8, help="Updates that collecting may be behind; 0 is lockstep.")] = 1,
    as_json: Annotated[bool, typer.Option("--json", help="JSON on standard output.")] = False,
) -> None:
    """Forecast the time of an iteration on many machines, and share the GPUs between generation and learning."""
    from trainers.recipes import plan as planning

    fleet = planning.Fleet(
        planning.parameters(model), cores=cores, sessions=sessions, groups=groups, group_size=group_size, turns=turns, prompt=prompt,
        answer=answer, staleness=staleness,
    )  # fmt: skip
    fleet = planning.split(fleet, gpus)
    found = planning.forecast(fleet)
    if as_json:
        print(json.dumps({"fleet": asdict(fleet), "forecast": asdict(found)}, indent=2))
        return
    _say("\n".join([f"of {gpus} GPUs, {fleet.generators} generate and {fleet.learners} learn", *found.lines()]))
    _say("(a simulation with rates of docs/scaling.md; speeds of GPUs are a third of the maker's figures, not measured)")


@app.command("config")
def show_config(
    algo: Annotated[str, typer.Option(help="Name or file of the algorithm whose options are listed too.")] = "grpo",
    as_json: Annotated[bool, typer.Option("--json", help="JSON on standard output.")] = False,
) -> None:
    """List the keys of a training configuration, with their defaults and meanings."""
    from trainers.config import listed_keys

    keys = listed_keys(algo)
    if as_json:
        print(json.dumps([{"key": key, "default": value, "means": words} for key, value, words in keys], indent=2))
        return
    show_rows(console, ("key", "default", "meaning"), [(key, json.dumps(value), words) for key, value, words in keys])


@app.command("eval")
def evaluate(
    context: typer.Context,
    checkpoint: Annotated[Path | None, typer.Option(help="Run folder, checkpoint folder or model folder.")] = None,
    against: Annotated[Path | None, typer.Option(help="A second one, compared on the same seeds.")] = None,
    policy: Annotated[ModelFree | None, typer.Option(help="A policy without a checkpoint instead.")] = None,
    model: Annotated[str, typer.Option(help="openai: the model's name on the server.")] = "",
    base_url: Annotated[str, typer.Option(help="openai: the server's address; else OPENAI_BASE_URL. The key is OPENAI_API_KEY.")] = "",
    view: Annotated[PageView, typer.Option(help="openai: how the model sees the page.")] = PageView.text,
    dialect: Annotated[ModelDialect, typer.Option(help="openai: how it writes actions; tools: function calling.")] = ModelDialect.call,
    max_tokens: Annotated[int, typer.Option(min=1, help="openai: longest answer.")] = 1024,
    extra: Annotated[str, typer.Option(help="openai: more fields for each request, as a JSON object; null takes one out.")] = "{}",
    tasks: TasksOption = [],  # noqa: B006
    trust: TrustOption = [],  # noqa: B006
    split: Annotated[Split, typer.Option(help="Which seeds.")] = Split.test,
    seeds: Annotated[int, typer.Option(min=1, max=100_000, help="Seeds per task.")] = 40,
    greedy: Annotated[bool, typer.Option(help="Take the likeliest token instead of sampling.")] = False,
    temperature: Annotated[float, typer.Option(min=0.0, help="Sampling temperature; 0 is --greedy.")] = 1.0,
    grammar: Annotated[
        bool | None, typer.Option(help="Hold answers to the action syntax and the page's refs; as it was trained unless given.")
    ] = None,
    sessions: Annotated[int, typer.Option(min=1, help="Browser sessions at once.")] = 8,
    backend: BackendOption = "browser",
    seed: Annotated[int, typer.Option(min=0, help="Seed of the sampling.")] = 0,
    device: Annotated[str, typer.Option(help="cpu or cuda, for a checkpoint; a GPU reads it in bfloat16.")] = "cpu",
    settings: Annotated[
        list[str], typer.Option("--set", "-s", help="Where a checkpoint's answers are generated, such as sampler.kind=openai; see `train`.")
    ] = [],  # noqa: B006
    keep: Annotated[
        Path | None, typer.Option(help="A folder for the episodes as they end; the same command goes on from there.", show_default=False)
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="JSON on standard output.")] = False,
    fail_under: Annotated[float, typer.Option(min=0, max=1, help="Exit with 1 below this success.")] = 0.0,
) -> None:
    """Evaluate a checkpoint on held-out seeds: success per task with 95% intervals."""
    from webgym.backends import known_backend
    from webgym.evaluation.assessment import Assessment
    from webgym.rollout.progress import shown

    if greedy and temperature not in (0.0, 1.0):
        raise WebGymError(f"--temperature {temperature:g} has no effect with --greedy: leave one of the two out")
    if not math.isfinite(temperature):
        raise WebGymError(f"--temperature {temperature:g}: expected a number, such as 1")
    if greedy or temperature == 0:
        greedy, temperature = True, 1.0
    if (checkpoint is None) == (policy is None):
        raise WebGymError("say what to evaluate: either --checkpoint FOLDER or --policy oracle|random|noop|openai")
    _refuse_idle(context, "--checkpoint" if policy is None else f"--policy {policy}")
    chosen = tuple(tasks) or (() if policy is None else ("default",))  # a checkpoint knows the tasks that it was trained on
    wanted = Assessment(
        chosen,
        split.value,  # type: ignore[arg-type]
        seeds,
        sessions,
        known_backend(backend),
        keep,
        shown=lambda total: shown(total, PlainConsole(stderr=True)),
    )
    comparison = None
    if checkpoint is not None:
        from trainers.models.model import no_progress_bars
        from trainers.training.evaluation import assess_checkpoints

        no_progress_bars()
        found, comparison = assess_checkpoints(
            wanted, checkpoint, against, settings, greedy=greedy, temperature=temperature, seed=seed, device=device, grammar=grammar
        )
    elif policy is ModelFree.openai:
        from webgym.policies.openai_client import Server
        from webgym.prompts.settings import PromptSettings
        from webgym.types import Sampling

        if not model:
            raise WebGymError("--policy openai needs --model NAME, the model's name on the server")
        found = wanted.of_server(
            Server.from_environment(base_url),
            model,
            prompts=PromptSettings(dialect="json" if dialect is ModelDialect.tools else dialect.value),
            tools=dialect is ModelDialect.tools,
            sampling=Sampling(temperature, max_tokens=max_tokens, greedy=greedy),
            view=view.value,
            extra=_json_object("--extra", extra),
            seed=seed,
        )
    else:
        assert policy is not None
        found = wanted.of_model_free(policy.value, seed)
    result = found.to_json() | ({"comparison": comparison.to_json()} if comparison else {})
    if as_json:
        _print_json(result)
    else:
        sampled = "" if policy not in (None, ModelFree.openai) else ", greedy" if greedy else ", sampled"
        console.print(found.table(f"{model or policy or checkpoint}, {split} seeds{sampled}"))
        if comparison:
            console.print(comparison.sentence())
    if found.overall.success < fail_under:
        raise typer.Exit(1)


OF_A_CHECKPOINT = ("against", "grammar", "device", "settings")
OF_A_SERVER = ("model", "base_url", "view", "dialect", "max_tokens", "extra")
OF_BOTH = ("greedy", "temperature")
WORKS_ON = {"--checkpoint": {*OF_A_CHECKPOINT, *OF_BOTH}, "--policy openai": {*OF_A_SERVER, *OF_BOTH}}


def _given(context: typer.Context, name: str) -> bool:
    """True for an option that the user gave."""
    source = context.get_parameter_source(name)
    return source is not None and source.name in ("COMMANDLINE", "ENVIRONMENT")


def _refuse_idle(context: typer.Context, played: str) -> None:
    """Refuse options of `webgym eval` that were given and would do nothing for what is played. Raises WebGymError."""
    for option in context.command.params:
        name = option.name or ""
        if _given(context, name) and name in {*OF_A_CHECKPOINT, *OF_A_SERVER, *OF_BOTH} - WORKS_ON.get(played, set()):
            beside = " or ".join(each for each, works in WORKS_ON.items() if name in works)
            raise WebGymError(f"{option.opts[0]}: expected {beside} beside it; with {played} it would do nothing")


def _json_object(option: str, text: str) -> dict[str, Any]:
    """The JSON object that an option's text holds. Raises WebGymError where it is none."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        raise WebGymError(f"""{option} {text!r}: expected a JSON object such as '{{"top_k": 20}}'""")
    return value


@app.command()
def truth(
    run: Annotated[Path, typer.Option("--run", help="Run folder; its newest checkpoint's policy continues the episodes.")],
    iteration: Annotated[int | None, typer.Option(min=1, help="Whose episodes; the newest iteration unless given.")] = None,
    episodes: Annotated[int, typer.Option(min=1, help="Episodes to branch from.")] = 8,
    turns: Annotated[list[int], typer.Option("--turn", min=0, help="A turn to branch from, from 0; all unless given.")] = [],  # noqa: B006
    continuations: Annotated[int, typer.Option("--continuations", "-n", min=1, help="Continuations of each state.")] = 32,
    gamma: Annotated[float | None, typer.Option(help="Discount per turn; the algorithm's unless given.")] = None,
    backend: BackendOption = "",
    sessions: Annotated[int, typer.Option(min=1, help="Sessions at once.")] = 8,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the continuations.")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="JSON on standard output.")] = False,
) -> None:
    """Estimate V, Q and advantage at the turns of recorded episodes by n continuations of each state; exactly where known."""
    from trainers.models.model import no_progress_bars
    from trainers.studies.truth import Wanted, find_truth, table
    from webgym.backends import known_backend
    from webgym.record import layout

    no_progress_bars()
    chosen = known_backend(backend) if backend else None
    wanted = Wanted(iteration, episodes, tuple(turns), continuations, gamma, chosen, sessions, seed)
    rows = find_truth(run, wanted, say=(lambda words: None) if as_json else _say)
    if as_json:
        _print_json(rows)
        return
    for row in rows:
        console.print(table(row))
    _say(f"{len(rows)} rows added to {run / layout.TRUTH}")


PlotsOption = Annotated[Path | None, typer.Option("--plots", help="Draw plots into this folder (needs the extra `plots`).")]
MostOption = Annotated[int | None, typer.Option("--most", min=1, help="Play at most so many cells, then end.")]
PlanOption = Annotated[bool, typer.Option("--plan", help="Say what there is to do and what it costs, and play nothing.")]
ReportOption = Annotated[bool, typer.Option("--report", help="Show what the finished cells come to, and play nothing.")]
JsonOption = Annotated[bool, typer.Option("--json", help="JSON on standard output.")]


@app.command()
def critic(
    checkpoint: Annotated[Path, typer.Option("--checkpoint", help="Run folder; its newest checkpoint's policy plays, its critic values.")],
    sites: Annotated[
        list[str], typer.Option("--site", help="A task, set or pattern of another site to try it on; may be given again.")
    ] = [],  # noqa: B006
    seeds: Annotated[int, typer.Option(min=2, help="Held-out instances of every task.")] = 20,
    episodes: Annotated[int, typer.Option(min=1, help="Episodes of each instance.")] = 2,
    continuations: Annotated[
        int, typer.Option("--continuations", "-n", min=0, help="Of each state where the truth is not known exactly; 0: none.")
    ] = 0,
    truth_episodes: Annotated[int, typer.Option(min=1, help="Episodes of each set whose states are gone on from.")] = 8,
    backend: BackendOption = "",
    sessions: Annotated[int, typer.Option(min=1, help="Sessions at once.")] = 8,
    seed: Annotated[int, typer.Option(min=0, help="Which instances are drawn.")] = 0,
    plots: PlotsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Assess a checkpoint's critic on seeds, wordings and sites that it never saw, against outcomes and against the truth."""
    from trainers.models.model import no_progress_bars
    from trainers.studies.critic_report import Wanted, critic_report, tables
    from trainers.studies.plots import plot_critic, pyplot
    from webgym.backends import known_backend

    no_progress_bars()
    if plots:
        pyplot()
    chosen = known_backend(backend) if backend else None
    wanted = Wanted(seeds, episodes, tuple(sites), continuations, truth_episodes, chosen, sessions, seed)
    found = critic_report(checkpoint, wanted, say=(lambda words: None) if as_json else _say)
    _show(found, tables, as_json)
    if plots:
        plot_critic(found, plots)


@study_app.command("critic")
def study_critic(
    checkpoint: Annotated[
        Path, typer.Option("--checkpoint", help="Run folder of a policy without memory, on tasks whose values are known.")
    ],
    grid: Annotated[Path | None, typer.Option(help="TOML file with variants and sizes; the published grid unless given.")] = None,
    out: Annotated[Path, typer.Option(help="Folder of the rows; a study that lies there goes on.")] = Path("studies/critic"),
    most: MostOption = None,
    plan: PlanOption = False,
    report: ReportOption = False,
    as_json: JsonOption = False,
) -> None:
    """Compare a critic's readouts, losses, targets and backbones, and assess it on the very episodes that it was fitted to."""
    from trainers.models.model import no_progress_bars
    from trainers.studies.critic import VARIANTS, CriticStudy, tables

    no_progress_bars()
    study = CriticStudy(grid or VARIANTS, checkpoint, out)
    if plan:
        _say("\n".join(study.plan()))
        return
    if not report:
        study.run(most, _say)
    _show(study.report(), tables, as_json)


@study_app.command("estimators")
def study_estimators(
    grid: Annotated[Path | None, typer.Option(help="TOML file with tasks, estimators and sizes; the published grid unless given.")] = None,
    out: Annotated[Path, typer.Option(help="Folder of the rows; a study that lies there goes on.")] = Path("studies/estimators"),
    most: MostOption = None,
    plan: PlanOption = False,
    report: ReportOption = False,
    plots: PlotsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Compare every estimator's advantages and gradients with exact ones, on the same episodes, by horizon and number of episodes."""
    from trainers.models.model import no_progress_bars
    from trainers.studies.estimators import ESTIMATORS, EstimatorStudy, tables
    from trainers.studies.plots import plot_estimators, pyplot

    no_progress_bars()
    if plots:
        pyplot()
    study = EstimatorStudy(grid or ESTIMATORS, out)
    if plan:
        _say("\n".join(study.plan()))
        return
    if not report:
        study.run(most, _say)
    found = study.report()
    _show(found, tables, as_json)
    if plots and found["tasks"]:
        plot_estimators(found, plots)


def _print_json(value: Any) -> None:
    """Print JSON that every reader takes: a number that is none (no episode to tell it from) is null."""
    from trainers.runs.journal import finite

    print(json.dumps(finite(value), indent=2, allow_nan=False))


def _show(found: Any, tables: Any, as_json: bool) -> None:
    """Print a report as JSON, or as its tables."""
    if as_json:
        _print_json(found)
        return
    for table in tables(found):
        console.print(table)


@study_app.command("forks")
def study_forks(
    grid: Annotated[Path | None, typer.Option(help="TOML file with problems and contenders; the published grid unless given.")] = None,
    out: Annotated[Path, typer.Option(help="Folder of the rows; a study that lies there goes on.")] = Path("studies/forks"),
    stage: Annotated[str, typer.Option(help="signal, tune, measure, or all.")] = "all",
    rows: Annotated[
        Path | None, typer.Option(help="Report the rows of this file, one a line, in place of the folder's; nothing is played.")
    ] = None,
    most: MostOption = None,
    plan: PlanOption = False,
    report: ReportOption = False,
    plots: PlotsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Compare credit by sampling with critics and groups on a table of choices: signal-to-noise per step, and steps to learn."""
    from trainers.studies.fork_figures import committed, plot_law, plot_runs
    from trainers.studies.forks import FORKS, STAGES, ForkStudy, read_grid, reported, tables
    from trainers.studies.plots import plot_forks, pyplot

    if stage not in (*STAGES, "all"):
        raise WebGymError(f"--stage {stage!r}: expected one of signal, tune, measure, all")
    if plots:
        pyplot()
    if rows:
        signals, measured = committed(rows)
    else:
        study = ForkStudy(grid or FORKS, out)
        if plan:
            _say("\n".join(study.plan()))
            return
        if not report:
            study.run(STAGES if stage == "all" else (stage,), most, _say)  # type: ignore[arg-type]
        signals, measured = study.rows()
    asked = read_grid(grid or FORKS)
    found = reported(asked, signals, measured)
    _show(found, tables, as_json)
    if plots:
        plot_forks(found, plots)
        plot_law(asked, signals, plots)
        plot_runs(measured, [x.label for x in asked.learning.contenders], plots)


@study_app.command("learning")
def study_learning(
    grid: Annotated[
        Path | None, typer.Option(help="TOML file with tasks, contenders and budgets; the published grid unless given.")
    ] = None,
    out: Annotated[Path, typer.Option(help="Folder of the rows; a study that lies there goes on.")] = Path("studies/learning"),
    stage: Annotated[Stage, typer.Option(help="What to play.")] = Stage.all,
    only: Annotated[
        list[str], typer.Option(help="Cells to play, as a pattern over CONTENDER/TASK-SEED, such as 'archer/*'; may be given again.")
    ] = ["*"],  # noqa: B006
    most: Annotated[int | None, typer.Option(min=1, help="Play at most so many cells, then end.")] = None,
    settings: Annotated[
        list[str], typer.Option("--set", "-s", help="Where and how cells run, such as backend=browser or device=cuda; may be given again.")
    ] = [],  # noqa: B006
    plan: Annotated[bool, typer.Option("--plan", help="Say what there is to do, and play nothing.")] = False,
    report: Annotated[bool, typer.Option("--report", help="Show what the finished cells come to, and play nothing.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="With --report: JSON on standard output.")] = False,
    plots: PlotsOption = None,
) -> None:
    """Compare learning curves of many algorithms at equal environment steps: tuned alike, a row per run, resumable after kill -9."""
    from trainers.models.model import no_progress_bars
    from trainers.studies.curves import tables
    from trainers.studies.learning import LEARNING, STAGES, Study
    from trainers.studies.plots import plot_learning, pyplot

    if plots:
        pyplot()
    no_progress_bars()
    study = Study(grid or LEARNING, out, settings)
    if plan:
        for line in study.plan():
            _say(line)
        return
    if not report:
        study.run(STAGES if stage is Stage.all else (stage.value,), only, most, _say)  # type: ignore[arg-type]
    if plots and (rows := study.rows("measure")):
        plot_learning(rows, [x.label for x in study.grid.contenders], study.grid.goal, study.grid.window, plots)
    _show(study.report(), tables, as_json)


@bench_app.command("step")
def bench_step(
    tasks: TasksOption = ["default"],  # noqa: B006
    trust: TrustOption = [],  # noqa: B006
    episodes: Annotated[int, typer.Option(min=1, help="Episodes per task.")] = 8,
    sessions: Annotated[str, typer.Option(help="Counts of sessions for the throughput, separated by commas.")] = "1,2,4,8,16,32",
    as_json: Annotated[bool, typer.Option("--json", help="JSON on standard output.")] = False,
) -> None:
    """Measure the cost of a step and of a reset, beside the bare cost of the same clicks over CDP, and turns per second by sessions."""
    from webgym.commands.bench import bench, tables
    from webgym.packs import sets as task_sets

    if not all(n.strip().isdigit() for n in sessions.split(",")):
        raise WebGymError(f"--sessions {sessions!r}: expected counts separated by commas, such as 1,2,4")
    result = bench(task_sets.choose(tasks), episodes, [int(n) for n in sessions.split(",")])
    if as_json:
        _print_json(result)
    else:
        for table in tables(result):
            console.print(table)
        _say("\n".join(result["missed"]) or "every bar is met")


@app.command()
def view(
    run: RunArgument = Path("runs"),
    export: Annotated[Path | None, typer.Option(help="Write one self-contained HTML file instead of serving a page.")] = None,
    episodes: Annotated[int, typer.Option(min=1, help="Episodes of an exported file.")] = 100,
    port: PortOption = 0,
    browse: Annotated[bool, typer.Option(help="Open the page in your browser.")] = True,
) -> None:
    """Look at runs in a browser page: curves, episodes with screenshots, who gets the credit, sessions live. Reads only."""
    from webgym.view.export import export as write
    from webgym.view.server import view as serve

    if export is not None:
        write(run, export, episodes, say=_say)
    else:
        serve(run, port=port, browse=browse, say=_say)


class ServeProtocol(StrEnum):
    """Protocol of a server."""

    http = "http"
    openenv = "openenv"


@app.command()
def serve(
    protocol: Annotated[
        ServeProtocol, typer.Option(help="http (WebGym's own: JSON over HTTP) or openenv (OpenEnv's).")
    ] = ServeProtocol.http,
    host: Annotated[str, typer.Option(help="Address to listen on; one that other machines reach wants a token.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port; 0 takes a free one.")] = 0,
    token: Annotated[
        str, typer.Option(envvar="WEBGYM_TOKEN", help="Secret that clients must give; made up for other hosts than loopback.")
    ] = "",
    no_token: Annotated[
        bool, typer.Option("--no-token", help="Let in who reaches the port, as in a container whose port is published on loopback only.")
    ] = False,
    allow_host: Annotated[list[str], typer.Option(help="Another name of this server; may be given again.")] = [],  # noqa: B006
    sessions: Annotated[int, typer.Option(min=1, help="Sessions at once.")] = 32,
    idle: Annotated[float, typer.Option(min=1, help="Seconds of a client's silence after which its session ends.")] = 900.0,
    backend: BackendOption = "browser",
    tasks: TasksOption = [],  # noqa: B006
    trust: TrustOption = [],  # noqa: B006
) -> None:
    """Serve all tasks to agents and trainers elsewhere: one browser, a session for each client, task and seed per episode."""
    from webgym.backends import known_backend
    from webgym.packs import sets as task_sets
    from webgym.serve.guard import is_loopback
    from webgym.serve.server import Server, new_token
    from webgym.serve.server import serve as begin
    from webgym.serve.sessions import Limits

    if token and no_token:
        raise WebGymError("expected one of --token and --no-token, got both")
    if tasks:
        task_sets.choose(tasks)  # task files and packs of others become known
    secret = token or ("" if no_token or is_loopback(host) else new_token())
    limits = Limits(sessions, idle)
    server = Server(
        protocol.value,
        host=host,
        port=port,
        token=secret,
        open_to_all=no_token,
        hosts=allow_host,
        backend=known_backend(backend),
        limits=limits,
    )
    begin(server, _say)


@app.command()
def note(
    run: RunArgument = Path("runs/latest"),
    text: Annotated[str | None, typer.Argument(help="The note; an empty text takes it away.", show_default=False)] = None,
    tag: Annotated[list[str] | None, typer.Option(help="A tag to give; may be repeated.")] = None,
    untag: Annotated[list[str] | None, typer.Option(help="A tag to take away; may be repeated.")] = None,
) -> None:
    """Give a run a note and tags, which the viewer's table of runs shows and finds."""
    from webgym.errors import UsageError
    from webgym.record import layout, notes

    if not layout.is_run(run):
        raise UsageError(f"expected a run folder, as in `webgym note runs/latest 'a first try' --tag baseline`; {run} is none")
    old = notes.read(run)
    kept = [each for each in old.tags if each not in (untag or [])]
    new = notes.Note(old.text if text is None else text, tuple(dict.fromkeys([*kept, *(tag or [])])))
    if new != old:
        notes.write(run, new)
    _say(f"{run.resolve().name}: {new.text or 'no note'}" + (f" (tags: {', '.join(new.tags)})" if new.tags else ""))


@app.command()
def watch(
    run: RunArgument = Path("runs/latest"),
    page: Annotated[bool, typer.Option(help="Serve the viewer's page beside it.")] = True,
    once: Annotated[bool, typer.Option("--once", help="Show how it stands now, and end.")] = False,
    port: PortOption = 0,
) -> None:
    """Watch a training run: its curve, and what every browser session does right now."""
    from webgym.view.terminal import watch as show

    show(run, console, page=page, once=once, port=port)


@app.command()
def replay(
    episode: Annotated[str, typer.Argument(help="RUN/iter-000003/7, or FILE.jsonl#7 for a line of a file, as `webgym view` names it.")],
    verify: Annotated[bool, typer.Option("--verify", help="Exit with 1 unless every page and the end are as recorded.")] = False,
    headed: Annotated[bool, typer.Option("--headed", help="Show it in a browser window, slowly.")] = False,
    pause: Annotated[float | None, typer.Option(min=0, help="Seconds between actions; 1 with --headed, else 0.")] = None,
    video: Annotated[Path | None, typer.Option(help="Write a film: .webp, .gif, or with ffmpeg .webm, .mp4.")] = None,
    trace: Annotated[Path | None, typer.Option(help="Write a Playwright trace (a zip file), for `playwright show-trace`.")] = None,
    trust: TrustOption = [],  # noqa: B006
) -> None:
    """Play an episode's recorded actions again in a browser and compare every page with what was recorded."""
    from webgym.commands import replay as again
    from webgym.packs.recorded import recorded_task

    pause_s = pause if pause is not None else 1.0 if headed else 0.0
    task_of = partial(recorded_task, folder=again.folder_of(episode))
    result = again.replay(again.find(episode), headed=headed, pause_s=pause_s, video=video, trace=trace, task_of=task_of)
    _say("\n".join([*result.lines(), *(f"  written: {path}" for path in (video, trace) if path)]))
    if verify and not result.same:
        raise typer.Exit(1)


@app.command()
def play(
    task_id: Annotated[str, typer.Argument(metavar="ID", help="Task id, or FILE#ID for a task of a file.")],
    seed: Annotated[int, typer.Option(min=0, help="Seed of the first episode; the next ones follow.")] = 0,
    out: Annotated[Path, typer.Option(help="Folder for the demonstrations, for `webgym sft`.")] = Path("demos/mine"),
    style: StyleOption = PromptStyle.compact,
    port: PortOption = 0,
    browse: Annotated[bool, typer.Option(help="Open the page in your browser.")] = True,
    window: Annotated[
        bool | None,
        typer.Option(help="Play in the browser's own window (where there can be one, the default), or in a page."),
    ] = None,
) -> None:
    """Play a task yourself: your clicks and typing become an agent's actions, successes are kept as demonstrations."""
    from webgym.commands.play import play as begin

    begin(task_id, seed=seed, out=out, prompts=_prompts(style, PromptContext.window), port=port, browse=browse, window=window, say=_say)


def _say(words: str) -> None:
    console.print(words, soft_wrap=True, highlight=False)


def _version(asked: bool) -> None:
    """Print the version and end."""
    if asked:
        from webgym import __version__

        print(f"webgym {__version__}")
        raise typer.Exit


@app.callback(invoke_without_command=True)
def main(
    context: typer.Context,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Show what happens inside.")] = False,
    version: Annotated[bool, typer.Option("--version", help="Show the version and end.", callback=_version, is_eager=True)] = False,
) -> None:
    """Web tasks in a real browser, and trainers that teach a language model to do them."""
    if context.invoked_subcommand is None:
        print(context.get_help())
        return
    logging.basicConfig(
        level=logging.DEBUG if verbose else logging.WARNING,
        format="%(message)s",
        handlers=[RichHandler(console=PlainConsole(stderr=True))],
    )
    logging.getLogger("webgym").setLevel(logging.DEBUG if verbose else logging.NOTSET)
    for noisy in ("asyncio", "httpcore2", "httpx", "httpx2", "urllib3"):
        logging.getLogger(noisy).setLevel(logging.WARNING)


def _warning(message: Warning | str, category: type[Warning], filename: str, lineno: int, *_: Any) -> None:
    """A warning on standard error: that of a setting in words, another one with its place."""
    place = "" if issubclass(category, FutureWarning) else f" ({filename}:{lineno}, {category.__name__})"
    print(plain(f"warning: {message}{place}"), file=sys.stderr)


def _fail(words: str) -> NoReturn:
    """Say what went wrong on standard error, and end with status 2."""
    PlainConsole(stderr=True).print(Text("error: ", style="bold red"), end="")
    print(plain(words), file=sys.stderr)
    sys.exit(2)


FULL = (errno.ENOSPC, errno.EDQUOT)


def run() -> None:
    """The `webgym` command: a WebGymError, or a file that cannot be had, is one sentence on standard error and exit status 2.

    With `--verbose`, an error of a file has its traceback.
    """
    warnings.showwarning = _warning
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # texts of pages and agents are printed, and a terminal need not know all letters
    try:
        app(prog_name="webgym")
    except WebGymError as error:
        _fail(str(error))
    except OSError as error:
        if error.errno in FULL:
            _fail(f"the disk is full: {error.filename or 'what was being written'} is incomplete; free some space and try again")
        if error.filename is None or logging.getLogger("webgym").level == logging.DEBUG:  # --verbose
            raise
        _fail(f"{error.filename} cannot be written or read: {(error.strerror or '').lower()}; give another place")


if __name__ == "__main__":
    run()
