"""Several generation servers with the same weights: routing by prefix and load, health, and the version of what they answer.

A completion goes to the server that has read the longest part of its prompt, unless that one has far more to do than the least busy.
A server that fails is asked no more; what it had is asked elsewhere. It is let in again once it has loaded the present weights and says
their version, since one that was started anew holds old ones. Where servers say a version (`GET /weight_info`), every completion is
confirmed afterwards: one that a server wrote after it was started anew is thrown away. Where they say none, so is one beside which a
connection failed.
"""

import asyncio
import contextlib
import logging
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Literal

from trainers.samplers.transport import Published, Transport
from webgym.errors import ConfigError, Fault, PolicyFault, UsageError, WebGymError
from webgym.policies.openai_client import OpenAIClient, Patience, Reply
from webgym.types import Sampling

log = logging.getLogger(__name__)

BLOCK = 16  # tokens whose hash stands for them and all before, as in vLLM's prefix cache
MOST_BLOCKS = 1 << 16  # that are remembered for each server
SPILL = 4  # requests more than the least busy server from which on a prefix no longer decides
PROBE_S = 2.0  # between two looks at servers with requests under way
PROBE_TIMEOUT_S = 10.0
AGAIN_S = (0.2, 0.5, 1.0, 2.0, 5.0)  # pauses before a server that failed is asked again

ReplicaState = Literal["new", "well", "lost"]


@dataclass(eq=False)
class Replica:
    """One server. `epoch` rises with each load of weights; `discarded` completions were of another version."""

    client: OpenAIClient
    state: ReplicaState = "new"
    reason: str = ""
    epoch: int = 0
    outstanding: int = 0
    completions: int = 0
    discarded: int = 0
    blocks: OrderedDict[bytes, None] = field(default_factory=OrderedDict)
    broken: asyncio.Event = field(default_factory=asyncio.Event)  # set when it is given up
    loading: asyncio.Lock = field(default_factory=asyncio.Lock)
    confirming: asyncio.Lock = field(default_factory=asyncio.Lock)
    confirmed_at: float = 0.0  # when the last question for its version began that was answered with the present one
    says_version: bool = True

    def known(self, blocks: Sequence[bytes]) -> int:
        """The number of leading blocks that it has read."""
        return next((number for number, block in enumerate(blocks) if block not in self.blocks), len(blocks))

    def remember(self, blocks: Sequence[bytes]) -> None:
        """Note that it has read these blocks."""
        for block in blocks:
            self.blocks[block] = None
            self.blocks.move_to_end(block)
        while len(self.blocks) > MOST_BLOCKS:
            self.blocks.popitem(last=False)


def blocks_of(prompt: Sequence[int], salt: str) -> list[bytes]:
    """A hash for each whole block of the prompt, which stands for all tokens up to its end.

    >>> one, other = blocks_of(range(40), "v1"), blocks_of([*range(20), *range(20)], "v1")
    >>> len(one), one[0] == other[0], one[1] == other[1], one[0] == blocks_of(range(40), "v2")[0]
    (2, True, False, False)
    """
    found, last = [], salt.encode()
    for end in range(BLOCK, len(prompt) + 1, BLOCK):
        last = blake2b(last + repr(list(prompt[end - BLOCK : end])).encode(), digest_size=8).digest()
        found.append(last)
    return found


