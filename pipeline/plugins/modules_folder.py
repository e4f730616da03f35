"""The files of MODULES_DIR: which packages it has, for which specifications, and replacing them.

A package is its modules and a folder `*.dist-info`, whose RECORD names all its files. The hash of
the specification that it was installed for is stored in that folder; the specification itself may
contain a token.
"""

import importlib
import json
import shutil
import threading
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from hashlib import sha256
from importlib import metadata
from importlib.util import cache_from_source
from pathlib import Path

from packaging.requirements import Requirement as NamedRequirement
from packaging.utils import canonicalize_name

from pipeline.plugins.missing import ROOMS
from pipeline.plugins.requirement import Requirement, difference

OURS = (
    *ROOMS,
    "lib",
    "core",
    "pipeline",
    "actions",
    "events",
    "http_api",
    "schemas",
    "flowlang",
    "server",
)
"""Packages of the service; a name inside one of them never makes pip fetch a package."""

_ABOUT = "*.dist-info"
_REQUESTED = "REQUESTED"
_SPECIFICATION = "patchcord_specification"
_HIDDEN = ".replaced"


_invalidating = threading.Lock()


def invalidate_caches() -> None:
    """Make modules importable that were installed since the last import, by any process.

    `importlib.invalidate_caches` raises KeyError in one of two threads that call it at once, since
    both remove the same cache entries.
    """
    with _invalidating:
        importlib.invalidate_caches()


def is_ours(module: str) -> bool:
    """Whether a module is in a package of the service; third parties may install into one, too."""
    return module.partition(".")[0] in OURS


def packages_of(folder: Path | None, module: str) -> list[str]:
    """The packages in a folder that may contain a module; read anew at each call.

    For a module in a package of the service, such as `links.x`, two parts of its name are compared.
    """
    if folder is None:
        return []
    names = tuple(module.removeprefix("server.").split(".")[: 2 if is_ours(module) else 1])
    found = metadata.distributions(path=[str(folder)])
    return [each.name for each in found if names in _tops(each, len(names))]


@cache
def packages_elsewhere(root: str) -> tuple[str, ...]:
    """The packages outside MODULES_DIR with a top-level module; later ones are not seen."""
    return tuple(_packages().get(root, ()))


@cache
def _packages() -> dict[str, list[str]]:
    """Packages by top-level module; reads all RECORD files, a second for hundreds of packages."""
    return {name: [*packages] for name, packages in metadata.packages_distributions().items()}


def _tops(dist: metadata.Distribution, depth: int) -> set[tuple[str, ...]]:
    paths = (path.parts[:depth] for path in dist.files or ())
    return {(*path[:-1], path[-1].partition(".")[0]) for path in paths}


def installed_in(folder: Path, name: str) -> metadata.Distribution | None:
    """A package of a folder by its name."""
    found = metadata.distributions(path=[str(folder)])
    wanted = canonicalize_name(name)
    return next((each for each in found if canonicalize_name(each.name) == wanted), None)


def specification(dist: metadata.Distribution) -> str | None:
    """The hash of the specification that a package was installed for, if known."""
    return dist.read_text(_SPECIFICATION)


def hashed(wanted: Requirement) -> str:
    """The hash of a specification, without credentials, so a new token changes nothing."""
    text = f"{wanted.without_credentials}{' --pre' if wanted.pre else ''}"
    return sha256(text.encode()).hexdigest()


def differs(dist: metadata.Distribution, wanted: Requirement) -> str | None:
    """How an installed package differs from a requirement, if it does."""
    origin = json.loads(dist.read_text("direct_url.json") or "{}")
    return difference(wanted, dist.name, dist.version, origin)


def is_for_another(
    dist: metadata.Distribution, wanted: Requirement, current: Collection[str]
) -> bool:
    """Whether a package must be replaced by what a requirement asks for.

    It stays if it was installed for this specification. It also stays if it fits and its own
    specification is unknown or among `current`, the hashes of all configured specifications.
    """
    known = specification(dist)
    if known == hashed(wanted):
        return False
    return (known is not None and known not in current) or differs(dist, wanted) is not None


