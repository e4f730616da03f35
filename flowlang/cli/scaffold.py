"""The commands that generate files; generated files are parsed before the command succeeds."""

import importlib.util
import keyword
import re
from argparse import Namespace
from collections.abc import Callable, Iterator
from inspect import signature
from pathlib import Path

import yaml

from flowlang import connections
from flowlang.connections import ConnectionPlugin, plugin_registry
from flowlang.exceptions import FlowLangError
from flowlang.language.flow import Flow

TEMPLATES = Path(__file__).parents[1] / "templates"
_FILES = {
    "__init__.py.txt": "__init__.py",
    "provider.py.txt": "provider.py",
    "requirements.txt": "requirements.txt",
}
_NAME = re.compile(r"[a-z][a-z0-9_]*")


def scaffold(given: Namespace) -> int:
    """A connection in YAML, printed or written."""
    plugin = plugin_registry.require(given.plugin)
    named = _named(plugin.scaffold_connection_config, "name", given.name)
    body = plugin.scaffold_connection_config(**named).strip("\n")
    text = f"# A connection to {plugin.description or plugin.name}\nconnections:\n{body}\n"
    try:
        yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise FlowLangError(f"Plugin '{plugin.name}' generates no YAML: {error}") from error
    if given.output is None:
        print(text, end="")
    else:
        Path(given.output).write_text(text, encoding="utf-8")
        print(f"Generated: {given.output}")
    return 0


def helpers(given: Namespace) -> int:
    """Python helpers, if the plugin has any."""
    return _generate(given, "scaffold_task_helpers", "helpers", _compile, (".py",))


def example(given: Namespace) -> int:
    """An example flow, if the plugin has one."""
    return _generate(given, "scaffold_example_flow", "example flow", Flow.read, (".yaml", ".yml"))


def _generate(
    given: Namespace,
    method: str,
    what: str,
    read: Callable[[Path], object],
    endings: tuple[str, ...],
) -> int:
    plugin = plugin_registry.require(given.plugin)
    if getattr(type(plugin), method) is getattr(ConnectionPlugin, method):
        print(f"Plugin '{plugin.name}' has no {what}.")
        return 0
    folder = _folder(given.output)
    before = _times(folder)
    generate = getattr(plugin, method)
    generate(str(folder), **_named(generate, "connection_name", given.connection))
    for path in _written(folder, before, endings):
        read(path)
    return 0


def _compile(path: Path) -> None:
    compile(path.read_text(encoding="utf-8"), str(path), "exec")


def _named(method: Callable[..., object], parameter: str, given: str | None) -> dict[str, str]:
    """The connection's name as an argument, if given or required by the plugin."""
    declared = signature(method).parameters.get(parameter)
    needed = declared is not None and declared.default is declared.empty
    name = "conn" if given is None and needed else given
    return {} if name is None else {parameter: name}


def _folder(name: str) -> Path:
    folder = Path(name)
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _times(folder: Path) -> dict[Path, int]:
    return {path: path.stat().st_mtime_ns for path in folder.iterdir()}


def _written(folder: Path, before: dict[Path, int], endings: tuple[str, ...]) -> Iterator[Path]:
    for path, time in _times(folder).items():
        if path.suffix in endings and before.get(path) != time:
            yield path


def new(given: Namespace) -> int:
    """Write the files of a working plugin, as a start for an own one."""
    name = given.name
    if not _NAME.fullmatch(name) or keyword.iskeyword(name):
        raise FlowLangError(f"'{name}' is no name for a plugin: a-z, 0-9 and _, a letter first")
    if plugin_registry.get(name) is not None:
        raise FlowLangError(f"There is a plugin '{name}' already")
    if importlib.util.find_spec(f"{connections.__name__}.{name}") is not None:
        raise FlowLangError(f"'{name}' is no name for a plugin: it is one of our own modules")
    folder = Path(given.output) / name
    folder.mkdir(parents=True)
    title = "".join(word.capitalize() for word in name.split("_"))
    for template, file in _FILES.items():
        text = (TEMPLATES / template).read_text(encoding="utf-8")
        for mark, value in (("@name@", name), ("@Title@", title), ("@NAME@", name.upper())):
            text = text.replace(mark, value)
        (folder / file).write_text(text, encoding="utf-8")
        print(f"Generated: {folder / file}")
    print(f"It is found with FLOWLANG_PLUGIN_PATH={Path(given.output).resolve()}")
    return 0
