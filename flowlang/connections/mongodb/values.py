"""Conversion between values of a flow and values of MongoDB."""

import re
from collections.abc import Mapping
from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Any

_ID = re.compile(r"[0-9a-fA-F]{24}")
_LISTS = {"$in": "$in", "$nin": "$nin", "$eq": "$in", "$ne": "$nin"}
"""Which operator means the same for both forms of an id."""


def stored(value: Any) -> Any:
    """A value as MongoDB can keep it; `{$oid: ...}` is an id, decimals stay exact."""
    from bson import Decimal128, ObjectId

    match value:
        case {"$oid": str(text)} if len(value) == 1:
            return ObjectId(text)
        case Mapping():
            return {key: stored(each) for key, each in value.items()}
        case list() | tuple():
            return [stored(each) for each in value]
        case Decimal():
            return Decimal128(value)
        case date() if not isinstance(value, datetime):
            return datetime.combine(value, time(), UTC)
    return value


def undecoded(collection: Any) -> Any:
    """The collection, whose documents come as bytes: each as the server sent it."""
    from bson.raw_bson import RawBSONDocument

    options = collection.codec_options.with_options(document_class=RawBSONDocument)
    return collection.with_options(codec_options=options)


def decoded(document: Any, options: Any) -> Any:
    """Such a document in plain values."""
    from bson import decode

    return read(decode(document.raw, options))


def read(value: Any) -> Any:
    """What MongoDB keeps in plain values: ids are texts, at any depth."""
    from bson import Decimal128, ObjectId

    match value:
        case Mapping():
            return {key: read(each) for key, each in value.items()}
        case list():
            return [read(each) for each in value]
        case ObjectId():
            return str(value)
        case Decimal128():
            return value.to_decimal()
    return value


def selection(given: Mapping[str, Any] | None) -> dict[str, Any]:
    """A filter in which the text of an `_id` means the id as well as the text."""
    return {
        key: _ids(value) if key == "_id" else _parts(key, value)
        for key, value in _mapping(given).items()
    }


def upserted(given: Mapping[str, Any] | None) -> dict[str, Any]:
    """A filter of an upsert, which gives what it inserts its `_id`: the text of one is the id."""
    from bson import ObjectId

    found = {key: stored(value) for key, value in _mapping(given).items()}
    if _is_id(found.get("_id")):
        found["_id"] = ObjectId(found["_id"])
    return found


def _mapping(given: object) -> Mapping[str, Any]:
    if given is not None and not isinstance(given, Mapping):
        raise ValueError(f"a filter must be a mapping, not {given!r:.80}")
    return given or {}


def _parts(key: str, value: Any) -> Any:
    if key in ("$and", "$or", "$nor") and isinstance(value, list):
        return [selection(each) for each in value]
    return stored(value)


def _ids(value: Any) -> Any:
    if _is_id(value):
        return {"$in": _both(value)}
    if not isinstance(value, Mapping) or "$oid" in value:
        return stored(value)
    found = {}
    for operator, each in value.items():
        listed = each if isinstance(each, list) else [each]
        if operator in _LISTS and any(map(_is_id, listed)):
            found[_LISTS[operator]] = [form for item in listed for form in _both(item)]
        else:
            found[operator] = stored(each)
    return found


def _is_id(value: Any) -> bool:
    return isinstance(value, str) and _ID.fullmatch(value) is not None


def _both(value: Any) -> list[Any]:
    from bson import ObjectId

    return [ObjectId(value), value] if _is_id(value) else [stored(value)]
