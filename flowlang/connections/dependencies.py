"""Whether a plugin's dependencies are installed."""

import importlib.util
from collections.abc import Iterable, Iterator
from importlib.metadata import PackageNotFoundError, requires, version

from packaging.requirements import InvalidRequirement, Requirement

_BEGINNINGS = ("python-",)
_ENDINGS = ("-client", "-python", "-sdk")


def missing(specifications: Iterable[str]) -> list[str]:
    """The pip requirements that are not met, as given."""
    return [each for each in specifications if not _is_met(each)]


def is_specification(text: str) -> bool:
    """Whether a text is a package requirement, and not an option of pip."""
    try:
        Requirement(text)
    except InvalidRequirement:
        return False
    return True


def _is_met(specification: str) -> bool:
    if not is_specification(specification):
        return False
    requirement = Requirement(specification)
    if requirement.marker is not None and not requirement.marker.evaluate():
        return True
    try:
        found = version(requirement.name)
    except PackageNotFoundError:
        return any(map(_can_be_imported, _likely_modules(requirement.name)))
    return requirement.specifier.contains(found, prereleases=True) and _has_extras(requirement)


def _has_extras(requirement: Requirement) -> bool:
    needed = [Requirement(each) for each in requires(requirement.name) or ()]
    return all(
        _is_met(str(_without_marker(each)))
        for extra in requirement.extras
        for each in needed
        if each.marker is not None
        and each.marker.evaluate({"extra": extra})
        and not each.marker.evaluate({"extra": ""})
    )


def _without_marker(requirement: Requirement) -> Requirement:
    bare = Requirement(str(requirement))
    bare.marker = None
    return bare


def _likely_modules(distribution: str) -> Iterator[str]:
    """Import names of a distribution without metadata, such as a folder on the path."""
    name = distribution.lower()
    yield name
    for beginning in _BEGINNINGS:
        yield name.removeprefix(beginning)
    for ending in _ENDINGS:
        yield name.removesuffix(ending)


def _can_be_imported(name: str) -> bool:
    module = name.replace("-", "_").replace(".", "_")
    return importlib.util.find_spec(module) is not None
