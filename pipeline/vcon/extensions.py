"""The extensions that a vCon says its reader must know (`critical`; `must_support` until 0.3.0).

The core draft: a vCon whose `critical` names an extension that is not known must not be processed,
except to reject or report it. A chain says in `extensions` which ones its links know.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import orjson

from core.errors import InvalidError
from pipeline.config.parser import Chain
from pipeline.config.sections import meant
from pipeline.vcon.envelope import check_envelope, inside, is_envelope
from schemas.vcon import Document

KNOWN = frozenset({"CC", "wtf_transcription"})
"""Extensions that only add members, which are kept as they are and ask for nothing else.

`lawful_basis` is not among them: who names it critical wants the basis to be looked at.
"""

_NAMES = ("critical", "must_support")


def check_accepted(
    document: Document, chains: Iterable[Chain], payload: Document | None = None
) -> None:
    """See that each of the chains takes this document: its form, and what it must know.

    `payload` is what a signed vCon holds, if that was looked into already.

    Raises:
        InvalidError: one of the chains does not take it.
    """
    chains = list(chains)
    check_envelope(document, chains)
    if is_envelope(document):
        payload = payload or inside(document)
    check_extensions([*critical_names(document), *critical_names(payload or {})], chains)


def check_extensions(names: Iterable[str], chains: Iterable[Chain]) -> None:
    """See that each of the chains knows these extensions.

    Raises:
        InvalidError: one of them does not.
    """
    names = list(names)
    for chain in chains:
        if refusal := unknown_to(chain, names):
            raise InvalidError(refusal)


def unknown_to(chain: Chain, names: Iterable[str]) -> str:
    """Why a chain may not process a vCon with these critical extensions; empty if it may."""
    unknown = [name for name in dict.fromkeys(names) if name not in {*KNOWN, *chain.extensions}]
    if not unknown:
        return ""
    near = meant(unknown[0], chain.extensions)
    hint = f"; did you mean {unknown[0]!a:.80} where it lists {near!a}?" if near else ""
    listed = ", ".join(f"{name!a:.80}" for name in unknown[:10])
    return (
        f"The vCon must not be processed without knowing the extension {listed} (critical); "
        f"chain {chain.name} does not list it in extensions{hint}"
    )


def critical_names(document: Mapping[str, Any]) -> list[str]:
    """The extensions that a vCon names as critical, under today's name or the older one."""
    return [name for key in _NAMES for name in _flat(document.get(key))]


def named_in(text: str) -> list[str]:
    """The names in what the scripts find of them: JSON, however deeply nested; empty for none."""
    return list(_flat(orjson.loads(text))) if text else []


def _flat(value: object) -> Iterator[str]:
    """Every text in a value; what is neither text nor list counts as a name of its own."""
    if isinstance(value, list | dict):
        for each in value:
            yield from _flat(each)
    elif value is not None:
        yield str(value)
