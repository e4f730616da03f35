"""The plugin as it is loaded: signatures and options."""

from collections.abc import Iterator, Mapping
from typing import Any

from core.errors import ConfigurationError
from devstack.conformance.kit import Kit
from devstack.conformance.subject import SubjectError, place_in
from devstack.conformance.verdict import Verdict, failed, not_applicable, passed

WRONG: Mapping[str, Any] = {
    "string": ["not", "a", "text"],
    "integer": "not-a-number",
    "number": "not-a-number",
    "boolean": "not-a-switch",
    "array": 7,
    "object": 7,
}
"""A value for each type of option that no reading makes right."""


def holds(kit: Kit) -> Verdict:
    """Load it, by the proxy's address first; one that refuses that is loaded by its own."""
    try:
        kit.load()
    except ConfigurationError as error:
        if not kit.peers:
            return failed(str(error), kit.place())
        kit.direct()
        try:
            kit.load()
        except ConfigurationError:
            return failed(str(error), kit.place())
    except SubjectError as error:
        where = place_in(kit.given.module, error.frames) or kit.given.module
        return failed(str(error).strip().splitlines()[-1], where)
    manner = "async" if kit.facts.is_async else "sync"
    return passed(f"{kit.facts.kind}: {', '.join(kit.facts.functions)}; {manner}")


def missing(kit: Kit) -> Verdict:
    """Without options: a refusal that names one, or a call that fails by no accident."""
    refusal = kit.main.ask("refusal", options={})
    if refusal is not None:
        named = not kit.facts.required or any(name in refusal for name in kit.facts.required)
        if named:
            return passed(f"refused at the start: {_short(refusal)}")
        return failed(f"the refusal names no option: {refusal}", kit.where())
    ran = kit.main.run(kit.document(), options={})
    if ran.accident:
        return failed(f"shows with the first vCon only: {ran.error}", kit.at(ran))
    return passed(f"taken; a call then: {ran.error or ran.returned}")


def wrong(kit: Kit) -> Verdict:
    """Each option in turn has a value of another type."""
    if not kit.facts.has_model:
        return not_applicable("its options are a dict, which is not checked: declare `Options`")
    tried = list(_wrong_values(kit.facts.options))
    for name, value in tried:
        refusal = kit.main.ask("refusal", options={**kit.case.options, name: value})
        if refusal is None:
            return failed(f"{name}: {value!r} is taken", kit.where())
        if name not in refusal:
            return failed(f"{name}: {value!r} is refused without its name: {refusal}", kit.where())
    if not tried:
        return not_applicable("it has no options of a single type")
    return passed(f"{len(tried)} wrong options, each refused by name at the start")


def _wrong_values(options: Mapping[str, Mapping[str, Any]]) -> Iterator[tuple[str, Any]]:
    for name, field in options.items():
        if (kind := str(field.get("type"))) in WRONG:
            yield name, WRONG[kind]


def _short(refusal: str) -> str:
    return refusal.replace("\n", " ")[:200]
