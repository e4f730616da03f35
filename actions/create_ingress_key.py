"""CreateIngressKey: let a partner push vCons."""

from typing import Annotated, Any, ClassVar, override

from annotated_types import Ge, Gt, Le
from pydantic import Field

from core.action_author import author_of
from core.action_response import ActionResponse
from core.action_runner import ActionRunner
from core.interfaces import Client
from schemas.ingress_key import NewKey

type Label = Annotated[str, Field(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f]*$")]
type Days = Annotated[float, Gt(0), Le(36_500)]
type Rate = Annotated[int, Ge(1), Le(100_000)]
type Bytes = Annotated[int, Ge(1), Le(1_000_000_000)]


class CreateIngressKey(ActionRunner):
    """Make a partner's key; its secret is told once.

    201 `{secret, key}`. The secret is returned only here; Postgres has its hash.
    """

    needs_pipeline: ClassVar[bool] = True
    administrative: ClassVar[bool] = True

    ingress_list: str = Field(description="The list it opens")
    label: Label = Field(description="Whose it is")
    expires_in_days: Days | None = Field(None, description="Days it works")
    requests_per_minute: Rate | None = Field(None, description="Most")
    max_vcon_bytes: Bytes | None = Field(None, description="Largest vCon")

    @override
    async def run(self, client: Client, websocket: Any) -> ActionResponse:
        made = await client.pipeline.partner_admin.create_key(
            NewKey(**self.model_dump()), author_of(client)
        )
        fields = made.model_dump(mode="json")
        return ActionResponse(status_code=201, fields=fields, has_secret=True)
