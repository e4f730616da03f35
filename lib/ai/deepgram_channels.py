"""Converts Deepgram's answer into one transcript, also for a recording with several channels.

vcon-server stores the first channel's first alternative: `transcript`, `confidence`, `words`,
`paragraphs`, with `detected_language`. An answer with one channel is stored the same way here. For
several channels (`multichannel`), these members contain all channels, sorted by start time; each
word and paragraph has its `channel`, and the channel number as `speaker` if Deepgram gives none.
`channels` has each channel's unchanged answer.
"""

from collections.abc import Iterable
from itertools import groupby
from typing import Any

type Entry = dict[str, Any]


def transcript_of(results: Entry) -> Entry | None:
    """The transcript with Deepgram's other results beside it; None if no channel has one."""
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
    """The highest confidence of all channels; None if no channel has one."""
    alternatives = [_first(each) for each in transcript.get("channels") or ()]
    found = [each.get("confidence") for each in alternatives or [transcript]]
    return max((float(each) for each in found if each is not None), default=None)


def _first(channel: Entry) -> Entry:
    """A channel's first alternative; empty without one, so that channels keep their numbers."""
    first: Entry = (channel.get("alternatives") or [{}])[0]
    return first


def _language(channels: Iterable[Entry]) -> str:
    detected = (each["detected_language"] for each in channels if each.get("detected_language"))
    return next(detected, "en")


def _merged(channels: list[Entry]) -> Entry:
    alternatives = [_first(each) for each in channels]
    words = _by_start((number, each.get("words")) for number, each in enumerate(alternatives))
    blocks = _by_start(
        (number, (each.get("paragraphs") or {}).get("paragraphs"))
        for number, each in enumerate(alternatives)
    )
    texts = [each.get("transcript") or "" for each in alternatives]
    merged: Entry = {
        "transcript": "\n".join(_turns(words) if _have_all(words, texts) else filter(None, texts)),
        "words": words,
        "channels": channels,
    }
    if (confidence := confidence_of(merged)) is not None:
        merged["confidence"] = confidence
    if blocks:
        merged["paragraphs"] = {"transcript": _paragraphs(blocks), "paragraphs": blocks}
    return merged


def _by_start(entries: Iterable[tuple[int, list[Entry] | None]]) -> list[Entry]:
    """The entries of all channels with `channel` and `speaker`, sorted by start time."""
    numbered = [
        {"speaker": number, **each, "channel": number}
        for number, found in entries
        for each in found or ()
    ]
    return sorted(numbered, key=lambda each: each.get("start") or 0.0)


def _have_all(words: list[Entry], texts: list[str]) -> bool:
    """Whether each channel with a text has words with start times."""
    timed = {each["channel"] for each in words if "start" in each}
    return all(number in timed for number, text in enumerate(texts) if text)


def _turns(words: list[Entry]) -> list[str]:
    """One text per turn: consecutive words of the same channel."""
    return [
        " ".join(str(each.get("punctuated_word") or each.get("word") or "") for each in turn)
        for _, turn in groupby(words, key=lambda each: each["channel"])
    ]


def _paragraphs(blocks: list[Entry]) -> str:
    """The text in Deepgram's format: `Speaker 0: ...`, a blank line between the paragraphs."""
    texts = (
        f"\nSpeaker {block['speaker']}: "
        + " ".join(str(each.get("text", "")) for each in block.get("sentences") or ())
        for block in blocks
    )
    return "\n".join(texts)
