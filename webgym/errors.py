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
    └── Fault                      the machinery failed, not the agent: never a reward, never trained on
        ├── BrowserFault           the browser process or its connection died, or no longer answers
        ├── SiteFault              the site under test failed to start, died, or answered with a server error
        ├── JudgeFault             the success check itself failed
        └── PolicyFault            the model server behind a policy does not answer, or answers with a server error

An agent's mistake is neither: it is an error in words inside the next observation and costs a turn.
"""

import difflib
from collections.abc import Iterable


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
    """The machinery failed, not the agent. The collector retries it; nothing ever learns from it."""


class BrowserFault(Fault):
    """The browser process or its connection died, or it no longer answers."""


class SiteFault(Fault):
    """The site under test failed."""


class JudgeFault(Fault):
    """The success check itself failed."""


class PolicyFault(Fault):
    """The model server behind a policy failed."""


def did_you_mean(word: str, known: Iterable[str], limit: int = 3) -> str:
    """`"; did you mean 'a' or 'b'?"` for the known words nearest to `word`, or `""`.

    >>> did_you_mean("gpro", ["grpo", "archer"])
    "; did you mean 'grpo'?"
    """
    near = difflib.get_close_matches(word, list(known), n=limit, cutoff=0.5)
    return f"; did you mean {' or '.join(repr(w) for w in near)}?" if near else ""
