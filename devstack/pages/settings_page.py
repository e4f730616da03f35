"""`python -m devstack.pages.settings_page` writes docs/settings.md from the settings class."""

from collections.abc import Iterable, Mapping
from pathlib import Path

from core.settings import DatabaseSettings, ServiceSettings, Settings
from devstack.pages import schema_words
from devstack.pages.schema_words import Schema, plain, values

PAGE = Path(__file__).parents[2] / "docs" / "settings.md"

INTRODUCTION = """\
# Settings

Every setting is an environment variable, or stands in the file `.env` of the working directory,
which `.env.example` is a beginning of; `ENV_FILE` names another file, and set to nothing none is
read. What the environment has goes before the file. A setting that is set to nothing counts as
unset. What is missing or wrong is told at the start, one line each, and the service ends with exit
code 2.

This page is written by `python -m devstack.pages.settings_page` from `core/settings.py`.
"""
PARTS = (
    (
        "Required",
        "Without these the service does not start. `entrypoint.py api` needs no Plugboard, and so "
        "neither of\nthe first two, but `CONSERVER_CONFIG_FILE`, `REDIS_URL` and a token.",
    ),
    ("Optional", "The defaults are meant to be left alone."),
)
HEAD = "| variable | values | default | what it is |\n|---|---|---|---|"

KINDS = schema_words.KINDS | {"array": "names, comma-separated"}


def page() -> str:
    """The content of the page."""
    schema = Settings.model_json_schema()
    required = set(ServiceSettings.model_json_schema()["required"])
    properties: Mapping[str, Schema] = schema["properties"]
    rows: tuple[list[str], list[str]] = ([], [])
    for name in _in_reading_order(properties):
        rows[name not in required].append(_row(name, properties[name]))
    tables = (
        f"\n## {title}\n{words}\n\n{HEAD}\n" + "\n".join(lines) + "\n"
        for (title, words), lines in zip(PARTS, rows, strict=True)
    )
    return INTRODUCTION + "".join(tables)


def _in_reading_order(names: Iterable[str]) -> list[str]:
    """The Plugboard first, then the database, then the rest in the order of the class."""
    first = ("websocket_url", "token", *DatabaseSettings.model_fields)
    return [*first, *(name for name in names if name not in first)]


def _row(name: str, field: Schema) -> str:
    default = field.get("default")
    told = f"`{plain(default)}`" if default not in (None, [], "") else ""
    return f"| `{name.upper()}` | {values(field, KINDS)} | {told} | {field['description']} |"


def main() -> None:
    """Write the page."""
    PAGE.write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    main()
