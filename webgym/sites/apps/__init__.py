"""Applications in processes of their own as sites: :class:`Server`, its resets and the readers of its state."""

from webgym.sites.apps.instance import Instance, PlainInstance, Wrong
from webgym.sites.apps.resets import Command, Copy, File, Get, Post, Query, Sqlite, restart
from webgym.sites.apps.server import Lease, Server

__all__ = ["Command", "Copy", "File", "Get", "Instance", "Lease", "PlainInstance", "Post", "Query", "Server", "Sqlite", "Wrong", "restart"]
