"""Clients of S3 whose server breaks off in the middle of an answer."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from threading import Thread
from typing import Any

import pytest

from devstack.servers.ports import HOST
from lib.s3_client import S3Options
from lib.s3_client import made as made_for_plugins
from pipeline.media import s3_store
from tests.plugins.scene import Later

botocore = Later("botocore.exceptions")
HEAD_ENDS = b"\r\n\r\n"


type Peer = Callable[[bytes], AbstractContextManager[str]]


@pytest.fixture
def heads() -> list[bytes]:
    """The heads of the requests that `peer` has read."""
    return []


@pytest.fixture
def peer(heads: list[bytes]) -> Peer:
    """The URL of a server that answers each request's head with this, and closes."""

    def answer(connection: socket.socket, start: bytes) -> None:
        connection.settimeout(60)
        head = b""
        while HEAD_ENDS not in head and (chunk := connection.recv(65536)):
            head += chunk
        heads.append(head.partition(HEAD_ENDS)[0].lower())
        connection.sendall(start)
        connection.shutdown(socket.SHUT_WR)
        while connection.recv(65536):
            pass

    def serve(server: socket.socket, start: bytes) -> None:
        with contextlib.suppress(OSError):  # closed
            while True:
                connection, _ = server.accept()
                with connection:
                    answer(connection, start)

    @contextmanager
    def started(start: bytes) -> Iterator[str]:
        with socket.create_server((HOST, 0)) as server:
            serving = Thread(target=serve, args=(server, start))
            serving.start()
            yield f"http://{HOST}:{server.getsockname()[1]}"
            server.shutdown(socket.SHUT_RDWR)
            serving.join()

    return started


def of_plugins(url: str) -> Any:
    """The client of `storage.s3` and `links.diet`."""
    keys = {"aws_access_key_id": "an-id", "aws_secret_access_key": "a-secret"}
    return made_for_plugins(S3Options.of({**keys, "endpoint_url": url, "aws_region": "us-east-1"}))


def of_media(url: str) -> Any:
    """The client of the media store."""
    return s3_store._made(s3_store.Bucket("b", "", url, "us-east-1", "an-id", "a-secret"))


@pytest.mark.parametrize("made", [of_plugins, of_media])
def test_an_answer_to_expect_that_breaks_off_is_an_error(
    peer: Peer, heads: list[bytes], made: Callable[[str], Any]
) -> None:
    """Without a mend, botocore reads at the end of the connection for ever."""
    ended: list[bool] = []

    def put(client: Any) -> None:
        with pytest.raises(botocore.ConnectionClosedError):
            client.put_object(Bucket="b", Key="k", Body=b"text")
        ended.append(True)

    with peer(b"HTTP/1.1 100 Continue\r\n") as url, contextlib.closing(made(url)) as client:
        thread = Thread(target=put, args=(client,), daemon=True)  # no thread can be stopped
        thread.start()
        thread.join(30)
    assert ended
    assert not any(b"expect" in head for head in heads)


@pytest.mark.parametrize("made", [of_plugins, of_media])
@pytest.mark.parametrize("name", ["get_object", "list_objects_v2"])
def test_headers_that_break_off_are_no_empty_body(
    peer: Peer, made: Callable[[str], Any], name: str
) -> None:
    """The storage would take the vCon for missing, and the media store the bucket for empty."""
    place = {"Bucket": "b", "Key": "k"} if name == "get_object" else {"Bucket": "b"}
    with (
        peer(b"HTTP/1.1 200 OK\r\nServer: S") as url,
        contextlib.closing(made(url)) as client,
        pytest.raises(botocore.ConnectionClosedError),
    ):
        getattr(client, name)(**place)


def test_an_answer_that_ends_with_its_connection_is_read(peer: Peer) -> None:
    """Servers of HTTP may say so instead of the size."""
    answer = b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\ntext"
    with peer(answer) as url, contextlib.closing(of_plugins(url)) as client:
        assert client.get_object(Bucket="b", Key="k")["Body"].read() == b"text"
