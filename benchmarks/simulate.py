"""Simulates chains: throughput, waiting times, and the replicas that a load needs.

    python -m benchmarks.simulate --per-hour 100000 --link-seconds 2
    python -m benchmarks.simulate --per-hour 100000 --link-seconds 2 --replicas 3
    python -m benchmarks.simulate --validate

Without `--replicas` it looks for the fewest that meet the targets. `--validate` runs the real
service with one worker, and prints what it did beside what the simulation says. docs/scaling.md
explains the model, and its costs.
"""

import argparse
import math
import sys

from benchmarks.simulation.model import Costs, Deployment, Load, Simulated, simulate
from benchmarks.simulation.sizing import Answer, Documents, Target, observed_seconds, size


def parser() -> argparse.ArgumentParser:
    """The options; times are seconds, costs microseconds of CPU time for one vCon."""
    made = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    number = made.add_argument
    number("--per-hour", type=float, default=0.0, help="vCons that arrive in an hour, at random")
    number("--burst", type=int, default=0, help="vCons that arrive together, in addition")
    number("--burst-every", type=float, default=math.inf, metavar="SECONDS")
    number("--link-seconds", type=float, default=0.0, help="for which links wait for a server")
    number("--spread", type=float, default=0.5, help="their standard deviation over their mean")
    number("--link-cpu", type=float, default=0.0, metavar="MS", help="CPU time of a vCon's links")
    number("--replicas", type=int, help="simulate so many instead of looking for the fewest")
    number("--workers", type=int, default=1, help="worker processes of a replica")
    number("--concurrency", type=int, default=64, help="vCons at once in a worker")
    number("--cores", type=int, default=2, help="of a replica")
    number("--p95", type=float, default=math.inf, help="target, beyond the time of the links")
    number("--queue-age", type=float, default=60.0, help="target: the longest wait in a list")
    number("--document-bytes", type=float, default=10_000)
    number("--kept", type=float, default=3600.0, help="VCON_REDIS_EXPIRY")
    for name, cost in COSTS.items():
        number(f"--{name}-us", type=float, default=cost * 1e6, help=f"cost in {name}")
    number("--seed", type=int, default=1)
    number("--validate", action="store_true", help="compare with the real service on this machine")
    return made


_DEFAULT = Costs()
COSTS = {
    "service": _DEFAULT.service,
    "worker": _DEFAULT.worker,
    "redis-intake": _DEFAULT.redis_intake,
    "redis-run": _DEFAULT.redis_run,
    "postgres": _DEFAULT.postgres,
}


RANGES = {
    "per_hour": (0.0, 1e9),
    "burst": (0, 1_000_000),
    "burst_every": (1.0, math.inf),
    "link_seconds": (0.0, 86_400.0),
    "spread": (0.0, 10.0),
    "link_cpu": (0.0, 3.6e6),
    "p95": (0.0, math.inf),
    "queue_age": (0.0, math.inf),
    "replicas": (1, 1_000),
    "workers": (1, 1_000),
    "concurrency": (1, 100_000),
    "cores": (1, 1_000),
}
"""The least and the most of each number; of others 0 and 10^12."""


def lines(simulated: Simulated, load: Load) -> list[str]:
    """What a simulation found."""
    shares = ", ".join(f"{name} {share:.0%}" for name, share in simulated.utilisation.items())
    return [
        f"vCons that ended: {simulated.per_second:,.1f} a second"
        f" ({simulated.per_second * 3600:,.0f} an hour); left: {simulated.left:,}",
        f"from arrival to end: p50 {simulated.p50:.3g} s, p95 {simulated.p95:.3g} s"
        f" (links wait {load.link_seconds:g} s of it)",
        f"longest wait in a list: {simulated.queue_age:.3g} s",
        f"in use: {shares}; the limit: {simulated.bottleneck}",
    ]


def answer_lines(answer: Answer) -> list[str]:
    """What a load needs."""
    one, gigabytes = answer.deployment, answer.redis_bytes / 1e9
    each = "" if answer.shards == 1 else f" for each of {answer.shards} services"
    verdict = "" if answer.fits else "  (the target is not met)"
    return [
        f"replicas: {one.replicas}{each}, with {one.workers} worker(s) of concurrency"
        f" {one.concurrency} and {one.cores} core(s){verdict}",
        f"Redis: {answer.shards}, each with one core and maxmemory {gigabytes:.1f} GB",
    ]


def out_of_range(options: argparse.Namespace) -> str:
    """What is wrong with the numbers; "" if nothing is."""
    for name, value in vars(options).items():
        least, most = RANGES.get(name, (0.0, 1e12))
        if isinstance(value, int | float) and not least <= value <= most:
            option = f"--{name.replace('_', '-')}"
            return f"{option}: must be from {least:g} to {most:g}, not {value:g}"
    return ""


def load_of(options: argparse.Namespace) -> Load:
    """The load that the options describe."""
    return Load(
        per_hour=options.per_hour,
        burst=options.burst,
        burst_every=options.burst_every,
        link_seconds=options.link_seconds,
        spread=options.spread,
        link_cpu=options.link_cpu / 1e3,
    )


def main(arguments: list[str] | None = None) -> int:
    """Simulate and print; returns the exit code."""
    options = parser().parse_args(arguments)
    if options.validate:
        from benchmarks.simulation.validation import validate  # noqa: PLC0415 -- needs servers

        return validate()
    if wrong := out_of_range(options):
        parser().error(wrong)
    load = load_of(options)
    if not load.per_hour and not load.burst:
        parser().error("no vCon arrives: give --per-hour or --burst")
    values = {name: getattr(options, f"{name.replace('-', '_')}_us") / 1e6 for name in COSTS}
    costs = Costs(**{name.replace("-", "_"): value for name, value in values.items()})
    one = Deployment(1, options.workers, options.concurrency, options.cores)
    if options.replicas:
        shape = Deployment(options.replicas, one.workers, one.concurrency, one.cores)
        found = simulate(load, shape, costs, seconds=observed_seconds(load), seed=options.seed)
        sys.stdout.write("\n".join(lines(found, load)) + "\n")
        return 0
    target = Target(options.p95, options.queue_age)
    documents = Documents(bytes=options.document_bytes, kept=options.kept)
    answer = size(load, one, costs, target, documents, seed=options.seed)
    sys.stdout.write("\n".join([*answer_lines(answer), *lines(answer.simulated, load)]) + "\n")
    return 0 if answer.fits else 1


if __name__ == "__main__":
    sys.exit(main())
