"""Iterations from which nothing can be learned."""

import pytest

from trainers.rollouts.collection import check_faults
from webgym.errors import UsageError
from webgym.types import EpisodeKey, Outcome, Trajectory


def ended(kind, words=""):
    return Trajectory(EpisodeKey("wizard.h3", 0), "", (), Outcome(kind, 0.0, message=words))


def test_an_iteration_whose_every_episode_faulted_ends_the_run_in_the_faults_words():
    faults = [ended("fault", "the server cannot be reached"), ended("fault", "busy"), ended("fault", "the server cannot be reached")]
    with pytest.raises(UsageError, match="all 3 episodes of iteration 7 faulted, 2 of them with: the server cannot be reached; nothing"):
        check_faults(faults, 7)


@pytest.mark.parametrize("other", ["success", "failure", "truncated", "agent_caused"])
def test_one_episode_that_did_not_fault_is_enough(other):
    """An agent that brings its own episodes down ends no run with that."""
    check_faults([ended("fault", "busy"), ended(other)], 1)
    check_faults([ended("agent_caused")], 1)
    check_faults([], 1)
