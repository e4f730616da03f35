"""The options a guest is called with: its own defaults, and what the configuration says over them.

A guest says what it takes in one of two ways: `default_options`, a dict, as vcon-server's guests
do; or `Options`, a Pydantic model, which is checked at load and given to each call as an object.
"""

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ValidationError

from core.errors import GuestError
from pipeline.config_model import GuestSpec
from pipeline.config_section import Findings
from pipeline.connection_options import OPTION, borrowed
from pipeline.modules_missing import explain_missing
from pipeline.modules_readings import misread

type Options = Mapping[str, Any] | BaseModel

FOR_THE_HOST = frozenset({"after_link", OPTION})
"""Options that the machinery reads, whatever the guest: vcon-server's, and a connection's name."""


def options_model(*holders: object) -> type[BaseModel] | None:
    """The model `Options` of a guest, in the first of these places that has one.

    Raises:
        GuestError: for something of that name that is no Pydantic model.
    """
    found = next((each for h in holders if (each := getattr(h, "Options", None)) is not None), None)
    if found is None or (isinstance(found, type) and issubclass(found, BaseModel)):
        return found
    raise GuestError("Options is not a Pydantic model")


def laid_over(
    defaults: Mapping[str, Any] | type[BaseModel], spec: GuestSpec, *, by_itself: bool = False
) -> Options:
    """What the configuration says, over the guest's defaults.

    `by_itself`: the guest uses connections by their names.

    Raises:
        GuestError: with each option that its model does not take, by path, without its value; or
            with the library that the guest needs for these options, where that is missing.
    """
    known = defaults if isinstance(defaults, Mapping) else _names(defaults)
    lent = borrowed(spec.options, spec.connections, known, by_itself=by_itself)
    if isinstance(defaults, Mapping):
        return {**defaults, **lent, **spec.options}
    if problems := misread(defaults, spec.options, spec.written):
        raise GuestError("; ".join(problems))
    try:
        return defaults.model_validate({**lent, **spec.options})
    except ModuleNotFoundError as error:  # what a guest imports only where its options ask for it
        raise GuestError(explain_missing(spec, error)) from None
    except ValidationError as error:
        details = error.errors(include_url=False, include_context=False, include_input=False)
        problems = [f"{_path(each['loc'])}: {each['msg']}" for each in details]
        raise GuestError("; ".join(problems)) from None


def option(options: Options, name: str) -> Any:
    """One option, or None for one that is not there."""
    return getattr(options, name, None) if isinstance(options, BaseModel) else options.get(name)


def fresh(options: Options) -> Options:
    """The options for one call: the guest may change them, though not what lies deeper."""
    if not isinstance(options, BaseModel):
        return dict(options)
    return options if options.model_config.get("frozen") else options.model_copy()


def _path(location: tuple[str | int, ...]) -> str:
    return ".".join(["options", *(str(part) for part in location)])


def _names(model: type[BaseModel]) -> set[str]:
    fields = model.model_fields.items()
    return {str(name) for key, each in fields for name in (key, each.alias or key)}


def unknown_options(
    defaults: Mapping[str, Any] | type[BaseModel], spec: GuestSpec, *, strict: bool
) -> list[str]:
    """The options that the guest's model does not have; those of other guests are not judged.

    Raises:
        GuestError: where a known one was probably meant, or none is to be unknown (`strict`). The
            value may be a secret and is not told.
    """
    if isinstance(defaults, Mapping) or defaults.model_config.get("extra", "ignore") != "ignore":
        return []
    findings = Findings(strict=strict)
    known = sorted(FOR_THE_HOST | _names(defaults))
    for name in sorted(set(spec.options) - set(known)):
        findings.unknown(("options", name), known, "option")
    if findings.problems:
        raise GuestError("; ".join(findings.problems))
    return findings.notes
