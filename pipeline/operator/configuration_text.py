"""Reading a configuration that an operator gives as a text: bounded, and without filling the log.

A file may be half written, huge, or expand by aliases. Larger texts are parsed in a process of
their own with limits of time and memory, since the parser holds the interpreter's lock.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pydantic import BaseModel

from core.concurrency.helper_process import HelperLimits, HelperProcess
from core.concurrency.thread_pool import in_own_thread
from core.environment import environment, withheld
from core.errors import ConfigurationError, TooLargeError
from core.observability.redaction import KNOWN, Redactor
from core.settings import Settings
from pipeline.config.environment import Filled, secret_values, variables_named_in
from pipeline.config.model import Lenience
from pipeline.config.parser import PipelineConfig
from pipeline.config.yaml_file import parsed
from pipeline.runs.factories import lenience
from schemas.operator.configuration import MOST_BYTES

SMALL = 64_000
"""Bytes up to which a text is parsed in a thread of this process."""
MOST_PROBLEMS = 200
NAME = "the configuration"


@dataclass(frozen=True, slots=True)
class Read:
    """A configuration as it was read: without `config` if there are problems."""

    document: object = None
    config: PipelineConfig | None = None
    problems: list[str] = field(default_factory=list)


async def read_text(text: str, settings: Settings) -> Read:
    """Parse a configuration as a start does; nothing is imported."""
    content = text.encode(errors="surrogatepass")
    if len(content) > MOST_BYTES:
        return Read(problems=[f"{NAME} has more than {MOST_BYTES} bytes"])
    if hidden := sorted(variables_named_in(content) & withheld()):
        advice = "it is the service's own secret, and was not named before"
        return Read(problems=[f"{name}: {advice}" for name in hidden])
    environ, allowed = environment(), lenience(settings)
    if len(content) <= SMALL:
        return await in_own_thread(_read, content, environ, allowed)
    limits = HelperLimits(settings.large_document_seconds, settings.large_document_memory)
    helper = HelperProcess(limits)
    try:
        return await helper(_read, content, environ, allowed)
    except TooLargeError as error:
        return Read(problems=[str(error)])
    finally:
        await in_own_thread(helper.close)


def redacted[M: BaseModel](result: M, text: str) -> M:
    """A result without the secrets of this process, and those that the text takes from variables.

    A text may name any variable in a place whose value is shown, such as the name of a list.
    """
    environ, hidden = environment(), Redactor()
    names = variables_named_in(text.encode(errors="surrogatepass")) & environ.keys()
    for secret in secret_values(Filled(name, "", environ[name]) for name in names):
        hidden.learn_value(secret)
    return type(result).model_validate(_without(result.model_dump(), hidden))


def _without(value: Any, hidden: Redactor) -> Any:
    if isinstance(value, str):
        return hidden.sentence(KNOWN.sentence(value))
    if isinstance(value, dict):
        return {name: _without(each, hidden) for name, each in value.items()}
    return [_without(each, hidden) for each in value] if isinstance(value, list) else value


def _read(content: bytes, environ: Mapping[str, str], allowed: Lenience) -> Read:
    try:
        document, config = parsed(content, NAME, environ, **allowed)
    except ConfigurationError as error:
        problems = error.problems[:MOST_PROBLEMS]
        if (more := len(error.problems) - len(problems)) > 0:
            problems.append(f"and {more} further problems")
        return Read(problems=problems)
    except RecursionError:
        return Read(problems=[f"{NAME} is nested too deeply"])
    return Read(document, config)
