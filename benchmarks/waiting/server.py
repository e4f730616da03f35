"""A stand-in for receivers and vendors: it answers each request after a fixed time.

It answers a webhook, OpenAI's chat completions and transcriptions, and Deepgram. It prints its
address as one line when it listens; `GET /state` tells how many connections it has had, and how
many requests waited at most, since the last time that it was asked.
Python's servers cost more for a request than the clients that are measured, so this one reads only
what the requests of this benchmark need: a head with `content-length` and that many bytes.
"""

import asyncio
import json
import re
import sys
from collections import deque
from typing import cast

import uvloop

BACKLOG = 8192
_LENGTH = re.compile(rb"content-length: *([0-9]+)", re.IGNORECASE)
_USAGE = {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}
_CHAT = {
    "id": "chat",
    "object": "chat.completion",
    "created": 1767225600,
    "model": "stand-in",
    "choices": [
        {
            "index": 0,
            "finish_reason": "stop",
            "message": {"role": "assistant", "content": "A call about an order."},
        }
    ],
    "usage": _USAGE,
}
_LISTEN = {
    "metadata": {
        "transaction_key": "deprecated",
        "request_id": "0b5c0f0e-0000-4000-8000-000000000000",
        "sha256": "0" * 64,
        "created": "2026-01-05T10:00:00.000Z",
        "duration": 1.0,
        "channels": 1,
        "models": [],
        "model_info": {},
    },
    "results": {
        "channels": [
            {"alternatives": [{"transcript": "hello", "confidence": 0.99, "words": []}]},
        ]
    },
}
_ANSWERS = {
    b"/v1/chat/completions": _CHAT,
    b"/v1/listen": _LISTEN,
    b"/v1/audio/transcriptions": {"text": "hello"},
}


def _answer(content: object) -> bytes:
    body = json.dumps(content).encode()
    head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n"
    return head.format(len(body)).encode() + body


class State:
    """What all connections have had so far."""

    connections = 0
    waiting = 0
    most = 0

    def entered(self) -> None:
        """One more request waits."""
        self.waiting += 1
        self.most = max(self.most, self.waiting)

    def told(self) -> bytes:
        """The answer to `/state`; the counts begin again."""
        answer = _answer({"most": self.most, "connections": self.connections})
        self.most = self.connections = 0
        return answer


class Connection(asyncio.Protocol):
    """One client's connection; requests on it are answered one after the other."""

    _transport: asyncio.Transport

    def __init__(self, state: State, delay: float) -> None:
        self._state = state
        self._delay = delay
        self._loop = asyncio.get_running_loop()
        self._buffer = bytearray()
        self._left = 0
        self._paths: deque[bytes] = deque()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Count it."""
        self._transport = cast("asyncio.Transport", transport)
        self._state.connections += 1

    def data_received(self, data: bytes) -> None:
        """Drop bodies; plan the answer at the end of each."""
        if self._left:
            used = min(self._left, len(data))
            self._left -= used
            data = data[used:]
            if not self._left:
                self._plan()
        self._buffer += data
        while self._buffer and not self._left and (end := self._buffer.find(b"\r\n\r\n")) >= 0:
            self._head(bytes(self._buffer[:end]), end + 4)

    def _head(self, head: bytes, length: int) -> None:
        found = _LENGTH.search(head)
        wanted = length + (int(found[1]) if found else 0)
        self._paths.append(head.split(b" ", 2)[1].partition(b"?")[0])
        self._left = max(wanted - len(self._buffer), 0)
        del self._buffer[:wanted]
        if not self._left:
            self._plan()

    def _plan(self) -> None:
        path = self._paths.popleft()
        if path == b"/state":
            self._transport.write(self._state.told())
            return
        self._state.entered()
        self._loop.call_later(self._delay, self._send, _ANSWER_BYTES.get(path, _OK))

    def _send(self, answer: bytes) -> None:
        self._state.waiting -= 1
        self._transport.write(answer)


_OK = _answer({})
_ANSWER_BYTES = {path: _answer(content) for path, content in _ANSWERS.items()}


async def serve(delay: float) -> None:
    """Print the address and serve until the process is ended."""
    state = State()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(
        lambda: Connection(state, delay), "127.0.0.1", 0, backlog=BACKLOG
    )
    print(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(serve(float(sys.argv[1])), loop_factory=uvloop.new_event_loop)
