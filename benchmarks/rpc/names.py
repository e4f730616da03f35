"""Names shared by the parts of the RPC benchmark."""

INGRESS = "bench_in"
