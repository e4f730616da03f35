"""Writes docs/plugins/ from the built-in plugins themselves.

    python -m devstack.pages.plugin_pages [MODULE ...]

With modules, only their pages are written and added to the list: the others are not imported, so
the vendors' libraries that they need may be missing.
"""

import importlib
import inspect
import pkgutil
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from types import ModuleType

from pydantic import SecretStr

from devstack.pages.schema_words import Schema, as_yaml, values
from lib.options import PluginOptions

FOLDER = Path(__file__).parents[2] / "docs" / "plugins"
ROOMS = {"links": "run", "storage": "save", "tracers": "run"}
"""Where plugins are, and the function that makes a module one."""

INDEX = """\
# Built-in plugins

Links, storages and tracers are plugins: modules that the configuration names, with options that are
laid over their defaults. The built-in ones use nothing that yours could not use, too; see
[writing links](../writing-links.md), [storages](../writing-storages.md) and
[tracers](../writing-tracers.md).

Option names, defaults and what is written are those of vcon-server, unless a page says otherwise;
options that it does not have are marked +. A wrong option is told at the start, by its path. A
number or a switch may be a text, as a value that is filled from the environment is.

These pages are written by `python -m devstack.pages.plugin_pages`.

| plugin | what it does |
|---|---|
"""
HEAD = "| option | values | default | what it is |\n|---|---|---|---|"


def plugins() -> Iterator[ModuleType]:
    """Every built-in plugin, by name."""
    for room, function in ROOMS.items():
        package = importlib.import_module(room)
        for found in sorted(pkgutil.iter_modules(package.__path__), key=lambda each: each.name):
            module = importlib.import_module(f"{room}.{found.name}")
            if hasattr(module, function):
                yield module


def pages() -> dict[str, str]:
    """All pages as they should be, by file name."""
    modules = list(plugins())
    written = {f"{module.__name__}.md": page(module) for module in modules}
    return {"README.md": _index(map(_entry, modules)), **written}


def _index(rows: Iterable[str]) -> str:
    return INDEX + "\n".join(rows) + "\n"


def _entry(module: ModuleType) -> str:
    return f"| [`{module.__name__}`]({module.__name__}.md) | {summary(module)} |"


def summary(module: ModuleType) -> str:
    """The first sentence that a plugin says of itself."""
    return inspect.cleandoc(module.__doc__ or "").partition("\n")[0]


def page(module: ModuleType) -> str:
    """What a plugin says of itself, and its options."""
    model: type[PluginOptions] | None = getattr(module, "Options", None)
    words = f"# `{module.__name__}`\n\n{inspect.cleandoc(module.__doc__ or '')}\n"
    if model is None or not model.model_fields:
        return f"{words}\nIt has no options.\n"
    schema = model.model_json_schema(by_alias=True)
    schema["properties"] = _with_public_defaults(model, schema["properties"])
    required = schema.get("required", ())
    rows = [
        _row(name, field, required=name in required)
        for name, field in sorted(schema["properties"].items(), key=_is_ours)
    ]
    return "\n".join([words, HEAD, *rows]) + "\n"


def _with_public_defaults(
    model: type[PluginOptions], properties: dict[str, Schema]
) -> dict[str, Schema]:
    """The properties with the defaults of secrets readable: what stands in the source is none."""
    fields = ((field.alias or name, field.default) for name, field in model.model_fields.items())
    return properties | {
        name: {**properties[name], "default": default.get_secret_value()}
        for name, default in fields
        if isinstance(default, SecretStr)
    }


def _is_ours(option: tuple[str, Schema]) -> bool:
    """Whether vcon-server has no such option; those come last."""
    return str(option[1].get("description", "")).startswith("+")


def _row(name: str, field: Schema, *, required: bool) -> str:
    default = "must be given" if required else f"`{_default(field)}`"
    return f"| `{name}` | {values(field)} | {default} | {field.get('description', '')} |"


def _default(field: Schema) -> str:
    default = field.get("default")
    return f"0o{default:o}" if field.get("octal") else as_yaml(default)


def main(names: Sequence[str]) -> None:
    """Write the pages of these plugins; of all without names, without those of plugins now gone."""
    FOLDER.mkdir(exist_ok=True)
    written = _some(names) if names else pages()
    for name, text in written.items():
        (FOLDER / name).write_text(text, encoding="utf-8")
    for file in () if names else FOLDER.glob("*.md"):
        if file.name not in written:
            file.unlink()


def _some(names: Sequence[str]) -> dict[str, str]:
    """The pages of these plugins, and the list with them in it."""
    modules = [importlib.import_module(name) for name in names]
    rows = {_plugin_of(row): row for row in _rows()} | {m.__name__: _entry(m) for m in modules}
    written = {f"{module.__name__}.md": page(module) for module in modules}
    return {"README.md": _index(rows[name] for name in sorted(rows, key=_place)), **written}


def _rows() -> list[str]:
    """The rows of the list as it is now."""
    file = FOLDER / "README.md"
    text = file.read_text(encoding="utf-8") if file.exists() else ""
    return [line for line in text.splitlines() if line.startswith("| [`")]


def _plugin_of(row: str) -> str:
    return row.split("`")[1]


def _place(name: str) -> tuple[int, str]:
    """Sorts plugins as `plugins` does: by room, then by name."""
    return list(ROOMS).index(name.partition(".")[0]), name


if __name__ == "__main__":
    main(sys.argv[1:])
