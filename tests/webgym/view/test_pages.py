"""Every page of the viewer in a real browser: what it shows, its keys, its links; growing, damaged, huge and hostile runs."""

import http.client
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.webgym.view.runs import add_iteration, add_truth, run_folder, start, trajectory
from webgym.record.layout import LIVE
from webgym.record.live import Monitor
from webgym.record.store import TrajectoryStore
from webgym.rollout.contract import Counts, Event
from webgym.types import EpisodeKey
from webgym.view.app import create_app
from webgym.view.runs import Library
from webgym.view.server import Server


def bars(page: Page, row: str) -> list[str]:
    """The numbers over an estimator's bars."""
    return page.locator(f".bars.{row} .cell span").all_inner_texts()


def test_from_the_run_to_a_turn_and_back(viewer, tmp_path: Path) -> None:
    run_folder(tmp_path / "first", pictures=True)
    add_truth(tmp_path / "first")
    run_folder(tmp_path / "second", iterations=3, lr=0.5)
    with viewer(tmp_path / "first") as v:
        page = v.go("")
        # the run: curves, tasks that can be sorted, another run laid over it, what differs
        expect(page.locator("h1")).to_contain_text("first")
        assert page.locator(".chart canvas").count() >= 8
        names = page.locator(".tasks tbody td:first-child")
        expect(names).to_have_count(5)
        before = names.all_inner_texts()
        page.get_by_role("button", name="change").click()
        assert sorted(names.all_inner_texts()) == sorted(before) and page.locator("th[aria-sort=descending]").inner_text().startswith(
            "change"
        )
        page.get_by_label("Lay another run over this one").select_option("second")
        expect(page.locator(".config .differs").first).to_contain_text("optim.lr")
        assert page.locator(".config .differs").first.inner_text().split("\t") == ["optim.lr", "0.0001", "0.5"]
        assert "with=second" in page.url

        # its episodes, by keyboard
        page.keyboard.press("e")
        expect(page.get_by_role("status")).to_have_text("120 episodes")
        page.get_by_label("any end").or_(page.get_by_label("kind")).select_option("success")
        page.keyboard.press("/")
        page.get_by_label("search").fill("number 2 of 1")
        expect(page.get_by_role("status")).to_contain_text("of 120 episodes")
        assert "q=number" in page.url and "kind=success" in page.url
        page.go_back()

        # an episode that a critic was probed on: picture with its mark, sliders, checkpoints
        v.go("run/first/episode/iter-000001/9?turn=1")
        expect(page.locator("h1")).to_have_text("Order number 2 of 1.")
        expect(page.locator(".shot .mark")).to_be_visible()
        image, mark = page.locator(".shot img").bounding_box(), page.locator(".shot .mark").bounding_box()
        assert image and mark and image["x"] < mark["x"] and mark["x"] + mark["width"] < image["x"] + image["width"]
        expect(page.locator(".heat span")).to_have_count(2)
        assert bars(page, "reinforce") == ["+0.81", "+0.90", "+1.00"], "γ is the run's own"
        late = bars(page, "td"), bars(page, "gae")
        page.get_by_label("checkpoint").fill("0")
        expect(page.locator(".controls")).to_contain_text("after iteration 1")
        assert bars(page, "td") != late[0] and "checkpoint=1" in page.url
        page.keyboard.press("]")
        expect(page.locator(".controls")).to_contain_text("after iteration 2")
        at_lam = bars(page, "gae")
        page.get_by_label("lambda").fill("0")
        expect(page.locator(".bars.gae")).to_contain_text(bars(page, "td")[0])
        assert bars(page, "gae") == bars(page, "td") != at_lam, "λ = 0 is TD(0)"
        page.locator("body").click(position={"x": 3, "y": 3})
        page.keyboard.press("ArrowRight")
        expect(page.locator(".deed h2")).to_contain_text("Turn 2")
        page.reload()
        expect(page.locator(".deed h2")).to_contain_text("Turn 2")
        assert bars(page, "gae") == bars(page, "td"), "the address holds the sliders"

        # one whose values were measured
        v.go("run/first/episode/iter-000001/1")
        expect(page.locator(".truth circle")).to_have_count(2)
        assert bars(page, "measured") == ["+0.50", "−0.25"]
        page.go_back()
        expect(page.locator("h1")).to_have_text("Order number 2 of 1.")
        expect(page.locator(".truth circle")).to_have_count(0)

        # its group
        page.keyboard.press("g")
        expect(page.locator(".matrix tbody tr")).to_have_count(4)
        expect(page.locator(".partings")).to_contain_text("Turn 2")
        assert page.locator(".matrix td.parts, .matrix td.shared").count() > 0
        page.locator(".matrix tbody td a").nth(1).click()
        expect(page.locator(".deed h2")).to_contain_text("Turn 2")
        page.keyboard.press("?")
        expect(page.get_by_role("dialog")).to_contain_text("its group, side by side")
        assert v.trouble == []


