"""WebGym: web tasks in a real browser as Gymnasium environments. `import webgym` registers every task as `webgym/<pack>.<task>-v0`."""

from webgym.packs.registry import load, register, register_all, select, task, task_ids

__version__ = "0.1.0"
__all__ = ["__version__", "load", "register", "select", "task", "task_ids"]

register_all()
