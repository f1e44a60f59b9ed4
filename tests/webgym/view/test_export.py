"""The report in one file: complete, opened from disk with the network off, small, and as inert as the served pages."""

import struct
import zlib
from pathlib import Path

from playwright.sync_api import Browser, expect

from tests.webgym.view.runs import run_folder
from tests.webgym.view.test_pages import HOSTILE, hostile_run
from webgym.view.export import DETAILS, LIMIT, choose, export, picture
from webgym.view.runs import Library


def test_a_report_is_complete_without_a_network(chromium: Browser, tmp_path: Path) -> None:
    """100 episodes with screenshots; every page of it, by its links."""
    run_folder(tmp_path / "run", iterations=10, pictures=True)
    run_folder(tmp_path / "other", iterations=2)
    export(tmp_path / "run", tmp_path / "report.html", episodes=100, say=lambda words: None)
    assert (tmp_path / "report.html").stat().st_size < LIMIT

    context = chromium.new_context(offline=True)
    page = context.new_page()
    trouble: list[str] = []
    page.on("pageerror", lambda error: trouble.append(str(error)))
    page.on("console", lambda message: trouble.append(message.text) if message.type == "error" else None)
    page.on("request", lambda request: None if request.url.startswith(("file:", "data:")) else trouble.append(request.url))
    page.goto((tmp_path / "report.html").as_uri())
    expect(page.locator(".tasks tbody tr")).to_have_count(5)
    page.get_by_label("Lay another run over this one").select_option("other")
    expect(page.locator(".bar .legend")).to_have_count(2)
    page.keyboard.press("e")
    expect(page.get_by_role("status")).to_have_text("100 episodes")
    page.get_by_label("search").fill("number 2 of 1.")
    page.locator(".row", has_text="group 2.0").click()
    expect(page.locator(".controls")).to_contain_text("after iteration 10")
    expect(page.locator(".shot img")).to_have_js_property("naturalWidth", 320)
    expect(page.locator(".shot .mark")).to_be_visible()
    page.keyboard.press("g")
    expect(page.locator(".matrix tbody tr")).to_have_count(4)
    context.close()
    assert trouble == []


def test_groups_are_exported_whole_and_probed_ones_first(tmp_path: Path) -> None:
    library = Library.open(run_folder(tmp_path / "run", iterations=4))
    run = library.run("run")
    run.refresh()
    chosen = choose(run, 17)
    assert len(chosen) == 16 and all(set(run.episodes.siblings(x)) <= set(chosen) for x in chosen)
    assert {row["id"] for row in run.probed()} <= {x.id for x in chosen}


def test_a_hostile_run_stays_text_in_a_report_too(chromium: Browser, tmp_path: Path) -> None:
    export(hostile_run(tmp_path / "run"), tmp_path / "report.html", say=lambda words: None)
    assert (tmp_path / "report.html").stat().st_size < 1_000_000, "5 MB of a page are cut"
    page = chromium.new_page()
    trouble: list[str] = []
    page.on("pageerror", lambda error: trouble.append(str(error)))
    page.on("dialog", lambda dialog: (trouble.append(dialog.message), dialog.dismiss()))
    for number in range(1, len(HOSTILE) + 1):
        page.goto(f"{(tmp_path / 'report.html').as_uri()}#/run/run/episode/iter-000001/{number}")
        page.locator(".turn").wait_for()
        assert page.evaluate("[window.pwned, document.querySelectorAll('script').length]") == [None, 2]
    page.close()
    assert trouble == []


def test_a_picture_of_too_many_pixels_or_of_none_is_left_out(tmp_path: Path) -> None:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    run_folder(tmp_path / "run", iterations=1)
    run = Library.open(tmp_path / "run").run("run")
    for name, size in (("huge.png", 60_000), ("large.png", 12_000), ("none.png", 0)):
        header = chunk(b"IHDR", struct.pack(">IIBBBBB", size, size, 8, 2, 0, 0, 0))
        data = chunk(b"IDAT", zlib.compress(bytes(100))) + chunk(b"IEND", b"")
        (tmp_path / "run/trajectories" / name).write_bytes(b"\x89PNG\r\n\x1a\n" + header + data)
        assert picture(run, name, DETAILS[0]) == ("", 1.0)
