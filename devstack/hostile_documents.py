"""Generates expensive vCons: values of hostile shapes at every place of a request.

`document(seed, number, most_bytes)` is deterministic. The result is JSON text and not an object,
since several of the values can be expressed in text only.
"""

import gzip
import json
import math
from base64 import b64encode, urlsafe_b64encode
from collections.abc import Callable, Mapping
from random import Random
from typing import NamedTuple
from uuid import UUID

LEAST_BYTES = 1_000
UNPACKED_BYTES = 8_000_000
"""What the service unpacks at most (MAX_VCON_BYTES): a small file may cost as much as that."""
PACKING = 1_000
"""About how many zeros gzip packs into one byte."""

type Text = str
"""JSON, or a part of it."""

_HALF = r'"\ud800"'
_WHEN = '"2026-11-21T12:00:00Z"'


class Document(NamedTuple):
    """The fields of one request, without its list and key."""

    shape: str
    fields: Mapping[str, Text]
    unpacked: int = 0
    """Bytes that it may be unpacked into, if it is packed."""

    def size(self, fields: Text) -> int:
        """The bytes that determine the bound of its cost; `fields` is the text sent."""
        return max(len(fields), self.unpacked)


def wide(element: Text) -> Callable[[int], Text]:
    """A list of `size` bytes that repeats one element."""
    return lambda size: f"[{','.join([element] * max(1, size // (len(element) + 1)))}]"


def long(piece: str) -> Callable[[int], Text]:
    """A text of `size` bytes that repeats one piece."""
    written = json.dumps(piece)[1:-1]
    return lambda size: f'"{written * max(1, size // len(written))}"'


def nested(opening: Text, closing: Text, levels: int | None = None) -> Callable[[int], Text]:
    """Nested containers, up to a size, or up to a depth with a wide innermost one."""

    def made(size: int) -> Text:
        depth = size // len(opening + closing) if levels is None else levels
        inner = "1" if levels is None else wide("[]")(size)
        return opening * depth + inner + closing * depth

    return made


def keys(size: int) -> Text:
    """An object with many short names."""
    return f"{{{','.join(f'"k{number}":{{}}' for number in range(size // 12))}}}"


def long_keys(size: int) -> Text:
    """Nested objects with long names, and an invalid value inside."""
    return f'{{"{"k" * (size // 50)}":' * 50 + f"[{'[],' * (size // 50)}{_HALF}]" + "}" * 50


VALUES: Mapping[str, Callable[[int], Text]] = {
    "empty lists": wide("[]"),
    "empty objects": wide("{}"),
    "small objects": wide('{"a":[0.5]}'),
    "numbers": wide("0"),
    "short texts": wide('"a"'),
    "long integers": wide("12345678901234567890123"),
    "one long integer": lambda size: "9" * size,
    "one long fraction": lambda size: f"0.{'3' * size}",
    "one long exponent": lambda size: f"1e{'9' * size}",
    "half surrogates": wide(_HALF),
    "a fault behind empty lists": lambda size: f"[{'[],' * (size // 3)}{_HALF}]",
    "deep lists": nested("[", "]"),
    "deep objects": nested('{"":', "}"),
    "deep, then wide": nested("[", "]", 60),
    "too deep, then wide": nested("[", "]", 250),
    "names": keys,
    "long names": long_keys,
    "one name again and again": lambda size: f"{{{','.join(['"a":1'] * (size // 6))}}}",
    "schemes": long("://"),
    "URLs with a password": long("a://b:c@"),
    "words of secrets": long("password="),
    "digits": long("1"),
    "at signs": long("@."),
    "spaces": long(" "),
    "line ends": long("\n"),
    "brackets": long("[{"),
    "references": long("${a:-"),
    "escapes": long("\u00e9"),
    "backslashes": long("\\"),
    "percent signs": long("%s%"),
    "NUL": long("\0"),
    "wide characters": long("\U0001f600"),
    "packed": lambda size: json.dumps(b64encode(bomb(size)).decode()),
}
"""JSON of about so many bytes, by its shape."""


