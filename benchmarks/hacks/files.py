"""Files of strangers: task files that reach outside of their folder, checkpoints and models that hold code, hostile records."""

# ruff: noqa: E501
import asyncio
import json
import os
import re
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from unittest.mock import patch

from benchmarks.hacks.matrix import hack, without
from trainers.runs import checkpoint
from trainers.runs import run_folder as run_folder_module
from trainers.samplers import settings
from webgym.authoring import consent, forms, task_file
from webgym.authoring.forms import FormSite
from webgym.authoring.task_file import source
from webgym.errors import CheckpointError, TaskFileError, UsageError
from webgym.record import episodes, layout, lines, store, whole
from webgym.sites.apps import pool
from webgym.sites.static import StaticSite
from webgym.view import app, runs

SECRET = "OUTSIDE-THE-FOLDER"
HEAD = "pack: hacks-{n}\nsite: {{pages: {pages}}}\n"
TASK = "tasks:\n  - name: t\n    start: /index.html\n    goal: Look.\n    check: {page: x}\n"

_numbers = iter(range(10_000))


@contextmanager
def folder() -> Iterator[Path]:
    """A folder with a secret, and in it the folder of a pack."""
    with tempfile.TemporaryDirectory(prefix="webgym-hacks-") as top:
        pack = Path(top, "pack")
        (pack / "pages").mkdir(parents=True)
        (pack / "pages" / "index.html").write_text("<h1>index</h1>")
        Path(top, "secret.txt").write_text(SECRET)
        yield pack


def served(site: Any, path: str) -> str:
    """What a site answers at a path."""
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    async def receive() -> Any:
        return {"type": "http.request"}

    async def ask() -> None:
        state = await site.lease(0, None)
        scope = {"type": "http", "method": "GET", "path": path, "query_string": b"", "headers": [], "webgym.state": state}
        await site.app({**scope, "raw_path": path.encode()}, receive, send)

    asyncio.run(ask())
    return b"".join(message.get("body", b"") for message in sent).decode("utf-8", "replace")


def _reads_outside(pages: str, path: str, prepare: Callable[[Path], Any] = lambda pack: None) -> str:
    """The secret, by a page folder and an address."""
    with folder() as pack:
        prepare(pack)
        file = pack / "tasks.yaml"
        file.write_text(HEAD.format(n=next(_numbers), pages=pages) + TASK)
        try:
            _, sites = task_file.read(file)
        except TaskFileError:
            return ""
        return next((f"read {path}" for site in sites if SECRET in served(site, path)), "")


def _unfenced() -> Any:
    return patch.object(Path, "is_relative_to", lambda self, *other, **more: True)


_PAGES = {"..": "/secret.txt", "../": "/secret.txt", "pages/../..": "/secret.txt", "./..": "/secret.txt"}
for _folder, _path in _PAGES.items():
    hack("task files", f"pages: {_folder}", "a page folder lies in the file's own folder", _unfenced, quick=True)(
        lambda pages=_folder, path=_path: _reads_outside(pages, path)
    )


def _link(pack: Path) -> None:
    (pack / "pages" / "link.txt").symlink_to(pack.parent / "secret.txt")


def _linked_folder(pack: Path) -> None:
    (pack / "linked").symlink_to(pack.parent)


hack("task files", "a link in the page folder", "nothing outside of a site's folder is read", _unfenced, quick=True)(
    lambda: _reads_outside("pages", "/link.txt", _link)
)
hack("task files", "a page folder that is a link", "a page folder lies in the file's own folder", _unfenced, quick=True)(
    lambda: _reads_outside("linked", "/secret.txt", _linked_folder)
)
for _path in ("/../../secret.txt", "//../../secret.txt", "/pages/../../../secret.txt"):
    hack("task files", f"the address {_path}", "nothing outside of a site's folder is read", _unfenced, quick=True)(
        lambda path=_path: _static(path)
    )


def _static(path: str) -> str:
    with folder() as pack:
        site = StaticSite("hacks-static.localhost", pack / "pages")
        return f"read {path}" if SECRET in served(site, path) else ""


