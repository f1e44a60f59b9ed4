"""The doctor's verdicts from given figures, and one real look at this machine."""

import io
import subprocess
import sys
from pathlib import Path

import pytest
from rich.console import Console

from webgym.backends.browser import executable, trial
from webgym.commands import doctor
from webgym.commands.doctor import Check
from webgym.errors import BrowserFault, BrowserMissingError


def test_every_problem_comes_with_one_sentence_on_what_to_do():
    problems = [
        doctor.check_python((3, 10, 4)),
        doctor.check_packages("no-such-distribution"),
        doctor.judge_shared_memory(63),
        doctor.judge_cores(1, None),
        doctor.judge_memory(900),
        *doctor.judge_torch("", []),
        *doctor.judge_torch("2.13.0+cpu", ["NVIDIA H100, 81559 MiB"]),
        *doctor.judge_torch("2.13.0", None),
        *doctor.check_browser({"WEBGYM_BROWSER": "/nowhere/chromium"}),
    ]
    problems = [check for check in problems if check.status != "ok"]
    assert len(problems) == 9
    for check in problems:
        assert check.fix.endswith(".") and "\n" not in check.fix


@pytest.mark.parametrize(("version", "status"), [((3, 10, 9), "fail"), ((3, 11, 0), "ok"), ((3, 14, 1), "ok")])
def test_python(version, status):
    assert doctor.check_python(version).status == status


@pytest.mark.parametrize(("free", "status"), [(63, "warn"), (255, "warn"), (256, "ok")])
def test_shared_memory(free, status):
    assert doctor.judge_shared_memory(free).status == status


def test_no_shared_memory_folder_is_no_problem(tmp_path):
    assert doctor.check_shared_memory(tmp_path / "shm").status == "ok"


@pytest.mark.parametrize(("cpu_max", "quota"), [("200000 100000\n", 2.0), ("150000 100000", 1.5), ("max 100000", None), ("", None)])
def test_cpu_quota(cpu_max, quota):
    assert doctor.cpu_quota(cpu_max) == quota


@pytest.mark.parametrize(
    ("cores", "quota", "status"), [(2, None, "ok"), (1, None, "warn"), (64, 1.5, "warn"), (64, 2.0, "ok"), (1, 8.0, "warn")]
)
def test_cores_count_a_containers_limit(cores, quota, status):
    assert doctor.judge_cores(cores, quota).status == status


@pytest.mark.parametrize(
    ("meminfo", "limit", "used", "mib"),
    [
        ("MemTotal: 9999999 kB\nMemAvailable:    4194304 kB\n", "", "", 4096),
        ("MemAvailable: 4194304 kB", "max", "1", 4096),
        ("MemAvailable: 4194304 kB", "1073741824", "524288000", 524),
        ("MemAvailable: 4194304 kB", "1073741824", "2147483648", 0),
        ("", "", "", None),
    ],
)
def test_available_memory(meminfo, limit, used, mib):
    assert doctor.available_mib(meminfo, limit, used) == mib


@pytest.mark.parametrize(
    ("version", "gpus", "statuses"),
    [
        ("2.13.0+cpu", [], ["ok", "ok"]),
        ("2.13.0+cu130", ["NVIDIA H100, 81559 MiB"], ["ok", "ok"]),
        ("2.13.0+cpu", ["NVIDIA H100, 81559 MiB"], ["warn", "ok"]),
        ("2.13.0+cpu", None, ["ok", "warn"]),
        ("", [], ["fail", "ok"]),
    ],
)
def test_torch_and_gpu(version, gpus, statuses):
    assert [check.status for check in doctor.judge_torch(version, gpus)] == statuses


def test_a_driver_that_does_not_answer_is_told_from_no_gpu(tmp_path, monkeypatch):
    program = tmp_path / "nvidia-smi"
    monkeypatch.setenv("PATH", str(tmp_path))
    assert doctor.gpus() == []
    program.write_text("#!/bin/sh\nexit 9\n")
    program.chmod(0o755)
    assert doctor.gpus() is None
    program.write_text("#!/bin/sh\necho 'NVIDIA H100 80GB HBM3, 81559 MiB'\n")
    assert doctor.gpus() == ["NVIDIA H100 80GB HBM3, 81559 MiB"]


def test_packages_names_what_is_missing_and_what_is_too_old(monkeypatch):
    requires = ["numpy>=999", "no-such-package", "rich", "also-missing; extra == 'gpu'", "winonly; sys_platform == 'win32'"]
    monkeypatch.setattr(doctor.metadata, "requires", lambda _: requires)
    check = doctor.check_packages("rich")
    assert check.status == "fail"
    assert "numpy is" in check.message and "no-such-package is missing" in check.message
    assert "also-missing" not in check.message and "winonly" not in check.message


def test_a_browser_that_dies_at_start_is_told_with_its_last_word(tmp_path):
    path = tmp_path / "headless_shell"
    path.write_text(
        '#!/bin/sh\n[ "$1" = --version ] && { echo "Chromium 156.0.1.2"; exit; }\necho "FATAL: no usable sandbox" >&2; exit 5\n'
    )
    path.chmod(0o755)
    checks = {check.name: check for check in doctor.check_browser({"WEBGYM_BROWSER": str(path)})}
    assert checks["browser"].status == "ok"
    assert checks["browser starts"].status == "fail" and "no usable sandbox" in checks["browser starts"].message
    assert "page loads" not in checks  # nothing is told twice


def test_a_page_that_cannot_be_loaded_is_a_fault_in_words(tmp_path):
    path = tmp_path / "headless_shell"
    path.write_text("#!/bin/sh\necho 'error while loading shared libraries: libnss3.so' >&2; exit 127\n")
    path.chmod(0o755)
    with pytest.raises(BrowserFault, match="libnss3"):
        trial.load_a_page(executable.Browser(path, "shell", "1.0", "PATH"), executable.Sandbox(False, ""))


def test_this_machine_can_run_webgym_and_the_report_shows_each_check():
    checks = doctor.diagnose()
    assert [check for check in checks if check.status == "fail"] == []
    assert {"python", "packages", "browser", "sandbox", "browser starts", "page loads", "torch", "gpu"} <= {c.name for c in checks}
    console = Console(width=100, record=True, file=io.StringIO())
    console.print(doctor.table(checks))
    text = console.export_text()
    assert all(check.name in text for check in checks)


def test_exit_code_is_1_only_for_a_failure(monkeypatch):
    quiet = Console(quiet=True)
    for status, code in (("ok", 0), ("warn", 0), ("fail", 1)):
        monkeypatch.setattr(doctor, "diagnose", lambda status=status: [Check("x", status, "")])
        assert doctor.run(console=quiet) == code


def test_install_that_fails_exits_1_and_looks_no_further(monkeypatch):
    def fail() -> None:
        raise BrowserMissingError("No browser could be installed.")

    monkeypatch.setattr(doctor.executable, "install", fail)
    monkeypatch.setattr(doctor, "diagnose", lambda: pytest.fail("nothing to look at without a browser"))
    assert doctor.run(install=True, console=Console(quiet=True)) == 1


def test_the_doctor_imports_no_torch():
    heavy = "{'torch', 'transformers', 'playwright'}"
    code = f"import sys, webgym.commands.doctor as d; d.check_torch(); sys.exit(len({heavy} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], cwd=Path(__file__).parents[3]).returncode == 0
