"""Changes: one form for each operation that changes something, with a reason and a confirmation.

A form is a GET without effect. What is sent is checked by the operation itself; if it refuses, the
form comes back with the problems and with what was entered.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, get_args

from pydantic import BaseModel, TypeAdapter
from starlette.responses import Response

from core.errors import InvalidError, UnknownNameError
from http_api.console.visit import Visit, texts_of
from schemas.operator.law.bases import Basis

_NAME = TypeAdapter(str)
UNCONFIRMED = "Confirm that you want to do this now"
MOST_FACTS = 40
"""Members of a result that are shown."""


class Field(NamedTuple):
    """One argument of the operation.

    `kind`: `given` (by the page that led here), `text`, `choice` or `check`.
    """

    name: str
    label: str
    kind: str = "text"
    value: str = ""
    hint: str = ""
    choices: Sequence[tuple[str, str]] = ()


@dataclass(frozen=True, slots=True)
class Change:
    """The form of one operation; `after` is the page to go back to."""

    operation: str
    title: str
    text: str
    button: str
    fields: Sequence[Field]
    after: str = "/console"
    template: str = "done.html"
    """What shows the result."""
    is_grave: bool = False
    """It cannot be taken back."""


PERIODS = (
    ("600", "10 minutes"),
    ("3600", "an hour"),
    ("14400", "4 hours"),
    ("86400", "a day"),
    ("", "without an end"),
)
"""How long something lasts that ends by itself, in seconds."""
UNCERTAIN = (
    ("", "leave them"),
    ("repeat", "repeat the step"),
    ("skip", "go on after the step"),
)
DECISIONS = (("true", "granted"), ("false", "denied"))
BASES = tuple((each, each.replace("_", " ")) for each in get_args(Basis.__value__))
_ERASURE = (
    Field("hold", "Hold", hint="a reference, no name: erase nothing yet"),
    Field("dry_run", "Only show what would be erased", "check", "true"),
)
_ANSWERS = (("acknowledged", "has erased the vCon"), ("cannot", "cannot, or will not"))
_TABLE = (
    Change(
        "pause",
        "Pause a chain",
        "Workers of all replicas finish what they hold, and claim nothing more of this chain. vCons"
        " still come in, and wait.",
        "Pause",
        [
            Field("chain", "Chain", "given"),
            Field("for", "For", "choice", "3600", choices=PERIODS),
        ],
    ),
    Change(
        "resume",
        "Resume a chain",
        "Workers claim vCons of this chain again, within a second.",
        "Resume",
        [Field("chain", "Chain", "given")],
    ),
    Change(
        "drain",
        "Drain a replica",
        "Its workers finish what they hold, and claim nothing more. It stays joined, and answers.",
        "Drain",
        [
            Field("replica", "Replica", "given"),
            Field("for", "For", "choice", "3600", choices=PERIODS),
        ],
        after="/console/replicas",
    ),
    Change(
        "undrain",
        "Undrain a replica",
        "Its workers claim vCons again, within a second.",
        "Undrain",
        [Field("replica", "Replica", "given")],
        after="/console/replicas",
    ),
    Change(
        "close_breaker",
        "Try a destination now",
        "Its breaker is open: it is not called. The first run that waits calls it at once; if that"
        " succeeds, the others follow.",
        "Try now",
        [Field("destination", "Destination", "given")],
        after="/console/destinations",
    ),
    Change(
        "release",
        "Release withheld vCons",
        "The law of each is evaluated again, and once more at its step; a release never overrides"
        " it. What is allowed now goes on where it was withheld.",
        "Release",
        [Field("vcon_uuids", "vCon", "given"), Field("list_name", "List", "given")],
        after="/console/withheld",
    ),
    Change(
        "replay",
        "Replay dead letters",
        "They are queued again: first a canary, one attempt each. If it fails, the others stay. The"
        " page of failures shows the progress.",
        "Replay",
        [
            Field("cause", "Cause", "given"),
            Field("list_name", "List", "given"),
            Field("storage", "Storage", "given"),
            Field("canary", "Canary", value="10", hint="vCons that go first; 0: none"),
            Field("rate", "Rate", value="50", hint="vCons a second"),
            Field(
                "uncertain",
                "Steps that may have happened",
                "choice",
                "",
                choices=UNCERTAIN,
            ),
            Field("since", "Failed since", hint="such as 2026-11-30T08:00Z; empty: all"),
            Field("dry_run", "Only count them", "check"),
        ],
        after="/console/failures",
    ),
    Change(
        "replay_stop",
        "Stop a replay",
        "What is queued already is run; the other dead letters stay.",
        "Stop",
        [Field("id", "Replay", "given")],
        after="/console/failures",
    ),
    Change(
        "erase",
        "Erase a person's vCons",
        "They are deleted from Redis, from every storage that can delete, and from the index. First"
        " only look what would be erased; then erase. This cannot be taken back.",
        "Go on",
        [
            Field("tel", "Phone number", "given"),
            Field("mail", "Mail address", "given"),
            Field("name", "Name", "given"),
            Field("dry_run", "Only show what would be erased", "check", "true"),
        ],
        after="/console/search",
        template="erased.html",
        is_grave=True,
    ),
    Change(
        "record_basis",
        "Record a lawful basis",
        "A grant allows a purpose, a denial ends it; the newest is in force. It counts at the next"
        " step of each run, and lets nothing go on that is withheld: release that then.",
        "Record",
        [
            Field("vcon_uuid", "vCon", "given"),
            Field("tel", "Phone number", "given"),
            Field("mail", "Mail address", "given"),
            Field("granted", "Decision", "choice", "true", choices=DECISIONS),
            Field("purpose", "Purpose", hint="as `requires` has it; a denial without: every one"),
            Field("basis", "Lawful basis", "choice", "consent", choices=BASES),
            Field("expires_at", "Ends", hint="of a grant: 2027-11-30T08:00Z; empty: never"),
            Field("ref", "Proof", hint="where it is kept, such as a ticket"),
        ],
        after="/console/withheld",
    ),
    Change(
        "erase_vcon",
        "Erase a vCon under the law",
        "It is erased wherever it was delivered, with what links made of it; its uuid comes in no"
        " more. First only look what would be erased; then erase. This cannot be taken back.",
        "Go on",
        [Field("vcon_uuid", "vCon", "given"), *_ERASURE],
        after="/console/erasures",
        template="erasure_requested.html",
        is_grave=True,
    ),
    Change(
        "erase_party",
        "Erase a person's vCons under the law",
        "They are erased wherever they were delivered; their uuids come in no more. First only look"
        " what would be erased; then erase. This cannot be taken back.",
        "Go on",
        [
            Field("tel", "Phone number", "given"),
            Field("mail", "Mail address", "given"),
            Field("name", "Name", "given"),
            Field("suppress", "Deny every purpose for later vCons, too", "check"),
            *_ERASURE,
        ],
        after="/console/erasures",
        template="erasure_requested.html",
        is_grave=True,
    ),
    Change(
        "erasure_release",
        "End the hold of an erasure",
        "The erasure begins within seconds. This cannot be taken back.",
        "Erase now",
        [Field("id", "Erasure", "given")],
        after="/console/erasures",
        is_grave=True,
    ),
    Change(
        "erasure_answer",
        "Note what a destination has answered",
        "For answers that come by other means, such as a letter. The statement has them: if the"
        " erasure has ended, it gets a new one, which names the one before.",
        "Note it",
        [
            Field("id", "Erasure", "given"),
            Field("kind", "Kind", "given"),
            Field("name", "Destination", "given"),
            Field("vcon_uuid", "vCon", "given"),
            Field("answer", "It", "choice", "acknowledged", choices=_ANSWERS),
        ],
        after="/console/erasures",
    ),
    Change(
        "keys_create",
        "Create a partner's key",
        "The key opens one ingress list. Its secret is shown once, on the next page.",
        "Create",
        [
            Field("ingress_list", "Ingress list"),
            Field("label", "Label", hint="the partner's name, for the usage and the audit"),
            Field("expires_in_days", "Expires in days", hint="empty: never"),
            Field("requests_per_minute", "Requests a minute", hint="empty: the service's limit"),
        ],
        after="/console/keys",
        template="key.html",
    ),
    Change(
        "keys_rotate",
        "Replace a partner's key",
        "A new key is made for the same list and owner. The one before works on for the hours that"
        " you give, at most a year.",
        "Replace",
        [
            Field("key_id", "Key", "given"),
            Field("grace_hours", "Hours that the old one works on", value="24"),
        ],
        after="/console/keys",
        template="key.html",
    ),
    Change(
        "keys_revoke",
        "End a partner's key",
        "The key opens nothing any more, within a minute. This cannot be taken back.",
        "End the key",
        [Field("key_id", "Key", "given")],
        after="/console/keys",
        is_grave=True,
    ),
)
CHANGES: Mapping[str, Change] = {change.operation: change for change in _TABLE}


def _change(visit: Visit) -> Change:
    name = visit.request.path_value("operation", _NAME)
    if name not in CHANGES:
        raise UnknownNameError("change", name[:100])
    return CHANGES[name]


async def form_page(visit: Visit) -> Response:
    """The form; values of its fields may be given in the query."""
    return _form(visit, _change(visit), visit.query)


async def filled_form(visit: Visit) -> Response:
    """The form with values that were sent, and are not to be in an address."""
    return _form(visit, _change(visit), visit.form)


def _form(
    visit: Visit,
    change: Change,
    values: Mapping[str, str],
    status: int = 200,
    problems: Sequence[str] = (),
) -> Response:
    return visit.page("change.html", status, change=change, values=values, problems=problems)


async def carry_out(visit: Visit) -> Response:
    """Do it, and show the result."""
    change = _change(visit)
    if visit.form.get("confirmed") != "yes":
        return _form(visit, change, visit.form, 400, [UNCONFIRMED])
    names = [field.name for field in change.fields]
    arguments = {name: visit.form[name] for name in names if visit.form.get(name)}
    try:
        found = await visit.perform(change.operation, arguments, visit.form.get("reason", ""))
    except InvalidError as error:
        return _form(visit, change, visit.form, 400, texts_of(error))
    shown = {"found": found, "facts": facts_of(found), "values": visit.form}
    return visit.page(change.template, change=change, **shown)


def facts_of(result: BaseModel) -> list[tuple[str, Any]]:
    """The members of a result, named in words."""
    return list(_facts(result.model_dump(mode="json")))[:MOST_FACTS]


def _facts(members: Mapping[str, Any], before: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in members.items():
        words = f"{before}{name.replace('_', ' ')}"
        if isinstance(value, dict):
            yield from _facts(value, f"{words}: ")
        elif isinstance(value, list):
            yield words, ", ".join(str(each) for each in value[:MOST_FACTS]) or "none"
        else:
            yield words, "none" if value is None else value
