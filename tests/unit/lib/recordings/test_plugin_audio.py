"""Where long recordings are cut."""

import pytest

from lib.recordings.audio import split_points

MOST = 480.0


@pytest.mark.parametrize(
    ("duration", "silences", "points"),
    [
        (400, [(100, 110)], []),
        (480, [], []),
        (1000, [], [480, 960]),
        (960, [], [480]),
        (900, [(440, 450)], [445]),
        (900, [(300, 310), (470, 472), (500, 502)], [471]),
        (900, [(340, 350), (610, 620)], [480]),
        (900, [(360, 360), (600, 600)], [360]),
        (1500, [(500, 510), (1100, 1120)], [505, 960, 1440]),
    ],
)
def test_cuts_are_in_the_silence_nearest_to_each_mark(
    duration: float, silences: list[tuple[float, float]], points: list[float]
) -> None:
    """Up to a quarter of a part away; else at the mark, and never at the very end."""
    assert split_points(duration, silences, MOST) == points
