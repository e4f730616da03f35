"""Names that the benchmark's parts share."""

INGRESS = "bench_in"
EGRESS = "bench_out"
STARTED = "bench_started"
