"""Copies of an application's folder, which are its own, and what is put back: it is seen by whoever looks at the time of a file."""

import os

import pytest

from webgym.sites.apps.files import copy_folder, put_back, tail


def test_links_in_a_copy_lead_to_the_copy_and_others_to_where_they_led(tmp_path):
    source, target, elsewhere = tmp_path / "app", tmp_path / "copy", tmp_path / "shared-data"
    (source / "media").mkdir(parents=True)
    elsewhere.mkdir()
    (elsewhere / "big.txt").write_text("big")
    (source / "store.db").write_text("first")
    (source / "by-name.db").symlink_to("store.db")
    (source / "by-path.db").symlink_to(source / "store.db")
    (source / "media" / "up.db").symlink_to("../store.db")
    (source / "pictures").symlink_to(source / "media")
    (source / "data").symlink_to("../shared-data")
    (source / "absolute").symlink_to(elsewhere)
    (source / "nowhere").symlink_to("/no/such/place")
    copy_folder(source, target)
    for name in ("by-name.db", "by-path.db", "media/up.db"):
        (target / name).write_text(f"written by {name}")
        assert (target / "store.db").read_text() == f"written by {name}" and (source / "store.db").read_text() == "first", name
    (target / "pictures" / "new.png").write_text("")
    assert (target / "media" / "new.png").exists() and not (source / "media" / "new.png").exists()
    assert (target / "data" / "big.txt").read_text() == (target / "absolute" / "big.txt").read_text() == "big"
    assert os.readlink(target / "nowhere") == "/no/such/place"


@pytest.mark.parametrize("ours", [True, False])
@pytest.mark.parametrize("name", ["ledger.txt", "media"])
def test_what_was_put_back_is_newer_than_what_was_written_and_else_untouched(tmp_path, name, ours):
    born, live = tmp_path / "born" / name, tmp_path / "live" / name
    file = live if name.endswith(".txt") else live / "deep" / "a.txt"
    file.parent.mkdir(parents=True)
    file.write_text("first")
    put_back(live, born)
    begun = file.stat()
    put_back(born, live, ours=ours)
    assert (file.stat().st_mtime_ns, file.stat().st_ino) == (begun.st_mtime_ns, begun.st_ino), "what is as it was stays"
    for text in ("other", "others"):  # of the same size, and of another
        file.write_text(text)
        written = file.stat().st_mtime_ns
        put_back(born, live, ours=ours)
        assert file.read_text() == "first" and file.stat().st_mtime_ns > written
    begun = file.stat()
    put_back(born, live, ours=ours)
    assert (file.stat().st_ino == begun.st_ino) == ours, "a source that is somebody's own keeps its time, and is copied again"
    assert (file.stat().st_mtime_ns > begun.st_mtime_ns) != ours and not list(live.parent.glob("**/.*.webgym"))


def test_the_end_of_a_log_has_no_commands_of_a_terminal(tmp_path):
    log = tmp_path / "log.txt"
    log.write_bytes(b"ready\n\x1b[1;31mError\x1b[0m: \x1b]8;;http://a\x1b\\no ink\x1b]8;;\x07\x1b(B left\x1b[2K\n\x1b[0m")
    assert tail(log) == "ready\nError: no ink left"
