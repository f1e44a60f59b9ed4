"""What every test of applications needs."""

import pytest


@pytest.fixture(autouse=True)
def _no_traces(tmp_path_factory, monkeypatch):
    """Logs that are kept, and folders that are trusted, are those of the test."""
    for name in ("XDG_STATE_HOME", "XDG_CONFIG_HOME"):
        monkeypatch.setenv(name, str(tmp_path_factory.mktemp("home")))
