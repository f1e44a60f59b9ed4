"""Finding a browser among fake executables: no real browser, no network, no root."""

import stat
from pathlib import Path

import pytest

from webgym.backends.browser import executable
from webgym.backends.browser.executable import Browser, apt_commands, candidates, decide_sandbox, find, install, playwright_folder, sandbox
from webgym.errors import BrowserMissingError


def fake(path: Path, script: str = 'echo "Chromium 156.0.1.2"') -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


def search(tmp_path: Path, **environ: str) -> Browser:
    return find(environ={"PATH": str(tmp_path / "bin"), "HOME": str(tmp_path), **environ}, system_folders=[str(tmp_path / "usr")])


def test_environment_variable_wins_over_path(tmp_path):
    fake(tmp_path / "bin/chromium-headless-shell")
    mine = fake(tmp_path / "mine/chrome", 'echo "Google Chrome 140.0.7339.80 beta"')
    assert search(tmp_path, WEBGYM_BROWSER=str(mine)) == Browser(mine, "full", "140.0.7339.80", "WEBGYM_BROWSER")


def test_environment_variable_with_another_kind_than_wanted_is_passed_over(tmp_path):
    shell = fake(tmp_path / "bin/chromium-headless-shell")
    environ = {"PATH": str(tmp_path / "bin"), "WEBGYM_BROWSER": str(fake(tmp_path / "mine/chrome"))}
    assert find("shell", environ=environ, system_folders=[]).path == shell


@pytest.mark.parametrize(
    ("script", "said"),
    [
        (None, "no executable file"),
        ("echo 'error: libnss3.so is missing' >&2; exit 127", "libnss3.so is missing"),
        ("echo hello", "hello"),
    ],
)
def test_wrong_environment_variable_is_an_error_and_no_fall_back(tmp_path, script, said):
    fake(tmp_path / "bin/chromium-headless-shell")
    mine = tmp_path / "mine/chrome"
    if script:
        fake(mine, script)
    with pytest.raises(BrowserMissingError, match=said) as caught:
        search(tmp_path, WEBGYM_BROWSER=str(mine))
    assert str(mine) in str(caught.value)


def test_a_shell_anywhere_comes_before_full_chromium_on_path(tmp_path):
    full = fake(tmp_path / "bin/chromium")
    assert search(tmp_path) == Browser(full, "full", "156.0.1.2", "PATH")
    ours = fake(tmp_path / ".cache/ms-playwright/chromium_headless_shell-1255/chrome-linux/headless_shell")
    assert search(tmp_path) == Browser(ours, "shell", "156.0.1.2", "playwright")
    system = fake(tmp_path / "usr/chrome-headless-shell")
    assert search(tmp_path) == Browser(system, "shell", "156.0.1.2", "system")
    on_path = fake(tmp_path / "bin/chromium-headless-shell")
    assert search(tmp_path) == Browser(on_path, "shell", "156.0.1.2", "PATH")


def test_a_candidate_that_does_not_start_is_passed_over_and_named_at_the_end(tmp_path):
    snap = fake(tmp_path / "bin/chromium-browser", "echo 'Command requires the chromium snap to be installed' >&2; exit 1")
    with pytest.raises(BrowserMissingError, match="requires the chromium snap") as caught:
        search(tmp_path)
    assert str(snap) in str(caught.value) and "webgym doctor --install" in str(caught.value)
    chrome = fake(tmp_path / "usr/google-chrome")
    assert search(tmp_path).path == chrome


def test_newest_playwright_revision_comes_first_by_number_not_by_letter(tmp_path):
    for revision in (999, 1255, 1187):
        fake(tmp_path / f"pw/chromium_headless_shell-{revision}/chrome-headless-shell-linux64/chrome-headless-shell")
    found = search(tmp_path, PLAYWRIGHT_BROWSERS_PATH=str(tmp_path / "pw"))
    assert "chromium_headless_shell-1255" in found.path.parts


def test_links_to_one_executable_are_tried_once(tmp_path):
    real = fake(tmp_path / "usr/chromium-headless-shell")
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/chromium-headless-shell").symlink_to(real)
    assert len(list(candidates({"PATH": str(tmp_path / "bin")}, [str(tmp_path / "usr")]))) == 1


