"""What is wrong with a vCon: every problem, and where.

Plain code rather than models. It is several times faster on a document that is fine, which nearly
all are; it can tell errors from warnings; and it leaves the document alone. Only what would break
a link, a store or the index is an error. The drafts' own examples break the drafts' own schema, so
everything else that looks odd is a warning, and a field that nobody knows is neither.
"""

from collections.abc import Iterable, Iterator
from itertools import chain

from pipeline.document_entries import CHECKS, Counts, kind
from pipeline.document_fields import epoch_seconds
from pipeline.document_names import ENTRIES, TOP, Names, unequal
from pipeline.document_values import storable, value_findings
from pipeline.envelope import (
    MOST_BYTES,
    envelope_findings,
    inside,
    is_envelope,
    with_address,
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

MOST_SHOWN = 100
"""How many findings are returned one by one; a last one counts the rest."""

_ENOUGH_ERRORS = 1000

type _Found = Iterator[Finding]


def findings(document: object, most_bytes: int = MOST_BYTES) -> list[Finding]:
    """All that is wrong with a vCon as it came in, old or new: errors first, then warnings.

    Empty: it is fine. Never raises, whatever it is given. After 100 findings, one says how many
    more there are; it is an error if one of those is. `most_bytes`: what a signed one may hold.
    """
    if not isinstance(document, dict):
        return [Finding("error", "", f"a vCon is an object, not {kind(document)}")]
    if not is_envelope(document):
        return _shortened(_all_findings(document))
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


def _all_findings(document: Document) -> _Found:
    lists = {name: document.get(name, []) for name in CONTAINERS}
    counts = {name: len(given or []) for name, given in lists.items() if _is_list(given)}
    inside = (_list(name, given, counts) for name, given in lists.items())
    found = chain(_head(document), *inside)
    return found if storable(document) else chain(found, value_findings(document))


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
    for place, entry in enumerate(entries):
        if not isinstance(entry, dict):
            yield Finding("error", f"{name}[{place}]", f"expected an object, got {kind(entry)}")
            continue
        for severity, field, message in check(entry, counts):
            yield Finding(severity, f"{name}[{place}].{field}", message)
        if not names.keys().isdisjoint(entry):
            yield from _both_names(f"{name}[{place}].", entry, names)


def _both_names(before: str, entry: Entry, names: Names) -> _Found:
    for old, new in unequal(entry, names):
        message = f"differs from {new}, the name of the same thing today; both are kept"
        yield Finding("warning", f"{before}{old}", message)
