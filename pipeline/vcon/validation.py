"""Validates a vCon: every finding, and where.

Plain code rather than models. It is several times faster on a document that is fine, which nearly
all are; it can tell errors from warnings; and it leaves the document alone. Only what would break
a link, a store or the index is an error. The drafts' own examples break the drafts' own schema, so
everything else is a warning, and an unknown field is neither.
"""

from collections.abc import Callable, Iterable, Iterator
from itertools import chain
from typing import Any

from pipeline.vcon.envelope import MOST_BYTES, envelope_findings, inside, is_envelope, with_address
from pipeline.vcon.fields import (
    ENTRIES,
    TOP,
    Names,
    epoch_seconds,
    is_time,
    storable,
    unequal,
    value_findings,
)
from schemas.uuids import canonical_uuid
from schemas.vcon import (
    CANONICAL_VERSION,
    CONTAINERS,
    KNOWN_VERSIONS,
    Document,
    Entry,
    Finding,
    Severity,
)

type Problem = tuple[Severity, str, str]
"""Severity, path inside the entry, message."""

type Counts = dict[str, int]
"""How many entries each list of the vCon has; one that is something else is left out."""

_SEARCHED = ("tel", "mailto", "name")
_ROLES_IN_ORDER = ("originator", "transferor", "transferee", "transfer_target")
_ROLES = frozenset(_ROLES_IN_ORDER)
_ENCODINGS = ("json", "none", "base64url", None)
_ENCODING: Problem = ("warning", "encoding", "expected json, none or base64url")
_NOUNS = {"parties": ("party", "parties"), "dialog": ("dialog", "dialogs")}
_KINDS = {dict: "an object", list: "a list", str: "a text", bool: "a boolean", type(None): "null"}


def kind(value: object) -> str:
    """What JSON calls a value: "an object", "a number", ..."""
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return "a number" if number else _KINDS.get(type(value), f"a {type(value).__name__}")


def _party(party: Entry, _: Counts) -> Iterator[Problem]:
    for field in _SEARCHED:
        value = party.get(field)
        if value is not None and not isinstance(value, str):
            yield "warning", field, f"expected a text, got {kind(value)}"


def _dialog(dialog: Entry, counts: Counts) -> Iterable[Problem]:
    start, duration = dialog.get("start"), dialog.get("duration")
    fine = (
        dialog.get("encoding") in _ENCODINGS
        and (start is None or is_time(start))
        and (duration is None or (type(duration) in (int, float) and duration >= 0))
        and _all_indexes(dialog.get("parties"), counts.get("parties"))
        and _ROLES.isdisjoint(dialog)
    )
    return () if fine else _dialog_problems(dialog, counts)


def _dialog_problems(dialog: Entry, counts: Counts) -> Iterator[Problem]:
    if dialog.get("encoding") not in _ENCODINGS:
        yield _ENCODING
    if not _all_indexes(dialog.get("parties"), counts.get("parties")):
        yield from _indexes("error", "parties", dialog["parties"], "parties", counts)
    for role in [role for role in _ROLES_IN_ORDER if role in dialog]:
        yield from _indexes("warning", role, dialog[role], "parties", counts)
    start, duration = dialog.get("start"), dialog.get("duration")
    if start is not None and not is_time(start):
        yield "warning", "start", "not a date and time"
    if duration is not None:
        yield from _duration(duration)


def _duration(seconds: object) -> Iterator[Problem]:
    if isinstance(seconds, bool) or not isinstance(seconds, int | float):
        yield "warning", "duration", f"expected a number of seconds, got {kind(seconds)}"
    elif seconds < 0:
        yield "error", "duration", "a duration cannot be negative"


def _analysis(analysis: Entry, counts: Counts) -> Iterator[Problem]:
    if analysis.get("encoding") not in _ENCODINGS:
        yield _ENCODING
    if not _all_indexes(analysis.get("dialog"), counts.get("dialog")):
        yield from _indexes("warning", "dialog", analysis["dialog"], "dialog", counts)


def _attachment(attachment: Entry, _: Counts) -> Iterator[Problem]:
    if attachment.get("encoding") not in _ENCODINGS:
        yield _ENCODING


def _all_indexes(value: object, count: int | None) -> bool:
    """True for the usual case, which is certainly valid: it saves starting a generator."""
    if value is None:
        return True
    if count is None or type(value) is not list:
        return type(value) is int and count is not None and 0 <= value < count
    return all([type(index) is int and 0 <= index < count for index in value])  # noqa: C419 faster


def _indexes(
    severity: Severity, field: str, value: Any, of: str, counts: Counts
) -> Iterator[Problem]:
    """An index, or a list of them; in it null is a silent channel, a list one shared by several."""
    if not isinstance(value, list):
        yield from _index(severity, field, value, of, counts)
        return
    for place, item in enumerate(value):
        shared = item if isinstance(item, list) else [item]
        for index in shared:
            yield from _index(severity, f"{field}[{place}]", index, of, counts)


