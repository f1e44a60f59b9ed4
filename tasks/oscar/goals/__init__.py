"""The goals of a customer."""

from . import account, buying

GOALS = [*buying.GOALS, *account.GOALS]
