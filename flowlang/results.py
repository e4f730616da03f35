"""What a run of a flow tells: values that JSON knows, and errors without secrets."""

import base64
import math
from collections.abc import Mapping
from datetime import date, datetime, time, timedelta
from typing import Any

from flowlang.exceptions import FlowLangError, FlowTerminationException
from flowlang.redaction import Secrets

DEEPEST = 100
_PLAIN = (int, bool, type(None))


def succeeded(outputs: Mapping[str, Any], secrets: Secrets) -> dict[str, Any]:
    """`success` and `outputs`."""
    return {"success": True, "outputs": json_safe(outputs, secrets)}


def terminated(end: FlowTerminationException, secrets: Secrets) -> dict[str, Any]:
    """The same for a flow that ended with `exit`."""
    told = {"success": True, "terminated": True, "reason": secrets.text(end.reason)}
    return {**told, "outputs": json_safe(end.outputs, secrets)}


def failed(error: BaseException, secrets: Secrets) -> dict[str, Any]:
    """`error` and `error_type`; `step` where one failed, `cause` where another error was behind."""
    told: dict[str, Any] = {
        "success": False,
        "error": secrets.text(str(error) or type(error).__name__),
        "error_type": type(error).__name__,
    }
    if isinstance(error, FlowLangError) and error.step is not None:
        told["step"] = error.step
    root = _root(error)
    if root is not error:
        told["cause"] = secrets.text(f"{type(root).__name__}: {root}")
    return told


def _root(error: BaseException) -> BaseException:
    seen = {id(error)}
    while error.__cause__ is not None and id(error.__cause__) not in seen:
        error = error.__cause__
        seen.add(id(error))
    return error


def json_safe(value: Any, secrets: Secrets, depth: int = 0) -> Any:
    """The value in JSON's types: times in ISO 8601, decimals as text, bytes in base64."""
    if depth > DEEPEST:
        return "..."
    if type(value) in _PLAIN:
        return value
    if isinstance(value, dict | Mapping):  # checking for dict first is faster
        return {
            key if type(key) is str else str(json_safe(key, secrets)): json_safe(
                each, secrets, depth + 1
            )
            for key, each in value.items()
        }
    if isinstance(value, list | tuple | set | frozenset):
        return [json_safe(each, secrets, depth + 1) for each in value]
    return _scalar(value, secrets)


def _scalar(value: Any, secrets: Secrets) -> Any:
    match value:
        case None | bool() | int():
            safe: Any = value
        case float():
            safe = value if math.isfinite(value) else None
        case datetime() | date() | time():
            safe = value.isoformat()
        case timedelta():
            safe = value.total_seconds()
        case bytes() | bytearray() | memoryview():
            safe = base64.b64encode(bytes(value)).decode()
        case _:
            safe = secrets.output(str(value))
    return safe
