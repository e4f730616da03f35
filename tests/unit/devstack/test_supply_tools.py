"""The bill of materials, the audit and the table of licences, against the requirement files."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from devstack.supply import audit, licences, sbom
from tests.unit.support.source_files import ROOT

LINE = re.compile(r"^([\w.-]+)==([^\s;]+)", re.MULTILINE)
FORBIDDEN = re.compile(r"(?<!L)(?<!Lesser )A?GPL|General Public|SSPL|RSAL|unknown", re.IGNORECASE)


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    """The bill of materials that `make sbom` would write now."""
    return json.loads(sbom.text_of(sbom.build()))


def pinned(pattern: str) -> set[tuple[str, str]]:
    """Names and versions in requirement files, read another way than the tools do."""
    files = [ROOT / name for name in licences.requirement_files()]
    named = (file for file in files if file.relative_to(ROOT).match(pattern))
    return {found for file in named for found in LINE.findall(file.read_text())}


def with_scope(document: dict[str, Any], *scopes: str) -> set[tuple[str, str]]:
    """Names and versions of the components of some scopes."""
    parts = document["components"]
    return {(each["name"], each["version"]) for each in parts if each["scope"] in scopes}


def test_the_bill_of_materials_is_what_the_files_pin(document: dict[str, Any]) -> None:
    """All packages, with the right scope and purl, and valid for CycloneDX's own schema."""
    assert with_scope(document, "required") == pinned("requirements.txt")
    optional = pinned("requirements/extras/*.txt") - pinned("requirements.txt")
    assert with_scope(document, "optional") == optional
    everything = pinned("*.txt")
    assert with_scope(document, "required", "optional", "excluded") == everything
    purls = {each["purl"] for each in document["components"]}
    assert purls == {f"pkg:pypi/{name}@{version}" for name, version in everything}
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(json.dumps(document)) is None
    assert sbom.mismatches(document) == []


def test_the_bill_of_materials_has_hashes_licences_and_needs(document: dict[str, Any]) -> None:
    """Each component has its files' digests; the service needs what pyproject.toml names."""
    assert all(each["hashes"] for each in document["components"])
    shipped = [each for each in document["components"] if each["scope"] == "required"]
    lacking = {each["name"] for each in shipped if not each.get("licenses")}
    assert lacking <= {"tzdata"}  # for other systems
    needs = {each["ref"]: each.get("dependsOn", []) for each in document["dependencies"]}
    assert any(each.startswith("vcon==") for each in needs["patchcord"])


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"version": "0.0.1"}, "0.0.1 required, the requirement files have"),
        ({"scope": "excluded"}, "excluded, the requirement files have"),
        ({"hashes": [{"alg": "SHA-256", "content": "0" * 64}]}, "other digests"),
        ({"name": "another"}, "{name}: missing"),
    ],
)
def test_a_stale_bill_of_materials_is_noticed(
    document: dict[str, Any], change: dict[str, Any], told: str, tmp_path: Path
) -> None:
    """`--check` ends with 1 for another version, scope, digest or set of packages."""
    [first, *rest] = document["components"]
    stale = {**document, "components": [{**first, **change}, *rest]}
    assert any(told.format_map(first) in line for line in sbom.mismatches(stale))
    (tmp_path / "sbom.json").write_text(json.dumps(stale))
    assert sbom.main(["--check", str(tmp_path / "sbom.json")]) == 1
    (tmp_path / "sbom.json").write_text(json.dumps(document))
    assert sbom.main(["--check", str(tmp_path / "sbom.json")]) == 0


def test_the_table_of_licences_is_current() -> None:
    """The page is what `python -m devstack.supply.licences` would write now."""
    text = licences.PAGE.read_text(encoding="utf-8")
    assert licences.page(text) == text
    assert text.count(licences.BEGIN) == text.count(licences.END) == 1


def test_what_is_shipped_has_a_known_licence_that_allows_it() -> None:
    """No GPL, AGPL or unknown licence comes with the service or an extra."""
    rows = [line for line in licences.table().splitlines()[2:] if "| development |" not in line]
    assert len(rows) > 60
    choices = {row: row.split("|")[2].split(" OR ") for row in rows}
    assert [row for row in rows if all(map(FORBIDDEN.search, choices[row]))] == []
    assert FORBIDDEN.search("GPL-2.0-or-later")
    assert not FORBIDDEN.search("LGPL-3.0-only")


@pytest.mark.parametrize(
    ("expression", "field", "classifiers", "licence"),
    [
        ("GPL-2.0-or-later", "MIT", [], "GPL-2.0-or-later"),
        (None, "MIT License", [], "MIT"),
        (None, "MIT License\n\nPermission is hereby granted", [], "MIT"),
        (
            None,
            "Dual License",
            ["License :: OSI Approved :: Apache Software License"],
            "Apache-2.0",
        ),
        (None, "", ["License :: OSI Approved :: MIT License", "Topic :: X"], "MIT"),
        (None, "Some text\nof a licence", [], "unknown"),
        (None, None, [], "unknown"),
    ],
)
def test_where_a_licence_is_read(
    expression: str | None, field: str | None, classifiers: list[str], licence: str
) -> None:
    """An SPDX expression goes first, then the field, then the classifiers."""
    assert licences.licence(expression, field, classifiers) == licence


def test_an_audit_without_a_network_is_no_pass() -> None:
    """pip-audit behind a proxy that is not there: exit code 3, and the words say so."""
    nowhere = dict.fromkeys(("HTTPS_PROXY", "HTTP_PROXY", "https_proxy"), "http://127.0.0.1:1")
    done = subprocess.run(
        [sys.executable, "-m", "devstack.supply.audit", "requirements/extras/jq.txt"],
        cwd=ROOT,
        env={**nowhere, "PATH": "/usr/bin:/bin", "HOME": "/nonexistent"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (audit.NOT_ASKED, "")
    assert done.stderr.startswith("audit: could not ask about requirements/extras/jq.txt: ")


FINE = {"name": "p", "version": "1.0", "vulns": []}
SKIPPED = {"name": "q", "skip_reason": "not found"}
KNOWN = {**FINE, "vulns": [{"id": "PYSEC-1", "fix_versions": ["1.1"]}]}


def test_what_an_audit_reports() -> None:
    """Each vulnerability in a line; nothing where none is known."""
    assert audit.report(json.dumps({"dependencies": [FINE]})) == []
    assert audit.report(json.dumps({"dependencies": [FINE, KNOWN]})) == [
        "p 1.0: PYSEC-1, fixed in 1.1"
    ]


@pytest.mark.parametrize(
    "output",
    [
        *["", "no JSON", "[]", "{}", '{"dependencies": []}', '{"dependencies": [{}]}'],
        *[json.dumps({"dependencies": each}) for each in ([FINE, SKIPPED], [SKIPPED])],
    ],
)
def test_a_report_that_does_not_tell_of_all_is_no_pass(output: str) -> None:
    """Nothing, something else, or a package that was skipped."""
    with pytest.raises(audit.NotAskedError):
        audit.report(output)
