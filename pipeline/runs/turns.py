"""The order in which a claim takes elements from its lists, as `claim.lua` reads it."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Turns:
    """The turns of one claim. What they mean is at the head of `claim.lua`.

    `order`: positions of lists from 1, negative for a turn beyond the list's share. `pools`: for
    each pool its free slots, kept slots, whether it is soft, and the positions of its lists.
    """

    order: Sequence[int]
    pools: Sequence[tuple[int, int, bool, Sequence[int]]]

    def words(self) -> tuple[str, str]:
        """The arguments of the script."""
        pools = (
            f"{free}:{kept}:{int(is_soft)}:{' '.join(map(str, lists))}"
            for free, kept, is_soft, lists in self.pools
        )
        return ",".join(map(str, self.order)), ",".join(pools)


def in_turn(lists: int, want: int) -> Turns:
    """One element from each list in turn, in the order given."""
    places = range(1, lists + 1)
    return Turns([*places] * want, [(want, 0, False, places)])
