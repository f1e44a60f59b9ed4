import asyncio
import base64
import hashlib

import pytest

from webgym.errors import SiteFault
from webgym.sites.static import StaticSite
from webgym.task import Site


def begun(site, seed, site_state):
    """The state of a new episode."""
    return asyncio.run(site.lease(seed, site_state))


@pytest.fixture
def site(tmp_path):
    (tmp_path / "secret.txt").write_text("not served")
    folder = tmp_path / "html"
    (folder / "sub").mkdir(parents=True)
    (folder / "index.html").write_text("<p>é", encoding="utf-8")
    (folder / "sub" / "a.js").write_text("1")
    (folder / "pixel.png").write_bytes(b"\x89PNG")
    return StaticSite("files.localhost", folder)


def get(site, path, method="GET", kind="http"):
    sent = []

    async def receive():
        raise AssertionError("a static file needs no request body")

    async def send(message):
        sent.append(message)

    asyncio.run(site.app({"type": kind, "method": method, "path": path}, receive, send))
    head, *rest = sent
    return head.get("status"), dict(head.get("headers", ())), b"".join(m["body"] for m in rest)


def test_is_a_site(site):
    assert isinstance(site, Site)
    assert begun(site, 0, None) is None and site.snapshot(None) is None


@pytest.mark.parametrize(
    ("path", "kind", "body"),
    [
        ("/index.html", b"text/html; charset=utf-8", "<p>é".encode()),
        ("/", b"text/html; charset=utf-8", "<p>é".encode()),
        ("/sub/a.js", b"text/javascript; charset=utf-8", b"1"),
        ("/sub/../pixel.png", b"image/png", b"\x89PNG"),
    ],
)
def test_serves_files_with_their_type_for_ever(site, path, kind, body):
    for _ in range(2):  # from disk, then from memory
        status, headers, got = get(site, path)
        assert (status, got, headers[b"content-type"]) == (200, body, kind)
        assert int(headers[b"content-length"]) == len(body)
        assert b"immutable" in headers[b"cache-control"]


@pytest.mark.parametrize("path", ["/missing.html", "/sub", "/../secret.txt", "//etc/passwd", "/sub/../../secret.txt", "/a\0b"])
def test_serves_nothing_else(site, path):
    status, headers, body = get(site, path)
    assert status == 404 and b"cache-control" not in headers and b"not served" not in body


def test_link_out_of_the_folder_is_not_followed(site):
    (site.directory / "out.txt").symlink_to(site.directory.parent / "secret.txt")
    assert get(site, "/out.txt")[0] == 404


def test_other_methods(site):
    status, headers, body = get(site, "/index.html", "HEAD")
    assert (status, body, headers[b"content-length"]) == (200, b"", b"5")
    assert get(site, "/index.html", "POST")[0] == 405


def test_missing_folder_is_a_fault(tmp_path):
    with pytest.raises(SiteFault, match="are missing"):
        begun(StaticSite("files.localhost", tmp_path / "gone"), 0, None)


@pytest.mark.parametrize("path", ["/" + "a" * 256, "/" + "a/" * 3000, "/\ud800", "/a\0b"])
def test_a_name_that_no_file_can_have_is_not_found(site, path):
    assert get(site, path)[0] == 404


def test_a_file_is_kept_once_under_all_its_addresses(site):
    for slashes in range(1, 50):
        assert get(site, "/" * slashes + "index.html")[0] == 200
    assert len(site._files) == 1


def test_what_is_withheld_is_so_under_every_name(site):
    folder = site.directory
    (folder / "again.html").hardlink_to(folder / "index.html")
    held = StaticSite("files.localhost", folder, withheld=[folder / "index.html", folder / "gone.html"])
    assert [get(held, path)[0] for path in ("/", "/index.html", "/again.html", "/sub/a.js")] == [404, 404, 404, 200]


PAGE = """<script src="/core.js"></script><script>go(1)</script><img src=x onerror="go(2)"><iframe src="/b.html"></iframe>"""


def test_a_sealed_page_runs_its_own_scripts_alone(tmp_path):
    for folder in ("own", "other"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "a.html").write_text(PAGE)
    (tmp_path / "core.js").write_text("")
    site = StaticSite("files.localhost", tmp_path, sealed="own")
    named = base64.b64encode(hashlib.sha256(b"go(1)").digest()).decode()
    policy = (
        f"script-src 'unsafe-eval' http://files.localhost/core.js 'sha256-{named}'; frame-src 'none'; object-src 'none'; base-uri 'none'"
    )
    for _ in range(2):
        assert get(site, "/own/a.html")[1][b"content-security-policy"] == policy.encode()
    assert all(b"content-security-policy" not in get(site, path)[1] for path in ("/other/a.html", "/core.js"))
