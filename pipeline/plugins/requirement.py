"""Parsing `pip_name`, and comparing it with an installed package. Nothing here runs pip."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from packaging.requirements import InvalidRequirement
from packaging.requirements import Requirement as NamedRequirement
from packaging.specifiers import Specifier, SpecifierSet
from packaging.utils import canonicalize_name

from core.errors import PluginFailedError
from pipeline.plugins.missing import shown

_URL = re.compile(r"(?:git\+(?:https?|ssh|file)|https?|file)://\S+")
_REVISION = re.compile(r"@([^@#\s]++)(?:#\S*+)?$")
_WEB = ("git+https", "git+http")
_PRE = "--pre"
_COMMIT = re.compile(r"[0-9a-fA-F]{40}|[0-9a-f]{64}")
_ANY_DIGEST = re.compile(r"(?:sha\d+|md5)=")
_DIGEST = re.compile(r"sha256=[0-9a-f]{64}|sha384=[0-9a-f]{96}|sha512=[0-9a-f]{128}")
_ANY_VERSION = "write one version, name==1.2.3"
_ANY_COMMIT = "write a whole commit after the @, 40 hexadecimal digits, not a tag or branch"
_ANY_FILE = "end the address with #sha256= and the file's digest"


@dataclass(frozen=True, slots=True)
class Requirement:
    """One package to install: `text` in pip's form, which may contain a token.

    `name` is None for a URL without a name.
    """

    text: str = field(repr=False)
    pre: bool = False
    name: str | None = None
    url: str | None = field(default=None, repr=False)
    specifier: SpecifierSet = field(default_factory=SpecifierSet)

    @property
    def credentials(self) -> str:
        """User and password in an http(s) URL of a repository; only git receives them."""
        parts = urlsplit(self.url or "")
        return parts.netloc.rpartition("@")[0] if parts.scheme in _WEB else ""

    @property
    def without_credentials(self) -> str:
        """The requirement as passed to pip, where other users may read it."""
        return (
            self.text.replace(f"//{self.credentials}@", "//", 1) if self.credentials else self.text
        )

    @property
    def revision(self) -> str | None:
        """The tag, branch or commit that a repository's URL names."""
        if self.url is None or not self.url.startswith("git+"):
            return None
        found = _REVISION.search(self.url.partition("://")[2].partition("/")[2])
        return found and found.group(1)


def read(pip_name: str) -> Requirement:
    """Parse a requirement, a URL or a repository, with or without `--pre`.

    Raises:
        PluginFailedError: it is none of these, or has other options of pip.
    """
    words = pip_name.split()
    options = sorted({word.partition("=")[0] for word in words if word.startswith("-")} - {_PRE})
    if options:
        raise PluginFailedError(
            f"pip_name: of pip's options only --pre may stand there, not {options[0]}"
        )
    text = " ".join(word for word in words if word != _PRE)
    pre = _PRE in words
    if _URL.fullmatch(text):
        return Requirement(text, pre, url=text)
    try:
        named = NamedRequirement(text)
    except InvalidRequirement:
        msg = f"pip_name: {shown(text)!r} is neither a package nor a git+https:// address"
        raise PluginFailedError(msg) from None
    return Requirement(text, pre, named.name, named.url, named.specifier)


def inexact(wanted: Requirement) -> str | None:
    """Advice for a requirement that may install different code later; None if it is exact.

    Exact are one version of a package, one commit of a repository, and an archive with its digest.
    The package's own requirements are not checked.
    """
    if wanted.url is None:
        return None if any(map(_is_one_version, wanted.specifier)) else _ANY_VERSION
    if wanted.url.startswith("git+"):
        return None if _COMMIT.fullmatch(wanted.revision or "") else _ANY_COMMIT
    return None if _has_digest(wanted.url) else _ANY_FILE


def _is_one_version(each: Specifier) -> bool:
    return each.operator in {"==", "==="} and not each.version.endswith(".*")


def _has_digest(url: str) -> bool:
    parts = urlsplit(url).fragment.split("&")
    digests = [part for part in parts if _ANY_DIGEST.match(part)]
    return bool(digests) and all(map(_DIGEST.fullmatch, digests))  # pip uses the first only


def difference(
    wanted: Requirement, name: str, version: str, origin: Mapping[str, Any]
) -> str | None:
    """How an installed package differs from a requirement, if it does.

    `origin` is its `direct_url.json` (PEP 610), empty for a package from an index.
    """
    if wanted.name and canonicalize_name(wanted.name) != canonicalize_name(name):
        return f"{wanted.name} is asked for, {name} is installed and has the module"
    if wanted.specifier and not wanted.specifier.contains(version, prereleases=True):
        return f"{wanted.specifier} is asked for, {version} is installed"
    if wanted.url is None:
        return None
    if not origin:
        return f"{shown(wanted.url)} is asked for, {version} from an index is installed"
    return _another_source(wanted, origin)


def _another_source(wanted: Requirement, origin: Mapping[str, Any]) -> str | None:
    there = str(origin.get("url", ""))
    if _place(wanted.url or "") != _place(there):
        return f"{shown(wanted.url or '')} is asked for, {shown(there)} is installed"
    source = origin.get("vcs_info", {})
    asked, got = wanted.revision, source.get("requested_revision")
    commit = str(source.get("commit_id", ""))
    if asked == got or (asked and commit.startswith(asked)):
        return None
    asked, got = asked or "its main branch", got or commit[:12]
    return f"revision {asked} is asked for, {got} is installed"


def _place(url: str) -> str:
    """A URL without the parts that pip and its records write differently."""
    plain = re.sub(r"//[^/@]+@", "//", url.removeprefix("git+").partition("#")[0])
    return _REVISION.sub("", plain).removesuffix("/").removesuffix(".git")


def git_variables(wanted: Requirement, environ: Mapping[str, str]) -> dict[str, str]:
    """Environment variables that give git the credentials of a private repository."""
    if not wanted.credentials:
        return {}
    parts = urlsplit((wanted.url or "").removeprefix("git+"))
    host = parts.netloc.rpartition("@")[2]
    count = int(environ.get("GIT_CONFIG_COUNT") or 0)  # after the operator's own entries
    return {
        "GIT_CONFIG_COUNT": str(count + 1),
        f"GIT_CONFIG_KEY_{count}": f"url.{parts.scheme}://{parts.netloc}/.insteadOf",
        f"GIT_CONFIG_VALUE_{count}": f"{parts.scheme}://{host}/",
    }
