"""The rights of whoever plays: enough for the goals, and none that reach the machine."""

import asyncio
import sqlite3
from contextlib import closing
from importlib import import_module

import pytest

from webgym.packs import applications, registry
from webgym.sites.apps.exchange import Address
from webgym.sites.apps.proxy import Proxy

registry.task("trac.new-component")  # loads the pack under its private name
content, site = (import_module(f"webgym_tasks.trac.{name}") for name in ("application.content", "site"))
NEVER = ("TRAC_ADMIN", "PERMISSION_", "VERSIONCONTROL_", "CONFIG_", "REPORT_ADMIN", "REPORT_CREATE", "REPORT_MODIFY")


def test_no_right_reaches_the_machine():
    assert not [right for right in content.RIGHTS if right.startswith(NEVER)]


def test_the_tracker_gives_no_other_rights():
    if reason := applications.missing("trac.new-component"):
        pytest.skip(reason)
    with closing(sqlite3.connect(site.RECIPE.snapshot / site.DATABASE)) as live:
        given = live.execute("select username, action from permission").fetchall()
    assert not [right for _, right in given if right.startswith(NEVER)]
    assert {right for name, right in given if name == content.ME} == set(content.RIGHTS)


@pytest.mark.parametrize(
    "path", ["/admin/general/logging", "/admin/general/plugin/x", "/admin//General", "/admin/versioncontrol/repository"]
)
def test_panels_that_write_files_or_load_programs_are_refused_to_pages(path):
    proxy, sent = Proxy({}, "", site.site().private, ()), []

    async def asked():
        scope = {"type": "http", "method": "POST", "path": path, "raw_path": path.encode(), "query_string": b"", "headers": []}
        await proxy.answer(Address("http", "127.0.0.1", 1), {}, lambda: "", scope, None, tell)

    async def tell(message):
        sent.append(message)

    asyncio.run(asked())
    assert sent[0]["status"] == 404
