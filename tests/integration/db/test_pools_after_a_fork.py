"""What a storage keeps for its process is not used by one that forks from it.

Both would write to the same connections. The fork happens in a process without threads of its own.
"""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.unit.support.source_files import ROOT

BOTH = """
import os

def kept_by_both(client):
    mine = client()
    assert client() is mine, "it is not kept"
    if (child := os.fork()) == 0:
        os._exit(int(client() is mine))
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0, "the child has its parent's"
"""
S3 = """
from storage import s3

options = s3.Options(aws_bucket="b", aws_region="us-east-1")
kept_by_both(lambda: s3.client(options))
"""
MILVUS = """
import sys
from types import SimpleNamespace

class MilvusClient:
    def __init__(self, *_, **__): self.loaded = []
    def has_collection(self, *_, **__): return True
    def load_collection(self, name, **_): self.loaded.append(name)

# The library itself has threads as soon as it is imported, and its client wants a server.
sys.modules["pymilvus"] = SimpleNamespace(DataType=None, MilvusClient=MilvusClient)
from storage.milvus import collection, options

def client():
    found = collection._client(given)
    assert found.loaded == ["vcons"], "the collection is not made ready"
    return found

given = options.Options(api_key="k")
kept_by_both(client)
"""


@pytest.mark.parametrize("storage", [S3, MILVUS], ids=["s3", "milvus"])
def test_a_forked_process_has_clients_of_its_own(storage: str) -> None:
    """Made when it first wants one; the collection is made ready for it, too."""
    done = subprocess.run(
        [sys.executable, "-c", BOTH + storage], cwd=ROOT, capture_output=True, check=False
    )
    assert (done.returncode, done.stderr.decode()) == (0, "")
