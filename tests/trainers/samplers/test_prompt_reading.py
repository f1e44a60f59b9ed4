"""Pieces of prompts: where they end, which are read together, which are kept."""

import torch

from trainers.samplers.prompt_reading import SMALLEST, Known, Piece, Reading, ends, passes


def piece(n, logits=True):
    return Piece(torch.zeros(1, 2, 1, n, 2), torch.zeros(3) if logits else None)


def test_pieces_cover_the_prompt_and_none_is_short_but_a_short_prompt():
    for length in range(1, 200):
        found = ends(length, 40)
        sizes = [end - start for start, end in zip((0, *found), found, strict=False)]
        assert sum(sizes) == length and min(sizes) >= min(length, SMALLEST) and all(size == 40 for size in sizes[:-1])


def test_a_prompt_that_goes_on_has_the_same_pieces():
    assert ends(100, 40)[:2] == ends(300, 40)[:2] == (40, 80)


def test_pieces_are_taken_from_what_is_known_up_to_the_first_gap():
    prompt = tuple(range(100))
    known = {prompt[:40]: piece(40, False), prompt: piece(20)}
    reading = Reading(prompt, ends(100, 40))
    assert reading.take(known.get) == 40 and reading.next == prompt[:80] and not reading.done
    known[prompt[:80]] = piece(40, False)
    assert reading.take(known.get) == 60 and reading.done


def test_the_end_of_a_prompt_needs_its_logits():
    prompt = tuple(range(40))
    reading = Reading(prompt, (40,))
    assert reading.take({prompt: piece(40, False)}.get) == 0


def test_passes_hold_equal_pieces_once_short_ones_alone_and_no_more_than_the_limit():
    a, b, c, short = (Reading(tuple(range(i, i + n)), (n,)) for i, n in ((0, 50), (100, 50), (200, 50), (300, 5)))
    same = Reading(a.prompt, a.ends)
    found = [[r.prompt[0] for r in group] for group in passes([a, short, same, b, c], 100, lambda: True)]
    assert found == [[300], [0, 100], [200]]
    assert [len(group) for group in passes([a, b, c], 1000, lambda: False)] == [1, 1, 1]


def test_no_piece_is_shared_by_prompts_that_differ_by_a_picture():
    prompt = tuple(range(100))
    known = Known(10**6)
    red, again, blue, none = (Reading(prompt, ends(100, 40), key=key) for key in ("red", "red", "blue", ""))
    names = []
    while not red.done:
        names.append(red.name)
        known.put(red.name, piece(len(red.next) - red.start))
        red.take(known.get)
    assert [len(group) for group in passes([again, blue, none], 1000, lambda: True)] == [3], "each is read"
    assert again.take(known.get) == 100 and again.done
    assert blue.take(known.get) == none.take(known.get) == 0
    assert [len(group) for group in passes([Reading(prompt, (100,), key=key) for key in ("red", "blue", "red")], 1000, lambda: True)] == [2]


def test_what_was_not_used_longest_is_dropped_first():
    size = piece(10).nbytes
    known = Known(2 * size)
    for name in (1, 2):
        known.put((name,), piece(10))
    assert known.get((1,)) is not None
    known.put((3,), piece(10))
    assert known.get((2,)) is None and known.get((1,)) is not None and known.get((3,)) is not None
    known.put((3,), piece(10))  # again: counted once
    assert known.get((1,)) is not None
