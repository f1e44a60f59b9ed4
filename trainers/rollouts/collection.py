"""Collection of the batches of a run: on demand, or in advance while the last batch is learned from."""

from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType

from trainers.credit.credit import teaches
from webgym.errors import UsageError
from webgym.types import Trajectory, groups_of

Work = Callable[[], list[Trajectory]]


class Collection:
    """Collector with at most one batch under way, in a thread of its own; a context manager that waits for it at the end and drops it."""

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="collect")
        self._under_way: Future[list[Trajectory]] | None = None

    def begin(self, work: Work) -> None:
        """Collect the next batch while the caller goes on."""
        assert self._under_way is None, "a batch is under way already"
        self._under_way = self._thread.submit(work)

    def take(self, work: Work) -> list[Trajectory]:
        """The batch under way; where there is none, `work` collects it now. Raises the error of the collection."""
        if self._under_way is None:
            return work()
        try:
            return self._under_way.result()
        finally:
            self._under_way = None

    def wait(self) -> None:
        """Return when nothing is under way any more; the batch stays to be taken."""
        if self._under_way is not None:
            self._under_way.exception()

    def __enter__(self) -> "Collection":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._thread.shutdown(wait=True)


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
