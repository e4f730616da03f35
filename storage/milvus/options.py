from typing import Any

from pydantic import Field, SecretStr

from lib.openai_options import UNSET, USAGE_TOKEN, USAGE_URL, OpenAIOptions


class Options(OpenAIOptions):
    """Which collection of which server, and whose vectors."""

    host: str = Field("localhost", description="where Milvus is")
    port: str = Field("19530", description="and its port there")
    collection_name: str = Field("vcons", description="the collection")
    embedding_model: str = Field("text-embedding-3-small", description="the model of the vectors")
    embedding_dim: int = Field(1536, gt=0, description="how many numbers a vector has")
    create_collection_if_missing: bool = Field(False, description="whether to make the collection")
    skip_if_exists: bool = Field(True, description="whether a vCon that is there is left alone")
    index_type: str = Field("IVF_FLAT", description="how a collection that is made is searched")
    metric_type: str = Field("L2", description="what is near: `L2`, `IP` or `COSINE`")
    nlist: int = Field(128, description="clusters, for an index `IVF_...`")
    m: int = Field(16, description="edges of a node, for an index `HNSW`")
    ef_construction: int = Field(200, description="candidates while one is made, for `HNSW`")
    pq_m: int = Field(8, description="parts of a vector, for `IVF_PQ`")
    pq_nbits: int = Field(8, description="bits of each, for `IVF_PQ`")
    n_trees: int = Field(50, description="trees, for `ANNOY`")
    send_ai_usage_data_to_url: str = Field("", description=f"+ {USAGE_URL}")
    ai_usage_api_token: SecretStr = Field(UNSET, description=f"+ {USAGE_TOKEN}")
    uri: str = Field(
        "", description="+ in the place of `host` and `port`: a URL, or the path of a file"
    )
    token: SecretStr = Field(SecretStr(""), description="+ who asks, where Milvus wants to know")
    max_embedding_chars: int = Field(
        24_000, gt=0, description="+ so much of the text counts for the vector: models have limits"
    )

    @property
    def server(self) -> str:
        """Where Milvus is, as its client takes it."""
        return self.uri or f"http://{self.host}:{self.port}"

    def index_params(self) -> dict[str, Any]:
        """The numbers that the index of a new collection takes."""
        if self.index_type == "HNSW":
            return {"M": self.m, "efConstruction": self.ef_construction}
        if self.index_type == "ANNOY":
            return {"n_trees": self.n_trees}
        if self.index_type == "IVF_PQ":
            return {"nlist": self.nlist, "m": self.pq_m, "nbits": self.pq_nbits}
        return {"nlist": self.nlist} if self.index_type.startswith("IVF") else {}
