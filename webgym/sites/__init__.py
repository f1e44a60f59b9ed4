"""Sites: the web applications that tasks run on, in this process or in one of their own (:mod:`webgym.sites.apps`)."""

from typing import Any

APPLICATIONS = ("Command", "Copy", "File", "Get", "Instance", "Post", "Query", "Server", "Sqlite", "restart")

__all__ = [*APPLICATIONS]  # pyright: ignore[reportUnsupportedDunderAll]


def __getattr__(name: str) -> Any:
    """The names of :mod:`webgym.sites.apps`, which is loaded when one of them is asked for."""
    if name in APPLICATIONS:
        from webgym.sites import apps

        return getattr(apps, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
