from typing import Any

from pydantic import Field, SecretStr

from lib.openai_options import UNSET, USAGE_TOKEN, USAGE_URL, OpenAIOptions


class Options(OpenAIOptions):
    """Options of the storage."""

    host: str = Field("localhost", description="Milvus's host")
    port: str = Field("19530", description="Milvus's port")
    collection_name: str = Field("vcons", description="the collection")
    embedding_model: str = Field("text-embedding-3-small", description="the embedding model")
    embedding_dim: int = Field(1536, gt=0, description="the dimension of the vectors")
    create_collection_if_missing: bool = Field(
        False, description="whether to create a missing collection"
    )
    skip_if_exists: bool = Field(True, description="whether to keep an existing entry")
    index_type: str = Field("IVF_FLAT", description="the index type of a new collection")
    metric_type: str = Field("L2", description="the distance metric: `L2`, `IP` or `COSINE`")
    nlist: int = Field(128, description="the number of clusters, for an index `IVF_...`")
    m: int = Field(16, description="the edges per node, for an index `HNSW`")
    ef_construction: int = Field(200, description="the candidates during the build, for `HNSW`")
    pq_m: int = Field(8, description="the parts of a vector, for `IVF_PQ`")
    pq_nbits: int = Field(8, description="the bits per part, for `IVF_PQ`")
    n_trees: int = Field(50, description="the number of trees, for `ANNOY`")
    send_ai_usage_data_to_url: str = Field("", description=f"+ {USAGE_URL}")
    ai_usage_api_token: SecretStr = Field(UNSET, description=f"+ {USAGE_TOKEN}")
    uri: str = Field("", description="+ instead of `host` and `port`: a URL, or the path of a file")
    token: SecretStr = Field(SecretStr(""), description="+ Milvus's token or `user:password`")
    max_embedding_chars: int = Field(
        24_000,
        gt=0,
        description="+ the characters of the text that are embedded; models have limits",
    )

    @property
    def server(self) -> str:
        """The address for Milvus's client."""
        return self.uri or f"http://{self.host}:{self.port}"

    def index_params(self) -> dict[str, Any]:
        """The parameters for the index of a new collection."""
        if self.index_type == "HNSW":
            return {"M": self.m, "efConstruction": self.ef_construction}
        if self.index_type == "ANNOY":
            return {"n_trees": self.n_trees}
        if self.index_type == "IVF_PQ":
            return {"nlist": self.nlist, "m": self.pq_m, "nbits": self.pq_nbits}
        return {"nlist": self.nlist} if self.index_type.startswith("IVF") else {}
