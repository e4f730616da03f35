"""What `vcon.Vcon.find_dialog` gives: the entry itself, as in vcon-server's class.

It is a dict, whatever is missing in it, and a change to it is a change to the vCon. What the `vcon`
library's `Dialog` offers works on it as well: attributes read and write the members.
"""

from collections.abc import Callable, Iterable
from typing import Any

from pydash import get

_ALWAYS = ("meta", "metadata")


def found_class(dialog: type) -> type:
    """A dict that is also a `Dialog` of the library."""

    class FoundDialog(dict[str, Any], dialog):  # type: ignore[misc]
        """One dialog of a vCon."""

        def __init__(self, entry: dict[str, Any]) -> None:
            dict.__init__(self, entry)

        def __getattr__(self, name: str) -> Any:
            if self.get(name) is not None:
                return self[name]
            if name in _ALWAYS:
                return {}
            raise AttributeError(name)

        def __setattr__(self, name: str, value: Any) -> None:
            self[name] = value

        def to_dict(self) -> dict[str, Any]:
            return dict(self)

    return FoundDialog


def finder(found: Callable[[dict[str, Any]], Any]) -> Callable[[Any, str, Any], Any]:
    """`find_dialog`: the first dialog that has this value at this path, or None."""

    def find_dialog(self: Any, by: str, val: Any) -> Any:
        """The first dialog with this value under this name: the entry itself, or None."""
        entries = self.vcon_dict.get("dialog") or []
        place = _place(entries, by, val)
        if place is None:
            return None
        if not isinstance(entries[place], found):  # type: ignore[arg-type]
            entries[place] = found(entries[place])
        return entries[place]

    return find_dialog


def _place(entries: Iterable[Any], by: str, val: Any) -> int | None:
    matching = (
        place
        for place, entry in enumerate(entries)
        if isinstance(entry, dict) and get(entry, by) == val
    )
    return next(matching, None)
