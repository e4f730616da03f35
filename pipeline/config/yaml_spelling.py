"""Where YAML 1.1 turned a word of a file into something else: `no`, `1.10`, `0123`, `22:30`.

PyYAML reads those without quotes as false, 1.1, 83 and 1350; a date, `~` and nothing at all have
values of their own, too. Most of that is meant so. Where a text is wanted it is a mistake that
shows only in what is written later, so the place of each such word is kept beside the document.
"""

import re
from collections.abc import Iterator, Mapping

import yaml

from pipeline.config.environment import Where

type Written = Mapping[Where, str]
"""What stands in the file, by place, for each value that YAML has turned into something else."""

MOST = 20_000
"""Places that are looked at: aliases inside aliases can make a small file a very large document."""

_OTHERWISE = re.compile(
    r"[-+]?0[0-7_]+|[-+]?0[bx][0-9a-f_]+|[-+]?[0-9][0-9_]*(:[0-5]?[0-9])+.*", re.IGNORECASE
)
_PREFIX = "tag:yaml.org,2002:"
_NUMBERS = ("int", "float")
_constructor = yaml.constructor.SafeConstructor()
_CALLED = {
    "bool": "true or false",
    "null": "nothing",
    "timestamp": "a date",
    "int": "another number",
    "float": "another number",
}


def turned(root: yaml.Node, document: object) -> dict[Where, str]:
    """The places of a document, composed as `root`, whose text is not what the value says."""
    found: dict[Where, str] = {}
    for count, (where, node, value) in enumerate(_scalars(root, document, (), ())):
        if count >= MOST:
            break
        kind = node.tag.removeprefix(_PREFIX)
        if kind in _CALLED and not (kind in _NUMBERS and str(value) == node.value):
            found[where] = node.value
    return found


def _scalars(
    node: yaml.Node, value: object, where: Where, above: tuple[int, ...]
) -> Iterator[tuple[Where, yaml.ScalarNode, object]]:
    """Every scalar with its place; a node inside itself is left out."""
    if isinstance(node, yaml.ScalarNode):
        yield where, node, value
    elif id(node) not in above:
        yield from _turned_keys(node, where)
        for key, inner, item in _items(node, value):
            yield from _scalars(inner, item, (*where, key), (*above, id(node)))


def _turned_keys(node: yaml.Node, where: Where) -> Iterator[tuple[Where, yaml.ScalarNode, object]]:
    """Keys that are another number than their digits say, as places that the document has not."""
    for key, _ in node.value if isinstance(node, yaml.MappingNode) else ():
        if isinstance(value := _key(key), int) and str(value) != key.value:
            yield (*where, key.value), key, value


def _items(node: yaml.Node, value: object) -> Iterator[tuple[str | int, yaml.Node, object]]:
    if isinstance(node, yaml.SequenceNode) and isinstance(value, list):
        yield from (
            (place, *pair) for place, pair in enumerate(zip(node.value, value, strict=True))
        )
    elif isinstance(node, yaml.MappingNode) and isinstance(value, Mapping):
        inner = {_key(key): item for key, item in node.value}  # merged ones come first
        yield from ((key, inner[key], item) for key, item in value.items() if key in inner)


def _key(node: yaml.Node) -> object:
    """The key that a node becomes: its text, or a whole number; None for all others."""
    if not isinstance(node, yaml.ScalarNode):
        return None
    if node.tag != f"{_PREFIX}int":
        return node.value
    number: object = _constructor.construct_yaml_int(node)
    return number


def below(written: Written, where: Where) -> dict[Where, str]:
    """The places below one, from there on."""
    size = len(where)
    return {at[size:]: text for at, text in written.items() if at[:size] == where and at[size:]}


def is_other_number(text: str) -> bool:
    """Whether YAML 1.1 reads a number here that the digits do not say: 0123, 0x10, 22:30."""
    return _OTHERWISE.fullmatch(text) is not None


def is_date(value: object) -> bool:
    """Whether YAML has made a date or a time of it."""
    return hasattr(value, "isoformat")


def advice(value: object) -> str:
    """What to do about a value that was meant as a text; the value itself may be a secret."""
    if value is None or isinstance(value, bool):
        called = _CALLED["null" if value is None else "bool"]
    else:
        called = _CALLED["timestamp" if is_date(value) else "int"]
    return f"YAML reads {called} here; quote it"
