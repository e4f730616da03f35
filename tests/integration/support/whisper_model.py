"""A Whisper model of 300 kB, made by the tests, that always hears the same sentence.

It is a real model for `faster-whisper`: one layer, with weights that let each token follow from the
one before. All attention is zero, so the recording does not matter; each window of 30 seconds is
heard as `SENTENCE`. A trained model has 75 MB at least.
"""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

WORDS = [" Hello,", " my", " bike", " is", " broken."]
SENTENCE = "".join(WORDS).strip()
SECONDS = 1.5
WIDTH = 64
MELS, POSITIONS, LENGTH = 80, 1500, 448
SPECIAL = [
    *("<|endoftext|>", "<|startoftranscript|>", "<|translate|>", "<|transcribe|>"),
    *("<|startoflm|>", "<|startofprev|>", "<|nospeech|>", "<|notimestamps|>"),
    *(f"<|{number * 0.02:.2f}|>" for number in range(1501)),
]
ORDER = ["<|startoftranscript|>", "<|0.00|>", *WORDS, f"<|{SECONDS:.2f}|>", "<|endoftext|>"]


def write_model(folder: Path) -> Path:
    """The folder with the model's files in it."""
    from tokenizers import AddedToken, Tokenizer, decoders, pre_tokenizers
    from tokenizers.models import BPE

    words = [word.replace(" ", "\u0120") for word in WORDS]
    tokens = [*sorted(pre_tokenizers.ByteLevel.alphabet()), *words, *SPECIAL]
    tokenizer = Tokenizer(BPE({token: number for number, token in enumerate(tokens)}, []))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken(token, special=True) for token in SPECIAL])
    spec = _spec([tokens.index(each.replace(" ", "\u0120")) for each in ORDER], len(tokens))
    spec.register_vocabulary(tokens)
    spec.validate()
    folder.mkdir(exist_ok=True)
    spec.save(str(folder))
    tokenizer.save(str(folder / "tokenizer.json"))
    return folder


def _spec(order: list[int], size: int) -> Any:
    import numpy as np
    from ctranslate2.specs import WhisperSpec

    spec = WhisperSpec(1, 1, 1, 1)
    zeros = _zeros
    encoder, decoder = spec.encoder, spec.decoder
    encoder.conv1.weight, encoder.conv1.bias = zeros(WIDTH, MELS, 3), zeros(WIDTH)
    encoder.conv2.weight, encoder.conv2.bias = zeros(WIDTH, WIDTH, 3), zeros(WIDTH)
    encoder.position_encodings.encodings = zeros(POSITIONS, WIDTH)
    decoder.position_encodings.encodings = zeros(LENGTH, WIDTH)
    for part in (encoder, decoder):
        _norm(part.layer_norm)
        [layer] = part.layer
        _attention(layer.self_attention, (3 * WIDTH, WIDTH))
        _norm(layer.ffn.layer_norm)
        _linear(layer.ffn.linear_0, WIDTH)
        _linear(layer.ffn.linear_1, WIDTH)
    _attention(decoder.layer[0].attention, (WIDTH, 2 * WIDTH, WIDTH))
    embeddings, projection = zeros(size, WIDTH), zeros(size, WIDTH)
    for place, (before, after) in enumerate(itertools.pairwise(order)):
        embeddings[before, place] = 1
        projection[after, place] = 4
    decoder.embeddings.weight = embeddings
    decoder.projection.weight = projection
    assert embeddings.dtype == np.float32
    return spec


def _zeros(*shape: int) -> Any:
    import numpy as np

    return np.zeros(shape, dtype=np.float32)


def _norm(layer: Any) -> None:
    layer.gamma, layer.beta = _zeros(WIDTH) + 1, _zeros(WIDTH)


def _linear(layer: Any, outputs: int) -> None:
    layer.weight, layer.bias = _zeros(outputs, WIDTH), _zeros(outputs)


def _attention(layer: Any, outputs: tuple[int, ...]) -> None:
    _norm(layer.layer_norm)
    for linear, number in zip(layer.linear, outputs, strict=True):
        _linear(linear, number)