@hack(
    "task files", "the task file itself, from the page folder '.'", "the task file is withheld from its own site",
    without((task_file, "FormSite", lambda host, folder, withheld=(): __import__("webgym.authoring.forms", fromlist=["FormSite"]).FormSite(host, folder))),
    quick=True,
)  # fmt: skip
def own_answers() -> str:
    """A site that serves its checks."""
    with folder() as pack:
        file = pack / "tasks.yaml"
        file.write_text(HEAD.format(n=next(_numbers), pages=".") + TASK)
        _, sites = task_file.read(file)
        return next(("its check" for site in sites if "check:" in served(site, "/tasks.yaml")), "")


def _refused(text: str, name: str = "tasks.yaml") -> str:
    """What a task file gets besides a TaskFileError."""
    with folder() as pack:
        file = pack / name
        file.write_text(text)
        mark = pack.parent / "ran"
        file.write_text(text.replace("MARK", str(mark)))
        try:
            source.read_source(file)
        except TaskFileError:
            return "code ran" if mark.exists() else ""
        except Exception as error:
            return f"{type(error).__name__}"
        return "code ran" if mark.exists() else ""


def _unsafe_loader() -> Any:
    import yaml

    class Loader(yaml.UnsafeLoader):
        pass

    return patch.object(source, "_Loader", Loader)


hack("task files", "a tag of YAML that makes Python objects", "YAML is read as plain data", _unsafe_loader, quick=True)(
    lambda: _refused("x: !!python/object/apply:os.system ['touch MARK']\n" + TASK)
)


async def _raised(send: Any, status: int, *page: Any, **more: Any) -> None:
    raise LookupError(page)


def _plain_loader() -> Any:
    import yaml

    return patch.object(source._Loader, "construct_object", yaml.SafeLoader.construct_object)


for _value in ("!!int x", "!!bool maybe", "9" * 5000):
    hack("task files", f"the value {_value:.20}", "a value that is none of its kind is told with its line", _plain_loader, quick=True)(
        lambda value=_value: _refused(f"x: {value}\n" + TASK)
    )


@contextmanager
def _counts_nothing() -> Iterator[None]:
    with patch.object(source, "_refuse_bombs", lambda path, root: None), patch.object(source, "MAX_VALUES", 10**12):
        yield


def _alias_bomb() -> str:
    """A list that holds itself, which no reader can walk."""
    with folder() as pack:
        file = pack / "tasks.yaml"
        file.write_text("a: &a [1, *a]\n" + TASK)
        try:
            found = source.read_source(file)
        except TaskFileError:
            return ""
        return "a value that holds itself" if found.header["a"] is found.header["a"][1] else ""


hack("task files", "an alias that holds itself", "aliases are counted before they are followed", _counts_nothing, quick=True)(_alias_bomb)


@hack(
    "task files", "a page of what was sent, opened before anything was", "a page shows nothing of what was not sent",
    without((FormSite, "_sends", lambda self, name: False), (forms, "reply", _raised)), quick=True,
)  # fmt: skip
def opened_early() -> str:
    """An agent that makes the site of a losing episode fail."""
    with folder() as pack:
        (pack / "pages" / "order.html").write_text("thanks {{order.-1.name}}")
        try:
            served(FormSite("hacks-form.localhost", pack / "pages"), "/order.html")
        except LookupError:
            return "a fault of the site"
        return ""


# --- checkpoints, models, records --------------------------------------------------------------------------------------------


class _Code:
    """Runs a command when it is unpickled."""

    def __init__(self, mark: Path) -> None:
        self._mark = mark

    def __reduce__(self) -> Any:
        return os.system, (f"touch {self._mark}",)


@contextmanager
def _any_pickle() -> Iterator[None]:
    import torch

    load = torch.load
    with patch.object(torch, "load", lambda *given, **named: load(*given, **{**named, "weights_only": False})):
        yield


