"""Episodes that begin signed in: `signed_in` of a task, which is a form that is sent, steps in the browser, or what the browser holds."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from pydantic import Field, model_validator

from webgym.authoring.checks import Entry
from webgym.authoring.placeholders import Values, fill, fill_text
from webgym.authoring.task_file.steps import Step
from webgym.sites.apps.secrets import names_secrets, with_secrets
from webgym.task import SignIn
from webgym.types import Action, Observation

_SECRET = re.compile(r"\$\{([A-Za-z_]\w*)\}")


class SignedIn(Entry):
    """The way in which an episode begins signed in."""

    post: str | None = None  # the path that a form, or JSON, is sent to
    form: dict[str, str] = Field(default_factory=dict)
    json_: Any = Field(default=None, alias="json")
    token: str | None = None  # the hidden field that is read from the page first and sent with the form
    page: str | None = None  # the page that has it, or on which the steps begin; the path of the form, or the start
    steps: tuple[Step, ...] = ()
    cookies: dict[str, str] = Field(default_factory=dict)
    storage: dict[str, str] = Field(default_factory=dict)
    headers: dict[str, str] = Field(default_factory=dict)

    @model_validator(mode="before")
    @classmethod
    def _steps_alone(cls, value: Any) -> Any:
        return {"steps": value} if isinstance(value, (list, tuple)) else value

    @model_validator(mode="after")
    def _something(self) -> "SignedIn":
        if not (self.post or self.steps or self.cookies or self.storage or self.headers):
            raise ValueError("expected post, steps, cookies, storage or headers; got none")
        if self.post and self.steps:
            raise ValueError("expected either post or steps; got both")
        if self.post is None and (self.form or self.json_ is not None or self.token):
            raise ValueError("form, json and token belong to post")
        if self.post is not None and not self.post.startswith("/"):
            raise ValueError(f"post: expected a path that begins with /, got {self.post!r}")
        if self.json_ is not None and (self.form or self.token):
            raise ValueError("expected either json or form (with token); got both")
        return self

    @property
    def has_secrets(self) -> bool:
        """True if it names an environment variable."""
        return names_secrets(self.model_dump())

    def begin(self, values: Values) -> dict[str, Any]:
        """The fields of :class:`webgym.task.Start` that it means. Raises UsageError where a secret is not set."""
        cookies, storage, headers = (_filled(part, values) for part in (self.cookies, self.storage, self.headers))
        way = None
        if self.post or self.steps:
            way = SignIn(
                path=fill_text(self.post or "", values),
                form=_filled(self.form, values),
                json=_filled(self.json_, values),
                token=self.token or "",
                page=fill_text(self.page or "", values),
                steps=(lambda: _walk(self.steps, values)) if self.steps else None,
            )
            with_secrets(self.model_dump())  # all must be set before the episode begins
        return {"cookies": cookies, "storage": storage, "headers": headers, "signed_in": way}


def _walk(steps: Sequence[Step], values: Values) -> Callable[[Observation], Action | None]:
    """From each page to the next action; None when all steps are done."""
    rest: Iterator[Step] = iter(steps)
    known = dict(values)

    def act(page: Observation) -> Action | None:
        for step in rest:
            action = _with_texts(step, known).action(page, known)
            if action is not None:
                return action
        return None

    return act


def _with_texts(step: Step, values: Values) -> Step:
    """The step with its placeholders and secrets filled in."""
    given = {name: _filled(getattr(step, name), values) for name in step.model_fields_set if name != "read"}
    return step.model_copy(update={name: _escaped(value) for name, value in given.items()})


def _filled(thing: Any, values: Values) -> Any:
    """`thing` with placeholders and secrets filled in; `${NAME}` is no placeholder."""
    return with_secrets(_mapped(fill(_mapped(thing, _hide), values), _show))


def _hide(text: str) -> str:
    return _SECRET.sub("\x01\\1\x02", text)


def _show(text: str) -> str:
    return re.sub("\x01(\\w+)\x02", r"${\1}", text)


def _escaped(thing: Any) -> Any:
    """Braces of texts that are filled once more."""
    return _mapped(thing, lambda text: text.replace("{", "{{").replace("}", "}}"))


def _mapped(thing: Any, change: Callable[[str], str]) -> Any:
    match thing:
        case str():
            return change(thing)
        case Mapping():
            return {key: _mapped(value, change) for key, value in thing.items()}
        case list() | tuple():
            return type(thing)(_mapped(value, change) for value in thing)
    return thing


def without_secrets(text: str) -> str:
    """A text in which no secret can be taken for a placeholder."""
    return _SECRET.sub("", text)
