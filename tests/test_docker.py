"""Images and compose file: what they run are targets of the Makefile, and what they name is there."""

import json
import re
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[1]
IMAGES = sorted((ROOT / "docker").glob("*.Dockerfile"))
TARGETS = set(re.findall(r"^([a-z0-9-]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))


def instructions(path: Path) -> list[tuple[str, str]]:
    """(instruction, the rest) of each, continued lines joined, comments dropped."""
    lines = [line for line in path.read_text("utf-8").splitlines() if line.strip() and not line.startswith("#")]
    joined = "\n".join(lines).replace("\\\n", " ").splitlines()
    return [(name, rest.strip()) for name, _, rest in (line.partition(" ") for line in joined)]


def test_there_are_a_cpu_image_a_gpu_trainer_a_server_and_a_browser_worker() -> None:
    assert [path.name for path in IMAGES] == ["cpu.Dockerfile", "gpu.Dockerfile", "openenv.Dockerfile", "worker.Dockerfile"]


@pytest.mark.parametrize("path", IMAGES, ids=lambda path: path.name)
def test_image(path: Path) -> None:
    found = instructions(path)
    names = [name for name, _ in found]
    assert found[1] == ("FROM", "$BASE") and re.fullmatch(r"BASE=[\w./-]+:[\w.-]+", found[0][1]) and not found[0][1].endswith(":latest")
    made = [rest.split()[1] for name, rest in found if name == "RUN" and rest.startswith("make ")]
    assert all("LOCK=docker/requirements.txt" in rest for name, rest in found if name == "RUN" and rest.startswith("make venv"))
    command = json.loads(next(rest for name, rest in found if name == "CMD"))
    assert command[0] == "make" and {"venv", "browser", command[1]} <= {*made, command[1]} <= TARGETS
    user = names.index("USER")
    assert found[user][1] == "webgym", "pages of strangers are never opened as root"
    assert all(name != "RUN" or "apt-get" not in rest for name, rest in found[user:])
    assert all("--no-install-recommends" in rest and "rm -rf /var/lib/apt/lists" in rest for _, rest in found if "apt-get install" in rest)


def test_the_images_packages_are_pinned_by_hashes_and_are_those_of_the_project() -> None:
    text = (ROOT / "docker/requirements.txt").read_text("utf-8").replace("\\\n", " ")
    entries = [line for line in text.splitlines() if line and not line.startswith("#")]
    assert all(len(re.findall(r"--hash=sha256:[0-9a-f]{64}\b", entry)) >= 1 for entry in entries)
    pinned = {name: version for name, version in (re.match(r"([\w.-]+)==([^\s;]+)", entry).groups() for entry in entries)}  # type: ignore[union-attr]
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    wanted = [Requirement(text) for text in (*project["dependencies"], *project["optional-dependencies"]["dev"])]
    assert [one.name for one in wanted if one.name != "torch" and not one.specifier.contains(pinned[one.name])] == []
    assert "torch" not in pinned and "editables" in pinned


def test_compose_names_images_and_targets_that_exist() -> None:
    compose = yaml.safe_load((ROOT / "docker/compose.yaml").read_text("utf-8"))
    services = compose["services"]
    built = {service["build"]["dockerfile"] for service in services.values() if "build" in service}
    assert built == {f"docker/{path.name}" for path in IMAGES}
    for name, service in services.items():
        assert set(service.get("depends_on", ())) <= services.keys(), name
        if "build" in service:
            assert service["shm_size"] == "1gb" and service["init"], name
            command = service.get("command")
            assert command is None or (command[0] == "make" and command[1] in TARGETS)
    assert not re.search(r":latest$", services["server"]["image"])
