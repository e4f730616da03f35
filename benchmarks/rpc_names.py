"""Names that the RPC benchmark's parts share."""

INGRESS = "bench_in"
