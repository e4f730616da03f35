"""`make sbom`: writes `sbom.cdx.json`, the bill of materials (CycloneDX 1.6), and checks it.

Every package of the requirement files is a component, with the SHA-256 of each of its files and
its licence. Its scope is `required` for the service, `optional` for an extra, and `excluded` for
development alone. `--check FILE` compares another file with the requirement files.
"""

import json
import sys
import tomllib
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

from cyclonedx.contrib.license.factories import LicenseFactory
from cyclonedx.model import HashAlgorithm, HashType
from cyclonedx.model.bom import Bom
from cyclonedx.model.component import Component, ComponentScope, ComponentType
from cyclonedx.output.json import JsonV1Dot6
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from packageurl import PackageURL
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from devstack.supply.licences import ROOT, licence_of, uses
from devstack.supply.pins import Pin

FILE = ROOT / "sbom.cdx.json"

type Listed = dict[str, tuple[str, str, frozenset[str]]]


def scope_of(used: list[str]) -> ComponentScope:
    """The scope of a package in the bill of materials."""
    if used == ["service"]:
        return ComponentScope.REQUIRED
    return ComponentScope.EXCLUDED if used == ["development"] else ComponentScope.OPTIONAL


def component(pin: Pin, used: list[str]) -> Component:
    """One package."""
    licence = licence_of(pin.name)
    return Component(
        name=pin.name,
        version=pin.version,
        bom_ref=f"{pin.name}=={pin.version}",
        purl=PackageURL("pypi", name=pin.name, version=pin.version),
        scope=scope_of(used),
        hashes=[HashType(alg=HashAlgorithm.SHA_256, content=each) for each in pin.digests],
        licenses=[LicenseFactory().make_from_string(licence)] if licence else [],
    )


def needs_of(name: str) -> set[str]:
    """The names of an installed package's requirements on this system."""
    try:
        needs = [Requirement(each) for each in metadata.requires(name) or ()]
    except metadata.PackageNotFoundError:
        return set()
    here = (each for each in needs if not each.marker or each.marker.evaluate({"extra": ""}))
    return {canonicalize_name(each.name) for each in here}


def build() -> Bom:
    """The bill of materials of the current requirement files."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    own = Component(
        name=project["name"],
        version=project["version"],
        type=ComponentType.APPLICATION,
        bom_ref=project["name"],
        licenses=[LicenseFactory().make_from_string(project["license"])],
    )
    parts = {name: component(pin, used) for name, (pin, used) in uses().items()}
    bom = Bom(components=parts.values())
    bom.metadata.component = own
    needed = {canonicalize_name(Requirement(each).name) for each in project["dependencies"]}
    bom.register_dependency(own, [parts[name] for name in sorted(needed)])
    for name, part in parts.items():
        bom.register_dependency(part, [parts[need] for need in needs_of(name) & parts.keys()])
    return bom


def text_of(bom: Bom) -> str:
    """The bill of materials as JSON.

    Raises:
        ValueError: if it does not conform to the schema of CycloneDX.
    """
    text = JsonV1Dot6(bom).output_as_string(indent=1)
    if wrong := JsonStrictValidator(SchemaVersion.V1_6).validate_str(text):
        raise ValueError(f"no valid CycloneDX 1.6: {wrong}")
    return text


def expected() -> Listed:
    """Version, scope and digests of each package of the requirement files."""
    return {
        name: (pin.version, scope_of(used).value, frozenset(pin.digests))
        for name, (pin, used) in uses().items()
    }


def listed(document: Mapping[str, Any]) -> Listed:
    """Version, scope and digests of each package of a bill of materials."""
    return {
        each["name"]: (
            each.get("version", ""),
            each.get("scope", "required"),
            frozenset(digest["content"] for digest in each.get("hashes", [])),
        )
        for each in document.get("components", [])
    }


def mismatches(document: Mapping[str, Any]) -> list[str]:
    """One line for each package in which a bill of materials and the requirement files differ."""
    there, wanted = listed(document), expected()
    lines = [f"{name}: missing" for name in sorted(wanted.keys() - there.keys())]
    lines += [f"{name}: in no requirement file" for name in sorted(there.keys() - wanted.keys())]
    both = sorted(there.keys() & wanted.keys())
    return lines + [
        f"{name}: {_difference(there[name], wanted[name])}"
        for name in both
        if there[name] != wanted[name]
    ]


def _difference(there: tuple[Any, ...], wanted: tuple[Any, ...]) -> str:
    if there[:2] == wanted[:2]:
        return "other digests"
    return f"{' '.join(there[:2])}, the requirement files have {' '.join(wanted[:2])}"


def main(arguments: list[str]) -> int:
    """Write and check the file, or with `--check FILE` only check; 1 when it does not match."""
    checked = Path(arguments[1]) if arguments[:1] == ["--check"] and arguments[1:] else FILE
    if not arguments:
        FILE.write_text(text_of(build()) + "\n", encoding="utf-8")
    wrong = mismatches(json.loads(checked.read_text(encoding="utf-8")))
    for line in wrong:
        print(f"sbom: {line}", file=sys.stderr)
    if not wrong:
        print(f"sbom: {checked.name} matches the requirement files: {len(expected())} packages")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
