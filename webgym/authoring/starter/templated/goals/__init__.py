"""The goals: what agents are asked to do."""

from . import lending

GOALS = (*lending.GOALS,)
