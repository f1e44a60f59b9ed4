"""Fava as a WSGI application on the ledger of the current folder."""

import os

from fava.application import create_app

# Pages show the ledger's path, and addresses of entries depend on it, so it must be the same for every process.
FOLDER = "/proc/self/cwd" if os.path.isdir("/proc/self/cwd") else os.getcwd()

application = create_app([f"{FOLDER}/ledger.beancount"], load=True, poll_watcher=True)
