"""What `vcon.Vcon` lacks for guests written against vcon-server's own class of that name.

Only added to: whatever works with the library's class works on, with the same outcome. What raised
before, or did not exist, now does what vcon-server's class does. The class is changed once, when
it is imported; see `lib.vcon_library`.
"""

import hashlib
import json
from collections.abc import Callable, Mapping
from functools import wraps
from typing import Any

type Entry = dict[str, Any]

_APPENDED = ("amended", "appended")


def add_to(vcon: Any, dialog: Any) -> None:
    """Add what is missing to the classes `Vcon` and `Dialog`; doing it again changes nothing."""
    if hasattr(vcon, "with_decoded_body"):
        return
    vcon.__init__ = _takes_text(vcon.__init__)
    vcon.with_decoded_body = staticmethod(_with_decoded_body(vcon.decoded_body))
    vcon.find_attachment_by_purpose = _find_attachment_by_purpose
    vcon.find_attachment_by_type = _find_attachment_by_purpose
    vcon.find_analysis_by_type = _find_analysis_by_type
    vcon.get_tag = _get_tag
    vcon.add_attachment = _takes_type(vcon.add_attachment)
    vcon.add_analysis = _takes_extra(vcon.add_analysis)
    vcon.add_party = _takes_mapping(vcon.add_party, "parties")
    vcon.add_dialog = _takes_mapping(vcon.add_dialog, "dialog")
    vcon.hash = property(_hash)
    vcon.appended = property(_appended)
    for name in ("parties", "dialog", "attachments", "analysis"):
        setattr(vcon, name, getattr(vcon, name).setter(_setter(name)))
    dialog.__getitem__ = lambda self, name: self.to_dict()[name]
    dialog.__iter__ = lambda self: iter(self.to_dict())
    dialog.__len__ = lambda self: len(self.to_dict())
    for name in ("__contains__", "get", "keys", "items", "values"):
        setattr(dialog, name, getattr(Mapping, name))


def _takes_text(init: Callable[..., None]) -> Callable[..., None]:
    @wraps(init)
    def initialised(self: Any, vcon_dict: Any = None, *words: Any, **more: Any) -> None:
        # vcon-server takes text that is no JSON for an empty vCon; that hides what went wrong.
        parsed = json.loads(vcon_dict) if isinstance(vcon_dict, str) else vcon_dict
        init(self, parsed, *words, **more)

    return initialised


def _with_decoded_body(decoded_body: Callable[[Entry], Any]) -> Callable[[Entry], Entry]:
    def with_decoded_body(entry: Entry) -> Entry:
        """A copy of an entry whose body is what its JSON text says."""
        return {**entry, "body": decoded_body(entry)}

    return with_decoded_body


def _find_attachment_by_purpose(self: Any, purpose: str) -> Entry | None:
    """The first attachment of this purpose, or of this type as older vCons call it."""
    for entry in self.vcon_dict.get("attachments") or []:
        if purpose in (entry.get("purpose"), entry.get("type")):
            found: Entry = entry
            return found
    return None


def _find_analysis_by_type(self: Any, type: str) -> Entry | None:  # noqa: A002 -- callers name it
    """The first analysis of this type."""
    entries = self.vcon_dict.get("analysis") or []
    return next((each for each in entries if each.get("type") == type), None)


def _get_tag(self: Any, tag_name: str) -> str | None:
    """What stands behind the first colon of the tag: all of it, further colons included."""
    tags = self.decoded_body(self.find_attachment_by_purpose("tags"))
    texts = [tag for tag in tags if isinstance(tag, str)] if isinstance(tags, list) else []
    found = next((tag for tag in texts if tag.startswith(f"{tag_name}:")), None)
    return found and found.partition(":")[2]


def _takes_type(add_attachment: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(add_attachment)
    def added(self: Any, *words: Any, **more: Any) -> Any:
        if "type" in more and "purpose" not in more and not words:
            more["purpose"] = more.pop("type")
        return add_attachment(self, *words, **more)

    return added


def _takes_extra(add_analysis: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(add_analysis)
    def added(self: Any, *, extra: Any = None, **fields: Any) -> Any:
        self.vcon_dict.setdefault("analysis", [])
        if extra is not None and not isinstance(extra, Mapping):
            return add_analysis(self, extra=extra, **fields)
        return add_analysis(self, **{**(extra or {}), **fields})

    return added


def _takes_mapping(add: Callable[..., None], name: str) -> Callable[..., None]:
    @wraps(add)
    def added(self: Any, entry: Any) -> None:
        if isinstance(entry, Mapping):
            self.vcon_dict.setdefault(name, []).append(dict(entry))
        else:
            add(self, entry)

    return added


def _hash(self: Any) -> str:
    """SHA-256 in hex of the document as Python's `json` writes it, which is no canonical form."""
    return hashlib.sha256(json.dumps(self.vcon_dict).encode()).hexdigest()


def _appended(self: Any) -> Any:
    """The vCon that this one amends, under its older name."""
    return next((self.vcon_dict[name] for name in _APPENDED if name in self.vcon_dict), None)


def _setter(name: str) -> Callable[[Any, list[Entry]], None]:
    def set_list(self: Any, entries: list[Entry]) -> None:
        self.vcon_dict[name] = entries

    return set_list
