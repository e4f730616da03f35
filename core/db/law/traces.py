"""What the tables of the law forget when a vCon or a party is erased."""

from collections.abc import Sequence

from sqlalchemy import text

from core.db.database import Database

_FORGET_SALTS = text("""
UPDATE law_salts SET salt = NULL, forgotten_at = now()
WHERE vcon_uuid = ANY(CAST(:vcons AS uuid[])) AND salt IS NOT NULL
""")
_FORGET_PARTY = text("""
UPDATE law_bases SET party = NULL, salt = NULL WHERE party = ANY(CAST(:terms AS text[])) AND granted
""")


class LawTraces:
    """Every method blocks: call it in a thread. It raises `UnavailableError` without Postgres."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def forget_salts(self, vcon_uuids: Sequence[str]) -> None:
        """Forget the salts: no commitment about these vCons can be compared with a document."""
        with self._database.transaction() as session:
            session.execute(_FORGET_SALTS, {"vcons": list(vcon_uuids)})

    def forget_party(self, terms: Sequence[str]) -> None:
        """Forget whose the grants recorded for this party are; `terms`: every hash it may have.

        Denials stay: without them later vCons of the party might be processed.
        """
        with self._database.transaction() as session:
            session.execute(_FORGET_PARTY, {"terms": list(terms)})
