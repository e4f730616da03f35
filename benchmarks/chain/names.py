"""Names shared by the parts of the chain benchmark."""

INGRESS = "bench_in"
EGRESS = "bench_out"
STARTED = "bench_started"