@hack("checkpoints", "code in state.pt, with a manifest that lists it", "states are read with weights_only", _any_pickle, quick=True)
def pickled() -> str:
    """A checkpoint of a stranger."""
    import torch

    from trainers.runs.checkpoint import Checkpoint, write_checkpoint
    from webgym.record.layout import STATE, iteration_name

    with tempfile.TemporaryDirectory(prefix="webgym-hacks-") as top:
        mark, path = Path(top, "ran"), Path(top, iteration_name(1))
        write_checkpoint(path, 1, {}, {"a": torch.zeros(1)}, None)
        torch.save(_Code(mark), path / STATE)
        with suppress(CheckpointError):
            Checkpoint.open(path).state()
        return "code ran" if mark.exists() else ""


@contextmanager
def _unverified() -> Iterator[None]:
    from trainers.runs.checkpoint import Checkpoint

    with patch.object(Checkpoint, "verify", lambda self: None):
        yield


@hack(
    "checkpoints",
    "weights that were changed after they were written",
    "a checkpoint's files are compared with its manifest",
    _unverified,
    quick=True,
)
def changed() -> str:
    """A file of another content under the same manifest."""
    from trainers.runs.checkpoint import write_checkpoint
    from trainers.runs.run_folder import open_checkpoint

    with tempfile.TemporaryDirectory(prefix="webgym-hacks-") as top:
        path = Path(top, layout.CHECKPOINTS, layout.iteration_name(1))
        path.parent.mkdir()
        write_checkpoint(path, 1, {layout.POLICY: lambda where: (where / "weights").write_text("good")}, None, None)
        (path / layout.POLICY / "weights").write_text("evil")
        try:
            return (open_checkpoint(path).folder(layout.POLICY) / "weights").read_text()
        except CheckpointError:
            return ""


@contextmanager
def _remote_code() -> Iterator[None]:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizers, models = _trusting(AutoTokenizer), _trusting(AutoModelForCausalLM)
    with patch.object(AutoTokenizer, "from_pretrained", tokenizers), patch.object(AutoModelForCausalLM, "from_pretrained", models):
        yield


def _trusting(kind: Any) -> Any:
    original = kind.from_pretrained
    return lambda *given, **named: original(*given, **{**named, "trust_remote_code": True})


@hack("models", "a model folder with code of its own", "trust_remote_code is off", _remote_code)
def code_of_a_model() -> str:
    """A folder whose configuration names a module beside it."""
    import shutil

    from trainers.models import model

    with tempfile.TemporaryDirectory(prefix="webgym-hacks-") as top:
        mark, path = Path(top, "ran"), Path(top, f"evil{next(_numbers)}")
        shutil.copytree(model.folder_of("webgym-tiny"), path)
        config = json.loads((path / "config.json").read_text())
        config |= {"model_type": "evil", "auto_map": {"AutoConfig": "evil.C", "AutoModelForCausalLM": "evil.M"}}
        (path / "config.json").write_text(json.dumps(config))
        (path / "evil.py").write_text(
            f"import os; os.system('touch {mark}')\nfrom transformers import LlamaConfig as C, LlamaForCausalLM as M\n"
        )
        try:
            model.load(path)
        except (UsageError, Exception):
            return "code ran" if mark.exists() else ""
        return "code ran" if mark.exists() else ""


GOOD = (
    '{"format":1,"key":["a.b",1,0,0,0],"goal":"g","outcome":{"kind":"failure","reward":0.0,"raw_reward":0.0,"message":"","retries":0},'
    '"final_hash":"","turns":[]}'
)
DAMAGED = {
    "a list nested 100,000 deep": GOOD.replace('"g"', "[" * 100_000 + "]" * 100_000),
    "NaN as a reward": GOOD.replace('"reward":0.0,"raw', '"reward":NaN,"raw'),
    "a seed beyond all numbers": GOOD.replace(",1,0,0,0]", ",1e999,0,0,0]"),
    "a goal that is a list": GOOD.replace('"g"', '[["a"]]'),
    "an outcome that is a list": GOOD.replace('{"kind"', '[1],"o":{"kind"'),
    "a kind that is a table": GOOD.replace('"failure"', '{"a":1}'),
    "turns that are no list": GOOD.replace("[]}", "5}"),
    "a key that is text": GOOD.replace('["a.b",1,0,0,0]', '5'),
}  # fmt: skip


