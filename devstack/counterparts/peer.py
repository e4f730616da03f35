"""Carries out orders with python-vcon, in a process of its own: JSON on stdin, JSON on stdout.

An order has `do` and its arguments; keys and certificates are PEM texts. The answer to each has
`result`, or `error` with the type and the text of what was raised.
"""

import json
import sys
import types
from collections.abc import Callable
from typing import Any

sys.modules["pyjq"] = types.ModuleType("pyjq")  # for redaction; it is built with autotools

import vcon  # noqa: E402


def _loaded(form: Any) -> Any:
    loaded = vcon.Vcon()
    loaded.loads(json.dumps(form))
    return loaded


def verified(form: Any, anchors: list[str]) -> Any:
    """The state and the uuid of a signed vCon after its verification."""
    loaded = _loaded(form)
    loaded.verify(anchors)
    return {"state": loaded._state.name, "uuid": loaded.uuid}


def decrypted(form: Any, private: str, certificate: str, anchors: list[str]) -> Any:
    """The same of an encrypted vCon."""
    loaded = _loaded(form)
    loaded.decrypt(private, certificate)
    loaded.verify(anchors)
    return {"state": loaded._state.name, "uuid": loaded.uuid}


def signed(document: Any, private: str, chain: list[str]) -> Any:
    """The signed form of a vCon."""
    loaded = _loaded(document)
    loaded.sign(private, chain)
    return loaded.dumpd()


def encrypted(document: Any, private: str, chain: list[str], certificate: str) -> Any:
    """The encrypted form of a signed vCon."""
    loaded = _loaded(document)
    loaded.sign(private, chain)
    loaded.encrypt(certificate)
    return loaded.dumpd()


ORDERS: dict[str, Callable[..., Any]] = {
    "verify": verified,
    "decrypt": decrypted,
    "sign": signed,
    "encrypt": encrypted,
}


def answer(order: dict[str, Any]) -> dict[str, Any]:
    """The answer to one order."""
    try:
        return {"result": ORDERS[order.pop("do")](**order)}
    except Exception as error:  # noqa: BLE001 -- it is the answer
        return {"error": f"{type(error).__name__}: {error}"}


if __name__ == "__main__":
    answers = [answer(order) for order in json.load(sys.stdin)]
    sys.stdout.write(f"\n{json.dumps(answers)}\n")