def _index(
    severity: Severity, field: str, value: object, of: str, counts: Counts
) -> Iterator[Problem]:
    if value is None:
        return
    singular, plural = _NOUNS[of]
    if isinstance(value, bool) or not isinstance(value, int):
        yield severity, field, f"expected the index of a {singular}, got {kind(value)}"
    elif of in counts and not 0 <= value < counts[of]:
        there = f"is 1 {singular}" if counts[of] == 1 else f"are {counts[of]} {plural}"
        index = value if abs(value) < 10**9 else "far too large"
        yield severity, field, f"index {index}, but there {there}"


# A check of a valid entry should be quick: one that is a generator takes longer to begin than to
# look at most entries. `_dialog` therefore looks first, as most entries of large vCons are dialogs.
CHECKS: dict[str, Callable[[Entry, Counts], Iterable[Problem]]] = {
    "parties": _party,
    "dialog": _dialog,
    "analysis": _analysis,
    "attachments": _attachment,
}
"""By the list that the entry is in."""


MOST_SHOWN = 100
"""How many findings are returned one by one; a last one counts the rest."""

_ENOUGH_ERRORS = 1000

type _Found = Iterator[Finding]


def findings(
    document: object, most_bytes: int = MOST_BYTES, *, all_storable: bool = False
) -> list[Finding]:
    """The findings about a vCon of any version: errors first, then warnings; empty if it is valid.

    Never raises, for any value. After 100 findings, one has the count of the others; it is an error
    if one of those is. `most_bytes` bounds the unpacked payload of a signed vCon. `all_storable`:
    its text has shown that every value can be stored.
    """
    if not isinstance(document, dict):
        return [Finding("error", "", f"a vCon is an object, not {kind(document)}")]
    if not is_envelope(document):
        return _shortened(_all_findings(document, all_storable=all_storable))
    payload = inside(document, most_bytes)
    sealed = envelope_findings(document, payload, most_bytes)
    return _shortened(chain(sealed, _all_findings(with_address(document, payload))))


def _shortened(found: Iterable[Finding]) -> list[Finding]:
    """The first of them, errors before warnings; counting stops when the errors are plenty."""
    errors: list[Finding] = []
    warnings: list[Finding] = []
    seen = 0
    for finding in found:
        seen += 1
        kept = errors if finding.refuses else warnings
        if len(kept) < MOST_SHOWN or finding.refuses:
            kept.append(finding)
        if len(errors) == _ENOUGH_ERRORS:
            break
    shown = (errors + warnings)[:MOST_SHOWN]
    return shown if seen == len(shown) else [*shown, _rest(len(errors), seen)]


def _rest(errors: int, seen: int) -> Finding:
    severity: Severity = "error" if errors > MOST_SHOWN else "warning"
    at_least = "at least " if errors == _ENOUGH_ERRORS else ""
    return Finding(severity, "", f"and {at_least}{seen - MOST_SHOWN} more")


def _all_findings(document: Document, *, all_storable: bool = False) -> _Found:
    lists = {name: document.get(name, []) for name in CONTAINERS}
    counts = {name: len(given or []) for name, given in lists.items() if _is_list(given)}
    inside = (_list(name, given, counts) for name, given in lists.items())
    found = chain(_head(document), *inside)
    if all_storable or storable(document):
        return found
    return chain(found, value_findings(document))


def _is_list(given: object) -> bool:
    return given is None or isinstance(given, list)


def _head(document: Document) -> _Found:
    version, uuid, created_at = (document.get(name) for name in ("vcon", "uuid", "created_at"))
    if not isinstance(version, str) or version not in KNOWN_VERSIONS:
        reading = "none" if version is None else f"unknown version {_got(version)}"
        yield Finding("warning", "vcon", f"{reading}, read as {CANONICAL_VERSION}")
    yield from _both_names("", document, TOP)
    if canonical_uuid(uuid) is None:
        yield Finding("error", "uuid", f"a UUID is needed; got {_got(uuid)}")
    if created_at is None:
        yield Finding("warning", "created_at", "none, the time of receipt is taken")
    elif epoch_seconds(created_at) is None:
        yield Finding("error", "created_at", f"a date and time is needed; got {_got(created_at)}")


def _got(value: object) -> str:
    return ascii(value[:40]) if isinstance(value, str) else kind(value)


def _list(name: str, given: object, counts: Counts) -> _Found:
    if given is None:
        yield Finding("warning", name, "null, read as an empty list")
    elif not isinstance(given, list):
        yield Finding("error", name, f"expected a list, got {kind(given)}")
    else:
        yield from _entries(name, given, counts)


def _entries(name: str, entries: list[object], counts: Counts) -> _Found:
    check, names = CHECKS[name], ENTRIES[name]
    older = frozenset(names)
    for place, entry in enumerate(entries):
        if not isinstance(entry, dict):
            yield Finding("error", f"{name}[{place}]", f"expected an object, got {kind(entry)}")
            continue
        for severity, field, message in check(entry, counts):
            yield Finding(severity, f"{name}[{place}].{field}", message)
        if not older.isdisjoint(entry):
            yield from _both_names(f"{name}[{place}].", entry, names)


def _both_names(before: str, entry: Entry, names: Names) -> _Found:
    for old, new in unequal(entry, names):
        message = f"differs from {new}, the name of the same thing today; both are kept"
        yield Finding("warning", f"{before}{old}", message)
