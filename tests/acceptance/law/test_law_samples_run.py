"""samples/law on a whole system: withheld, released by a recorded basis, delivered, erased."""

from __future__ import annotations

from typing import Any

from devstack.demos.law import FOLDER, LawDemo, settings
from devstack.deployment import Deployment


class Calls:
    """Requests through the Plugboard, each with the status that is expected."""

    def __init__(self, system: Deployment) -> None:
        self._system = system

    async def ask(self, action: str, about: str, expected: int, **fields: Any) -> Any:
        """The fields of the answer."""
        answer = await self._system.call(action, **fields)
        assert answer.status_code == expected, f"{about}: {answer.text}"
        return answer.json()["fields"]

    async def look(self, action: str, **fields: Any) -> Any:
        """The same of one that is found."""
        return await self.ask(action, "", 200, **fields)


async def test_a_vcon_without_a_basis_to_its_end() -> None:
    """As the demo shows it, with the configuration of the samples and nothing else."""
    keys = settings()
    async with Deployment(FOLDER / "config.yml", settings=keys) as system:
        demo = LawDemo(Calls(system), keys["LAW_CHAIN"])
        await demo.play()
        assert not [*(system.data / "partner").rglob("*.json")]
    told = dict(demo.lines)
    assert told["withheld before link train"] == "LawfulBasisMissingError for ai_training"
    assert told["release without a basis"].startswith("409")
    assert told["delivered to storage partner"] == "for redistribution, ok"
    assert told["erasure: storage partner"] == "verified"
    assert told["erasure: egress lawful_finished"] == "verified"
    assert told["statement, RS256, verified"] == "complete"