def bomb(size: int) -> bytes:
    """A gzip file of about `size` bytes that expands a thousandfold."""
    return gzip.compress(b"[" + b" " * min(size * PACKING, 4 * UNPACKED_BYTES), mtime=0)


def vcon(uuid: Text, /, **members: Text) -> Text:
    """A vCon with these members in addition to, or instead of, the required ones."""
    needed = {"vcon": '"0.4.0"', "uuid": uuid, "created_at": _WHEN, "parties": '[{"name":"Ada"}]'}
    return as_json({**needed, **members})


def as_json(members: Mapping[str, Text]) -> Text:
    """An object with these members."""
    return f"{{{','.join(f'"{name}":{value}' for name, value in members.items())}}}"


def _one(name: str, member: str, **beside: Text) -> Callable[[Text, Text], Mapping[str, Text]]:
    """A vCon with the value in the only element of a list."""
    return lambda uuid, value: {
        "vcon": vcon(uuid, **{name: f"[{as_json({**beside, member: value})}]"})
    }


def _of_vcon(member: str) -> Callable[[Text, Text], Mapping[str, Text]]:
    return lambda uuid, value: {"vcon": vcon(uuid, **{member: value})}


def _beside(field: str) -> Callable[[Text, Text], Mapping[str, Text]]:
    return lambda uuid, value: {"vcon": vcon(uuid), field: value}


_DIALOG = {"type": '"recording"', "start": _WHEN, "parties": "[0]"}
_CONTENT = {"encoding": '"json"', "mediatype": '"application/json"'}

PLACES: Mapping[str, Callable[[Text, Text], Mapping[str, Text]]] = {
    **{
        f"vcon.{member}": _of_vcon(member)
        for member in (
            "x",
            "subject",
            "group",
            "redacted",
            "vcon",
            "uuid",
            "created_at",
            "parties",
            "dialog",
            "analysis",
            "attachments",
            "extensions",
            "critical",
        )
    },
    "party.x": _one("parties", "x"),
    "party.name": _one("parties", "name"),
    "party.tel": _one("parties", "tel"),
    "party.mailto": _one("parties", "mailto"),
    "dialog.body": _one("dialog", "body", **_DIALOG, **_CONTENT),
    "dialog.url": _one("dialog", "url", **_DIALOG),
    "dialog.parties": _one("dialog", "parties", type='"text"', start=_WHEN),
    "analysis.body": _one("analysis", "body", type='"x"', dialog="0", **_CONTENT),
    "attachment.body": _one("attachments", "body", type='"tags"', party="0", **_CONTENT),
    "attachment.purpose": _one("attachments", "purpose", body='"x"', encoding='"none"'),
    "the vCon": lambda _, value: {"vcon": value},
    "the payload": lambda uuid, value: {
        "vcon": vcon(uuid, payload=value, signatures='[{"protected":"e30"}]')
    },
    "the signatures": lambda uuid, value: {"vcon": vcon(uuid, payload='"e30"', signatures=value)},
    "the list": _beside("ingress_lists"),
    "the partner's list": _beside("ingress_list"),
    "the key": _beside("api_key"),
    "idempotency_key": _beside("idempotency_key"),
    "another field": _beside("x"),
}
"""Where in the fields of a request a value stands; the first argument is a new uuid, as JSON."""


