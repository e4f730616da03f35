"""How two pieces of news about one id become one row, in memory and in Postgres."""

from itertools import permutations

import pytest
from sqlalchemy import text

from core.db.registrations import SERVICES, TOKENS, service_row, token_row
from tests.integration.db.records_scene import SECRET, a_service, a_token, minutes, rows

SERVICE_NEWS = [
    service_row(a_service(name="old", updated=1)),
    service_row(a_service(name="new", updated=2)),
    service_row(a_service(name="old", updated=1), deleted_at=minutes(4)),
    service_row(a_service(name="gone", updated=3), deleted_at=minutes(3)),
]
TOKEN_NEWS = [
    token_row(a_token()),
    token_row(a_token(value=SECRET)),
    token_row(a_token(), deleted_at=minutes(2)),
    token_row(a_token(), deleted_at=minutes(1)),
]


@pytest.mark.parametrize(
    ("kind", "table", "news"),
    [(SERVICES, "services", SERVICE_NEWS), (TOKENS, "tokens", TOKEN_NEWS)],
    ids=["services", "tokens"],
)
def test_order_of_the_news_does_not_matter(migrated, kind, table, news):
    """In every order, merged while waiting or in Postgres, the same row comes out."""
    outcomes = set()
    for order in permutations(news):
        merged, *later = order
        with migrated.transaction() as session:
            session.execute(text(f"DELETE FROM {table}"))
            for row in order:
                session.execute(kind.upsert, [row])
        for row in later:
            merged = kind.merge(merged, row)
        outcomes |= {frozenset(merged.items()), frozenset(rows(migrated, table)[0].items())}
    assert len(outcomes) == 1, outcomes


def test_a_rename_within_the_same_second_counts(migrated):
    """Of two names with the same time, the one said last stays."""
    first, second = (service_row(a_service(name=name)) for name in ("first", "second"))
    assert SERVICES.merge(first, second)["name"] == "second"
    with migrated.transaction() as session:
        session.execute(SERVICES.upsert, [first])
        session.execute(SERVICES.upsert, [second])
    assert rows(migrated, "services")[0]["name"] == "second"
