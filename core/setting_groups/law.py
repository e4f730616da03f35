"""Settings of the law: what the section `law` of config.yml does not say."""

from pydantic import BaseModel, Field


class LawSettings(BaseModel, defer_build=True):
    """The actions of the law."""

    law_actions: bool = Field(
        False,
        description="Run the actions of the law, too: verifying, releasing, recording bases, "
        "erasing. Meant for a Plugboard service of its own, see docs/actions.md.",
    )