def test_phone_and_dark(viewer, tmp_path: Path) -> None:
    run_folder(tmp_path / "run", iterations=3, pictures=True)
    with viewer(tmp_path / "run", viewport={"width": 390, "height": 800}, color_scheme="dark") as v:
        of = {"": ".tasks", "/episodes": ".row", "/episode/iter-000001/1": ".sheet", "/group/iter-000001/1": ".matrix"}
        for place, seen in of.items():
            v.go(f"run/run{place}").locator(seen).first.wait_for()
            assert v.fits(), place
        dark = v.page.evaluate("getComputedStyle(document.documentElement).backgroundColor")
        v.page.get_by_title("light or dark (t)").click()
        expect(v.page.locator("html")).not_to_have_css("background-color", dark)  # the switch fades
        assert v.trouble == []


def test_a_run_that_is_written_while_it_is_viewed(viewer, tmp_path: Path) -> None:
    start(tmp_path / "run")
    with viewer(tmp_path / "run") as v:
        page = v.go("")
        expect(page.get_by_text("No episodes yet.")).to_be_visible()
        add_iteration(tmp_path / "run", 1)
        expect(page.locator(".tasks tbody tr")).to_have_count(5)
        with (tmp_path / "run/metrics.jsonl").open("a") as file:
            file.write('{"iteration": 2, "rollout/suc\n{"iteration": 2, "rollout/success": NaN}\n')
        add_iteration(tmp_path / "run", 3)
        expect(page.locator(".problems")).to_contain_text("1 damaged line left out")
        expect(page.locator(".facts")).to_contain_text("40")
        v.go("run/run/episodes")
        expect(page.get_by_role("status")).to_have_text("40 episodes")
        add_iteration(tmp_path / "run", 4)
        page.get_by_role("button", name="20 new episodes").click()
        expect(page.get_by_role("status")).to_have_text("60 episodes")

        v.go("run/run/live")
        expect(page.get_by_text("Nothing is known of sessions")).to_be_visible()
        with Monitor(tmp_path / "run" / LIVE, 512) as monitor:
            monitor.phase("collecting", 5)
            for session in range(512):
                key = EpisodeKey("shop.task-1", session, 5)
                kinds = ("begin", "thinking") if session % 2 else ("begin",)
                for kind in (*kinds, "retry") if session == 77 else kinds:
                    monitor.hear(Event(kind, key, Counts(done=3), None, "the page did not answer" if kind == "retry" else "", session))
            expect(page.locator(".grid button")).to_have_count(512)
            expect(page.locator(".legendbar")).to_contain_text("255 waiting for the policy")
            expect(page.locator(".pair")).to_contain_text("the page did not answer")
            page.locator(".grid .s-retry").click()
            expect(page.locator(".chosen")).to_contain_text("session 77")
        expect(page.locator("h1")).to_have_text("over")
        assert v.trouble == []


