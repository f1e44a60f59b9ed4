"""Collection of the batches of a run: on demand, or in advance while the last batch is learned from."""

from collections import Counter, deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType

from trainers.credit.credit import teaches
from webgym.errors import UsageError
from webgym.types import Trajectory, groups_of

Work = Callable[[], list[Trajectory]]


class Collection:
    """Batches that are collected one after the other in a thread of its own; a context manager that ends with the one under way, and drops
    all that were not taken."""

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="collect")
        self._begun: deque[Future[list[Trajectory]]] = deque()

    def begin(self, work: Work) -> None:
        """Collect a batch, behind those that were begun before, while the caller goes on."""
        self._begun.append(self._thread.submit(work))

    def take(self, work: Work) -> list[Trajectory]:
        """The batch that was begun first; where there is none, `work` collects it now. Raises the error of the collection."""
        return self._begun.popleft().result() if self._begun else work()

    def wait(self) -> None:
        """Return when nothing is under way any more; the batches stay to be taken."""
        for future in self._begun:
            future.exception()

    def __enter__(self) -> "Collection":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._thread.shutdown(wait=True, cancel_futures=True)


def in_rounds(play: Callable[[int, int, int], list[Trajectory]], groups: int, rounds: int) -> list[Trajectory]:
    """Episodes of `count` groups, then, `rounds` times at most, of one more group for each of the round before without spread.

    `play(round, first, count)` gives the episodes of groups first .. first + count − 1. All episodes played are in the result
    and are counted (dynamic sampling of DAPO, arXiv 2503.14476, section 3.2, there without a bound).
    """
    found: list[Trajectory] = []
    first, count = 0, groups
    for number in range(rounds + 1):
        played = play(number, first, count)
        found += played
        first, count = first + count, sum(not teaches(group) for group in groups_of(played))
        if not count:
            break
    return found


def check_faults(trajectories: Sequence[Trajectory], iteration: int) -> None:
    """Raises UsageError with the words of the most frequent fault, where every episode of an iteration faulted.

    Nothing can be learned from such episodes, and a run that went on would end without having learned, hours later.
    """
    faults = Counter(x.outcome.message for x in trajectories if x.outcome.kind == "fault")
    if trajectories and faults.total() == len(trajectories):
        words, times = faults.most_common(1)[0]
        raise UsageError(
            f"all {len(trajectories)} episodes of iteration {iteration} faulted, {times} of them with: {words}; nothing can be learned "
            "from them: mend the cause, then go on with --resume"
        )
