"""Names and secrets shared by the parts of the HTTP benchmark."""

TOKEN = "token-of-the-benchmark"  # noqa: S105 -- it opens a server of the benchmark only
TOKEN_HEADER = "x-conserver-api-token"  # noqa: S105 -- a header's name
PARTNERS = {f"bench_in{n}": f"key-of-benchmark-partner-{n}" for n in range(4)}
"""Ingress lists, each with its partner's key."""
OURS = "patchcord"
"""The service, among the servers."""
