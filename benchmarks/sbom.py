"""The software that an installed WebGym consists of, as a CycloneDX document: every package with version, licence and hash.

    python -m benchmarks.sbom [--extra gpu ...] [--out dist/sbom.cdx.json]

Read from the environment that runs this, without the network. Equal environments give equal documents.
"""

import argparse
import hashlib
import json
from collections.abc import Iterable, Iterator
from importlib import metadata
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement

NAME = "webgym-rl"


def needed(name: str, extras: Iterable[str] = ()) -> dict[str, list[str]]:
    """Each package that `name` needs here, itself included, with the names of those that it needs. Raises PackageNotFoundError."""
    found: dict[str, list[str]] = {}
    waiting = [(normal(name), frozenset(extras))]
    done: set[tuple[str, frozenset[str]]] = set()
    while waiting:
        one, wanted = waiting.pop()
        if (one, wanted) in done:
            continue
        done.add((one, wanted))
        below = [each for each in _requirements(one, wanted) if _installed(each.name)]
        found[one] = sorted({*found.get(one, ()), *(normal(each.name) for each in below)})
        waiting += [(normal(each.name), frozenset(each.extras)) for each in below]
    return dict(sorted(found.items()))


def normal(name: str) -> str:
    """A package's name in the form in which names are compared.

    >>> normal("Jinja2"), normal("typing_extensions")
    ('jinja2', 'typing-extensions')
    """
    return name.lower().replace("_", "-").replace(".", "-")


def _requirements(name: str, extras: frozenset[str]) -> Iterator[Requirement]:
    for text in metadata.requires(name) or ():
        requirement = Requirement(text)
        if requirement.marker is None or any(requirement.marker.evaluate({"extra": extra}) for extra in ("", *extras)):
            yield requirement


def _installed(name: str) -> bool:
    """False for a package that another platform needs, or that its user left out."""
    try:
        metadata.version(name)
    except metadata.PackageNotFoundError:
        return False
    return True


def component(name: str) -> dict[str, Any]:
    """A package as CycloneDX has it. The hash is over its list of files, which holds the hash of each."""
    about = metadata.distribution(name)
    licences = [*(about.metadata.get_all("License-Expression") or ()), *(about.metadata.get_all("License") or ()), ""]
    licence = licences[0]
    purl = f"pkg:pypi/{name}@{about.version}"
    found: dict[str, Any] = {"type": "library", "bom-ref": purl, "name": name, "version": about.version, "purl": purl}
    if licence and len(licence) < 100:
        found["licenses"] = [{"license": {"name": licence.strip()}}]
    record = about.read_text("RECORD")
    if record:
        lines = sorted(line for line in record.splitlines() if "sha256=" in line)
        found["hashes"] = [{"alg": "SHA-256", "content": hashlib.sha256("\n".join(lines).encode()).hexdigest()}]
    return found


def document(extras: Iterable[str] = ()) -> dict[str, Any]:
    """The document of this environment."""
    graph = needed(NAME, extras)
    components = {name: component(name) for name in graph}
    depends = [
        {"ref": components[name]["bom-ref"], "dependsOn": [components[one]["bom-ref"] for one in below]} for name, below in graph.items()
    ]
    own = components.pop(NAME)
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "version": 1,
        "metadata": {"component": {**own, "type": "application"}},
        "components": list(components.values()),
        "dependencies": depends,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--extra", nargs="*", default=[], help="extras of the package that are installed too")
    parser.add_argument("--out", type=Path, default=Path("dist/sbom.cdx.json"))
    arguments = parser.parse_args()
    found = document(arguments.extra)
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    arguments.out.write_text(json.dumps(found, indent=1) + "\n")
    print(f"{arguments.out}: {len(found['components'])} packages")


if __name__ == "__main__":
    main()
