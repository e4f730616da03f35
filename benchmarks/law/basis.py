"""Measures the decision of the gate about one vCon of 5 kB, in microseconds of CPU time.

    python -m benchmarks.law.basis [--rounds 7]

The vCon is as it is stored: the basis is JSON text with a content hash and three grants. The floor,
in rounds between ours, parses the text of the whole vCon.
"""

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any

import orjson

from benchmarks.figures import Figure
from benchmarks.vcons import made_up_vcons
from pipeline.config.law import BasisPolicy
from pipeline.law.basis.evaluation import evaluate
from pipeline.law.canonical_json import canonical

CALLS = 2000
AIM = 20.0
NOW = datetime(2026, 11, 30, 12, tzinfo=UTC)
GIVEN = "2026-11-01T12:00:00Z"


def _basis(*purposes: str, hashed: bool) -> dict[str, Any]:
    grants = [{"purpose": each, "granted": True, "granted_at": GIVEN} for each in purposes]
    body: dict[str, Any] = {
        "lawful_basis": "consent",
        "expiration": None,
        "status_interval": "90d",
        "purpose_grants": grants,
    }
    if hashed:
        value = sha256(canonical(body)).hexdigest()
        about = {"algorithm": "sha-256", "canonicalization": "jcs", "value": value}
        body["content_hash"] = about
    shared = {"purpose": "lawful_basis", "encoding": "json", "party": 0, "dialog": 0}
    return {**shared, "body": json.dumps(body)}


def documents() -> dict[str, dict[str, Any]]:
    """VCons of 5 kB by what their basis is like."""
    base = made_up_vcons(1, sizes=(4_200, 4_200))[0]
    purposes = ("recording", "analysis", "transcription")
    attachments = {
        "text with a hash": [_basis(*purposes, hashed=True)],
        "text": [_basis(*purposes, hashed=False)],
        "no basis": [],
    }
    return {name: {**base, "attachments": each} for name, each in attachments.items()}


def _microseconds(call: Callable[[], object]) -> float:
    began = time.thread_time()
    for _ in range(CALLS):
        call()
    return (time.thread_time() - began) / CALLS * 1e6


def measured(document: dict[str, Any], rounds: int) -> tuple[float, float]:
    """Microseconds of a decision and of parsing the vCon, medians of interleaved rounds."""
    policy, text = BasisPolicy(), orjson.dumps(document)
    ours, floor = [], []
    for _ in range(rounds):
        ours.append(_microseconds(lambda: evaluate(document, "transcription", NOW, policy)))
        floor.append(_microseconds(lambda: orjson.loads(text)))
    return statistics.median(ours), statistics.median(floor)


def figures(rounds: int) -> Iterator[Figure]:
    """A decision, for each way in which a vCon tells its basis."""
    for name, document in documents().items():
        ours, floor = measured(document, rounds)
        note = f"{ours / floor:.1f} of parsing {len(orjson.dumps(document)):,} bytes"
        yield Figure(f"decision, {name}", ours, AIM, at_most=True, unit=" us", note=note)


def main() -> int:
    """Measure and print; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=7)
    for each in figures(parser.parse_args().rounds):
        print(f"{each.name:30} {each.measured:6.1f} us  aim {each.aim:g}  {each.note}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
