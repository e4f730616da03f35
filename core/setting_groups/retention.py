"""The settings of how long rows are kept."""

from pydantic import BaseModel, Field


class RetentionSettings(BaseModel, defer_build=True):
    """How many days rows stay in Postgres, except the run history."""

    audit_retention_days: int = Field(
        0, ge=0, description="Days an audit event stays in Postgres; 0 keeps it."
    )
    usage_retention_days: int = Field(
        400, ge=0, description="Days that the usage of ingress keys stays in Postgres; 0 keeps it."
    )
    owner_retention_days: int = Field(
        0, ge=0, description="Days that it is known who brought a vCon in; 0 keeps it."
    )
    key_retention_days: int = Field(
        400,
        ge=0,
        description="Days a dead ingress key, token or service stays in Postgres; 0 keeps it.",
    )

    @property
    def retention_days(self) -> dict[str, int]:
        """Days by table, without the run history."""
        dead = dict.fromkeys(("ingress_keys", "tokens", "services"), self.key_retention_days)
        return dead | {
            "vcon_owners": self.owner_retention_days,
            "ingress_usage": self.usage_retention_days,
            "audit_events": self.audit_retention_days,
        }
