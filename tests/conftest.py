"""Runs before any test module is imported."""

import atexit
import os
import shutil
import tempfile

# Read when torch is first imported: one thread, so that sums do not depend on the machine and tests do not fight over cores.
os.environ.setdefault("OMP_NUM_THREADS", "1")
# No test needs the network, so none may reach for a model hub.
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["TOKENIZERS_PARALLELISM"] = "false"
# What tests trust is not what their user trusts.
os.environ["XDG_CONFIG_HOME"] = tempfile.mkdtemp(prefix="webgym-tests-")

import pytest
from hypothesis import settings

# The same examples in every run, and no deadline: a busy machine is no failure.
settings.register_profile("webgym", derandomize=True, deadline=None)
settings.load_profile("webgym")

atexit.register(shutil.rmtree, os.environ["XDG_CONFIG_HOME"], ignore_errors=True)


@pytest.fixture(autouse=True)
def _sites_answer_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Long polls are found out sooner: what the tests' sites answer, they answer within a moment."""
    monkeypatch.setattr("webgym.sites.streams.PATIENCE", 60)
