"""A dialog's inline recording as bytes, by the name that vcon-server's links import."""

from collections.abc import Mapping
from typing import Any

from lib.recordings.media import MediaError, decoded

__all__ = ["decode_inline_dialog_body"]


def decode_inline_dialog_body(dialog: Mapping[str, Any]) -> bytes:
    """The content of `body`, decoded as `encoding` says; without one it is base64.

    Raises:
        KeyError: the dialog has no `body`.
        ValueError: the body is not in that encoding, or the encoding is not one of recordings.
    """
    try:
        return decoded(dialog["body"], dialog.get("encoding"))
    except MediaError as error:
        raise ValueError(str(error)) from None
