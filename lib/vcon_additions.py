"""What `vcon.Vcon` lacks for plugins written against vcon-server's own class of that name.

What raised before, or did not exist, now does what vcon-server's class does. The library's own
calls work on, and add to a vCon only what they were given: an object or list as a body becomes JSON
text at once, and no `party: 0`, `dialog: 0` or `start` is made up. The class is changed once, when
it is imported; see `lib.vcon_library`.
"""

import hashlib
import inspect
import json
from collections.abc import Callable, Iterable, Mapping
from functools import wraps
from typing import Any

from pydash import get

# What `vcon.Vcon.find_dialog` gives: the entry itself, as in vcon-server's class.
#
# It is a dict, whatever is missing in it, and a change to it is a change to the vCon. What the
# `vcon` library's `Dialog` offers works on it as well: attributes read and write the members.

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
    vcon.find_dialog = finder(found_class(dialog))
    vcon.get_tag = _get_tag
    vcon.add_tag = _add_tag
    vcon.add_attachment = _adds_what_is_given(_takes_type(vcon.add_attachment))
    vcon.add_image = _adds_what_is_given(vcon.add_image)
    vcon.add_analysis = _takes_extra(vcon.add_analysis)
    vcon.add_party = _takes_mapping(vcon.add_party, "parties")
    vcon.add_dialog = _takes_mapping(vcon.add_dialog, "dialog")
    vcon.hash = property(_hash)
    vcon.appended = property(_appended)
    for name in ("parties", "dialog", "attachments", "analysis"):
        setattr(vcon, name, getattr(vcon, name).setter(_setter(name)))


def _takes_text(init: Callable[..., None]) -> Callable[..., None]:
    @wraps(init)
    def initialised(self: Any, vcon_dict: Any = None, *words: Any, **more: Any) -> None:
        # vcon-server takes text that is no JSON for an empty vCon; that hides what went wrong.
        parsed = json.loads(vcon_dict) if isinstance(vcon_dict, str) else vcon_dict
        given = dict(parsed or {})
        written = given.get("created_at")
        if isinstance(written, str):  # the library writes it another way, or cannot read it
            del given["created_at"]
        init(self, given, *words, **more)
        if isinstance(written, str):
            self.vcon_dict["created_at"] = written

    return initialised


def _with_decoded_body(
    decoded_body: Callable[[Entry], Any],
) -> Callable[[Entry | None], Entry | None]:
    def with_decoded_body(entry: Entry | None) -> Entry | None:
        """A copy of an entry whose body is what its JSON text says; None for none."""
        return {**entry, "body": decoded_body(entry)} if entry else None

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


def _add_tag(self: Any, tag_name: str, tag_value: Any) -> None:
    """Add a tag to those that are there, in whichever form they are."""
    entry = self.find_attachment_by_purpose("tags")
    if entry is None:
        entry = {"purpose": "tags"}
        self.vcon_dict.setdefault("attachments", []).append(entry)
    tags = [*_tags(self.decoded_body(entry)), f"{tag_name}:{tag_value}"]
    entry["body"], entry["encoding"] = json.dumps(tags), "json"


def _tags(body: Any) -> list[Any]:
    if isinstance(body, Mapping):
        return [f"{name}:{value}" for name, value in body.items()]
    return body if isinstance(body, list) else [body] if body else []


_INVENTED = ("party", "dialog", "start", "mediatype")
"""What the library makes up for an attachment when the caller says nothing of it."""


def _adds_what_is_given(add: Callable[..., Any]) -> Callable[..., Any]:
    parameters = inspect.signature(add)

    @wraps(add)
    def added(self: Any, *words: Any, **more: Any) -> Any:
        attachments = self.vcon_dict.setdefault("attachments", [])
        attachment = add(self, *words, **more)
        given = parameters.bind_partial(self, *words, **more).arguments if words else more
        entry = attachments[-1]
        for name in _INVENTED:
            if given.get(name) is None and not (name == "mediatype" and _is_media(entry)):
                entry.pop(name, None)
        _as_text(entry)
        return attachment

    return added


def _is_media(entry: Entry) -> bool:
    """Whether its media type was read off its content, as for an image."""
    return entry.get("encoding") == "base64url"


def _as_text(entry: Entry) -> None:
    """Give an object or a list its JSON text, as vcon-server's class does at once."""
    if isinstance(entry.get("body"), dict | list):
        entry["body"], entry["encoding"] = json.dumps(entry["body"]), "json"


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
        analysis = add_analysis(self, **{**fields, **(extra or {})})
        _as_text(self.vcon_dict["analysis"][-1])
        return analysis

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
