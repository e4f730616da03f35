"""Today's member names for older vCons, by the name of vcon-server's library.

`lib.vcon_redis` gives vCons with today's names already; this is for those from elsewhere.
"""

from typing import Any

from pipeline.vcon.fields import ENTRIES, TOP

_KEPT = {"type"}
"""Older names that other extensions use as well: they stay beside today's name."""


def normalize_legacy_fields(vcon_dict: Any) -> Any:
    """Rename older members in place, and return the same object; anything but a dict is unchanged.

    Where both names have a value, today's counts and the older one is removed.
    """
    if not isinstance(vcon_dict, dict):
        return vcon_dict
    _rename(vcon_dict, TOP)
    for section, names in ENTRIES.items():
        entries = vcon_dict.get(section)
        for entry in entries if isinstance(entries, list) else ():
            if isinstance(entry, dict) and section != "parties":
                _rename(entry, names)
                if entry.get("encoding") == "text":
                    entry["encoding"] = "none"
    return vcon_dict


def _rename(entry: dict[str, Any], names: Any) -> None:
    for old, new in names.items():
        if old not in entry:
            continue
        if entry.get(new) is None:
            entry[new] = entry.pop(old)
        elif old not in _KEPT:
            del entry[old]
