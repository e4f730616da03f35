"""Peers that are slow, fail or keep silent, through the proxy."""

from collections.abc import Mapping
from typing import Any

from devstack.conformance import documents
from devstack.conformance.host import Ran
from devstack.conformance.kit import Kit
from devstack.conformance.proxy import Mode
from devstack.conformance.verdict import Verdict, failed, not_applicable, passed

NO_PEER = "its options name no host"
UNTOUCHED = "it sent nothing to the host that its options name; give a vCon with work for it"
FAILURES: tuple[Mode, ...] = ("reset", "errors", "half")
PAUSES = ("backoff", "retry_delay", "retry_wait", "retry_interval")
TIMEOUT = 1
FAILING_SECONDS = 20.0
"""The time limit of a call that repeats requests."""


def slow(kit: Kit) -> Verdict:
    """Each reply comes late: the result is the same."""
    if not kit.peers:
        return not_applicable(NO_PEER)
    _ = kit.reference
    with kit.peer("slow"):
        ran = kit.main.run(kit.document())
        if not kit.proxy.touched.is_set():
            return not_applicable(UNTOUCHED)
    if ran.error:
        return failed(ran.error, kit.at(ran))
    if what := kit.differs(ran):
        return failed(f"not as with a quick peer: {what}", kit.where())
    return passed("the same result")


def failing(kit: Kit) -> Verdict:
    """The peer resets, answers 500, breaks off: that is an error, and passes with its cause."""
    if not kit.peers:
        return not_applicable(NO_PEER)
    expected, options = kit.reference, impatient(kit)
    errors = []
    for mode in FAILURES:
        document = kit.document()
        with kit.peer(mode):
            ran = kit.main.run(document, options=options, seconds=FAILING_SECONDS)
            if not kit.proxy.touched.is_set():
                return not_applicable(UNTOUCHED)
        ran.saved = _saved(kit, ran, document["uuid"])
        if problem := _unreported(kit, mode, ran, expected):
            return problem
        errors.append(f"{mode}: {ran.error or 'processed'}"[:90])
        again = _again(kit, document)
        if what := again.error or kit.differs(again):
            return failed(f"after {mode}, with the peer well again: {what}", kit.at(again))
    kit.end()  # what follows begins without broken connections
    return passed("; ".join(errors))


def _saved(kit: Kit, ran: Ran, uuid: str) -> dict[str, Any] | None:
    """What a storage has after a call that reported no error; `get` met the failing peer, too."""
    if ran.error or kit.facts.kind != "storage":
        return ran.saved
    found: dict[str, Any] | None = kit.main.ask("saved", uuid=uuid, seconds=FAILING_SECONDS)
    return found


def _again(kit: Kit, document: dict[str, Any]) -> Ran:
    """The next try, as the service makes it: a storage has several."""
    ran = kit.main.run(document, put=False)
    if ran.error and kit.facts.kind == "storage":
        ran = kit.main.run(document, put=False)
    return ran


def _unreported(kit: Kit, mode: Mode, ran: Ran, expected: Ran) -> Verdict | None:
    """What is wrong with a call whose peer failed, if anything is."""
    if ran.late or ran.accident:
        return failed(f"{mode}: {ran.error}", kit.at(ran))
    if ran.error or (kit.facts.kind == "tracer" and ran.log):
        return None
    if kit.differs(ran) or not _changed(kit, expected):
        return failed(f"{mode}: it reported no error, and its work was not done", kit.where())
    return None


def _changed(kit: Kit, expected: Ran) -> bool:
    return not documents.same(expected.vcon, kit.document()) or expected.saved is not None


def timeout(kit: Kit) -> Verdict:
    """The peer never answers: the plugin ends the wait itself, or the service can end it."""
    if not kit.peers:
        return not_applicable(NO_PEER)
    limits = _limits(kit)
    options = {**impatient(kit), **dict.fromkeys(limits, TIMEOUT)}
    seconds = 10.0 if limits else 1.0
    with kit.peer("silent"):
        ran = kit.main.run(kit.document(), options=options, seconds=seconds)
        if not kit.proxy.touched.is_set():
            return not_applicable(UNTOUCHED)
    kit.end()
    return _waited(kit, ran, limits, seconds)


def _waited(kit: Kit, ran: Ran, limits: list[str], seconds: float) -> Verdict:
    names = ", ".join(limits)
    if limits and ran.late:
        return failed(
            f"with {names} of {TIMEOUT} s it still waited after {seconds:g} s", kit.at(ran)
        )
    if "ignored its cancellation" in ran.log:
        return failed("it ignores its cancellation", kit.where())
    if ran.late and not kit.facts.is_async:
        return failed("no option limits its wait, and a thread cannot be stopped", kit.where())
    ended = f"{names} of {TIMEOUT} s" if limits else "the service's time limit"
    return passed(f"{ended}: {ran.error or ran.returned}")


def _limits(kit: Kit) -> list[str]:
    """The options that limit its waits."""
    schema = kit.facts.options
    numbers = [name for name, each in schema.items() if _is_number(each)] or list(kit.case.options)
    return [name for name in numbers if "timeout" in name.lower()]


def impatient(kit: Kit) -> dict[str, Any]:
    """The options without pauses before repetitions."""
    pauses = {name: 0.01 for name in kit.facts.options if name.lower() in PAUSES}
    return {**pauses, **_without_pauses(kit.case.options)}


def _without_pauses(options: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: 0.01
        if str(name).lower() in PAUSES
        else _without_pauses(value)
        if isinstance(value, Mapping)
        else value
        for name, value in options.items()
    }


def _is_number(field: Mapping[str, Any]) -> bool:
    kinds = [field.get("type"), *(each.get("type") for each in field.get("anyOf", ()))]
    return bool({"number", "integer"} & set(kinds))
