"""The pictures of docs/viewer.md and README.md from a run, as the viewer shows it today.

    make viewer-pictures [RUN=runs/latest]
    python -m benchmarks.viewer_pictures --run RUN [--episode iter-000001/9] [--out docs/pictures]

The run wants screenshots (`--set rollout.screenshots=6`) and a critic. Without `--episode`, the one with screenshots, values and a failed
action is taken that has the most turns up to five.
"""

import argparse
import sys
from pathlib import Path

from playwright.sync_api import sync_playwright

from webgym.backends.browser import executable
from webgym.record.episodes import Episode
from webgym.view.app import create_app, new_token
from webgym.view.runs import Library, Run
from webgym.view.server import Server

PAGES = {"run": ("", 1280, 1000), "episode": ("/episode/{}", 1180, 900), "group": ("/group/{}", 1180, 1100)}
"""Address of each picture behind the run's, and the size of the window. A picture shows the page's height up to twice that."""


def telling(run: Run) -> Episode:
    """The episode that shows most."""
    probed = {row["id"] for row in run.probed()}
    found = [x for x in run.episodes if x.pictures and x.id in probed and x.turns <= 5]
    if not found:
        sys.exit(f"{run.folder} has no episode with screenshots and values of at most five turns")
    return max(found, key=lambda x: (x.errors > 0 and x.kind == "success", x.turns, -x.number))


def main() -> None:
    """Write the pictures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", type=Path, required=True)
    parser.add_argument("--episode", default="", help="address within the run")
    parser.add_argument("--out", type=Path, default=Path("docs/pictures"))
    arguments = parser.parse_args()
    library = Library.open(arguments.run)
    run = library.run(library.focus)
    run.refresh()
    episode, token, found = arguments.episode or telling(run).id, new_token(), executable.find()
    with Server(create_app(library, token)) as server, sync_playwright() as p:
        sandbox = executable.sandbox(found.path).enabled
        browser = p.chromium.launch(executable_path=str(found.path), chromium_sandbox=sandbox)
        for name, (address, width, height) in PAGES.items():
            page = browser.new_page(viewport={"width": width, "height": height}, color_scheme="light")
            page.goto(f"http://127.0.0.1:{server.port}/{token}/#/run/{run.name}{address.format(episode)}")
            page.wait_for_load_state("networkidle")
            page.wait_for_selector(".chart canvas, .shot img")
            page.wait_for_timeout(500)
            tall = min(2 * height, page.evaluate("document.documentElement.scrollHeight"))
            file = arguments.out / f"{name}.png"
            page.screenshot(path=file, full_page=True, clip={"x": 0, "y": 0, "width": width, "height": tall if name != "run" else height})
            _smaller(file)
            print(f"{file}: {width} x {tall if name != 'run' else height}, {episode}")
            page.close()
        browser.close()


def _smaller(file: Path) -> None:
    """The picture with 256 colours, which is enough for pages."""
    from PIL import Image

    with Image.open(file) as image:
        reduced = image.convert("RGB").quantize(256)
    reduced.save(file, optimize=True)


if __name__ == "__main__":
    main()
