"""Measures the verification of one signed vCon of 5 kB, in microseconds of CPU time.

    python -m benchmarks.law.verification [--rounds 9]

The vCon is signed once, with a chain of two certificates that leads to an anchor. The floor, in
rounds between ours, is joserfc alone: it decodes the same JWS and checks the signature with a key
that it is given, without certificates, and parses the payload. `first` is without what is
remembered of certificates that were seen before.
"""

import argparse
import statistics
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import orjson
from joserfc import jws
from joserfc.jwk import ECKey, OKPKey, RSAKey

from benchmarks.figures import Figure
from benchmarks.vcons import made_up_vcons
from pipeline.law.reading import certificates, signatures
from pipeline.law.reading.opening import opened
from tests.signed_vcons import NOW, signed, signer, trust

CALLS = 300
AIM = 1.3
_KINDS = {"RS256": RSAKey, "ES256": ECKey, "EdDSA": OKPKey}


def _microseconds(call: Callable[[], object]) -> float:
    began = time.thread_time()
    for _ in range(CALLS):
        call()
    return (time.thread_time() - began) / CALLS * 1e6


def _registry() -> jws.JWSRegistry:
    warnings.simplefilter("ignore")  # that EdDSA has a newer name
    registry = jws.JWSRegistry(algorithms=list(_KINDS), strict_check_header=False)
    registry.max_header_length = registry.max_payload_length = 1_000_000
    return registry


def _ours(envelope: dict[str, Any]) -> object:
    found = opened(envelope, trust(), (), NOW)
    assert found.verified
    return found


def _first(envelope: dict[str, Any]) -> object:
    for each in (certificates.certificate, certificates.digest_of, signatures._key):
        each.cache_clear()
    certificates._path.cache_clear()
    return _ours(envelope)


def _bare(envelope: Any, key: Any, registry: jws.JWSRegistry) -> object:
    found = jws.deserialize_json(envelope, key, registry=registry)
    return orjson.loads(found.payload)


def measured(algorithm: str, rounds: int) -> tuple[float, float, float]:
    """Microseconds of ours, of the first one of a signer, and of the library: medians."""
    document = made_up_vcons(1, sizes=(5_000, 5_000))[0]
    envelope = signed(
        document, by=signer(algorithm), algorithm=algorithm, header={"uuid": document["uuid"]}
    )
    public = signer(algorithm).key.public_key()
    key = _KINDS[algorithm](public, public)
    calls = (
        partial(_ours, envelope),
        partial(_first, envelope),
        partial(_bare, envelope, key, _registry()),
    )
    times: list[list[float]] = [[], [], []]
    for _ in range(rounds):
        for found, call in zip(times, calls, strict=True):
            found.append(_microseconds(call))
    ours, first, bare = map(statistics.median, times)
    return ours, first, bare


def figures(rounds: int) -> Iterator[Figure]:
    """For each kind of key."""
    for algorithm in _KINDS:
        ours, first, bare = measured(algorithm, rounds)
        note = f"{ours:.0f} us, floor {bare:.0f} us; first of a signer {first / bare:.1f}"
        yield Figure(f"verification, {algorithm}", ours / bare, AIM, at_most=True, note=note)


def main() -> int:
    """Measure and print; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=9)
    for each in figures(parser.parse_args().rounds):
        print(f"{each.name:22} {each.measured:5.2f}  aim {each.aim:g}  {each.note}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
