"""How many search terms of one vCon are indexed.

Each term is a set in Redis, and all of a vCon's are written, removed and forgotten by scripts that
keep Redis from everything else meanwhile.
"""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class TermLimits:
    """The settings INDEX_TERMS and INDEX_TERM_LENGTH (characters of a value)."""

    count: int = 200
    length: int = 200


TERM_LIMITS = TermLimits()


def indexed(terms: Sequence[str], limits: TermLimits) -> tuple[list[str], list[str]]:
    """The terms that are indexed, the first ones, and warnings about those that are not."""
    fitting = [each for each in terms if len(each.partition(":")[2]) <= limits.length]
    warnings = []
    if too_long := len(terms) - len(fitting):
        warnings.append(
            f"parties: {too_long} search terms are longer than {limits.length} characters"
            " and not indexed"
        )
    if len(fitting) > limits.count:
        warnings.append(
            f"parties: {len(fitting)} search terms, of which the first {limits.count} are indexed"
        )
    return fitting[: limits.count], warnings