def needs_in(folder: Path) -> list[str]:
    """Constraints for pip: pins of requested packages, and the requirements of all packages."""
    needs = []
    for dist in metadata.distributions(path=[str(folder)]):
        if dist.read_text(_REQUESTED) is not None:
            needs.append(f"{dist.name}=={dist.version}")
        needed = map(NamedRequirement, dist.requires or ())
        here = (each for each in needed if not each.marker or each.marker.evaluate({"extra": ""}))
        needs += [f"{each.name}{each.specifier}" for each in here]
    return needs


def site_packages(prefix: Path) -> list[Path]:
    """The folders below a prefix into which pip has installed packages.

    Their names depend on the system: `local/lib/python3.12/dist-packages` on Debian, elsewhere
    `lib` and sometimes `lib64`.
    """
    return sorted({about.parent for about in prefix.rglob(_ABOUT)})


def take_in(
    made: Path,
    folder: Path,
    wanted: Sequence[Requirement],
    replaced: Iterable[metadata.Distribution],
) -> list[str]:
    """Move new packages into the folder, and return their names with versions.

    The packages `replaced`, and others of the same names, are deleted before.
    """
    packages = []
    for each in replaced:
        if _about(each).is_dir():
            remove(each, folder)
    for about in made.glob(_ABOUT):
        name = metadata.PathDistribution(about).name
        if (about / _REQUESTED).exists():
            (about / _SPECIFICATION).write_text(hashed(_meant(name, wanted)))
        while (old := installed_in(folder, name)) is not None:
            remove(old, folder)
        packages.append(about.stem)
    move_into(made, folder)
    return packages


def _meant(name: str, wanted: Sequence[Requirement]) -> Requirement:
    """The requirement that a package was installed for; of several, each has a name."""
    names = (each for each in wanted if each.name)
    same = (each for each in names if canonicalize_name(each.name or "") == canonicalize_name(name))
    return wanted[0] if len(wanted) == 1 else next(same)


def remove(dist: metadata.Distribution, folder: Path) -> None:
    """Delete a package's files in the folder, its metadata last."""
    about = _about(dist)
    for path in dist.files or ():
        place = Path(str(dist.locate_file(path))).resolve()
        if place.is_relative_to(folder.resolve()) and not place.is_relative_to(about.resolve()):
            place.unlink(missing_ok=True)
            Path(cache_from_source(str(place))).unlink(missing_ok=True)  # else it might be run
            _remove_empty(place.parent, folder.resolve())
    shutil.rmtree(about)


def _remove_empty(place: Path, top: Path) -> None:
    """Remove a folder and its parents below `top`, as long as they hold only `__pycache__`."""
    while place != top and place.is_dir():
        if any(each.name != "__pycache__" for each in place.iterdir()):
            return
        shutil.rmtree(place)
        place = place.parent


@contextmanager
def hidden(dists: Iterable[metadata.Distribution]) -> Iterator[None]:
    """Hide packages from pip by renaming their metadata; their modules stay importable."""
    abouts = [_about(dist) for dist in dists]
    for about in abouts:
        about.rename(about.with_name(about.name + _HIDDEN))
    try:
        yield
    finally:
        for folder in {about.parent for about in abouts}:
            show_again(folder)


def is_hiding(folder: Path) -> bool:
    """Whether a package is hidden, by a running process or by one that died."""
    return any(folder.glob(f"{_ABOUT}{_HIDDEN}"))


def show_again(folder: Path) -> None:
    """Undo `hidden` for all packages of the folder."""
    for about in folder.glob(f"{_ABOUT}{_HIDDEN}"):
        about.rename(about.with_name(about.name.removesuffix(_HIDDEN)))


def move_into(source: Path, target: Path) -> None:
    """Move what is in one folder into another: folders are merged, files replaced."""
    for entry in sorted(source.iterdir(), key=lambda each: each.suffix == ".dist-info"):
        there = target / entry.name
        if entry.is_dir() and there.is_dir():
            move_into(entry, there)
        else:
            entry.replace(there)


def _about(dist: metadata.Distribution) -> Path:
    assert isinstance(dist, metadata.PathDistribution)
    return Path(str(dist._path))
