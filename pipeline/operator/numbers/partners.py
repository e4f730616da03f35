"""`partners`: what each partner sends, today beside yesterday and the last hour."""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from uuid import UUID

from core.operator_interfaces import Call, Operation
from pipeline.minutes.reading import Hour, MinuteReader
from pipeline.operator.parts import Parts
from schemas.ingress_key import IngressKey, Usage
from schemas.operator.partners import Partner, Partners, PartnersQuery, PartnerUse

PARTNERS = Operation("partners", "What each partner sends", PartnersQuery, Partners)
MOST_ROWS = 20_000
"""Rows of usage that are read: one for each key and day."""


class PartnerReader:
    """Answers `partners`."""

    def __init__(self, parts: Parts) -> None:
        self._admin = parts.partner_admin
        self._minutes = MinuteReader(parts.redis)

    async def partners(self, query: PartnersQuery, _call: Call) -> Partners:
        """The partners by what they sent today.

        Raises:
            UnavailableError: Redis or Postgres cannot be reached.
        """
        now = datetime.now(UTC)
        yesterday = now.date() - timedelta(days=1)
        keys, usage, hour = await asyncio.gather(
            self._admin.keys(query.ingress_list),
            self._admin.usage(None, query.ingress_list, yesterday, MOST_ROWS),
            self._minutes.hour(),
        )
        found = partners_of(keys, usage, hour, now)
        return Partners(
            today=now.date(),
            partners=found[: query.limit],
            more=max(0, len(found) - query.limit),
        )


def partners_of(
    keys: Sequence[IngressKey], usage: Sequence[Usage], hour: Hour, now: datetime
) -> list[Partner]:
    """One for each lineage; the one with the most accepted vCons of today first."""
    lineages: dict[UUID, list[IngressKey]] = {}
    for key in keys:
        lineages.setdefault(key.lineage, []).append(key)
    recent = hour_by_key(hour)
    days = {
        (each.key_id, each.day): PartnerUse(
            accepted=each.accepted, refused=each.refused, bytes=each.bytes
        )
        for each in usage
    }
    today, yesterday = now.date(), now.date() - timedelta(days=1)
    found = [
        Partner(
            lineage=lineage,
            label=newest.label,
            ingress_list=newest.ingress_list,
            keys=sum(_works(each, now) for each in members),
            last_used_at=max(filter(None, (each.last_used_at for each in members)), default=None),
            hour=_sum(recent[str(each.id)] for each in members if str(each.id) in recent),
            today=_sum(days[each.id, today] for each in members if (each.id, today) in days),
            yesterday=_sum(
                days[each.id, yesterday] for each in members if (each.id, yesterday) in days
            ),
        )
        for lineage, members in lineages.items()
        for newest in [max(members, key=lambda key: key.created_at)]
    ]
    return sorted(found, key=lambda each: (-each.today.accepted, -each.hour.accepted, each.label))


def _works(key: IngressKey, now: datetime) -> bool:
    return key.revoked_at is None and (key.expires_at is None or key.expires_at > now)


def hour_by_key(hour: Hour) -> dict[str, PartnerUse]:
    """The uses of the last hour, by the id of the key."""
    found: dict[str, PartnerUse] = {}
    for minute in hour.minutes[-60:]:
        for names, numbers in minute.numbers.get("partner", {}).items():
            known = found.get(names[0], PartnerUse())
            found[names[0]] = _sum([known, _use(numbers)])
    return found


def _use(numbers: Mapping[str, int]) -> PartnerUse:
    refused = {name: n for name, n in numbers.items() if name not in ("accepted", "bytes")}
    return PartnerUse(
        accepted=numbers.get("accepted", 0), bytes=numbers.get("bytes", 0), refused=refused
    )


def _sum(uses: Iterable[PartnerUse]) -> PartnerUse:
    total = PartnerUse()
    for each in uses:
        total.accepted += each.accepted
        total.bytes += each.bytes
        for reason, count in each.refused.items():
            total.refused[reason] = total.refused.get(reason, 0) + count
    return total