class Replicas:
    """Servers that hold the same weights; for one event loop. `patience` is that of a completion, and its `give_up_s` the longest wait of
    one while no server is well.

    `check(reply, sampling, address)` raises UsageError for an answer that cannot be right, which ends the run. `prove(replica, published)`
    raises where a server that has just loaded weights does not have them; it is then left out.
    """

    def __init__(
        self,
        clients: Sequence[OpenAIClient],
        transport: Transport,
        *,
        patience: Patience,
        check: Callable[[Reply, Sampling, str], None],
        prove: Callable[[Replica, Published], Awaitable[None]],
    ) -> None:
        self.replicas = [Replica(client) for client in clients]
        self.published: Published | None = None
        self._transport, self._patience, self._check, self._prove = transport, patience, check, prove
        self._changed = asyncio.Event()
        self._recoveries: dict[Replica, asyncio.Task[None]] = {}
        self._settled = False

    def assume(self, published: Published, replicas: Sequence[Replica]) -> None:
        """Take it for given that these servers hold these weights, which nobody has published."""
        self.published = published
        for replica in replicas:
            replica.says_version = False
            self._state(replica, "well")

    # --- completions -------------------------------------------------------------------------------------------------------

    async def complete(self, prompt: tuple[int, ...], sampling: Sampling, seed: int) -> tuple[Reply, int]:
        """A completion and the version of the weights that wrote it. Raises UsageError, PolicyFault."""
        self.replicas[0].client.check_sampling(sampling)
        until = time.monotonic() + self._patience.give_up_s
        while True:
            published = self.published
            assert published is not None, "no weights were published"
            blocks = blocks_of(prompt, published.name)
            replica = self._route(blocks)
            if replica is None:
                await self._wait(until)
                continue
            reply = await self._ask(replica, published, blocks, prompt, sampling, seed)
            if reply is not None:
                return reply, published.version
            if time.monotonic() > until:
                raise PolicyFault(self._trouble())

    def _route(self, blocks: Sequence[bytes]) -> Replica | None:
        """The server for a prompt: the one that knows most of it, or the least busy one; None where none is well."""
        well = [replica for replica in self.replicas if replica.state == "well"]
        if not well:
            return None
        least = min(well, key=lambda replica: replica.outstanding)
        nearest = max(well, key=lambda replica: (replica.known(blocks), -replica.outstanding))
        return nearest if nearest.known(blocks) and nearest.outstanding <= least.outstanding + SPILL else least

    async def _ask(
        self, replica: Replica, published: Published, blocks: Sequence[bytes], prompt: tuple[int, ...], sampling: Sampling, seed: int
    ) -> Reply | None:
        """The server's completion; None where it failed or holds other weights, so that another one must be asked."""
        replica.outstanding += 1
        replica.remember(blocks)
        epoch, client, unreached = replica.epoch, replica.client, replica.client.unreached
        salted = {"cache_salt": published.name}
        asking = asyncio.ensure_future(client.complete(published.model, prompt, sampling, seed, extra=salted, patience=self._patience))
        broken = asyncio.ensure_future(replica.broken.wait())
        try:
            await asyncio.wait({asking, broken}, return_when=asyncio.FIRST_COMPLETED)
            if not asking.done():
                return None
            reply = asking.result()
            self._check(reply, sampling, client.server.shown)
            if not await self._confirmed(replica, epoch, published):
                replica.discarded += 1
                self._lose(replica, f"{client.server.shown} holds other weights than version {published.version}")
                return None
            if client.unreached != unreached and self._silent(replica, published):
                replica.discarded += 1
                self._lose(replica, f"{client.server.shown} was not there for a while and does not say which weights it has now")
                return None
        except PolicyFault as fault:
            if len(self.replicas) > 1 or (client.unreached != unreached and self._silent(replica, published)):
                self._lose(replica, str(fault))
            if len(self.replicas) == 1:
                raise
            return None
        except ConfigError as error:  # with an adapter of its own for each version: a server started anew does not know the name
            if not await self.forgot(replica, published):
                raise
            self._lose(replica, str(error))
            return None
        finally:
            replica.outstanding -= 1
            for task in (asking, broken):
                task.cancel()
            await asyncio.gather(asking, broken, return_exceptions=True)
        replica.completions += 1
        return reply

    def _silent(self, replica: Replica, published: Published) -> bool:
        """True for a server that does not say which of our weights it has."""
        return not (self._transport.named or replica.says_version or published.assumed)

    async def forgot(self, replica: Replica, published: Published) -> bool:
        """True for a server that no longer knows the name of these weights, as one that was started anew."""
        if not self._transport.named:
            return False
        with contextlib.suppress(WebGymError):
            return await self._transport.version(replica.client, published) != published.name
        return True

    async def _confirmed(self, replica: Replica, epoch: int, published: Published) -> bool:
        """True if the completion that has just come was written by these weights. One question serves all that wait for it."""
        if self._transport.named or not replica.says_version:
            return replica.epoch == epoch
        ended = time.monotonic()
        async with replica.confirming:
            if replica.epoch == epoch and replica.confirmed_at <= ended:
                began = time.monotonic()
                if await self._transport.version(replica.client, published) == published.name:
                    replica.confirmed_at = began
        return replica.epoch == epoch and replica.confirmed_at > ended

    async def _wait(self, until: float) -> None:
        """Return when a server's state has changed. Raises PolicyFault where that takes too long, or nothing is done about it."""
        if not self._recovering():
            raise PolicyFault(self._trouble())
        try:
            async with asyncio.timeout(max(0.0, until - time.monotonic())):
                await self._changed.wait()
        except TimeoutError:
            raise PolicyFault(self._trouble()) from None

    def _trouble(self) -> str:
        reasons = "; ".join(replica.reason or f"{replica.client.server.shown} is not ready" for replica in self.replicas)
        return f"no generation server holds the present weights: {reasons}"

    # --- health ------------------------------------------------------------------------------------------------------------

    def _lose(self, replica: Replica, reason: str) -> None:
        """Ask the server no more, until it has loaded the present weights again."""
        if replica.state != "well":
            return
        log.warning("a generation server is left out: %s", reason)
        self._state(replica, "lost", reason)
        self._recover_later(replica)

    def _state(self, replica: Replica, state: ReplicaState, reason: str = "") -> None:
        replica.state, replica.reason = state, reason
        if state == "lost":
            replica.blocks.clear()
            replica.broken.set()
            self._transport.release(replica.client)
        elif replica.broken.is_set():
            replica.broken = asyncio.Event()
        self._changed.set()
        self._changed = asyncio.Event()

    def _recover_later(self, replica: Replica) -> None:
        """Begin to load the present weights into a server that was lost, unless that goes on already."""
        if not self._settled and replica not in self._recovering():
            self._recoveries[replica] = asyncio.ensure_future(self._recover(replica))

    def _recovering(self) -> list[Replica]:
        """The servers that are being loaded again."""
        return [replica for replica, task in self._recoveries.items() if not task.done()]

    async def _recover(self, replica: Replica) -> None:
        """Load the present weights into a server that was lost, again and again until it says their version."""
        tries = 0
        while replica.state != "well":
            await asyncio.sleep(AGAIN_S[min(tries, len(AGAIN_S) - 1)])
            tries += 1
            with contextlib.suppress(Fault, UsageError):
                await self._load(replica)

    def start_watch(self) -> None:
        """Begin to watch over the servers, until the loop ends what goes on on it."""
        self._watching = asyncio.ensure_future(self._watch())

    async def _watch(self) -> None:
        """Look at servers with requests under way, as long as there are; one that does not answer twice is given up."""
        silent: dict[Replica, int] = {}
        while True:
            await asyncio.sleep(PROBE_S)
            for replica in self.replicas:
                if replica.state != "well" or not replica.outstanding or len(self.replicas) == 1:
                    continue
                try:
                    async with asyncio.timeout(PROBE_TIMEOUT_S):
                        await replica.client.models()
                    silent[replica] = 0
                except (TimeoutError, WebGymError):
                    silent[replica] = silent.get(replica, 0) + 1
                    if silent[replica] > 1:
                        self._lose(replica, f"{replica.client.server.shown} does not answer")

    # --- weights -----------------------------------------------------------------------------------------------------------

    async def settle(self) -> None:
        """End all loads that are under way, so that the weights may change. :meth:`publish` begins anew with the servers that were lost."""
        self._settled = True
        recoveries = list(self._recoveries.values())
        for task in recoveries:
            task.cancel()
        await asyncio.gather(*recoveries, return_exceptions=True)

    async def publish(self, published: Published) -> None:
        """Have all servers load the weights. One that fails is lost for now; raises its error where none is left.

        Servers that were lost before do not hold the others up: they load the weights beside what follows, unless all others fail.
        """
        old, self.published, self._settled = self.published, published, False
        lost = [replica for replica in self.replicas if replica.state == "lost"]
        errors = await self._load_all([replica for replica in self.replicas if replica.state != "lost"])
        if not any(replica.state == "well" for replica in self.replicas):
            errors += await self._load_all(lost)
        if not any(replica.state == "well" for replica in self.replicas):
            raise errors[0]
        for replica in self.replicas:
            if replica.state == "lost":
                self._recover_later(replica)
        if old is not None and not old.assumed and old != published:
            await asyncio.gather(*(self._forget(replica, old) for replica in self.replicas if replica.state == "well"))

    async def _load_all(self, replicas: Sequence[Replica]) -> list[Fault | UsageError]:
        """Load the present weights into servers, all at once; the errors of those that are lost by it."""
        errors: list[Fault | UsageError] = []
        for replica, result in zip(replicas, await asyncio.gather(*map(self._load, replicas), return_exceptions=True), strict=True):
            if isinstance(result, Fault | UsageError):
                self._state(replica, "lost", str(result))
                errors.append(result)
            elif isinstance(result, BaseException):
                raise result
        return errors

    async def _load(self, replica: Replica) -> None:
        """Load the present weights into a server and let it in. Raises UsageError, PolicyFault where it does not say their version."""
        async with replica.loading:
            published = self.published
            assert published is not None
            if published.assumed:
                raise PolicyFault("no weights were published yet")
            replica.epoch += 1
            replica.blocks.clear()
            await self._transport.load(replica.client, published)
            version = await self._transport.version(replica.client, published)
            replica.says_version = version is not None
            if version is not None and version != published.name:
                raise PolicyFault(f"{replica.client.server.shown} says version {version} after {published.name} was loaded")
            await self._prove(replica, published)
            if published is self.published:
                self._state(replica, "well")

    async def _forget(self, replica: Replica, old: Published) -> None:
        with contextlib.suppress(WebGymError):
            await self._transport.unload(replica.client, old)

    async def close(self) -> None:
        """Close the connections."""
        for replica in self.replicas:
            self._transport.release(replica.client)
            await replica.client.close()
