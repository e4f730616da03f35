"""JSON in the canonical form of RFC 8785 (JCS): equal values are equal bytes.

No spaces; names in the order of their UTF-16 units; numbers as ECMAScript writes them, so 1.0 is
`1`, 1e21 `1e+21`, and integers beyond 2^53-1 have no form. What `json.dumps(sort_keys=True)` writes
differs in all of these.
"""

from typing import Any

import orjson

_EXACT = 2**53 - 1
"""The largest integer that has such a form."""


def canonical(value: Any) -> bytes:
    """The value in the form of RFC 8785.

    Raises:
        ValueError: it has no such form, such as an integer beyond 2^53-1, or half a surrogate pair.
        RecursionError: it is nested too deeply.
    """
    if _same_in_orjson(value):
        try:
            return orjson.dumps(value, option=orjson.OPT_SORT_KEYS)
        except TypeError as error:
            raise ValueError(str(error)) from error
    import rfc8785  # noqa: PLC0415 - few bodies need it

    return rfc8785.dumps(value)


def _same_in_orjson(value: Any) -> bool:
    """Whether orjson with sorted names writes it as RFC 8785 does; ten times as fast.

    They differ in fractions and large integers, and in the order of names outside ASCII.
    """
    containers: list[Any] = [[value]]
    for each in containers:  # it grows meanwhile
        named = type(each) is dict
        if named and not "".join(each).isascii():
            return False
        for member in each.values() if named else each:
            kind = type(member)
            if kind is dict or kind is list:
                containers.append(member)
            elif kind is float or (kind is int and not -_EXACT <= member <= _EXACT):
                return False
    return True
