"""One page through Playwright and back, to prove that a browser works: the last check of `webgym doctor`."""

import asyncio
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

from playwright.async_api import Error as PlaywrightError
from playwright.async_api import async_playwright

from webgym.backends.browser.executable import Browser, Sandbox
from webgym.errors import BrowserFault

PAGE = b"<!doctype html><title>it works</title><button onclick='document.title = \"clicked\"'>press</button>"


class _OnePage(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.send_header("Content-Length", str(len(PAGE)))
        self.end_headers()
        self.wfile.write(PAGE)

    def log_message(self, format: str, *args: object) -> None:
        """Log nothing, because the default writes each request to stderr."""


def load_a_page(browser: Browser, sandbox: Sandbox, timeout_s: float = 30.0) -> None:
    """Start `browser`, open a page of a server on this machine, click its button and see the title change.

    Raises BrowserFault in words when any of it fails or takes longer than `timeout_s`. Not for a running event loop.
    """
    with ThreadingHTTPServer(("127.0.0.1", 0), _OnePage) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        try:
            title = asyncio.run(asyncio.wait_for(_click(browser, sandbox, f"http://127.0.0.1:{server.server_port}/"), timeout_s))
        except PlaywrightError as error:
            raise BrowserFault(f"a page could not be used: {_reason(error)}") from error
        except TimeoutError as error:
            raise BrowserFault(f"a page did not load and answer within {timeout_s:g} s") from error
        finally:
            server.shutdown()
    if title != "clicked":
        raise BrowserFault(f"a page loaded, but its button did not answer a click (title {title!r})")


async def _click(browser: Browser, sandbox: Sandbox, url: str) -> str:
    async with async_playwright() as playwright:
        # A proxy from the environment must not stand between the browser and this machine.
        chromium = await playwright.chromium.launch(
            executable_path=str(browser.path),
            args=[*sandbox.arguments, "--disable-gpu", "--disable-background-networking", "--no-proxy-server"],
            chromium_sandbox=sandbox.enabled,
        )
        try:
            page = await chromium.new_page()
            await page.goto(url)
            await page.click("button")
            return await page.title()
        finally:
            await chromium.close()


def _reason(error: PlaywrightError) -> str:
    """The line of Playwright's long message that names the cause: the browser's own last word, if it had one."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    said = [line for line in lines if "ERROR" in line or "FATAL" in line or "error while loading" in line]
    return (said or lines or [type(error).__name__])[0][:300]
