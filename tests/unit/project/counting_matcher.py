"""A matcher for the standard library's patterns that counts its steps.

It backtracks as the library's own does, but tells how often it tried an element of the pattern. So
a test can compare the work for a text with that for twice the text, without looking at a clock.
"""

import re
from collections.abc import Callable, Iterator
from functools import cache, partial
from importlib import import_module
from typing import Any

_parser: Any = import_module("re._parser")
_SEEN_AS_ENDLESS = 32
"""A repetition of up to so many or more may be as costly as one without an end."""
_CATEGORIES = {"DIGIT": r"\d", "SPACE": r"\s", "WORD": r"\w"}
_CANDIDATES = "a0A-_:/@.= \n\"'[{$\\"

type _Then = Callable[[int], int | None]
type _Try = Callable[[int, _Then], int | None]


def _end(position: int) -> int | None:
    return position


def _repeats(node: Any) -> bool:
    return str(node[0]).endswith("REPEAT")


class CountingMatcher:
    """One pattern; `steps` counts what was tried so far."""

    def __init__(self, pattern: re.Pattern[Any]) -> None:
        """Patterns of bytes are read as those of Latin-1 text."""
        given = pattern.pattern
        self._source = given if isinstance(given, str) else given.decode("latin-1")
        self._flags = pattern.flags
        self._tree = _parser.parse(self._source, pattern.flags & ~re.DEBUG)
        self._text = ""
        self._groups: dict[int, str] = {}
        self._try = self._sequence(list(self._tree))
        self.steps = 0

    # Matching

    def spans(self, text: str) -> list[tuple[int, int]]:
        """Every match, as `finditer` finds them."""
        self._text, found, start = text, [], 0
        while start <= len(text):
            self._groups = {}
            end = self._try(start, _end)
            if end is not None:
                found.append((start, end))
            start = start + 1 if end is None or end == start else end
        return found

    def matches(self, text: str, *, whole: bool) -> bool:
        """Whether it matches at the beginning, or the `whole` text."""
        self._text, self._groups = text, {}
        then: _Then = (lambda at: at if at == len(text) else None) if whole else _end
        return self._try(0, then) is not None

    # From the parsed pattern to functions

    def _sequence(self, nodes: list[Any]) -> _Try:
        tries = [self._node(str(kind), value) for kind, value in nodes]
        if not tries:
            return lambda position, then: then(position)
        run = tries.pop()
        for each in reversed(tries):
            run = self._joined(each, run)
        return run

    def _joined(self, first: _Try, second: _Try) -> _Try:
        return lambda position, then: first(position, lambda after: second(after, then))

    def _node(self, kind: str, value: Any) -> _Try:
        make = getattr(self, f"_{kind.lower()}", None)
        if make is not None:
            made: _Try = make(value)
            return made
        return self._character(kind, value)

    def _character(self, kind: str, value: Any) -> _Try:
        fits = cache(partial(self._fits, kind, value))

        def run(position: int, then: _Then) -> int | None:
            self.steps += 1
            if position >= len(self._text) or not fits(self._text[position]):
                return None
            return then(position + 1)

        return run

    def _fits(self, kind: str, value: Any, character: str) -> bool:
        if kind == "ANY":
            return character != "\n" or bool(self._flags & re.DOTALL)
        forms = {character}
        if self._flags & re.IGNORECASE:
            forms |= {character.lower(), character.upper()}
        if kind == "LITERAL":
            return any(ord(form) == value for form in forms if len(form) == 1)
        if kind == "NOT_LITERAL":
            return all(ord(form) != value for form in forms if len(form) == 1)
        assert kind == "IN", kind
        negated = str(value[0][0]) == "NEGATE"
        return negated != any(
            self._member(str(each), what, form)
            for each, what in value[negated:]
            for form in forms
            if len(form) == 1
        )

    def _member(self, kind: str, value: Any, character: str) -> bool:
        if kind == "LITERAL":
            return bool(ord(character) == value)
        if kind == "RANGE":
            return bool(value[0] <= ord(character) <= value[1])
        negated, name = "NOT_" in str(value), str(value).rpartition("_")[2]
        found = re.match(_CATEGORIES[name], character, self._flags & re.ASCII)
        return (found is not None) != negated

    def _branch(self, value: Any) -> _Try:
        branches = [self._sequence(list(branch)) for branch in value[1]]

        def run(position: int, then: _Then) -> int | None:
            for branch in branches:
                self.steps += 1
                if (end := branch(position, then)) is not None:
                    return end
            return None

        return run

    def _subpattern(self, value: Any) -> _Try:
        body = self._sequence(list(value[3]))

        def run(position: int, then: _Then) -> int | None:
            def closed(after: int) -> int | None:
                self._groups[value[0]] = self._text[position:after]
                return then(after)

            return body(position, closed)

        return run

    def _groupref_exists(self, value: Any) -> _Try:
        group, given, missing = value
        body, other = self._sequence(list(given)), self._sequence(list(missing or []))

        def run(position: int, then: _Then) -> int | None:
            self.steps += 1
            return (body if group in self._groups else other)(position, then)

        return run

    def _groupref(self, value: Any) -> _Try:
        def run(position: int, then: _Then) -> int | None:
            self.steps += 1
            again = self._groups.get(value)
            fits = again is not None and self._text.startswith(again, position)
            return then(position + len(again or "")) if fits else None

        return run

    def _max_repeat(self, value: Any) -> _Try:
        return self._repeat(value, greedy=True)

    def _min_repeat(self, value: Any) -> _Try:
        return self._repeat(value, greedy=False)

    def _repeat(self, value: Any, *, greedy: bool) -> _Try:
        least, most, body = self._bounds(value)
        [(kind, what), *others] = value[2]
        if not others and not hasattr(self, f"_{str(kind).lower()}"):
            fits = cache(partial(self._fits, str(kind), what))
            return (self._most_of if greedy else self._least_of)(least, most, fits)

        def run(position: int, then: _Then) -> int | None:
            def again(count: int, at: int) -> int | None:
                self.steps += 1

                def one_more() -> int | None:
                    if count >= most:
                        return None
                    return body(
                        at, lambda after: again(count + 1, after) if after > at else then(after)
                    )

                def enough() -> int | None:
                    return then(at) if count >= least else None

                first, second = (one_more, enough) if greedy else (enough, one_more)
                end = first()
                return second() if end is None else end

            return again(0, position)

        return run

    def _most_of(self, least: int, most: float, fits: Callable[[str], bool]) -> _Try:
        """Repetition of one character, in a loop; the steps are those of `_repeat`."""

        def run(position: int, then: _Then) -> int | None:
            text, at = self._text, position
            while at - position < most and at < len(text) and fits(text[at]):
                at += 1
            taken = at - position
            self.steps += 2 * taken + (1 if taken >= most else 2)
            ends = (then(position + count) for count in range(taken, least - 1, -1))
            return next((end for end in ends if end is not None), None)

        return run

    def _least_of(self, least: int, most: float, fits: Callable[[str], bool]) -> _Try:
        """The same, as few as possible."""

        def run(position: int, then: _Then) -> int | None:
            text, at = self._text, position
            while True:
                self.steps += 1
                if at - position >= least and (end := then(at)) is not None:
                    return end
                if at - position >= most:
                    return None
                self.steps += 1
                if at >= len(text) or not fits(text[at]):
                    return None
                at += 1

        return run

    def _bounds(self, value: Any) -> tuple[int, float, _Try]:
        least, most, body = value
        endless = most >= _SEEN_AS_ENDLESS and most != least
        return least, float("inf") if endless else most, self._sequence(list(body))

    def _possessive_repeat(self, value: Any) -> _Try:
        least, most, body = self._bounds(value)

        def run(position: int, then: _Then) -> int | None:
            count, at = 0, position
            while count < most:
                self.steps += 1
                after = body(at, _end)
                if after is None or after == at:
                    break
                count, at = count + 1, after
            return then(at) if count >= least else None

        return run

    def _atomic_group(self, value: Any) -> _Try:
        body = self._sequence(list(value))

        def run(position: int, then: _Then) -> int | None:
            end = body(position, _end)
            return None if end is None else then(end)

        return run

    def _assert(self, value: Any) -> _Try:
        return self._look(value, wanted=True)

    def _assert_not(self, value: Any) -> _Try:
        return self._look(value, wanted=False)

    def _look(self, value: Any, *, wanted: bool) -> _Try:
        direction, nodes = value
        body = self._sequence(list(nodes))
        back = nodes.getwidth()[0] if direction < 0 else 0

        def run(position: int, then: _Then) -> int | None:
            self.steps += 1
            at = position - back
            found = at >= 0 and body(at, _end) is not None
            return then(position) if found == wanted else None

        return run

    def _at(self, value: Any) -> _Try:
        where = str(value)

        def run(position: int, then: _Then) -> int | None:
            self.steps += 1
            return then(position) if self._stands(where, position) else None

        return run

    def _stands(self, where: str, position: int) -> bool:
        before, after = self._text[:position][-1:], self._text[position : position + 1]
        lines = bool(self._flags & re.MULTILINE)
        if where.startswith("AT_BEGINNING"):
            return position == 0 or (where == "AT_BEGINNING" and lines and before == "\n")
        if where.startswith("AT_END"):
            last = position >= len(self._text) - 1 and after in ("", "\n")
            return (where == "AT_END" and (last or (lines and after == "\n"))) or not after
        words = [bool(re.match(r"\w", each, self._flags & re.ASCII)) for each in (before, after)]
        return (words[0] != words[1]) == (where == "AT_BOUNDARY")

    # Texts made from the pattern

    def pieces(self) -> list[str]:
        """Texts that lead up to each repetition and through it, and those that each one takes."""
        nodes = list(self._tree)
        repeated = [self._sample([each]) for each in self._nodes(nodes) if _repeats(each)]
        found = [*self._beginnings(nodes), *repeated, self._sample(nodes), "a"]
        return list(dict.fromkeys(text for text in found if text))

    def _nodes(self, nodes: list[Any]) -> Iterator[Any]:
        for kind, value in nodes:
            yield kind, value
            for inner in self._inside(str(kind), value):
                yield from self._nodes(inner)

    def _inside(self, kind: str, value: Any) -> list[list[Any]]:
        if kind == "BRANCH":
            return [list(branch) for branch in value[1]]
        if kind == "SUBPATTERN":
            return [list(value[3])]
        if kind.endswith("REPEAT"):
            return [list(value[2])]
        return [list(value)] if kind == "ATOMIC_GROUP" else []

    def _beginnings(self, nodes: list[Any]) -> list[str]:
        ends = [place for place, node in enumerate(nodes) if _repeats(node)]
        found = [self._sample(nodes[: end + more]) for end in ends for more in (0, 1)]
        for place, (kind, value) in enumerate(nodes):
            before = self._sample(nodes[:place])
            for inner in self._inside(str(kind), value):
                found += [before + more for more in self._beginnings(inner)]
        return found

    def _sample(self, nodes: list[Any]) -> str:
        return "".join(self._one(str(kind), value) for kind, value in nodes)

    def _one(self, kind: str, value: Any) -> str:
        if kind.endswith("REPEAT"):
            times: int = min(max(value[0], 1), _SEEN_AS_ENDLESS)
            return self._sample(list(value[2])) * times
        if inner := self._inside(kind, value):
            return self._sample(inner[0])
        if kind == "LITERAL":
            return chr(value)
        if kind == "GROUPREF_EXISTS":
            return self._sample(list(value[1]))
        if kind in ("IN", "ANY", "NOT_LITERAL"):
            return next((c for c in _CANDIDATES if self._fits(kind, value, c)), "")
        return ""
