"""Chains that sign and encrypt what their egress lists get."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from pipeline.config.law import EgressLaw, Layout
from tests import law_keys
from tests.signed_vcons import Making, certify, curve_key, root

RECIPIENT = law_keys.ec_key("recipient")


def signing(layout: Layout = "both", *, encrypts: bool = False) -> EgressLaw:
    """A key `egress` of a chain; its certificate is valid now, by `tests.signed_vcons.root`."""
    now = datetime.now(UTC)
    times = Making(begins=now - timedelta(days=30), ends=now + timedelta(days=30))
    key = certify("egress", curve_key("egress"), root(), times).as_law_key()
    recipients = (law_keys.public_pem(RECIPIENT),) if encrypts else ()
    return EgressLaw(sign_with=key, layout=layout, encrypt_for=recipients)
