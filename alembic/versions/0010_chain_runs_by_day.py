"""The history of runs, partitioned by the day that the id of a run tells.

The rows that are there become the partition of 1970-01-01, without being moved. A statement with a
lock that writers would wait for is tried again until it gets the lock at once; the long ones, which
read all rows or build an index, block no writer. After an interruption it can be run again.
"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0010"
down_revision: str | Sequence[str] | None = "0009"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

_UNSETTLED = sa.text("status <> 'done'")
_KEY = "pk_chain_runs_before"
_INDEXES = {
    "ix_chain_runs_before_unsettled": ["status", "finished_at"],
    "ix_chain_runs_before_unsettled_of_chain": ["chain", "status", "finished_at"],
}

# Up to ten minutes. Others wait for at most 0.2 s behind each attempt.
_PATIENTLY = """
DO $patiently$
DECLARE
    grants text;
BEGIN
    FOR attempt IN 1..1500 LOOP
        BEGIN
            SET LOCAL lock_timeout = '200ms';
            {statements}
            RETURN;
        EXCEPTION WHEN lock_not_available OR deadlock_detected THEN
            IF attempt = 1500 THEN RAISE; END IF;
        END;
        PERFORM pg_sleep(0.2);
    END LOOP;
END
$patiently$
"""

# A constant default is not written into the rows. The check lets Postgres attach the table without
# looking at them again; it is made before the index, without which this version writes no runs.
_COLUMNS = """
ALTER TABLE chain_runs
    ADD COLUMN IF NOT EXISTS recorded_on date NOT NULL DEFAULT '1970-01-01',
    ADD COLUMN IF NOT EXISTS token bigint,
    ADD COLUMN IF NOT EXISTS recovered boolean NOT NULL DEFAULT false,
    DROP CONSTRAINT IF EXISTS ck_chain_runs_before,
    ADD CONSTRAINT ck_chain_runs_before CHECK (recorded_on = DATE '1970-01-01') NOT VALID;
"""

_SWAP = """
LOCK TABLE chain_runs IN ACCESS EXCLUSIVE MODE;
DROP INDEX ix_chain_runs_unsettled;
ALTER TABLE chain_runs DROP CONSTRAINT pk_chain_runs;
ALTER TABLE chain_runs
    ADD CONSTRAINT pk_chain_runs_before PRIMARY KEY USING INDEX pk_chain_runs_before;
ALTER INDEX ix_chain_runs_chain_finished_at RENAME TO ix_chain_runs_before_chain_finished_at;
ALTER INDEX ix_chain_runs_finished_at RENAME TO ix_chain_runs_before_finished_at;
ALTER INDEX ix_chain_runs_vcon_in RENAME TO ix_chain_runs_before_vcon_in;
ALTER INDEX ix_chain_runs_vcon_out RENAME TO ix_chain_runs_before_vcon_out;
ALTER TABLE chain_runs RENAME TO chain_runs_before;
CREATE TABLE chain_runs (
    LIKE chain_runs_before INCLUDING DEFAULTS INCLUDING STORAGE INCLUDING COMPRESSION,
    CONSTRAINT pk_chain_runs PRIMARY KEY (run_id, recorded_on)
) PARTITION BY RANGE (recorded_on);
CREATE INDEX ix_chain_runs_chain_finished_at ON chain_runs (chain, finished_at);
CREATE INDEX ix_chain_runs_finished_at ON chain_runs (finished_at);
CREATE INDEX ix_chain_runs_vcon_in ON chain_runs (vcon_in);
CREATE INDEX ix_chain_runs_vcon_out ON chain_runs (vcon_out);
CREATE INDEX ix_chain_runs_unsettled ON chain_runs (status, finished_at) WHERE status <> 'done';
CREATE INDEX ix_chain_runs_unsettled_of_chain ON chain_runs (chain, status, finished_at)
    WHERE status <> 'done';
ALTER TABLE chain_runs ATTACH PARTITION chain_runs_before
    FOR VALUES FROM ('1970-01-01') TO ('1970-01-02');
