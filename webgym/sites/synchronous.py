"""Sites as they were written before leases, with `open`, `snapshot` and `close`: they work for one more release, with a warning."""

import warnings
from collections.abc import Coroutine
from typing import Any, Protocol, TypeVar, cast

from webgym.task import AsgiApp, Site

T = TypeVar("T")
_warned: dict[Any, Any] = {}  # what Python has shown already


class SynchronousSite(Protocol):
    """A site without leases."""

    host: str

    def open(self, seed: int, site_state: Any) -> Any: ...

    def snapshot(self, state: Any) -> Any: ...

    def close(self, state: Any) -> None: ...

    @property
    def app(self) -> AsgiApp: ...


class SynchronousMethods:
    """The methods `open` and `close` of this project's own sites, for what was derived from them or calls them."""

    def open(self: Site, seed: int, site_state: Any) -> Any:
        """The state that a lease gives."""
        warnings.warn("open goes with the next release: await lease(seed, site_state) in its place", DeprecationWarning, stacklevel=2)
        return _at_once(self.lease(seed, site_state))

    def close(self: Site, state: Any) -> None:
        """Release the state."""
        warnings.warn("close goes with the next release: await release(state) in its place", DeprecationWarning, stacklevel=2)
        _at_once(self.release(state))


class Leased:
    """A synchronous site as a :class:`webgym.task.Site`."""

    def __init__(self, site: SynchronousSite) -> None:
        self.site, self.host, self.plain = site, site.host, getattr(site, "plain", False)

    async def lease(self, seed: int, site_state: Any) -> Any:
        """The state that the site opens; nothing else runs meanwhile."""
        return self.site.open(seed, site_state)

    def snapshot(self, state: Any) -> Any:
        """The state that checks see."""
        return self.site.snapshot(state)

    async def release(self, state: Any) -> None:
        """Let the site close the state."""
        self.site.close(state)

    @property
    def app(self) -> AsgiApp:
        return self.site.app


def leased(site: Site | SynchronousSite) -> Site:
    """The site itself, or one with leases around a synchronous site, with a DeprecationWarning at the line of its `open`."""
    if not _is_synchronous(site):
        return cast(Site, site)
    message = (
        f"the site {site.host} ({type(site).__name__}) has synchronous methods open and close, which go with the next release: "
        "write `async def lease(self, seed, site_state)` and `async def release(self, state)` in their place"
    )
    code = getattr(vars(type(site)).get("open"), "__code__", None)
    if code is None:
        warnings.warn(message, DeprecationWarning, stacklevel=2)
    else:
        warnings.warn_explicit(message, DeprecationWarning, code.co_filename, code.co_firstlineno, registry=_warned)
    return Leased(cast(SynchronousSite, site))


def _is_synchronous(site: object) -> bool:
    """True where the most derived class that defines either kind of method defines the synchronous one."""
    for kind in type(site).__mro__:
        if {"lease", "release"} & vars(kind).keys():
            return False
        if {"open", "close"} & vars(kind).keys():
            return True
    return False


def _at_once(coroutine: Coroutine[Any, Any, T]) -> T:
    """The result of a coroutine that never waits."""
    try:
        coroutine.send(None)
    except StopIteration as done:
        return done.value
    coroutine.close()
    raise RuntimeError("this site takes its time to lease a state: await lease(seed, site_state) in place of open(seed, site_state)")
