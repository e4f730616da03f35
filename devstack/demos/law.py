"""The demo's conversation without a lawful basis: withheld, released, sent on, and erased."""

import asyncio
import json
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Protocol

import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID

from pipeline.law.writing.statements import ERASURE_STATEMENT, verified

SAMPLES = Path(__file__).parents[2] / "samples"
FOLDER = SAMPLES / "law"
LIST = "lawful_conversations"
PURPOSES = ("ai_training", "redistribution")
SECONDS = 30.0
POLL_SECONDS = 0.05
ENDED = ("complete", "complete_with_exceptions", "manual")

type Line = tuple[str, str]
"""What was done, and what came of it."""


class Asking(Protocol):
    """Sends requests through the Plugboard; returns the fields of their answers."""

    async def ask(self, action: str, about: str, expected: int, **fields: Any) -> Any:
        """One that the demo tells."""
        ...

    async def look(self, action: str, **fields: Any) -> Any:
        """One of many while something is waited for."""
        ...


class LawDemoError(Exception):
    """What was waited for did not come."""


@contextmanager
def configuration() -> Iterator[Path]:
    """The samples' configuration together with that of the law, as one file."""
    parts = [yaml.safe_load((each / "config.yml").read_text()) for each in (SAMPLES, FOLDER)]
    whole: dict[str, Any] = {}
    for part in parts:
        for section, content in part.items():
            whole[section] = {**whole.get(section, {}), **content}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "config.yml"
        path.write_text(yaml.safe_dump(whole, sort_keys=False))
        yield path


def settings() -> dict[str, str]:
    """The settings of the law: a key of this demo alone, and the actions."""
    key = rsa.generate_private_key(65537, 2048)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "demo")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=7))
        .sign(key, hashes.SHA256())
    )
    encoding = serialization.Encoding.PEM
    form, plain = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    return {
        "LAW_ACTIONS": "true",
        "LAW_KEY": key.private_bytes(encoding, form, plain).decode(),
        "LAW_CHAIN": certificate.public_bytes(encoding).decode(),
    }


class LawDemo:
    """The steps of one vCon; `lines` tells what became of each."""

    def __init__(self, demo: Asking, certificate: str) -> None:
        """`certificate`: that of the key that signs the statement, as PEM."""
        self._demo = demo
        self._certificate = certificate
        self.lines: list[Line] = []

    async def play(self) -> None:
        """All steps in order.

        Raises:
            LawDemoError: the vCon was not withheld, did not go on, or was not erased in time.
        """
        vcon = json.loads((FOLDER / "without-basis.json").read_text())
        uuid = vcon["uuid"]
        await self._demo.ask("IngestVcon", "without a basis", 201, vcon=vcon, ingress_lists=[LIST])
        await self._withheld(uuid)
        await self._released(uuid)
        await self._custody(uuid)
        await self._erased(uuid)
        about = "the erased uuid: refused"
        await self._demo.ask("IngestVcon", about, 410, vcon=vcon, ingress_lists=[LIST])
        self.lines.append(("the same vCon comes in again", "410, refused for good"))

    async def _withheld(self, uuid: str) -> None:
        async def is_there() -> Any:
            page = await self._demo.look("ListWithheld", list=LIST)
            return next((each for each in page["vcons"] if each["vcon_uuid"] == uuid), None)

        found = await _until(is_there, "the vCon was not withheld")
        step = f"{found['kind']} {found['step']}"
        self.lines.append((f"withheld before {step}", f"{found['law']} for {found['purpose']}"))
        about, reason = "without a basis: refused", "the customer waits"
        await self._demo.ask("ReleaseWithheld", about, 409, vcon_uuids=[uuid], reason=reason)
        self.lines.append(("release without a basis", "409, evaluated again and still denied"))

    async def _released(self, uuid: str) -> None:
        for purpose in PURPOSES:
            told = {"vcon_uuid": uuid, "granted": True, "purpose": purpose, "ref": "letter 7"}
            why = "the customer has signed"
            await self._demo.ask("RecordBasis", f"consent to {purpose}", 201, **told, reason=why)
        self.lines.append(("consent is recorded", " and ".join(PURPOSES)))
        about, reason = "with a basis", "consent is recorded"
        page = await self._demo.ask("ReleaseWithheld", about, 200, vcon_uuids=[uuid], reason=reason)
        run_id = page["released"][0]["run_id"]

        async def is_done() -> Any:
            run = await self._demo.look("GetRun", run_id=run_id)
            return run["status"] if run["status"] not in ("queued", "running") else None

        status = await _until(is_done, "the released run did not end")
        self.lines.append(("released", f"its run went on at that step: {status}"))

    async def _custody(self, uuid: str) -> None:
        async def all_ended() -> Any:
            found = await self._demo.look("GetCustody", vcon_uuid=uuid)
            rows = found["deliveries"]
            return found if rows and all(each["outcome"] for each in rows) else None

        found = await _until(all_ended, "the deliveries did not end")
        for row in found["deliveries"]:
            where = f"{row['kind']} {row['name']}"
            self.lines.append((f"delivered to {where}", f"for {row['purpose']}, {row['outcome']}"))

    async def _erased(self, uuid: str) -> None:
        about, reason = "wherever it went", "the customer has asked for it"
        answer = await self._demo.ask("EraseVcon", about, 200, vcon_uuid=uuid, reason=reason)
        erasure_id = answer["erasure"]["id"]

        async def has_ended() -> Any:
            found = await self._demo.look("GetErasure", erasure=erasure_id)
            return found if found["state"] in ENDED else None

        found = await _until(has_ended, "the erasure did not end")
        for each in found["targets"]:
            self.lines.append((f"erasure: {each['kind']} {each['name']}", each["state"]))
        now = datetime.now(UTC)
        said = verified(found["statement"], ERASURE_STATEMENT, [self._certificate], now)
        self.lines.append((f"statement, {said.algorithm}, verified", _summary(said.content)))


def _summary(content: Mapping[str, Any]) -> str:
    count = len(content["exceptions"])
    return f"{str(content['state']).replace('_', ' ')}: {count}" if count else content["state"]


async def _until(look: Any, problem: str) -> Any:
    """The first result that is something."""
    deadline = time.monotonic() + SECONDS
    while (found := await look()) is None:
        if time.monotonic() > deadline:
            raise LawDemoError(f"{problem} in {SECONDS:.0f} s")
        await asyncio.sleep(POLL_SECONDS)  # polling, as any caller must: there is no event
    return found