def test_files_that_may_not_be_executed_are_no_candidates(tmp_path):
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/chromium").write_text("text")
    assert list(candidates({"PATH": str(tmp_path / "bin")}, [])) == []


@pytest.mark.parametrize(
    ("environ", "system", "folder"),
    [
        ({"HOME": "/home/ada"}, "Linux", "/home/ada/.cache/ms-playwright"),
        ({"HOME": "/home/ada", "XDG_CACHE_HOME": "/var/cache/ada"}, "Linux", "/var/cache/ada/ms-playwright"),
        ({"HOME": "/Users/ada"}, "Darwin", "/Users/ada/Library/Caches/ms-playwright"),
        ({"HOME": "/home/ada", "PLAYWRIGHT_BROWSERS_PATH": "/pw"}, "Linux", "/pw"),
    ],
)
def test_playwright_folder(environ, system, folder):
    assert playwright_folder(environ, system) == Path(folder)


def test_playwright_folder_is_unknown_without_a_home():
    assert playwright_folder({}, "Linux") is None


def test_install_downloads_nothing_when_a_browser_is_there(tmp_path, monkeypatch):
    shell = fake(tmp_path / "bin/chromium-headless-shell")
    monkeypatch.setattr(executable, "_run_all", lambda *_: pytest.fail("no installer may run"))
    assert install(environ={"PATH": str(tmp_path / "bin")}, system_folders=[]).path == shell


def test_install_goes_on_to_apt_when_playwright_cannot_download(tmp_path, monkeypatch):
    shell = tmp_path / "usr/chromium-headless-shell"
    apt = fake(tmp_path / "apt", f"printf '#!/bin/sh\\necho Chromium 156.0.1.2\\n' > {shell}; /bin/chmod +x {shell}")
    shell.parent.mkdir()
    monkeypatch.setattr(executable, "playwright_command", lambda: ["/bin/false"])
    monkeypatch.setattr(executable, "apt_commands", lambda environ: [[str(apt)]])
    found = install(environ={"PATH": str(tmp_path / "bin")}, system_folders=[str(shell.parent)])
    assert found.kind == "shell" and found.version == "156.0.1.2"


def test_install_says_in_one_sentence_what_failed(tmp_path, monkeypatch):
    monkeypatch.setattr(executable, "playwright_command", lambda: ["/bin/false"])
    monkeypatch.setattr(executable, "apt_commands", lambda environ: [])
    with pytest.raises(BrowserMissingError, match=r"`/bin/false` failed with exit code 1") as caught:
        install(environ={"PATH": str(tmp_path)}, system_folders=[])
    assert "WEBGYM_BROWSER" in str(caught.value) and "\n" not in str(caught.value)


def test_apt_is_used_by_root_only(tmp_path):
    fake(tmp_path / "apt-get")
    environ = {"PATH": str(tmp_path)}
    assert apt_commands(environ, uid=1000) == []
    assert [command[1] for command in apt_commands(environ, uid=0)] == ["update", "install"]
    assert apt_commands({"PATH": "/nowhere"}, uid=0) == []


@pytest.mark.parametrize(
    ("system", "uid", "helper", "namespaces", "enabled"),
    [
        ("Linux", 1000, False, True, True),
        ("Linux", 1000, True, False, True),
        ("Linux", 1000, False, False, False),
        ("Linux", 0, True, True, False),
        ("Darwin", 501, False, False, True),
    ],
)
def test_sandbox_decision(system, uid, helper, namespaces, enabled):
    decided = decide_sandbox(system=system, uid=uid, helper=helper, namespaces=namespaces)
    assert decided.enabled is enabled
    assert decided.arguments == (() if enabled else ("--no-sandbox",))


@pytest.mark.parametrize("namespaces", [True, False])
def test_sandbox_of_a_user_follows_the_trial(tmp_path, monkeypatch, namespaces):
    monkeypatch.setattr(executable.os, "geteuid", lambda: 1000)
    monkeypatch.setattr(executable.platform, "system", lambda: "Linux")
    monkeypatch.setattr(executable, "user_namespaces_work", lambda: namespaces)
    assert sandbox(fake(tmp_path / "chromium")).enabled is namespaces
