"""What a plugin declares or must keep to itself: its effect, its secrets."""

from collections.abc import Mapping

from devstack.conformance.cases import secret_values
from devstack.conformance.host import Ran
from devstack.conformance.kit import Kit
from devstack.conformance.peers_view import Outside, look
from devstack.conformance.proxy import Mode
from devstack.conformance.rules.peers import impatient
from devstack.conformance.verdict import Verdict, failed, not_applicable, passed

TROUBLE: tuple[Mode, ...] = ("pass", "errors", "reset")


def secrets(kit: Kit) -> Verdict:
    """The values of secret options are in no vCon, log line, output or error."""
    values = dict(secret_values(kit.case.options, frozenset(kit.facts.secrets)))
    values |= dict(secret_values(kit.case.environment))
    if not values:
        return not_applicable("its options have no secret")
    for name in values:
        refusal = kit.main.ask("refusal", options={**kit.case.options, name: [values[name]]})
        if place := _found(values, {"the refusal of wrong options": refusal or ""}):
            return failed(place, kit.where())
    for mode in TROUBLE if kit.peers else TROUBLE[:1]:
        with kit.peer(mode):
            ran = kit.main.run(kit.document(), options=impatient(kit))
        if place := _found(values, _texts(ran, kit.main.ask("output"))):
            return failed(place, kit.where(_lines(place, ran, values)))
    kit.end()  # what follows begins without broken connections
    return passed(f"{', '.join(sorted(values))}: in no vCon, log line, output or error")


def _lines(place: str, ran: Ran, values: Mapping[str, str]) -> list[tuple[str, int]]:
    """The lines that showed a secret: those that logged it, or those of the error."""
    if not place.endswith("the log"):
        return ran.frames
    logged = reversed(ran.log_places)
    return [(f, n) for f, n, text in logged if any(each in text for each in values.values())]


def _texts(ran: Ran, output: str) -> dict[str, str]:
    return {
        "the vCon": str(ran.vcon),
        "the log": ran.log,
        "the error": ran.error,
        "what it returned": ran.returned,
        "the output": output,
    }


def _found(values: Mapping[str, str], texts: Mapping[str, str]) -> str:
    """The first option whose value is in a text."""
    places = [(n, place) for n, v in values.items() for place, text in texts.items() if v in text]
    return f"the value of {places[0][0]} is in {places[0][1]}" if places else ""


def effect(kit: Kit) -> Verdict:
    """What it declares is what it does, as far as the kit can see."""
    declared = kit.facts.effect
    if declared is None:
        return not_applicable("it declares no `effect`")
    first = look(kit, document := kit.document())
    if first.error:
        return failed(first.error, kit.where())
    if declared == "pure":
        return _pure(kit, first)
    second = look(kit, document)
    if declared == "idempotent":
        return _idempotent(kit, first, second)
    return passed(f"once: {first.told() or 'nothing was seen outside'}")


def _pure(kit: Kit, seen: Outside) -> Verdict:
    if told := seen.told():
        return failed(f"declared pure, but: {told}", kit.where())
    return passed("pure: no connection, file or other key of Redis")


def _idempotent(kit: Kit, first: Outside, second: Outside) -> Verdict:
    if second.error:
        return failed(f"the second call: {second.error}", kit.where())
    if grown := second.beyond(first):
        return failed(f"declared idempotent, but the second call: {grown}", kit.where())
    return passed(f"idempotent: {first.told() or 'nothing was seen outside'}; then the same")
