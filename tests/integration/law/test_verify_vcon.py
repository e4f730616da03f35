"""VerifyVcon over the command line and as an action: given vCons, and the originals kept."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import orjson
import pytest

from actions.verify_vcon import VerifyVcon
from core.errors import UnknownNameError
from pipeline.redis_client import keys
from pipeline.vcon.normalization import normalised
from tests.integration.support.operator_scene import OperatorScene, operator
from tests.signed_vcons import UUID, alone, certify, current, plain, rsa_key, signed

__all__ = ["operator"]


@pytest.fixture
def given(operator: OperatorScene) -> dict[str, Any]:
    """A vCon signed by a pinned certificate."""
    by = certify("harbour", rsa_key(), making=current())
    operator.config.write_text(f"law: {{trust: {{pinned: ['{by.digest}']}}}}\nchains: {{}}\n")
    return signed(by=by, header={"x5c": alone(by)})


async def test_the_command_line(
    operator: OperatorScene, given: dict[str, Any], tmp_path: Path
) -> None:
    """Exit code 0 only for one that is verified."""
    file = tmp_path / "call.vcon"
    file.write_bytes(orjson.dumps(given))
    shown = await operator.cli(f"verify {file}")
    assert shown.code == 0, shown.err
    for text in (UUID, "signed: verified", "CN=harbour", "RS256", "pinned"):
        assert text in shown.out
    file.write_bytes(orjson.dumps(plain()))
    shown = await operator.cli(f"verify {file}")
    assert shown.code != 0
    assert "unsigned: it is not signed" in shown.out


async def test_the_action(operator: OperatorScene, given: dict[str, Any]) -> None:
    """By uuid the signed original counts, and is given out byte for byte."""
    text = orjson.dumps(given, option=orjson.OPT_INDENT_2)
    async with operator.api() as api:
        client: Any = SimpleNamespace(service=None, pipeline=SimpleNamespace(operator=api))
        with pytest.raises(UnknownNameError):
            await VerifyVcon(vcon_uuid=UUID).run(client, None)
        kept = orjson.dumps(normalised(plain()) | {"created_at": "2026-11-20T12:00:00Z"})
        operator.redis.execute_command("JSON.SET", keys.vcon(UUID), ".", kept)
        assert not (await VerifyVcon(vcon_uuid=UUID).run(client, None)).fields["verified"]
        operator.redis.set(keys.signed(UUID), text)
        found = (await VerifyVcon(vcon_uuid=UUID, original=True).run(client, None)).fields
        assert (found["verified"], found["original"]) == (True, text.decode())
        assert not any("another program" in each for each in found["findings"])
        operator.redis.execute_command("JSON.SET", keys.vcon(UUID), "$.subject", '"laid over"')
        found = (await VerifyVcon(vcon_uuid=UUID).run(client, None)).fields
        assert "another program has changed it" in found["findings"][-1]
        wrong = {**given, "payload": signed(plain(subject="x"))["payload"]}
        found = (await VerifyVcon(vcon=wrong).run(client, None)).fields
        assert (found["verified"], found["original"]) == (False, None)
        assert "the signature is wrong" in found["error"]
