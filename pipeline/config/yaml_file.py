"""Reading the configuration file: YAML, with errors for mistakes that YAML accepts."""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import replace
from functools import cached_property
from pathlib import Path

import yaml

from core.environment import inherited_environment
from core.errors import ConfigurationError
from core.observability import error_texts
from pipeline.config.environment import Environment, Written, turned
from pipeline.config.model import REFUSE, Lenience, OnBroken
from pipeline.config.parser import PipelineConfig, parse

MOST_VALUES = 1_000_000
"""Values of a configuration: aliases of YAML may expand a small file to any size."""


def read(
    path: str | Path,
    environ: Mapping[str, str],
    *,
    strict: bool = False,
    weak_keys: bool = False,
    on_broken: OnBroken = REFUSE,
) -> PipelineConfig:
    """Read the pipeline's configuration from a YAML file, with `${NAME}` filled from `environ`.

    `strict`: an unknown key is an error. `weak_keys`: ingress keys may be short. `on_broken`: that
    of chains which do not say otherwise.

    Raises:
        ConfigurationError: with all problems of the YAML, or if there are none, of the content.
    """
    how: Lenience = {"strict": strict, "weak_keys": weak_keys, "on_broken": on_broken}
    return parsed(_content(path), str(path), environ, **how)[1]


def parsed(
    content: bytes,
    name: str,
    environ: Mapping[str, str],
    *,
    strict: bool = False,
    weak_keys: bool = False,
    on_broken: OnBroken = REFUSE,
) -> tuple[object, PipelineConfig]:
    """The document as it is written, and the configuration; `name` is the file's, for messages.

    Raises:
        ConfigurationError: as `read`.
    """
    document, written = _load(content, name)
    if document is None:
        raise ConfigurationError(
            f"{name} is empty; it needs a mapping with links, storages and chains."
            " Without a pipeline, leave CONSERVER_CONFIG_FILE unset"
        )
    how: Lenience = {"strict": strict, "weak_keys": weak_keys, "on_broken": on_broken}
    return document, replace(parse(document, environ, written, **how), text=content)


class _Filled:
    """A file with the variables that plugins see filled in, once it is asked for."""

    def __init__(self, text: bytes) -> None:
        self._text = text

    @cached_property
    def document(self) -> object:
        return Environment(inherited_environment()).fill(yaml.safe_load(self._text))


_in_force: list[_Filled] = []
_loading: ContextVar[_Filled | None] = ContextVar("loading", default=None)


def put_into_force(config: PipelineConfig) -> None:
    """Let `document` be that of this configuration; of the file if it was not read from one.

    With a section `law`, texts of errors are kept out of the process' log lines from now on.
    """
    error_texts.keep_out(yes=config.law is not None)
    _in_force[:] = [_Filled(config.text)] if config.text else []


@contextmanager
def loading(config: PipelineConfig) -> Iterator[None]:
    """Let `document` be that of this configuration for modules that are imported meanwhile."""
    token = _loading.set(_Filled(config.text) if config.text else None)
    try:
        yield
    finally:
        _loading.reset(token)


def document(path: Path) -> object:
    """The configuration in force, with the variables that plugins see filled in.

    It is for `lib.vcon_server.config`. In a process that has put none into force, it is the file.

    Raises:
        FileNotFoundError: there is no such file.
        yaml.YAMLError: it is no YAML.
    """
    found = _loading.get() or (_in_force[0] if _in_force else _Filled(path.read_bytes()))
    return found.document


def _content(path: str | Path) -> bytes:
    try:
        return Path(path).read_bytes()
    except FileNotFoundError:
        raise ConfigurationError(
            f"there is no configuration file at {path}; point CONSERVER_CONFIG_FILE at one,"
            " or leave it unset to run without a pipeline"
        ) from None
    except OSError as error:
        raise ConfigurationError(
            f"{path} cannot be read ({error.strerror}); it must be a file"
            " that the user this service runs as may read"
        ) from error


def _load(content: bytes, name: str) -> tuple[object, Written]:
    try:
        loader = yaml.SafeLoader(content)
        root = loader.get_single_node()
        if root is None:
            return None, {}
        if _size(root) > MOST_VALUES:
            msg = f"{name}: has more than {MOST_VALUES} values, its aliases (*name) written out"
            raise ConfigurationError(msg)
        if repeated := list(_repeated_keys(root)):
            raise ConfigurationError([f"{name}:{problem}" for problem in repeated])
        document = loader.construct_document(root)
        return document, turned(root, document)
    except yaml.MarkedYAMLError as error:
        raise ConfigurationError(f"{name}:{_explained(error)}") from None
    except RecursionError:
        raise ConfigurationError(f"{name}: is nested too deeply") from None
    except (yaml.YAMLError, ValueError) as error:
        raise ConfigurationError(f"{name}: is not valid YAML: {error}") from None


def _size(root: yaml.Node) -> int:
    """The values of a document with aliases written out; counts to a little over `MOST_VALUES`.

    A node that contains itself counts once: the parser reports it.
    """
    sizes: dict[int, int] = {}
    waiting = [(root, False)]
    while waiting:
        node, is_counted = waiting.pop()
        parts = _parts(node)
        if is_counted:
            total = 1 + sum(sizes[id(part)] for part in parts)
            sizes[id(node)] = min(total, MOST_VALUES + 1)
        elif id(node) not in sizes:
            sizes[id(node)] = 1
            waiting.append((node, True))
            waiting += [(part, False) for part in parts]
    return sizes[id(root)]


def _parts(node: yaml.Node) -> list[yaml.Node]:
    if isinstance(node, yaml.MappingNode):
        return [part for pair in node.value for part in pair]
    return node.value if isinstance(node, yaml.SequenceNode) else []


def _explained(error: yaml.MarkedYAMLError) -> str:
    # str(error) quotes the line, which may contain a key or a password; quoted words may be one
    mark = error.problem_mark or error.context_mark
    place = _place(mark) if mark else ""
    reason = re.sub(r"'[^'<]{2,}'", "'...'", error.problem or error.context or "")
    return f"{place}: is not valid YAML: {reason}"


def _place(mark: yaml.Mark) -> str:
    return f"{mark.line + 1}:{mark.column + 1}"


def _repeated_keys(root: yaml.Node) -> Iterator[str]:
    """A message for each key that one mapping has twice; YAML would use the last."""
    for mapping in _mappings(root):
        first: dict[tuple[str, str], yaml.Mark] = {}
        for key, _ in mapping.value:
            if not isinstance(key, yaml.ScalarNode):
                continue
            mark = first.setdefault((key.tag, key.value), key.start_mark)
            if mark is not key.start_mark:
                yield (
                    f"{_place(key.start_mark)}: {key.value!r} is given twice,"
                    f" first on line {mark.line + 1}"
                )


def _mappings(root: yaml.Node) -> Iterator[yaml.MappingNode]:
    """Every mapping in the document, in order; an aliased one once."""
    seen: set[int] = set()
    waiting = [root]
    while waiting:
        node = waiting.pop()
        if id(node) in seen:
            continue
        seen.add(id(node))
        if isinstance(node, yaml.MappingNode):
            yield node
            waiting.extend(part for pair in reversed(node.value) for part in reversed(pair))
        elif isinstance(node, yaml.SequenceNode):
            waiting.extend(reversed(node.value))