def _many(
    name: str, element: Callable[[int], Mapping[str, Text]]
) -> Callable[[Text, int], Mapping[str, Text]]:
    """A vCon of a given size whose list has many elements."""

    def made(uuid: Text, size: int) -> Mapping[str, Text]:
        each = len(as_json(element(size))) + 1
        elements = (as_json(element(number)) for number in range(max(1, size // each)))
        return {"vcon": vcon(uuid, **{name: f"[{','.join(elements)}]"})}

    return made


def _unknown_fields(uuid: Text, size: int) -> Mapping[str, Text]:
    return {"vcon": vcon(uuid), **{f"k{number}": "1" for number in range(size // 10)}}


WHOLE: Mapping[str, Callable[[Text, int], Mapping[str, Text]]] = {
    "parties": _many("parties", lambda _: {}),
    "parties with numbers": _many("parties", lambda number: {"tel": f'"+1{number}"'}),
    "parties with names": _many(
        "parties", lambda number: {"name": f'"{number}"', "mailto": f'"{number}@example.com"'}
    ),
    "dialogs of one host": _many(
        "dialog", lambda number: {**_DIALOG, "url": f'"https://slow.example.com/{number}.wav"'}
    ),
    "dialogs": _many("dialog", lambda _: {"type": '"incomplete"', "start": _WHEN}),
    "dialogs of parties that are not there": _many("dialog", lambda _: {"parties": "[7]"}),
    "analyses": _many("analysis", lambda _: {"type": '"x"', "body": '"y"', "encoding": '"none"'}),
    "tags": _many(
        "attachments",
        lambda number: {"type": '"tags"', "body": f'["a{number}:b"]', "encoding": '"none"'},
    ),
    "unknown fields": _unknown_fields,
    "mistakes": _many("attachments", lambda _: {"body": "{}", "encoding": "7"}),
}
"""Fields of about so many bytes, by what there is much of in them."""

PACKED = {"packed vCon": "[]", "packed vCon of long integers": "12345678901234567890123"}
"""Elements of a list that is packed with the vCon that it stands in."""


def placed(place: str, shape: str, uuid: Text, size: int) -> Document:
    """A document with a value of a shape at a place."""
    unpacked = UNPACKED_BYTES if shape == "packed" else 0
    return Document(f"{shape} in {place}", PLACES[place](uuid, VALUES[shape](size)), unpacked)


def full(shape: str, uuid: Text, size: int) -> Document:
    """A vCon with many elements of one kind."""
    return Document(shape, WHOLE[shape](uuid, size))


def packed(shape: str, uuid: Text, size: int) -> Document:
    """A vCon in gzip and base64, of `size` bytes when decompressed."""
    text = vcon(uuid, x=wide(PACKED[shape])(size))
    content = urlsafe_b64encode(gzip.compress(text.encode(), mtime=0)).decode()
    return Document(shape, {"vcon": f'"{content}"'}, len(text))


def random_size(random: Random, most_bytes: int) -> int:
    """A random size with a logarithmic distribution."""
    return int(math.exp(random.uniform(math.log(LEAST_BYTES), math.log(most_bytes))))


def document(seed: int, number: int, most_bytes: int) -> Document:
    """The document with this number in the sequence of a seed."""
    random = Random(f"{seed}:{number}")  # noqa: S311 - not for secrets
    uuid = f'"{UUID(int=random.getrandbits(128), version=4)}"'
    size = random_size(random, most_bytes)
    match random.randrange(10):
        case 0 | 1 | 2:
            return full(random.choice(list(WHOLE)), uuid, size)
        case 3:
            return packed(random.choice(list(PACKED)), uuid, size)
        case _:
            place, shape = random.choice(list(PLACES)), random.choice(list(VALUES))
            return placed(place, shape, uuid, size)


COMMON = ("numbers", "schemes", "a fault behind empty lists")
"""Shapes that are tried in every place."""


def every(uuid: Callable[[], Text], size: int) -> list[Document]:
    """Documents of about `size` bytes that cover each shape and each place once."""
    shapes = [placed("vcon.x", shape, uuid(), size) for shape in VALUES]
    places = [placed(place, shape, uuid(), size) for shape in COMMON for place in PLACES]
    whole = [full(shape, uuid(), size) for shape in WHOLE]
    return shapes + places + whole + [packed(shape, uuid(), size) for shape in PACKED]
