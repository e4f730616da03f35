"""Deepgram's answer as one transcript, also where each channel of a recording has its own.

Readers of vcon-server take the first channel's first alternative: `transcript`, `confidence`,
`words`, `paragraphs`, with `detected_language`. With one channel that is what there is. With more
(`multichannel`), the same members hold what all channels said, in the order of time; each word and
paragraph has its `channel`, and as `speaker` the channel where Deepgram names none. `channels` has
each channel's own answer, whole.
"""

from collections.abc import Iterable
from itertools import groupby
from typing import Any

type Entry = dict[str, Any]


def transcript_of(results: Entry) -> Entry | None:
    """The transcript; None for an answer without one. All other results stand beside it."""
    channels = [each or {} for each in results.get("channels") or ()]
    if not any(map(_first, channels)):
        return None
    beside = {name: value for name, value in results.items() if name != "channels"}
    if len(channels) == 1:
        return {
            **beside,
            **_first(channels[0]),
            "detected_language": _language(channels),
        }
    return {**beside, **_merged(channels), "detected_language": _language(channels)}


def confidence_of(transcript: Entry) -> float | None:
    """How sure the surest channel is; a channel in which nothing is said does not count."""
    alternatives = [_first(each) for each in transcript.get("channels") or ()]
    sure = [each.get("confidence") for each in alternatives or [transcript]]
    return max((each for each in sure if each is not None), default=None)


def _first(channel: Entry) -> Entry:
    """What a channel says; empty for one without an alternative, which keeps its number."""
    first: Entry = (channel.get("alternatives") or [{}])[0]
    return first


def _language(channels: Iterable[Entry]) -> str:
    told = (each["detected_language"] for each in channels if each.get("detected_language"))
    return next(told, "en")


def _merged(channels: list[Entry]) -> Entry:
    spoken = [_first(each) for each in channels]
    words = _in_time((number, each.get("words")) for number, each in enumerate(spoken))
    blocks = _in_time(
        (number, (each.get("paragraphs") or {}).get("paragraphs"))
        for number, each in enumerate(spoken)
    )
    texts = [each.get("transcript") or "" for each in spoken]
    merged: Entry = {
        "transcript": "\n".join(_turns(words) if _have_all(words, texts) else filter(None, texts)),
        "words": words,
        "channels": channels,
    }
    if (sure := confidence_of(merged)) is not None:
        merged["confidence"] = sure
    if blocks:
        merged["paragraphs"] = {"transcript": _paragraphs(blocks), "paragraphs": blocks}
    return merged


def _in_time(entries: Iterable[tuple[int, list[Entry] | None]]) -> list[Entry]:
    """What all channels have, each with its channel and speaker, in the order of time."""
    told = [
        {"speaker": number, **each, "channel": number}
        for number, found in entries
        for each in found or ()
    ]
    return sorted(told, key=lambda each: each.get("start") or 0.0)


def _have_all(words: list[Entry], texts: list[str]) -> bool:
    """Whether each channel that says anything has its words with their times."""
    timed = {each["channel"] for each in words if "start" in each}
    return all(number in timed for number, text in enumerate(texts) if text)


def _turns(words: list[Entry]) -> list[str]:
    """A text for each time that a channel speaks."""
    return [
        " ".join(str(each.get("punctuated_word") or each.get("word") or "") for each in turn)
        for _, turn in groupby(words, key=lambda each: each["channel"])
    ]


def _paragraphs(blocks: list[Entry]) -> str:
    """The text in Deepgram's form: `Speaker 0: ...`, a blank line between the paragraphs."""
    texts = (
        f"\nSpeaker {block['speaker']}: "
        + " ".join(str(each.get("text", "")) for each in block.get("sentences") or ())
        for block in blocks
    )
    return "\n".join(texts)
