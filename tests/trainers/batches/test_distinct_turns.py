"""Turns that a critic cannot tell apart are read once; turns that differ by a picture only are not."""

import numpy as np

from tests.trainers.episodes import trajectory, turn
from trainers.batches.distinct_turns import Distinct

TURNS = [turn([1, 2], [3]), turn([1, 2], [4]), turn([1, 2], [3], key="red"), turn([1, 2], [3], key="blue"), turn([1, 2], [3], key="red")]


def test_equal_prompts_are_one_row_and_other_pictures_another():
    distinct = Distinct.of([trajectory(TURNS[:2]), trajectory(TURNS[2:])], owners=[0, 0])
    assert distinct.place.tolist() == [0, 0, 1, 2, 1] and distinct.count.tolist() == [2, 2, 1] and len(distinct.rows) == 3
    assert distinct.mean([np.array([1.0, 3.0]), np.array([5.0, 7.0, 9.0])]).tolist() == [2, 7, 7]


def test_actions_and_owners_tell_turns_apart_too():
    with_action = Distinct.of([trajectory(TURNS)], owners=[0], with_action=True)
    assert with_action.place.tolist() == [0, 1, 2, 3, 2]
    owners = Distinct.of([trajectory(TURNS[:1]), trajectory(TURNS[:1])], owners=[0, 1])
    assert owners.place.tolist() == [0, 1] and owners.owner.tolist() == [0, 1]
