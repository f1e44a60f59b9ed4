"""The goals of the workflows."""

from .goal import make

__all__ = ["make"]
