"""The list of packages is whole, of this environment, and the same each time."""

from importlib import metadata

from benchmarks import sbom


def test_every_package_that_is_needed_is_listed_with_version_and_hash():
    found = sbom.document()
    assert (found["bomFormat"], found["metadata"]["component"]["name"]) == ("CycloneDX", "webgym-rl")
    listed = {one["name"]: one for one in found["components"]}
    for direct in ("playwright", "torch", "transformers", "starlette", "jinja2"):
        assert (
            listed[direct]["version"] == metadata.version(direct)
            and listed[direct]["purl"] == f"pkg:pypi/{direct}@{metadata.version(direct)}"
        )
    assert "markupsafe" in listed, "what a package needs is needed too"
    assert "pytest" not in listed, "what tests need is not"
    assert all(len(one["hashes"][0]["content"]) == 64 for one in listed.values())
    references = {one["bom-ref"] for one in found["components"]} | {found["metadata"]["component"]["bom-ref"]}
    assert all({one["ref"], *one["dependsOn"]} <= references for one in found["dependencies"])
    assert found == sbom.document()


def test_an_extra_adds_its_packages():
    assert set(sbom.needed("webgym-rl")) < set(sbom.needed("webgym-rl", ["dev"])) and "hypothesis" in sbom.needed("webgym-rl", ["dev"])
