"""Adds to `vcon.Vcon` the methods of vcon-server's class of the same name.

Calls that raised or did not exist behave as in vcon-server. The library's own calls still work, and
store only what the caller passes: a body that is an object or a list becomes JSON text at once, and
no `party: 0`, `dialog: 0` or `start` is added. The class is patched once, on import; see
`lib.vcon_library`.
"""

import inspect
import json
from collections.abc import Callable, Iterable, Mapping
from functools import wraps
from typing import Any

from pydash import get

from lib.vcon.fields import document_hash

type Entry = dict[str, Any]

_APPENDED = ("amended", "appended")
_ALWAYS = ("meta", "metadata")


def add_to(vcon: Any, dialog: Any) -> None:
    """Patch the classes `Vcon` and `Dialog`; idempotent."""
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
    vcon.add_attachment = _without_invented(_takes_type(vcon.add_attachment))
    vcon.add_image = _without_invented(vcon.add_image)
    vcon.add_analysis = _takes_extra(vcon.add_analysis)
    vcon.add_party = _takes_mapping(vcon.add_party, "parties")
    vcon.add_dialog = _takes_mapping(vcon.add_dialog, "dialog")
    vcon.hash = property(_hash)
    vcon.appended = property(_appended)
    for name in ("parties", "dialog", "attachments", "analysis"):
        setattr(vcon, name, getattr(vcon, name).setter(_setter(name)))


def found_class(dialog: type) -> type:
    """The class of `find_dialog`'s result: the entry of the vCon itself, which changes write to.

    It is a dict, as in vcon-server, and also a `Dialog` of the library, whose attributes read and
    write the members.
    """

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
    """The method `find_dialog`; `found` is the class from `found_class`."""

    def find_dialog(self: Any, by: str, val: Any) -> Any:
        """The first dialog with the value `val` at the path `by`, or None."""
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


def _takes_text(init: Callable[..., None]) -> Callable[..., None]:
    @wraps(init)
    def initialised(self: Any, vcon_dict: Any = None, *words: Any, **more: Any) -> None:
        # Invalid JSON raises; vcon-server makes an empty vCon of it, which hides the error.
        parsed = json.loads(vcon_dict) if isinstance(vcon_dict, str) else vcon_dict
        given = dict(parsed or {})
        written = given.get("created_at")
        if isinstance(written, str):  # the library reformats the date, or cannot parse it
            del given["created_at"]
        init(self, given, *words, **more)
        if isinstance(written, str):
            self.vcon_dict["created_at"] = written

    return initialised


def _with_decoded_body(
    decoded_body: Callable[[Entry], Any],
) -> Callable[[Entry | None], Entry | None]:
    def with_decoded_body(entry: Entry | None) -> Entry | None:
        """A copy of an entry with its body decoded from JSON text; None for None."""
        return {**entry, "body": decoded_body(entry)} if entry else None

    return with_decoded_body


def _find_attachment_by_purpose(self: Any, purpose: str) -> Entry | None:
    """The first attachment with this `purpose`, or with this `type` in older vCons."""
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
    """The tag's text after the first colon, including further colons; None without the tag."""
    tags = self.decoded_body(self.find_attachment_by_purpose("tags"))
    texts = [tag for tag in tags if isinstance(tag, str)] if isinstance(tags, list) else []
    found = next((tag for tag in texts if tag.startswith(f"{tag_name}:")), None)
    return found and found.partition(":")[2]


def _add_tag(self: Any, tag_name: str, tag_value: Any) -> None:
    """Append a tag; existing tags in another form become a list of `name:value` texts."""
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
"""Members that the library adds to an attachment if the caller does not pass them."""


def _without_invented(add: Callable[..., Any]) -> Callable[..., Any]:
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
    """Whether the media type was derived from the content, as for an image."""
    return entry.get("encoding") == "base64url"


def _as_text(entry: Entry) -> None:
    """Replace a body that is an object or a list by its JSON text, as vcon-server's class does."""
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
    """SHA-256 in hex of the document as Python's `json` writes it; not a canonical form."""
    return document_hash(self.vcon_dict)


def _appended(self: Any) -> Any:
    """The vCon that this one amends: `amended`, or `appended` in older vCons."""
    return next((self.vcon_dict[name] for name in _APPENDED if name in self.vcon_dict), None)


def _setter(name: str) -> Callable[[Any, list[Entry]], None]:
    def set_list(self: Any, entries: list[Entry]) -> None:
        self.vcon_dict[name] = entries

    return set_list
