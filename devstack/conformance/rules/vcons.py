"""Unusual vCons: large ones, all versions, all scripts, texts that are no Unicode."""

from collections.abc import Iterator
from typing import Any

from devstack.conformance import documents
from devstack.conformance.host import Ran
from devstack.conformance.kit import Kit
from devstack.conformance.verdict import Verdict, failed, passed
from pipeline.vcon.validation import findings

LARGE_SECONDS = 20.0


def large(kit: Kit) -> Verdict:
    """A vCon of 5 MB: it is processed, or refused with an error of its own."""
    ran = kit.main.run(documents.large(), seconds=LARGE_SECONDS)
    if verdict := _bad(kit, ran, "5 MB"):
        return verdict
    return passed(ran.error or f"processed: {ran.returned}")


def samples(kit: Kit) -> Verdict:
    """Every sample, of every version."""
    versions = set()
    refused: list[str] = []
    for name, document in documents.samples().items():
        ran = kit.main.run(document)
        if verdict := _bad(kit, ran, name):
            return verdict
        versions.add(name.rpartition("-")[2])
        refused += [f"{name}: {ran.error}"] if ran.error else []
    told = f"; {len(refused)} refused, such as {refused[0]}" if refused else ""
    return passed(f"{len(documents.samples())} samples of {', '.join(sorted(versions))}{told}")


def scripts(kit: Kit) -> Verdict:
    """Texts of many scripts: none of them is changed."""
    document = documents.every_script()
    ran = kit.main.run(document)
    if verdict := _bad(kit, ran, "Unicode"):
        return verdict
    for where, state in (("the vCon", ran.vcon), ("`get`", ran.saved)):
        if state and documents.EVERY_SCRIPT not in list(_texts(state)):
            return failed(f"{where} has a text of many scripts changed", kit.where())
    return passed(ran.error or "the texts are as they were")


def half_surrogates(kit: Kit) -> Verdict:
    """Texts with half a surrogate pair, which cannot be encoded: no accident, no other vCon."""
    ran = kit.main.run(documents.half_surrogates())
    if verdict := _bad(kit, ran, "half a surrogate pair"):
        return verdict
    return passed(ran.error or f"processed: {ran.returned}")


def _bad(kit: Kit, ran: Ran, what: str) -> Verdict | None:
    """What is wrong with a call that may fail, but not by accident."""
    if ran.accident or ran.late:
        return failed(f"{what}: {ran.error}", kit.at(ran))
    if ran.vcon is None and not ran.error and ran.goes_on:
        return failed(f"{what}: the vCon is gone afterwards", kit.where())
    if ran.vcon and (found := findings(ran.vcon)):
        return failed(f"{what}: the vCon is wrong afterwards: {found[0]}", kit.where())
    return None


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for each in value.values() if isinstance(value, dict) else value:
            yield from _texts(each)
