"""Errors that WebGym raises on purpose.

::

    WebGymError
    ├── UsageError                 the caller can mend it: the message says what was expected, what came, what to do
    │   ├── UnknownTaskError       no task has this id (says "did you mean")
    │   ├── TaskFileError          a task, pack or task-set file is malformed (file, field, expected)
    │   ├── ConfigError            a configuration key or value is wrong (says "did you mean")
    │   ├── CheckpointError        a checkpoint or run folder cannot be used
    │   ├── DivergenceError        loss or gradient is no finite number: no optimiser step was taken (says where the batch is)
    │   ├── EpisodeStateError      step before reset, step after the end
    │   └── BrowserMissingError    no usable browser executable (says which command installs one)
    └── Fault                      the machinery failed, not the agent: never a reward, never trained on; counted by its `kind`
        ├── BrowserFault           the browser process or its connection died
        │   ├── RendererFault      the process of a page crashed or was killed
        │   └── HangFault          something did not answer within its deadline
        ├── SiteFault              the site under test failed to start, died, or answered with a server error
        ├── JudgeFault             the success check itself failed
        ├── DiskFault              a temporary file of the episode cannot be written, because the disk is full
        ├── PolicyFault            the model server behind a policy does not answer, or answers with a server error
        └── WorkerFault            the process that played the episode was lost

An agent's mistake is neither: it is an error in words inside the next observation and costs a turn.
"""

import difflib
from collections.abc import Iterable
from typing import ClassVar


class WebGymError(Exception):
    """Root of all errors raised on purpose."""


class UsageError(WebGymError):
    """The caller can mend this; the message is one clear sentence."""


class UnknownTaskError(UsageError):
    """No task has this id."""


class TaskFileError(UsageError):
    """A task, pack or task-set file is malformed."""


class ConfigError(UsageError):
    """A configuration key or value is wrong."""


class CheckpointError(UsageError):
    """A checkpoint or run folder cannot be used."""


class DivergenceError(UsageError):
    """The loss or a gradient is no finite number; the weights are as they were before the step."""


class EpisodeStateError(UsageError):
    """The episode is not in a state that allows this call."""


class BrowserMissingError(UsageError):
    """No usable browser executable was found."""


class Fault(WebGymError):
    """The machinery failed, not the agent. The collector retries it; nothing ever learns from it. `kind` is the name it is counted by."""

    kind: ClassVar[str] = "other"


class BrowserFault(Fault):
    """The browser process or its connection died, or it did something that it should not."""

    kind = "browser"


class RendererFault(BrowserFault):
    """The process of a page crashed or was killed, while the browser lives."""

    kind = "renderer"


class HangFault(BrowserFault):
    """The browser, a page or the policy did not answer within its deadline."""

    kind = "hang"


class SiteFault(Fault):
    """The site under test failed."""

    kind = "site"


class JudgeFault(Fault):
    """The success check itself failed."""

    kind = "judge"


class DiskFault(Fault):
    """A temporary file of the episode could not be written."""

    kind = "disk"


class PolicyFault(Fault):
    """The model server behind a policy failed."""

    kind = "policy"


class WorkerFault(Fault):
    """The process that played the episode was lost."""

    kind = "worker"


_KINDS = (BrowserFault, RendererFault, HangFault, SiteFault, JudgeFault, DiskFault, PolicyFault, WorkerFault)
FAULTS = tuple(sorted(fault.kind for fault in _KINDS))
"""The kinds of faults."""


def did_you_mean(word: object, known: Iterable[str], limit: int = 3) -> str:
    """`"; did you mean 'a' or 'b'?"` for the known words nearest to `word`, or `""`, as for what is no text.

    >>> did_you_mean("gpro", ["grpo", "archer"])
    "; did you mean 'grpo'?"
    """
    if not isinstance(word, str):
        return ""
    names = list(known)
    near = [each for each in names if each.lower() == word.lower()] or difflib.get_close_matches(word, names, n=limit, cutoff=0.5)
    return f"; did you mean {' or '.join(repr(w) for w in near)}?" if near else ""
