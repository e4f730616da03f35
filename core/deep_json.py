"""Cutting values that are nested too deeply for any recursive reader out of JSON text."""

import re

_BRACKETS = re.compile(r'"(?:[^"\\]++|\\.)*+"?|(?P<open>[\[{]+)|(?P<close>[\]}]+)', re.DOTALL)


def without_deep_values(text: str, level: int, deepest: int, instead: str) -> tuple[str, list[str]]:
    """The text with `instead` for each value that opens at `level` and reaches below `deepest`.

    The values that were cut out come back, too, in their order. Levels count from 1, the outermost
    bracket. One pass over the brackets: the time grows with the text, not with its depth. Text that
    is no JSON comes back as something that is none either.
    """
    kept, cut, end, start = [], [], 0, 0
    depth = reached = 0
    for found in _BRACKETS.finditer(text):
        count = found.end() - found.start()
        if found.lastgroup == "open":
            if depth < level <= depth + count:
                start, reached = found.start() + level - depth - 1, 0
            depth += count
            reached = max(reached, depth)
        elif found.lastgroup == "close":
            if depth >= level > depth - count and reached > deepest:
                kept += [text[end:start], instead]
                end = found.start() + depth - level + 1
                cut.append(text[start:end])
            depth -= count
    return "".join([*kept, text[end:]]), cut
