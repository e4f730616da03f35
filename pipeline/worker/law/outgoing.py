"""The form in which the egress lists of a chain get its vCons: signed, and encrypted if configured.

The vCon of the run stays as it is, for links of other chains, storages and readers here. The lists
get a new version of it (core, 4.1.8): a document of its own with a uuid of its own, whose `amended`
names the vCon and the hash of its bytes. The uuid follows from the run, so an attempt after a crash
writes the same document again. It is written before the run ends, and only by the worker that has
the claim; the script that ends the run gives it to the lists, so none of them ever names a document
that is not there. Where that script never follows, the document expires.

A vCon that was signed or encrypted when it came and was not opened is sent as it came. So is one
that was opened and is not changed, unless it has to be encrypted: the lists get its own uuid, and
its signed original is kept byte for byte (`pipeline.redis_client.originals`). If it is changed,
`amended` has the hash of that original.
"""

import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import orjson

from core.concurrency.thread_pool import one_at_a_time
from core.errors import PatchcordError
from pipeline.config.law import EgressLaw, LawKey
from pipeline.custody.ledger_notes import LedgerNotes
from pipeline.law.canonical_json import canonical
from pipeline.law.writing.encrypting import encrypted
from pipeline.law.writing.signing_key import signing_key
from pipeline.law.writing.versions import amended, signed, version_uuid
from pipeline.redis_client import originals
from pipeline.redis_client.client import RedisConnection
from pipeline.runs.lease import Checkpoints
from pipeline.runs.run_state import RunState
from pipeline.runs.vcon_store import VconStore
from pipeline.vcon.envelope import is_envelope, with_address
from pipeline.vcon.opened import is_unchanged

UNSENT_SECONDS = 7 * 86_400
"""Seconds that a version stays whose run does not end as it was about to."""

type Document = dict[str, Any]


class NotSendableError(PatchcordError):
    """The vCon cannot be brought into the form that the egress of its chain demands."""


@dataclass(frozen=True, slots=True)
class Version:
    """What egress lists get. `document` is as Redis has it; `digest` its SHA-256 in hex."""

    vcon_uuid: str
    document: Document
    form: str
    digest: str
    size: int


class Outgoing:
    """Makes the versions of one worker's runs."""

    def __init__(self, connection: RedisConnection, checkpoints: Checkpoints) -> None:
        self._connection = connection
        self._store = VconStore(connection)
        self._checkpoints = checkpoints

    async def prepare(self, live: RunState) -> None:
        """Write the version that the egress lists get, if they get one, and note it in the run.

        Raises:
            NotSendableError: the vCon cannot be signed or encrypted; nothing is written.
            ConflictError: this worker no longer holds the run; nothing is written.
            UnavailableError: Redis cannot be reached.
        """
        egress = live.chain.egress
        if egress is None or egress.sign_with is None or not live.chain.egress_lists:
            return
        document = await self._store.get(live.progress.vcon)
        if document is None:
            raise NotSendableError(f"there is no vCon {live.progress.vcon} in Redis")
        if is_envelope(document):
            _check_sealed(document, egress)
            return
        original = await originals.read(self._connection, live.progress.vcon)
        version = await one_at_a_time(_made, document, original, live, egress, egress.sign_with)
        if version is None:
            return
        await self._checkpoints.own(version.vcon_uuid)
        for each in {live.claim.vcon_uuid, live.progress.vcon}:
            await self._checkpoints.made(each, version.vcon_uuid)
        await self._store.put(version.document, UNSENT_SECONDS)
        live.version = version.vcon_uuid
        _note(live, version, egress.sign_with)


def _check_sealed(document: Document, egress: EgressLaw) -> None:
    """Check that a vCon which was not opened may go out as it is.

    Raises:
        NotSendableError: it must be encrypted and is not.
    """
    if egress.encrypt_for and "ciphertext" not in document:
        raise NotSendableError(
            "the vCon is signed and was not opened, so it is not encrypted for the recipients of "
            "egress.encrypt_for; a chain with `verify` opens it"
        )


def _made(
    document: Document, original: bytes | None, live: RunState, egress: EgressLaw, key: LawKey
) -> Version | None:
    """The version, or None if the vCon goes out as it came; takes up to tenths of a second.

    Raises:
        NotSendableError: the vCon has no canonical form, or its uuid is none.
    """
    if original is not None and not egress.encrypt_for and is_unchanged(document, original):
        return None
    try:
        vcon_uuid = version_uuid(live.claim.run_id, live.progress.vcon)
        prior = original or canonical(document)
        payload = amended(document, vcon_uuid, prior, datetime.now(UTC))
        content = signed(payload, key, egress.layout)
    except (KeyError, RecursionError, ValueError) as error:
        raise NotSendableError(f"the vCon cannot be signed: {error!s:.200}") from error
    inside: Document | None = payload
    if egress.encrypt_for:
        content, inside = encrypted(content, vcon_uuid, egress.encrypt_for), None
    whole = with_address(orjson.loads(content), inside)
    text = orjson.dumps(whole, option=orjson.OPT_SORT_KEYS)
    form = "encrypted" if egress.encrypt_for else "signed"
    return Version(vcon_uuid, dict(whole), form, hashlib.sha256(text).hexdigest(), len(text))


def _note(live: RunState, version: Version, key: LawKey) -> None:
    """Tell the ledger of the version with the end of the run, also without custody.

    An erasure of the vCon finds the version there.
    """
    notes = live.ledger = live.ledger or LedgerNotes()
    others = [each for each in notes.versions if each["vcon_uuid"] != version.vcon_uuid]
    told = {
        "vcon_uuid": version.vcon_uuid,
        "origin": "amended",
        "form": version.form,
        "bytes": version.size,
        "digest": version.digest,
        "chain": live.chain.name,
        "run_id": live.claim.run_id,
        "prior": live.progress.vcon,
        "signers": [signing_key(key).digest],
    }
    notes.versions = [*others, told]
