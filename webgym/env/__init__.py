"""A task as an environment: asynchronous (:class:`AsyncWebEnv`), for Gymnasium (:class:`WebEnv`), and many at once."""

from webgym.env.core import AsyncWebEnv
from webgym.env.gym import WebEnv

__all__ = ["AsyncWebEnv", "WebEnv"]
