"""Files with secrets, one a line: tokens of the HTTP API, passwords of the console.

Neither an error nor a log line repeats a secret.
"""

from pathlib import Path

from core.errors import ConfigurationError

MAX_FILE_BYTES = 65_536
"""Some thousand secrets: each is compared with that of a request, and searched in log lines."""


def secret_lines(setting: str, file: Path, kind: str) -> list[str]:
    """The lines without the white space around them; blank lines are none.

    `setting` and `kind` (such as `token`) are for errors.

    Raises:
        ConfigurationError: the file is missing, unreadable, empty, too large or no text.
    """
    lines = [line.strip() for line in _text_of(setting, file).split("\n")]
    lines = [line for line in lines if line]
    if not lines:
        raise ConfigurationError([f"{setting}: {file} has no {kind}; write one on each line"])
    if not all(line.isprintable() for line in lines):
        raise ConfigurationError([f"{setting}: {file} has a {kind} with control characters"])
    return lines


def _text_of(setting: str, file: Path) -> str:
    try:
        if not file.is_file():  # a pipe would block, and a device may have no end
            file.stat()
            raise ConfigurationError([f"{setting}: {file} is no regular file"])
        with file.open("rb") as opened:
            content = opened.read(MAX_FILE_BYTES + 1)
        if len(content) > MAX_FILE_BYTES:
            raise ConfigurationError([f"{setting}: {file} is larger than {MAX_FILE_BYTES} bytes"])
        return content.decode("utf-8-sig")
    except OSError as error:
        msg = f"{setting}: {file} cannot be read: {error.strerror}"
        raise ConfigurationError([msg]) from None
    except UnicodeDecodeError:
        raise ConfigurationError([f"{setting}: {file} is no text in UTF-8"]) from None
