"""Names shared by the parts of the benchmark of large vCons."""

INGRESS = "bench_in0"
"""One of the lists of `benchmarks.http`."""
EGRESS = "bench_out"
BUCKET = "bench"
S3_KEYS = {"aws_access_key_id": "none", "aws_secret_access_key": "none"}
AT_ONCE = 8
"""Requests, vCons of the worker, and threads of the floor."""