def _breaks(line: str) -> str:
    """The error of another kind than the one that means a damaged line."""
    for read in (lambda: store.decode(line.encode()), lambda: episodes.glance(line.encode(), "f", 1, 0)):
        try:
            read()
        except (ValueError, KeyError, TypeError):
            continue
        except BaseException as error:
            return type(error).__name__
    return ""


def _naive_decode(line: bytes) -> Any:
    record = json.loads(line)
    store.EpisodeKey(*record["key"])
    return (
        int(record["key"][1]),
        {record["outcome"]["kind"]: 1},
        record["goal"].strip(),
        list(record["turns"]),
        float(record["outcome"]["reward"]),
    )


def _strict(line: bytes) -> Any:
    """A reader that knows only one kind of damage."""
    try:
        found = _naive_decode(line)
        if found[-1] != found[-1]:
            raise OverflowError("no number")
    except (TypeError, KeyError, AttributeError) as error:
        raise RuntimeError("damaged") from error
    return found


for _name, _line in DAMAGED.items():
    hack("records", _name, "a damaged line is left out, and the others are read", without((store, "decode", _strict)), quick=True)(
        lambda line=_line: _breaks(line)
    )


# --- the folder of a run -----------------------------------------------------------------------------------------------------


def _hangs(prepare: Callable[[Path], Any]) -> str:
    """Waiting for ever, or an error, when a run that a stranger has prepared is opened in the viewer."""
    from benchmarks.fuzz_runs import run_folder, shown

    with tempfile.TemporaryDirectory(prefix="webgym-hacks-") as top:
        path = run_folder(Path(top))
        prepare(path)
        found: list[str] = []

        def look() -> None:
            try:
                found.append(shown(path))
            except BaseException as error:
                found.append(f"{type(error).__name__}: {error}"[:80])

        looking = threading.Thread(target=look, daemon=True)
        looking.start()
        looking.join(3.0)
        return found[0] if found else "the viewer waits for ever"


def _pipe(name: str) -> Callable[[Path], Any]:
    def prepare(path: Path) -> None:
        (path / name).unlink()
        os.mkfifo(path / name)

    return prepare


def _deep(name: str) -> Callable[[Path], Any]:
    return lambda path: (path / name).write_text('{"seed": ' + "[" * 50_000 + "]" * 50_000 + "}\n")


def _read_all() -> Any:
    return patch.object(whole, "read_small", lambda path: path.read_bytes())


for _name in (layout.NOTE, layout.LIVE):
    hack("runs", f"{_name} is a pipe that nobody writes to", "a small file is a file, and small", _read_all)(
        lambda name=_name: _hangs(_pipe(name))
    )


@contextmanager
def _bare_json() -> Iterator[None]:
    with patch.object(whole, "json_of", json.loads), patch.object(lines, "RecursionError", ArithmeticError, create=True):
        yield


for _name in (layout.ABOUT, layout.NOTE, layout.LIVE, layout.METRICS, layout.VALUES):
    hack("runs", f"{_name} is nested 50,000 deep", "nesting without end is damage", _bare_json, quick=True)(
        lambda name=_name: _hangs(_deep(name))
    )
for _name, _value in {"NaN": "nan", "a date": "2026-01-05"}.items():
    hack(
        "runs",
        f"{_name} in config.toml",
        "what JSON does not know is shown as text",
        without((runs, "plain", lambda value: value), (app, "plain", lambda value: value)),
        quick=True,
    )(lambda value=_value: _hangs(lambda path: (path / layout.CONFIG).write_text(f"algo = 'a'\nx = {value}\n")))