def test_ten_thousand_episodes(viewer, tmp_path: Path) -> None:
    start(tmp_path / "run")
    with TrajectoryStore(tmp_path / "run/trajectories/iter-000001.jsonl") as store:
        for number in range(10_000):
            store.append(trajectory(EpisodeKey("shop.buy", number, 1, number // 4, number % 4), [0.0, 1.0], goal=f"Buy number {number}."))
    with viewer(tmp_path / "run") as v:
        page = v.go("run/run/episodes")
        expect(page.get_by_role("status")).to_have_text("10,000 episodes")
        page.keyboard.press("End")
        expect(page.locator(".row.at")).to_contain_text("Buy number 0.")
        assert page.locator(".row").count() < 80, "only rows in sight exist"
        page.evaluate("document.querySelector('.list').scrollTop /= 2")
        expect(page.locator(".row").nth(12)).to_contain_text(re.compile(r"Buy number (49|50)\d\d"))
        page.get_by_label("search").fill("number 77")
        expect(page.get_by_role("status")).to_contain_text(f"{sum('77' in str(n) for n in range(10_000))} of 10,000")
        page.keyboard.press("Escape")
        page.keyboard.press("j")
        page.keyboard.press("Enter")
        expect(page.locator("h1")).to_contain_text("77.")
        assert v.trouble == []


HOSTILE = [
    "<script>window.pwned = 1</script>",
    "<img src=x onerror='window.pwned = 1'>",
    "javascript:window.pwned=1",
    "</pre></script><svg onload=window.pwned=1>",
    "\ud800 \u202e \x00 {{constructor.constructor('window.pwned=1')()}}",
]


def hostile_run(folder: Path) -> Path:
    """A run whose every text attacks, with a page of 5 MB."""
    start(folder)
    with TrajectoryStore(folder / "trajectories/iter-000001.jsonl") as store:
        for member, text in enumerate(HOSTILE):
            key = EpisodeKey(f"shop.{text}", 1, 1, 0, member)
            page = text + "<b onclick=window.pwned=1>x</b>\n" * (160_000 if member == 0 else 10)
            store.append(trajectory(key, [0.0, 1.0], goal=text, actions=[text, f"click('{text}')"], page=page, url=text))
    return folder


def test_a_hostile_page_stays_text(viewer, tmp_path: Path) -> None:
    hostile_run(tmp_path / "run")
    with viewer(tmp_path / "run") as v:
        places = ["run/run", "run/run/episodes", *(f"run/run/{kind}/iter-000001/{n}" for kind in ("episode", "group") for n in range(1, 6))]
        for place in places:
            page = v.go(place)
            page.locator(".tasks, .row, .turn, .matrix").first.wait_for()
            if "/episode/" in place:
                page.get_by_role("tab", name="the page as text").click()
            found = page.evaluate(
                "[window.pwned, document.scripts.length, document.querySelectorAll('[onclick],[onload],[onerror],iframe,object').length,"
                " [...document.querySelectorAll('[href],[src]')].filter(x => /^javascript:/i.test(x.href || x.src)).length]"
            )
            assert found == [None, 1, 0, 0], place
        v.go("run/run/episode/iter-000001/1").get_by_role("tab", name="the page as text").click()
        expect(page.locator(".seen .note")).to_contain_text("60,000 of 5,")
        whole = page.get_by_role("link", name="All of it").get_attribute("href")
        answer = page.request.get(v.address + str(whole))
        assert answer.headers["content-type"].startswith("text/plain") and len(answer.body()) > 5_000_000
        assert "default-src 'none'" in answer.headers["content-security-policy"] and answer.headers["x-content-type-options"] == "nosniff"
        assert v.trouble == []


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """The port of a small run's viewer."""
    run = run_folder(tmp_path_factory.mktemp("served") / "run", iterations=1)
    with Server(create_app(Library.open(run), "secret")) as server:
        yield server.port


@pytest.mark.parametrize(
    ("method", "place", "host", "status"),
    [
        ("GET", "secret/api/library", "127.0.0.1", 200),
        ("GET", "secret/", "localhost:80", 200),
        ("GET", "api/library", "127.0.0.1", 404),
        ("GET", "wrong/api/library", "127.0.0.1", 404),
        ("GET", "secret/api/library", "evil.example", 403),
        ("GET", "secret/api/library", "127.0.0.1.evil.example:80", 403),
        ("POST", "secret/api/library", "127.0.0.1", 405),
        ("DELETE", "secret/api/run/run", "127.0.0.1", 405),
        ("GET", "secret/api/run/nothing", "127.0.0.1", 404),
        ("GET", "secret/api/run/run/episode/iter-000001/999", "127.0.0.1", 404),
        ("GET", "secret/api/run/run/shot/..%2F..%2Fconfig.toml", "127.0.0.1", 404),
        ("GET", "secret/api/run/run/text/iter-000001/1/0/nothing", "127.0.0.1", 404),
    ],
)
def test_only_who_has_the_token_reads_and_nobody_writes(served: int, method: str, place: str, host: str, status: int) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", served, timeout=60)
    connection.request(method, f"/{place}", headers={"host": host})
    assert connection.getresponse().status == status
    connection.close()
