"""Files that plugins generate for whoever begins with them."""

from pathlib import Path


def generate(folder: str, file: str, text: str) -> None:
    """Write a text into a folder, and say so."""
    path = Path(folder) / file
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    print(f"Generated: {path}")  # noqa: T201 - the command line's answer


def connection_yaml(name: str, kind: str, **fields: object) -> str:
    """A connection as it stands under `connections:`; `env_NAME` is left to the environment."""
    lines = [f"    {key}: {value}" for key, value in fields.items()]
    return "\n".join(["", f"  {name}:", f"    type: {kind}", *lines, ""])
