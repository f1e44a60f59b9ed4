"""Collection of episodes: the contract, the collector, executors (this process, worker processes), branches."""

from webgym.rollout.collector import collect
from webgym.rollout.contract import Deadlines, Event, PolicyHandle, Record, Request, Retries
from webgym.rollout.executor import Executor, play_in_order

__all__ = ["Deadlines", "Event", "Executor", "PolicyHandle", "Record", "Request", "Retries", "collect", "play_in_order"]
