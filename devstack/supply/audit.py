"""`make audit`: checks every pinned version for known vulnerabilities.

pip-audit queries the database of the Python Package Index for each package. Exit codes: 0 if all
were checked and none is known, 1 if some are known, 3 if one could not be checked, although
pip-audit itself ends with 0 for skipped packages.
"""

import json
import re
import subprocess
import sys
from collections.abc import Iterable
from typing import Any

from devstack.bootstrap import FILES
from devstack.machine import UV_PIN
from devstack.supply.licences import ROOT

KNOWN, NOT_ASKED = 1, 3
ASKED = (*FILES, str(UV_PIN.relative_to(ROOT)))
SECONDS = 300
_OPTIONS = ("--disable-pip", "--require-hashes", "--format", "json", "--progress-spinner", "off")
_LONGEST = 300


class NotAskedError(Exception):
    """A requirement file, or one of its packages, could not be checked."""


def report(output: str) -> list[str]:
    """The known vulnerabilities in pip-audit's JSON, a line each.

    Raises:
        NotAskedError: it does not tell of every package.
    """
    try:
        packages: list[dict[str, Any]] = json.loads(output)["dependencies"]
        if skipped := [each["skip_reason"] for each in packages if "skip_reason" in each]:
            raise NotAskedError(f"{len(skipped)} of {len(packages)} packages: {skipped[0]}")
        if packages:
            return [_line(each, found) for each in packages for found in each["vulns"]]
    except (ValueError, KeyError, TypeError):
        pass
    raise NotAskedError("pip-audit gave no report")


def _line(package: dict[str, Any], found: dict[str, Any]) -> str:
    fixed = ", ".join(found.get("fix_versions", ())) or "no version"
    return f"{package['name']} {package['version']}: {found['id']}, fixed in {fixed}"


def ask(file: str) -> list[str]:
    """The known vulnerabilities of the packages of a requirement file.

    Raises:
        NotAskedError: the database gave no answer about one of them.
    """
    command = [sys.executable, "-m", "pip_audit", *_OPTIONS, "--requirement", str(ROOT / file)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=SECONDS)
    except subprocess.TimeoutExpired:
        raise NotAskedError(f"no answer within {SECONDS} s") from None
    if done.returncode and not done.stdout.strip():
        raise NotAskedError(last_error(done.stderr))
    return report(done.stdout)


def last_error(output: str) -> str:
    """The last line of a program's standard error, without addresses."""
    lines = [line.strip() for line in output.splitlines() if line.strip()] or ["it said nothing"]
    return re.sub(r"https?://\S+", "<address>", lines[-1])[:_LONGEST]


def audit(files: Iterable[str]) -> int:
    """Check each file, print the results, and return the exit code."""
    codes = {outcome(file) for file in files}
    return next((code for code in (KNOWN, NOT_ASKED) if code in codes), 0)


def outcome(file: str) -> int:
    """Check one file, print the results, and return its exit code."""
    try:
        known = ask(file)
    except NotAskedError as error:
        print(f"audit: could not ask about {file}: {error}", file=sys.stderr)
        return NOT_ASKED
    print(f"audit: {file}: known vulnerabilities: {len(known)}")
    print("".join(f"  {line}\n" for line in known), end="")
    return KNOWN if known else 0


if __name__ == "__main__":
    sys.exit(audit(sys.argv[1:] or ASKED))
