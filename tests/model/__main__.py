"""`python -m tests.model [--more]`: search all scenarios, then show what each rule prevents."""

import sys
import time

from tests.model.rules import NEEDED, Rules, without
from tests.model.scenarios import scenarios
from tests.model.search import Found, search


def show(name: str, found: Found, seconds: float) -> None:
    """One line for a search, and the trace of a fault."""
    result = found.fault or "no fault"
    sys.stdout.write(f"{name}: {result} ({found.states} states, {seconds:.1f} s)\n")
    for number, label in enumerate(found.trace, 1):
        sys.stdout.write(f"  {number:2} {label}\n")
    sys.stdout.flush()


def main() -> None:
    """Search."""
    every = scenarios("--more" in sys.argv)
    for scenario in every:
        begun = time.process_time()
        show(scenario.name, search(scenario, Rules()), time.process_time() - begun)
    if "--rules" not in sys.argv:
        return
    for rule in NEEDED:
        begun = time.process_time()
        results = [(s.name, search(s, without(rule))) for s in every]
        faults = [(name, found) for name, found in results if found.fault]
        if not faults:
            sys.stdout.write(f"without {rule}: NOT REFUTED\n")
            continue
        name, found = min(faults, key=lambda each: len(each[1].trace))
        show(f"without {rule}, {name}", found, time.process_time() - begun)


main()
