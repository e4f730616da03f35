"""What Postgres does: each function is one transaction, or what one reads."""

from tests.model.rules import Rules
from tests.model.state import DEAD, LIST, RUN, Ending, Postgres, Row, World, permit


def insert(postgres: Postgres, row: Row) -> Postgres:
    """A row with the next number of the sequence."""
    rows = (*postgres.rows, row._replace(number=postgres.next_number))
    return postgres._replace(rows=rows, next_number=postgres.next_number + 1)


def drop(postgres: Postgres, numbers: tuple[int, ...]) -> Postgres:
    """Delete rows of a request that queued nothing for them."""
    return postgres._replace(rows=tuple(row for row in postgres.rows if row.number not in numbers))


def is_void(postgres: Postgres, row: Row, rules: Rules) -> bool:
    """Whether another row counts instead: a later one of the place, or an earlier one of the same
    content that a run has released, with no other content between them.
    """
    beside = [other for other in postgres.rows if other.place == row.place]
    if rules.latest_row_counts and any(other.number > row.number for other in beside):
        return True
    before = max((other for other in beside if other.number < row.number), default=None)
    return bool(before and before.token and before.content == row.content)


def due(postgres: Postgres, rules: Rules) -> list[Row]:
    """The rows that Redis must know."""
    return [row for row in postgres.rows if row.open and not is_void(postgres, row, rules)]


def release(postgres: Postgres, ending: Ending, rules: Rules) -> Postgres:
    """The end of a run: history, release of its rows, and the row of its dead letter.

    A release with a higher token closes the dead letters that a lower one has written for the run.
    """
    runs = dict(postgres.runs)
    before = runs.get(ending.run, 0)
    if before == ending.token or (rules.tokens_fence_releases and before > ending.token):
        return postgres
    runs[ending.run] = ending.token
    rows = []
    for row in postgres.rows:
        mine = row.place == ending.place and row.number in ending.refs
        wrong = rules.tokens_fence_releases and row.place == DEAD and row.run == ending.run
        if row.open and (mine or wrong):
            ended = row._replace(open=False, token=ending.token, run=ending.run)
            rows.append(ended)
        else:
            rows.append(row)
    after = postgres._replace(rows=tuple(rows), runs=tuple(sorted(runs.items())))
    if ending.failed:
        after = insert(after, Row(0, DEAD, ending.content, run=ending.run))
    return after


def is_closed(postgres: Postgres, number: int) -> bool:
    """Whether a row is released; a row that is gone is."""
    return not any(row.number == number and row.open for row in postgres.rows)


def settled(world: World, rules: Rules) -> int:
    """What is released, with nothing left to run, as `permit` counts: it may not run again."""
    known, result = world.postgres, 0
    for content, place in ((1, LIST), (2, LIST), (1, RUN)):
        mine = [row for row in known.rows if row.content == content and row.place == place]
        if mine and not any(row.open and not is_void(known, row, rules) for row in mine):
            result |= permit(content, place)
    return result
