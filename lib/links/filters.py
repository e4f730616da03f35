"""The options `only_if` and `sampling_rate` of vcon-server's links."""

import hashlib
import logging
import random
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import orjson

from lib.vcon_library import document_of

if TYPE_CHECKING:
    from vcon import Vcon

log = logging.getLogger(__name__)

type Given = "Vcon | dict[str, Any]"


def is_included(options: Mapping[str, Any] | None, vcon: Given) -> bool:
    """Whether a vCon matches `only_if`; True without `only_if` or without options.

    `only_if` has a `section` (`attachments` or `analysis`), a `type` or `purpose`, and `includes`:
    for the purpose `tags` a whole tag, otherwise a substring of the body. If one of them is
    missing, the result is False and a warning is logged.
    """
    wanted = (options or {}).get("only_if")
    if not wanted:
        return True
    try:
        section, includes = wanted["section"], str(wanted["includes"])
        kind = wanted.get("purpose") or wanted["type"]
    except (KeyError, TypeError, AttributeError):
        log.warning("only_if incomplete, vCon not included")
        return False
    document = vcon if isinstance(vcon, dict) else document_of(vcon)
    names = ("purpose", "type") if section == "attachments" else ("type",)
    return any(
        _has(entry, includes, as_tag=kind == "tags")
        for entry in _entries(document.get(section))
        if any(entry.get(name) == kind for name in names)
    )


def randomly_execute_with_sampling(options: Mapping[str, Any] | None) -> bool:
    """True with the probability `sampling_rate`, from 0 to 1 (the default)."""
    return random.random() < _rate(options)  # noqa: S311 -- no security use


def is_sampled(options: Mapping[str, Any] | None, link_name: str, vcon_uuid: str) -> bool:
    """Whether `sampling_rate` selects this vCon; the answer for a link and a uuid never changes."""
    digest = hashlib.sha256(f"{link_name}/{vcon_uuid}".encode()).digest()
    return int.from_bytes(digest[:8]) / 2**64 < _rate(options)


def _rate(options: Mapping[str, Any] | None) -> float:
    rate = (options or {}).get("sampling_rate")
    return 1.0 if rate is None else float(rate)


def _entries(section: object) -> Iterable[dict[str, Any]]:
    return (
        (entry for entry in section if isinstance(entry, dict)) if isinstance(section, list) else ()
    )


def _has(entry: dict[str, Any], includes: str, *, as_tag: bool) -> bool:
    body = entry.get("body")
    if not as_tag:
        return includes in (body if isinstance(body, str) else orjson.dumps(body).decode())
    try:
        tags = orjson.loads(body) if isinstance(body, str) else body
    except orjson.JSONDecodeError:
        return False
    return includes in tags if isinstance(tags, list) else False
