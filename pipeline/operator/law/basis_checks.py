"""What is checked before a basis is recorded: rows are never changed, so a slip stays.

A number, an address or a purpose that can match nothing is refused, and so is a purpose that is one
slip away from one that a step requires. What is odd but may be meant is noted in the answer.
"""

from collections.abc import Iterator
from typing import Literal

from pipeline.config.model import LinkStep, PipelineConfig, PluginSpec
from pipeline.config.sections import meant, slip_of

NO_STEP = "no step of the configuration requires a purpose, so nothing asks for this yet"


def required_purposes(config: PipelineConfig) -> frozenset[str]:
    """The purposes that links, storages, tracers and egress of the configuration require."""
    return frozenset(_required(config))


def _required(config: PipelineConfig) -> Iterator[str]:
    steps: tuple[LinkStep | PluginSpec, ...] = (
        *config.links.values(),
        *config.storages.values(),
        *config.tracers.values(),
        *(config.hooks or {}).values(),
    )
    yield from (step.requires for step in steps if step.requires is not None)
    for chain in config.chains.values():
        if chain.egress is not None and chain.egress.requires is not None:
            yield chain.egress.requires


def purpose_doubt(purpose: str, config: PipelineConfig, *, granted: bool) -> tuple[str, str]:
    """Why a purpose is refused, and what is noted about it; each empty if nothing is.

    A denial counts in any capitals, a grant as it is written, or by an alias.
    """
    required = required_purposes(config)
    basis = config.law.basis if config.law is not None else None
    meanings = basis.aliases if basis is not None else {}
    if not required:
        return "", f"purpose: {NO_STEP}"
    if meanings.get(purpose, purpose) in {meanings.get(each, each) for each in required}:
        return "", ""
    if not granted and purpose.casefold() in {each.casefold() for each in required}:
        return "", ""
    known = required | {each for each, of in meanings.items() if of in required}
    if slip := slip_of(purpose, known):
        return f"purpose: no step requires {purpose!a}; did you mean {slip!a}?", ""
    near = meant(purpose, known)
    names = ", ".join(ascii(each) for each in sorted(required)[:10])
    hint = f"did you mean {near!a}?" if near else f"steps require {names}"
    return "", f"purpose: no step requires {purpose!a}, so nothing asks for it yet; {hint}"


def address_fault(name: Literal["tel", "mailto"], value: str, form: str) -> str:
    """Why a number or address can be of no person; "" if it can. `form`: its normalised form."""
    if name == "tel":
        if not any(each.isalnum() for each in form):
            return "tel: it has neither digits nor letters"
        is_sip = value.strip().lower().startswith(("sip:", "sips:"))
        is_mail = "@" in value and not is_sip and not form.startswith("+")
        return "tel: it is a mail address; give it as mail" if is_mail else ""
    local, at, domain = form.partition("@")
    if not at and form.lstrip("+").isdigit():
        return "mail: it is a number; give it as tel"
    if not (local and domain) or "@" in domain or any(each in form for each in " ,;"):
        return "mail: expected one address, such as ann@example.com"
    return ""


def address_note(name: Literal["tel", "mailto"], form: str, region: str) -> str:
    """What is odd about a number that may be one; "" if nothing is. It has not the number."""
    if name == "mailto" or form.startswith("+"):
        return ""
    return (
        f"tel: no number of a numbering plan (PHONE_REGION={region}): only the same digits or"
        " letters match; write a number with its country code"
    )
