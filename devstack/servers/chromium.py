"""Chromium, headless, for tests of pages: an installed one, or unpacked Debian packages.

    python -m devstack.servers.chromium

If no browser is installed, this command unpacks the packages (`debian.py`): Debian's smallest
build of Chromium (`chromium-headless-shell`), its data, one family of fonts, and the libraries that
this machine lacks. It succeeds also without apt; the tests in a browser are skipped then, except if
`CI` is set.
"""

import os
import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from signal import SIGTERM

from devstack.errors import StackError
from devstack.servers.account import Account, server_account
from devstack.servers.debian import LIBRARIES, ROOT_LIBRARIES, Packages, Unpacked
from devstack.servers.folders import claimed, reachable
from devstack.servers.process import ENVIRONMENT, KeptProcess

SHELL = "chromium-headless-shell"
PACKAGES = Packages(
    "chromium",
    Path("usr", "lib", "chromium", SHELL),
    (SHELL, "chromium-common", "fonts-dejavu-core"),
    linked=SHELL,
)
INSTALLED = (
    Path("/usr/lib/chromium") / SHELL,
    Path("/usr/lib/chromium/chromium"),
    Path("/opt/google/chrome/chrome"),
)
LIBRARY_FOLDERS = (LIBRARIES, ROOT_LIBRARIES, LIBRARIES / "nss", LIBRARIES / "pulseaudio")
FONTS = Path("usr", "share", "fonts")
FONTS_FILE = """\
<?xml version="1.0"?>
<!DOCTYPE fontconfig SYSTEM "urn:fontconfig:fonts.dtd">
<fontconfig>
  <dir>{fonts}</dir>
  <cachedir>{cache}</cachedir>
  <alias><family>sans-serif</family><prefer><family>DejaVu Sans</family></prefer></alias>
  <alias><family>serif</family><prefer><family>DejaVu Serif</family></prefer></alias>
  <alias><family>monospace</family><prefer><family>DejaVu Sans Mono</family></prefer></alias>
</fontconfig>
"""
"""The unpacked fonts alone: text has the same width on every machine."""
READY = "DevTools listening on "
ADDRESS = re.compile(rf"^{READY}(ws://\S+)$", re.MULTILINE)
OPTIONS = (
    "--headless",
    "--remote-debugging-port=0",
    "--no-first-run",
    "--disable-gpu",
    "--disable-dev-shm-usage",  # of 64 MB in a container
    # It asks no host but the test's own servers, by itself or for a page.
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-quic",
    "--disable-sync",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
    # A page that no window shows runs as one that is looked at.
    "--disable-background-timer-throttling",
    "--disable-backgrounding-occluded-windows",
    "--disable-renderer-backgrounding",
    "--force-color-profile=srgb",
    "--hide-scrollbars",
    "--mute-audio",
)
NO_SANDBOX = "--no-sandbox"


@dataclass(frozen=True)
class Browser:
    """A browser on this machine, and the location of its packages if they are unpacked."""

    program: Path
    unpacked: Unpacked | None = None

    def environment(self, folder: Path) -> dict[str, str]:
        """The variables of a process that keeps its files in `folder`."""
        variables = {**ENVIRONMENT, "HOME": str(folder)}
        if self.unpacked is None:
            return variables
        fonts, file = self.unpacked.root / FONTS, folder / "fonts.conf"
        file.write_text(FONTS_FILE.format(fonts=fonts, cache=folder / "fonts"))
        libraries = self.unpacked.library_path(*LIBRARY_FOLDERS)
        return {**variables, "LD_LIBRARY_PATH": libraries, "FONTCONFIG_FILE": str(file)}


def installed() -> Browser | None:
    """A browser of this machine, or the unpacked one, or None."""
    for program in INSTALLED:
        if program.exists():
            return Browser(program)
    unpacked = PACKAGES.found()
    return Browser(unpacked.root / PACKAGES.program, unpacked) if unpacked else None


@dataclass(frozen=True)
class Chromium:
    """A running browser; clients of the DevTools protocol connect to `url`."""

    url: str
    process: KeptProcess
    sandboxed: bool

    @classmethod
    def start(cls, browser: Browser, folder: Path) -> "Chromium":
        """Starts it with its profile in `folder`.

        Its sandbox needs namespaces of the kernel, which containers often withhold, and refuses
        root, whose browser therefore runs as another user. Where it cannot start, the browser
        runs without one: tests open pages of our own only.

        Raises:
            StackError: if it does not start; the message has the cause.
        """
        account = server_account()
        if account is None or reachable(browser.program.parent):
            try:
                return cls._launch(browser, folder / "sandboxed", account)
            except StackError:
                pass
        return cls._launch(browser, folder / "open", None, NO_SANDBOX)

    @classmethod
    def _launch(
        cls, browser: Browser, folder: Path, account: Account | None, *options: str
    ) -> "Chromium":
        folder.mkdir()
        if account:
            os.chown(folder, account.uid, account.gid)
        with claimed(folder) as lock:
            process = KeptProcess(
                "chromium",
                _command(browser, folder, options),
                folder=folder,
                stop_signal=SIGTERM,
                account=account,
                pass_fds=[lock],
                environment=browser.environment(folder),
            )
            process.wait_for_log(READY)
        found = ADDRESS.search(process.logged())
        assert found, "the address is in the line that was waited for"
        return cls(found[1], process, NO_SANDBOX not in options)

    def stop(self) -> None:
        """Stops the browser with its pages."""
        self.process.stop()


def _command(browser: Browser, folder: Path, options: Sequence[str]) -> list[str | Path]:
    return [browser.program, *OPTIONS, f"--user-data-dir={folder}/profile", *options]


def fetch() -> int:
    """Fetch it if it is missing; returns 0."""
    return 0 if installed() else PACKAGES.try_to_fetch("tests in a browser are skipped")


if __name__ == "__main__":
    sys.exit(fetch())
