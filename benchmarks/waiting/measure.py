"""The cases of the benchmark of waiting links, and one round of each."""

import base64
import json
import statistics
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from typing import Any
from wave import open as open_wav

import httpx

from benchmarks.chain.bench import Bench, Case, Measured
from benchmarks.figures import Figure
from benchmarks.processes import Memory
from benchmarks.servers import servers
from benchmarks.vcons import made_up_vcons
from devstack.servers.stack import EmbeddedStack

DELAY = 1.0
AIM, AIM_SYNC, AIM_MEMORY = 0.9, 0.85, 150.0
LINKS = ("webhook", "analyze", "deepgram", "transcribe")
SYNC = "requests"


@dataclass(frozen=True, slots=True)
class Waited:
    """One round of one case."""

    ratio: float
    """Of the rate that the waiting alone allows."""
    cpu: float
    """CPU microseconds a vCon."""
    memory: float
    """Kilobytes of the worker for each vCon in flight."""
    most: int
    """Requests that waited at the same time."""
    connections: int


class WaitingBench:
    """The servers, the stand-in and the vCons of one run."""

    def __init__(self, stack: EmbeddedStack, url: str, count: int) -> None:
        self._url = url
        self._count = count
        self._bench = Bench(stack, count, vcons(count))

    def link(self, name: str, concurrency: int) -> Waited:
        """One round of the real service with one worker."""
        module, options = _link(name, self._url)
        with Memory() as memory:
            case = Case(name, module, "none", concurrency=concurrency, waits=DELAY, options=options)
            self._state()
            measured = self._bench.chain(case, memory.watch)
        return self._waited(measured, concurrency, memory.grown)

    def floor(self, concurrency: int) -> Waited:
        """One round of a bare client, in a process of its own."""
        command = [sys.executable, "-m", "benchmarks.waiting.floor", self._url]
        numbers = [str(self._count), str(concurrency)]
        output = subprocess.run([*command, *numbers], check=True, stdout=subprocess.PIPE).stdout
        return self._waited(Measured(**json.loads(output)), concurrency, 0.0)

    def _state(self) -> dict[str, int]:
        """What the stand-in has had since the last call."""
        answer: dict[str, int] = httpx.get(f"{self._url}/state", trust_env=False).json()
        return answer

    def _waited(self, measured: Measured, concurrency: int, memory: float) -> Waited:
        state = self._state()
        ideal = -(-self._count // concurrency) * DELAY
        cpu = measured.cpu / self._count * 1e6
        return Waited(ideal / measured.seconds, cpu, memory / concurrency / 1000, **state)


@contextmanager
def stand_in(delay: float) -> Iterator[str]:
    """The address of the stand-in server, which ends afterwards."""
    command = [sys.executable, "-m", "benchmarks.waiting.server", str(delay)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield process.stdout.readline().strip()
        finally:
            process.kill()


def vcons(count: int) -> list[dict[str, Any]]:
    """VCons of 4 kB with a recording of a quarter of a second, and the text of its dialog."""
    sound = BytesIO()
    with open_wav(sound, "wb") as wav:
        wav.setparams((1, 1, 8000, 2000, "NONE", ""))
        wav.writeframes(bytes(2000))
    recording = {
        "type": "recording",
        "start": "2026-01-05T10:00:00+00:00",
        "parties": [0, 1],
        "mediatype": "audio/x-wav",
        "filename": "call.wav",
        "body": base64.urlsafe_b64encode(sound.getvalue()).decode(),
        "encoding": "base64url",
    }
    return [
        {**vcon, "dialog": [recording, *vcon["dialog"]], "analysis": [_text()]}
        for vcon in made_up_vcons(count, sizes=(1_000, 1_500))
    ]


def _text() -> dict[str, Any]:
    return {
        "type": "script",
        "dialog": 0,
        "vendor": "bench",
        "body": {"text": "hello, my parcel has not arrived " * 10},
        "encoding": "json",
    }


def _link(name: str, url: str) -> tuple[str, dict[str, Any]]:
    proxy = {"LITELLM_PROXY_URL": f"{url}/v1", "LITELLM_MASTER_KEY": "none"}
    source = {"analysis_type": "script", "text_location": "body.text"}
    options: dict[str, tuple[str, dict[str, Any]]] = {
        "webhook": ("links.webhook", {"webhook-urls": [f"{url}/hook"]}),
        "analyze": ("links.analyze", {**proxy, "prompt": "Summarise", "source": source}),
        "deepgram": (
            "links.deepgram_link",
            {"DEEPGRAM_KEY": "none", "base_url": url, "minimum_duration": 0},
        ),
        "transcribe": (
            "links.transcribe",
            {"vendor": "openai", "vendor_options": {**proxy, "minimum_duration": 0}},
        ),
        SYNC: ("benchmarks.waiting.requests_link", {"url": f"{url}/hook"}),
    }
    return options[name]


type Rounds = dict[tuple[str, int], list[Waited]]


def measure(
    rounds: int, count: int, cases: Sequence[tuple[str, int]]
) -> Iterator[tuple[str, int, Waited]]:
    """The rounds of all cases, interleaved."""
    with servers() as stack, stand_in(DELAY) as url:
        bench = WaitingBench(stack, url, count)
        for _ in range(rounds):
            for name, concurrency in cases:
                floor = name == "floor"
                waited = bench.floor(concurrency) if floor else bench.link(name, concurrency)
                yield name, concurrency, waited


def medians(rounds: Iterable[tuple[str, int, Waited]]) -> dict[tuple[str, int], Waited]:
    """The median of each number, for each case."""
    found: Rounds = defaultdict(list)
    for name, concurrency, waited in rounds:
        found[name, concurrency].append(waited)
    return {case: _median(each) for case, each in found.items()}


def _median(rounds: list[Waited]) -> Waited:
    def middle(name: str) -> Any:
        return statistics.median(getattr(each, name) for each in rounds)

    return Waited(
        middle("ratio"),
        middle("cpu"),
        middle("memory"),
        int(middle("most")),
        int(middle("connections")),
    )


def short_figures(rounds: int) -> Iterable[Figure]:
    """400 at once, 800 vCons."""
    cases = [(name, 400) for name in ("floor", *LINKS, SYNC)]
    found = medians(measure(max(rounds // 3, 1), 800, cases))
    floor = found.pop(("floor", 400)).ratio
    for (name, concurrency), each in found.items():
        note = f"CPU {each.cpu:.0f} us, bare client {floor:.2f}"
        aim = AIM_SYNC if name == SYNC else AIM
        yield Figure(f"{name}, {concurrency} at once", each.ratio, aim, note=note)
    most = max(each.memory for each in found.values())
    yield Figure("memory for a vCon in flight", most, AIM_MEMORY, at_most=True, unit=" kB")
