"""Measures a signed version of a vCon of 5 kB, in microseconds of CPU time.

    python -m benchmarks.law.signing [--rounds 7]

The version has the layout `both`, so two signatures. The floor, in rounds between ours, is two bare
signatures of `cryptography` over the same number of bytes. For the encrypted form it is the
encryption of the same bytes by jwcrypto for the same recipient.
"""

import argparse
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime

import orjson
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding
from jwcrypto.jwe import JWE
from jwcrypto.jwk import JWK

from benchmarks.figures import Figure
from benchmarks.vcons import made_up_vcons
from pipeline.config.law import LawKey
from pipeline.law.canonical_json import canonical
from pipeline.law.writing.encrypting import encrypted
from pipeline.law.writing.versions import amended, signed, version_uuid
from tests import law_keys

CALLS = 100
AIM = 1.3
NOW = datetime(2026, 11, 30, 12, tzinfo=UTC)
RUN = "0198f0a1-7000-7000-8000-0000000000aa"


def _microseconds(call: Callable[[], object]) -> float:
    began = time.thread_time()
    for _ in range(CALLS):
        call()
    return (time.thread_time() - began) / CALLS * 1e6


def _medians(ours: Callable[[], object], floor: Callable[[], object], rounds: int) -> list[float]:
    pairs = [(_microseconds(ours), _microseconds(floor)) for _ in range(rounds)]
    return [statistics.median(each) for each in zip(*pairs, strict=True)]


def _pairs() -> Iterator[tuple[str, Callable[[], object], Callable[[], object]]]:
    private = law_keys.rsa_key()
    key = LawKey("k", law_keys.private_pem(private), law_keys.certificate_pem(private))
    document = made_up_vcons(1, sizes=(5_000, 5_000))[0]

    def version() -> bytes:
        new = version_uuid(RUN, document["uuid"])
        return signed(amended(document, new, canonical(document), NOW), key, "both")

    content = version()
    text = content[: 4 * len(canonical(document)) // 3]

    def bare_signatures() -> None:
        for _ in range(2):
            private.sign(text, padding.PKCS1v15(), hashes.SHA256())

    recipient = law_keys.public_pem(private)
    public = JWK.from_pem(recipient.encode())
    header = orjson.dumps({"alg": "RSA-OAEP", "enc": "A256CBC-HS512"}).decode()

    def bare_encryption() -> str:
        return str(JWE(content, protected=header, recipient=public).serialize())

    yield "signed", version, bare_signatures
    yield "encrypted", lambda: encrypted(content, RUN, [recipient]), bare_encryption


def figures(rounds: int) -> Iterator[Figure]:
    """Each form, as a multiple of its floor."""
    for name, ours, floor in _pairs():
        mine, bare = _medians(ours, floor, rounds)
        note = f"{mine:,.0f} us of CPU, floor {bare:,.0f} us"
        yield Figure(name, mine / bare, AIM, at_most=True, unit="", note=note)


def main() -> int:
    """Measure and print; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=7)
    for each in figures(parser.parse_args().rounds):
        print(f"{each.name:12} {each.measured:6.2f}  aim {each.aim:g}  {each.note}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
