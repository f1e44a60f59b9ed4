"""Rows of what a batch was trained with, against numbers worked out by hand."""

import math

import numpy as np
import pytest

from tests.trainers.episodes import trajectory, turn
from trainers.credit.credit import Credit, Values
from trainers.credit.record import credit_rows


def test_numbers_per_turn_stand_as_they_are_and_turns_left_out_have_none() -> None:
    made = [trajectory([turn([1], [2, 3], 0.0), turn([1], [4], 1.0)], "success"), trajectory([], "failure")]
    credit = Credit([np.array([0.5, -0.25]), np.zeros(0)], [np.array([1.0, 0.0]), np.zeros(0)])
    (row,) = credit_rows(made, Values([np.array([0.2, 0.7]), np.zeros(0)]), credit)
    assert row["advantages"] == [0.5, None] and row["values"] == [0.2, 0.7]
    key = made[0].key
    assert (row["task_id"], row["seed"], row["trajectory_iteration"]) == (key.task_id, key.seed, key.iteration)
    assert (row["group"], row["member"]) == (key.group, key.member)
    (row,) = credit_rows(made, None, credit)
    assert "values" not in row


def test_numbers_per_token_become_the_mean_of_a_turn_and_v_before_its_first_token() -> None:
    credit = Credit([np.array([1.0, 2.0, -1.0, 0.5])], [np.ones(4)])
    made = [trajectory([turn([1], [2, 3], 0.0), turn([1], [], 0.0), turn([1], [4, 5], 1.0)], "success")]
    (row,) = credit_rows(made, Values([np.array([0.1, 0.9, 0.3, 0.4])]), credit)
    assert row["advantages"][::2] == pytest.approx([1.5, -0.25]) and row["values"][::2] == pytest.approx([0.1, 0.3])
    assert all(x is None or math.isnan(x) for x in (row["advantages"][1], row["values"][1]))
