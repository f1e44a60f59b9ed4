"""Copies of an application's folder: what a process writes there is its own."""

import os

from webgym.sites.apps.files import copy_folder


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