ALTER TABLE chain_runs_before DROP CONSTRAINT ck_chain_runs_before;
CREATE TABLE chain_runs_other PARTITION OF chain_runs DEFAULT;
FOR grants IN
    SELECT format('GRANT %s ON chain_runs TO %s', privilege_type,
        CASE grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(grantee)) END)
    FROM pg_class, aclexplode(relacl) WHERE pg_class.oid = 'chain_runs_before'\\:\\:regclass
LOOP
    EXECUTE grants;
END LOOP;
"""

# Planning a query of all partitions takes milliseconds; a function does it once in a connection.
_HAS_RUNS = """
CREATE OR REPLACE FUNCTION has_chain_runs(vcon uuid) RETURNS boolean
LANGUAGE plpgsql STABLE SET plan_cache_mode = force_generic_plan AS $$
BEGIN
    RETURN EXISTS (SELECT FROM chain_runs WHERE vcon_in = vcon)
        OR EXISTS (SELECT FROM chain_runs WHERE vcon_out = vcon);
END
$$
"""

_BACK = """
DROP FUNCTION has_chain_runs(uuid);
ALTER TABLE chain_runs DETACH PARTITION chain_runs_before;
INSERT INTO chain_runs_before SELECT * FROM chain_runs;
DROP TABLE chain_runs;
ALTER TABLE chain_runs_before RENAME TO chain_runs;
DROP INDEX ix_chain_runs_before_unsettled;
DROP INDEX ix_chain_runs_before_unsettled_of_chain;
CREATE INDEX ix_chain_runs_unsettled ON chain_runs (status) WHERE status <> 'done';
ALTER TABLE chain_runs DROP CONSTRAINT pk_chain_runs_before;
ALTER TABLE chain_runs ADD CONSTRAINT pk_chain_runs PRIMARY KEY (run_id);
ALTER INDEX ix_chain_runs_before_chain_finished_at RENAME TO ix_chain_runs_chain_finished_at;
ALTER INDEX ix_chain_runs_before_finished_at RENAME TO ix_chain_runs_finished_at;
ALTER INDEX ix_chain_runs_before_vcon_in RENAME TO ix_chain_runs_vcon_in;
ALTER INDEX ix_chain_runs_before_vcon_out RENAME TO ix_chain_runs_vcon_out;
ALTER TABLE chain_runs DROP COLUMN recorded_on, DROP COLUMN token, DROP COLUMN recovered;
"""


def upgrade() -> None:
    """Make the table the partition of old rows; the service makes those of the days."""
    with op.get_context().autocommit_block():
        if _is_done():
            return
        op.execute(_PATIENTLY.format(statements=_COLUMNS))
        op.execute("ALTER TABLE chain_runs VALIDATE CONSTRAINT ck_chain_runs_before")
        # an interrupted attempt leaves an index that is not valid
        for name in (_KEY, *_INDEXES):
            op.drop_index(name, "chain_runs", if_exists=True, postgresql_concurrently=True)
        op.create_index(
            _KEY, "chain_runs", ["run_id", "recorded_on"], unique=True, postgresql_concurrently=True
        )
        for name, columns in _INDEXES.items():
            op.create_index(
                name,
                "chain_runs",
                columns,
                postgresql_where=_UNSETTLED,
                postgresql_concurrently=True,
            )
        op.execute(_HAS_RUNS)
        op.execute(_PATIENTLY.format(statements=_SWAP))


def _is_done() -> bool:
    """Whether an attempt was interrupted after the last step."""
    if op.get_context().as_sql:
        return False
    kind = op.get_bind().execute(
        sa.text("SELECT relkind FROM pg_class WHERE oid = 'chain_runs'::regclass")
    )
    return str(kind.scalar()) == "p"


def downgrade() -> None:
    """Put all rows into one table again; writers wait meanwhile."""
    for statement in _BACK.split(";")[:-1]:
        op.execute(statement)