@hack(
    "checkpoints", "a manifest with a right digest that lists files elsewhere", "a checkpoint's files lie in its folder",
    without((checkpoint, "_not_ours", lambda manifest: None)), quick=True,
)  # fmt: skip
def elsewhere() -> str:
    """Whether a file of this machine is as a stranger thinks, by a checkpoint that verifies if it is."""
    with tempfile.TemporaryDirectory(prefix="webgym-hacks-") as top:
        secret, path = Path(top, "secret"), Path(top, layout.iteration_name(1))
        secret.write_text(SECRET)
        path.mkdir()
        about = {"bytes": len(SECRET), "blake2b": checkpoint.digest_of(secret)}
        manifest: dict[str, Any] = {"format": 1, "iteration": 1, "score": None, "files": {"../secret": about}}
        manifest["digest"] = checkpoint._digest_of_json(manifest)
        (path / layout.MANIFEST).write_text(json.dumps(manifest))
        try:
            checkpoint.Checkpoint.open(path).verify()
        except CheckpointError:
            return ""
        return "a file outside of the checkpoint was compared"


# --- secrets -----------------------------------------------------------------------------------------------------------------

CANARY = "CANARY-7b1d-KEY"


@hack(
    "secrets", "a password in the address of a model server, in the files of a run", "an address with a password is refused",
    without((settings, "PASSWORD", re.compile("(?!)")), (run_folder_module, "PASSWORD", re.compile("(?!)"))), quick=True,
)  # fmt: skip
def password() -> str:
    """A run that is begun with such an address, by its settings or its command line."""
    with tempfile.TemporaryDirectory(prefix="webgym-hacks-") as top:
        address, sampler = f"http://user:{CANARY}@127.0.0.1:1/v1", {}
        with suppress(ValueError):
            sampler = settings.SamplerConfig.model_validate({"kind": "openai", "base_url": address}).model_dump(mode="json")
        with patch("sys.argv", ["webgym", "train", "--set", f"sampler.base_url={address}"]):
            run_folder_module.RunFolder.create("archer", {"algo": "archer", "sampler": sampler}, 0, parent=Path(top), name="run").close()
        found = [path.name for path in Path(top).rglob("*") if path.is_file() and CANARY in path.read_text("utf-8", "replace")]
        return f"the password is in {', '.join(sorted(found))}" if found else ""


@hack(
    "secrets", "a provider's key, in the environment of an application's process", "processes get the variables that are no secrets",
    without((pool, "public", dict)), quick=True,
)  # fmt: skip
def inherited() -> str:
    """An application that prints its environment, from which a page could serve it."""
    names = ("OPENAI_API_KEY", "AWS_SECRET_ACCESS_KEY", "GITHUB_TOKEN", "HF_TOKEN", "DATABASE_URL")
    values = {name: f"postgres://me:{CANARY}@db/x" if name.endswith("URL") else CANARY for name in names}
    with patch.dict(os.environ, values):
        command = pool.Command(["env"], None, [], None, {}, "/")
        shown = command.variables(1, Path("/nowhere"), Path("/nowhere/clock"))
    return ", ".join(name for name, value in shown.items() if CANARY in value)


RUNS = {
    "a command": "serve: [python, app.py]",
    "a request to a service of this machine, between episodes": 'at: "http://127.0.0.1:9"\n  reset: [{post: /delete-all}]',
    "a query of a file": 'at: "http://127.0.0.1:9"\n  state: {rows: {sqlite: /etc/passwd, query: "select 1"}}',
}


@hack(
    "task files",
    f"a file that nobody trusts, with {', '.join(RUNS)}",
    "what a file runs is asked for first",
    without((consent, "fingerprint", lambda folder: "known"), (consent, "_known", lambda: {"known": ""})),
    quick=True,
)
def untrusted() -> str:
    """Loads each."""
    found = []
    for words, site in RUNS.items():
        with folder() as pack, suppress(TaskFileError, UsageError):
            (pack / "app.py").write_text("")
            name = f"hacks-{next(_numbers)}"
            (pack / "tasks.yaml").write_text(f"pack: {name}\nsite:\n  url: http://{name}.localhost/\n  {site}\n{TASK}")
            found += [words] if task_file.read(pack / "tasks.yaml") else []
    return "; ".join(found)
