"""Measures vCons of 5 MB in a chain of four links with their media beside the documents, or inside.

    python -m benchmarks.media [--rounds 3] [--vcons 16] [--bytes 5000000]

Each vCon comes in over HTTP, gets four tags and is saved to a file, with MEDIA_STORE unset, which
is the floor, and with each store. Printed are the bytes that Redis receives and sends for a vCon,
the CPU time of all processes with Redis, and the rate. Rounds are interleaved.
"""

import argparse
import os
import statistics
import sys
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, override

from benchmarks.figures import Figure
from benchmarks.large_vcons.measuring import s3_server
from benchmarks.large_vcons.names import BUCKET, S3_KEYS
from benchmarks.large_vcons.rounds import Bench
from benchmarks.servers import servers
from devstack.servers.stack import EmbeddedStack

SIZE, VCONS = 5_000_000, 16
STORES = ("", "redis", "file", "s3")
LINKS = [f"tag{number}" for number in range(4)]


@dataclass(frozen=True, slots=True)
class Passage:
    """One round, for a vCon: megabytes through Redis, CPU in milliseconds; and vCons a second."""

    megabytes: float
    cpu: float
    rate: float


class MediaBench(Bench):
    """The bench of large vCons with four links and one of the stores."""

    store = ""

    def __init__(self, stack: EmbeddedStack, size: int, vcons: int, s3_url: str) -> None:
        super().__init__(stack, size, vcons, s3_url)
        self._media = stack.folder / "media"
        self._media.mkdir()

    def passage(self, store: str) -> Passage:
        """One round of the service."""
        self.store = store
        self._empty()
        with self._service("file") as service:
            self._round(service.api_port, (), 1)  # everything is imported and connected
            before = self._bytes()
            found = self._round(service.api_port, (service.pid,))
            passed = (self._bytes() - before) / self._vcons
        return Passage(passed / 1e6, found.cpu * 1e3 / self._vcons, self._vcons / found.seconds)

    def _bytes(self) -> int:
        told = self._client.info("stats")
        return int(told["total_net_input_bytes"]) + int(told["total_net_output_bytes"])

    @override
    def _environment(self, config: Path) -> dict[str, str]:
        media = {
            "MEDIA_STORE": self.store,
            "MEDIA_FOLDER": str(self._media),
            "MEDIA_S3_BUCKET": BUCKET,
            "MEDIA_S3_ENDPOINT_URL": self._s3_url,
            "MEDIA_S3_REGION": "us-east-1",
            "MEDIA_S3_ACCESS_KEY_ID": S3_KEYS["aws_access_key_id"],
            "MEDIA_S3_SECRET_ACCESS_KEY": S3_KEYS["aws_secret_access_key"],
        }
        return super()._environment(config) | (media if self.store else {})

    @override
    def _config(self, storage: str) -> dict[str, Any]:
        config = super()._config(storage)
        config["links"] = {
            name: {"module": "links.tag", "options": {"tags": [name]}} for name in LINKS
        }
        config["chains"]["bench"]["links"] = LINKS
        return config


def measure(
    rounds: int, vcons: int, size: int, said: Callable[[str], None] = lambda _: None
) -> dict[str, Passage]:
    """The medians of interleaved rounds, by store."""
    found = defaultdict[str, list[Passage]](list)
    with servers() as stack, s3_server() as s3_url:
        bench = MediaBench(stack, size, vcons, s3_url)
        for number in range(rounds):
            for store in STORES:
                found[store].append(bench.passage(store))
            said(f"round {number + 1} of {rounds}")
    return {store: _median(passages) for store, passages in found.items()}


def _median(passages: list[Passage]) -> Passage:
    return Passage(
        statistics.median(each.megabytes for each in passages),
        statistics.median(each.cpu for each in passages),
        statistics.median(each.rate for each in passages),
    )


def figures(rounds: int) -> Iterable[Figure]:
    """The short form for `make bench`."""
    found = measure(min(rounds, 2), VCONS, SIZE)
    floor = found.pop("")
    for store, each in found.items():
        note = f"{each.megabytes:.1f} MB a vCon, unset {floor.megabytes:.1f}; "
        note += f"CPU {each.cpu:.0f} ms, unset {floor.cpu:.0f}"
        ratio, aim = each.megabytes / floor.megabytes, 1.0 if store == "redis" else 0.1
        name = f"MEDIA_STORE={store}, bytes through Redis"
        yield Figure(name, ratio, aim, at_most=True, note=note)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--vcons", type=int, default=VCONS)
    parser.add_argument("--bytes", type=int, default=SIZE)
    given = parser.parse_args()
    found = measure(
        given.rounds, given.vcons, given.bytes, lambda text: print(text, file=sys.stderr)
    )
    print(f"load of the machine: {os.getloadavg()[0]:.1f}")
    print(f"{'MEDIA_STORE':12}{'MB through Redis':>17}{'CPU ms':>8}{'vCons/s':>9}")
    for store, each in found.items():
        print(f"{store or 'unset':12}{each.megabytes:17.1f}{each.cpu:8.0f}{each.rate:9.1f}")


if __name__ == "__main__":
    main()
