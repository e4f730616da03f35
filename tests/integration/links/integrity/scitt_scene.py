"""What the tests of the link and the storage `scitt` share: a service, a key, options, a vCon."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from tests.canaries import canary
from tests.integration.support.vendors.transparency import Transparency, transparency
from tests.plugins.scene import TAGGED, canonical


def new_key() -> str:
    """A private key as vcon-server's options have it: the base64 of PEM; it must be in no log."""
    pem = ec.generate_private_key(ec.SECP256R1()).private_bytes(
        Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()
    )
    canary(pem.decode().splitlines()[1])
    return base64.b64encode(pem).decode()


KEY = canary(new_key())
VCON = canonical(TAGGED) | {
    "parties": [{"tel": "+15550100", "name": "Ada"}, {"name": "Support"}, {"tel": "tel:+15550101"}]
}
UUID = VCON["uuid"]
QUICK = {"backoff": 0.001, "poll_interval": 0.001}


@pytest.fixture
def service() -> Iterator[Transparency]:
    """A service with an empty log."""
    with transparency() as found:
        yield found


def options(service: Transparency, **changes: Any) -> dict[str, Any]:
    """Options with pauses that need no waiting."""
    return {"scrapi_url": service.url, "signing_key_pem": KEY, **QUICK, **changes}


def receipts(document: dict[str, Any]) -> list[dict[str, str]]:
    """The receipts in a vCon."""
    found: list[dict[str, str]] = []
    for entry in document["analysis"]:
        if entry["type"] == "scitt_receipt":
            body = json.loads(entry["body"])
            found += body if isinstance(body, list) else [body]
    return found
