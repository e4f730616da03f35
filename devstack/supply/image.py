"""Builds the image of the service with docker, podman or buildah: the first that works here.

    python3 -m devstack.supply.image [--name patchcord] [--extras openai,s3] [--if-possible]

Tags are the version, and the version with the commit; `-changed` where files differ from it. The
time of the commit is that of all files in the image (docker does that with BuildKit alone), so two
builds of one commit differ only in what has been published meanwhile.

Runs on any Python >= 3.9 and imports the standard library only.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from devstack.machine import CHECKOUT, answers

BUILDERS = {
    "docker": ("docker", "info", "--format", "{{.ServerVersion}}"),
    "podman": ("podman", "info", "--format", "{{.Version.Version}}"),
    "buildah": ("buildah", "--version"),
}
"""What can build an image, the first choice first, with a command that succeeds if it works."""
ADVICE = (
    "install podman or buildah (apt-get install buildah), which need no daemon, or start Docker's"
)
NAME = re.compile(r"[a-z0-9]+(?:[._/:-][a-z0-9]+)*")
EXTRAS = re.compile(r"(?:[a-z0-9]+(?:,[a-z0-9]+)*)?")


@dataclass(frozen=True)
class Source:
    """What is built."""

    version: str
    commit: str
    """Abbreviated; "" outside a checkout of git."""
    changed: bool
    seconds: int
    """The time of the commit, as Unix time."""

    def tags(self, name: str) -> list[str]:
        """The tags of the image, the most exact one last."""
        if not self.commit:
            return [f"{name}:{self.version}"]
        exact = f"{name}:{self.version}-{self.commit}"
        return [f"{exact}-changed"] if self.changed else [f"{name}:{self.version}", exact]


def source() -> Source:
    """The version and commit of this checkout."""
    text = (CHECKOUT / "core" / "version.py").read_text(encoding="utf-8")
    found = re.search(r'VERSION[^=]*= "([^"]+)"', text)
    assert found is not None
    head = answers("git", "-C", CHECKOUT, "show", "--no-patch", "--format=%h %ct", "HEAD")
    commit, seconds = head.split() if head else ("", "0")
    status = answers("git", "-C", CHECKOUT, "status", "--porcelain") if head else ""
    return Source(found[1], commit, bool(status), int(seconds))


def choice(works: dict[str, bool]) -> str | None:
    """The first builder that works; None if none does."""
    return next((name for name in BUILDERS if works.get(name)), None)


def command(builder: str, built: Source, name: str, extras: str) -> list[str]:
    """The command that builds the image from the `Dockerfile` of the checkout."""
    made = [builder, "build"]
    for tag in built.tags(name):
        made += ["--tag", tag]
    labels = {"version": built.version, "revision": built.commit}
    for label, value in labels.items():
        made += ["--label", f"org.opencontainers.image.{label}={value}"]
    if builder == "docker":
        made += ["--build-arg", f"SOURCE_DATE_EPOCH={built.seconds}"]
    else:
        made += ["--format", "docker", "--timestamp", str(built.seconds)]  # oci has no HEALTHCHECK
    return [*made, "--build-arg", f"EXTRAS={extras}", "."]


def working() -> dict[str, bool]:
    """Which builders are installed, and can build."""
    return {
        name: shutil.which(name) is not None and answers(*check) is not None
        for name, check in BUILDERS.items()
    }


def absent(installed: list[str]) -> str:
    """The message when nothing here can build an image."""
    if installed:
        return f"image: {', '.join(installed)} cannot build here (no daemon?): {ADVICE}"
    return f"image: there is none of {', '.join(BUILDERS)}: {ADVICE}"


def arguments(given: list[str]) -> argparse.Namespace:
    """The options, checked: they become arguments of another program."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--name", default="patchcord", help="the image's name, with a registry")
    parser.add_argument("--extras", default="", help="libraries of plugins, such as openai,s3")
    parser.add_argument(
        "--if-possible", action="store_true", help="succeed where nothing can build an image"
    )
    options = parser.parse_args(given)
    if not NAME.fullmatch(options.name):
        parser.error(f"--name: {options.name!r} is no name of an image")
    if not EXTRAS.fullmatch(options.extras):
        parser.error(f"--extras: {options.extras!r} is no list such as openai,s3")
    for extra in filter(None, options.extras.split(",")):
        if not Path(CHECKOUT, "requirements", "extras", f"{extra}.txt").is_file():
            parser.error(f"--extras: there is no {extra}; docs/dependencies.md lists them")
    return options


def main(given: list[str] | None = None) -> int:
    """Build; returns the exit code of the builder, or 1 where there is none."""
    options = arguments(sys.argv[1:] if given is None else given)
    builder = choice(working())
    if builder is None:
        print(absent([name for name in BUILDERS if shutil.which(name)]), file=sys.stderr)
        return 0 if options.if_possible else 1
    built = source()
    line = command(builder, built, options.name, options.extras)
    environ = {**os.environ, "DOCKER_BUILDKIT": "1", "SOURCE_DATE_EPOCH": str(built.seconds)}
    print(f"image: {' '.join(line)}", flush=True)
    done = subprocess.run(line, cwd=CHECKOUT, env=environ, check=False)
    if done.returncode == 0:
        print(f"image: built {', '.join(built.tags(options.name))}")
    return done.returncode


if __name__ == "__main__":
    sys.exit(main())
