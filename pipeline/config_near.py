"""Names that are nearly known: what an unknown key was probably meant to be."""

import difflib
from collections.abc import Iterable

CUTOFF = 0.75
"""How alike two names must be, as `difflib` counts it: `opts` and `description` are far enough."""
FREE = "x-"
"""Keys that begin so are the operator's own, such as anchors for YAML's aliases."""


def meant(name: str, known: Iterable[str]) -> str | None:
    """The known key that an unknown one is close to: `storage`, `Chains`, `ingress`, `pip-name`."""
    plain = {_plain(each): each for each in sorted(known)}
    wanted = _plain(name)
    begun = (each for each in plain if wanted and each.startswith(f"{wanted}_"))
    near = difflib.get_close_matches(wanted, plain, n=1, cutoff=CUTOFF)
    found = next(begun, None) or next(iter(near), None)
    return plain[found] if found else None


def slip_of(name: str, known: Iterable[str]) -> str | None:
    """The name that one is a slip of the pen away from; for names that are free to choose.

    A letter too many or too few, or two of them swapped; digits count, as in `calls1` and `calls2`.
    """
    return next((each for each in sorted(known) if _one_slip(_plain(name), _plain(each))), None)


def _plain(name: str) -> str:
    return name.strip().casefold().replace("-", "_").replace(" ", "_")


def _one_slip(one: str, other: str) -> bool:
    longer, shorter = sorted((one, other), key=len, reverse=True)
    without = {longer[:at] + longer[at + 1 :] for at, each in enumerate(longer) if each.isalpha()}
    return one == other or shorter in without or shorter in _swapped(longer)


def _swapped(name: str) -> set[str]:
    return {name[:at] + name[at + 1] + name[at] + name[at + 2 :] for at in range(len(name) - 1)}
