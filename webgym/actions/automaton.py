"""Regular languages of bytes: parts that are put together, and the automaton that reads them. Pure.

A *part* is a function from the node that follows to the node where the part begins, so that a language is built from its end:

>>> word = chain(text("wait"), maybe(chain(text(" "), repeat(one_of(b"0123456789"), 1))))
>>> start = automaton(word(end()))
>>> [reads(start, line) for line in (b"wait", b"wait 50", b"wait ", b"weit")]
[True, True, False, False]
>>> start.need  # bytes of the shortest word
4

States are made when they are first reached, once each: the same set of nodes is the same state for ever, in every language that shares
the nodes.
"""

import threading
from collections.abc import Callable, Iterable, Sequence
from functools import reduce

INFINITE = 1 << 30  # the need of a state that no word ends behind


class Node:
    """A place in a language: what may come next. `need` is how many bytes the shortest ending takes, set by :func:`automaton`."""

    __slots__ = ("edges", "empty", "ends", "need")

    def __init__(self, edges: Sequence[tuple[frozenset[int], "Node"]] = (), empty: Sequence["Node"] = (), ends: bool = False) -> None:
        self.edges = list(edges)
        self.empty = list(empty)  # places that are reached by reading nothing
        self.ends = ends
        self.need = -1  # not measured


Part = Callable[[Node], Node]


def end() -> Node:
    """The end of a language."""
    return Node(ends=True)


def one_of(allowed: Iterable[int]) -> Part:
    """One byte of these."""
    found = frozenset(allowed)
    return lambda then: Node([(found, then)])


def text(literal: str) -> Part:
    """These characters."""
    return lambda then: reduce(lambda node, byte: Node([(frozenset((byte,)), node)]), reversed(literal.encode()), then)


def texts(literals: Iterable[str]) -> Part:
    """One of these texts; beginnings that they share are shared."""
    words = sorted({literal.encode() for literal in literals})

    def part(then: Node) -> Node:
        def of(words: Sequence[bytes], at: int) -> Node:
            node = Node(empty=[then] if words and len(words[0]) == at else [])
            rest = [word for word in words if len(word) > at]
            for byte in sorted({word[at] for word in rest}):
                node.edges.append((frozenset((byte,)), of([word for word in rest if word[at] == byte], at + 1)))
            return node

        return of(words, 0)

    return part


def chain(*parts: Part) -> Part:
    """One part behind the other."""
    return lambda then: reduce(lambda node, part: part(node), reversed(parts), then)


def either(*parts: Part) -> Part:
    """One of the parts."""
    return lambda then: Node(empty=[part(then) for part in parts])


def maybe(part: Part) -> Part:
    """The part, or nothing."""
    return lambda then: Node(empty=[part(then), then])


def repeat(part: Part, least: int = 0, most: int | None = None) -> Part:
    """The part `least` to `most` times; without `most`, any number of times."""

    def ending(then: Node) -> Node:
        if most is not None:
            return reduce(lambda node, _: Node(empty=[part(node), then]), range(most - least), then)
        loop = Node(empty=[then])
        loop.empty.append(part(loop))
        return loop

    return lambda then: reduce(lambda node, _: part(node), range(least), ending(then))


# --- reading -------------------------------------------------------------------------------------------------------------


class State:
    """State after the bytes that were read: the set of nodes that may come next. `ends` is true where the word may end."""

    __slots__ = ("_next", "ends", "need", "nodes")

    def __init__(self, nodes: frozenset[Node]) -> None:
        self.nodes = nodes
        self.ends = any(node.ends for node in nodes)
        self.need = min((node.need for node in nodes), default=INFINITE)
        self._next: dict[int, State | None] = {}

    def step(self, byte: int) -> "State | None":
        """The state behind one more byte; None where no word goes on so."""
        if byte not in self._next:
            self._next[byte] = _state(target for node in self.nodes for allowed, target in node.edges if byte in allowed)
        return self._next[byte]


_STATES: dict[frozenset[Node], State] = {}
_MEASURING = threading.Lock()  # a sampler's thread and a learner's may build languages that share nodes


def _state(nodes: Iterable[Node]) -> State | None:
    found: set[Node] = set()
    left = list(nodes)
    while left:
        node = left.pop()
        if node not in found:
            found.add(node)
            left += node.empty
    useful = frozenset(node for node in found if node.need < INFINITE and (node.ends or node.edges))
    if not useful:
        return None
    known = _STATES.get(useful)
    return known if known is not None else _STATES.setdefault(useful, State(useful))


def automaton(start: Node) -> State:
    """The state before the first byte. Raises ValueError for a language without words."""
    with _MEASURING:
        _measure(start)
    state = _state([start])
    if state is None:
        raise ValueError("expected a language with at least one word")
    return state


def _measure(start: Node) -> None:
    """Sets `need` of every node that can be reached and has none yet."""
    order: list[Node] = []
    seen: set[Node] = set()
    left = [start]
    while left:
        node = left.pop()
        if node not in seen and node.need < 0:
            seen.add(node)
            order.append(node)
            left += [*node.empty, *(target for _, target in node.edges)]
    for node in order:
        node.need = 0 if node.ends else INFINITE
    changed = True
    while changed:
        changed = False
        for node in reversed(order):
            best = min([node.need, *(x.need for x in node.empty), *(min(INFINITE, 1 + x.need) for _, x in node.edges)])
            changed |= best < node.need
            node.need = best


def reads(start: State, word: bytes) -> bool:
    """True if the word belongs to the language."""
    state: State | None = start
    for byte in word:
        state = state.step(byte) if state else None
    return state is not None and state.ends
