"""Collection of episodes: the contract, the collector, arenas of sessions, branches."""

from webgym.rollout.collector import collect
from webgym.rollout.contract import Deadlines, Event, Record, Retries

__all__ = ["Deadlines", "Event", "Record", "Retries", "collect"]
