"""Configuration files written for vcon-server are accepted as they are."""

import pytest
import yaml

from pipeline.config.parser import PipelineConfig, parse

EXAMPLE = """
ingress_auth:
  customer_data: "customer-api-key-12345"
  support_calls:
    - "support-api-key-67890"
    - "support-client-2-key"
    - "support-vendor-key-xyz"
  sales_leads:
    - "sales-api-key-abcdef"
    - "sales-partner-key-123"
links:
  webhook_store_call_log:
    module: links.webhook
    options:
      webhook-urls:
        - https://example.com/conserver
  deepgram_link:
    module: links.deepgram_link
    options:
      DEEPGRAM_KEY: your_deepgram_key
      minimum_duration: 30
      api:
        model: "nova-2"
        smart_format: true
        detect_language: true
  summarize:
    module: links.analyze
    options:
      OPENAI_API_KEY: your_openai_key
      prompt: "Summarize this transcript..."
      analysis_type: summary
      model: 'gpt-4'
storages:
  postgres:
    module: storage.postgres
    options:
      user: postgres
      password: your_password
      host: your_host
      port: "5432"
      database: postgres
  s3:
    module: storage.s3
    options:
      aws_access_key_id: your_key
      aws_secret_access_key: your_secret
      aws_bucket: your_bucket
chains:
  main_chain:
    links:
      - deepgram_link
      - summarize
      - webhook_store_call_log
    storages:
      - postgres
      - s3
    ingress_lists:
      - customer_data
    enabled: 1
"""

FRAGMENTS = """
imports:
  custom_utility:
    module: custom_utils
    pip_name: custom-utils-package
  github_helper:
    module: github_helper
    pip_name: git+https://github.com/username/helper-repo.git
  requests_import:
    module: requests
  legacy_module: some.legacy.module
links:
  requests_link:
    module: requests
    options:
      timeout: 30
  private_link:
    module: private_module
    pip_name: git+https://token:your_github_token@github.com/username/private-repo.git
    options:
      config_param: value
  flexible_link:
    module: flexible_module
    pip_name: flexible-package>=1.0.0,<2.0.0
    options:
      setting: value
  git_commit_link:
    module: git_module
    pip_name: git+https://github.com/username/repo.git@abc123def456
  prerelease_link:
    module: beta_module
    pip_name: beta-package --pre
    options:
      experimental: true
storages:
  elasticsearch:
    module: storage.elasticsearch
    options:
      cloud_id: "your_cloud_id"
      api_key: "your_api_key"
      index: vcon_index
  milvus:
    module: storage.milvus
    options:
      host: "localhost"
      port: "19530"
      collection_name: "vcons"
      embedding_model: "text-embedding-3-small"
      embedding_dim: 1536
      api_key: "your-openai-api-key"
      organization: "your-org-id"
      create_collection_if_missing: true
tracers:
  jlinc:
    module: tracers.jlinc
    options:
      data_store_api_url: http://jlinc-server:9090
      data_store_api_key: your_data_store_api_key
      archive_api_url: http://jlinc-server:9090
      archive_api_key: your_archive_api_key
      system_prefix: VCONTest
      agreement_id: 00000000-0000-0000-0000-000000000000
      hash_event_data: True
      dlq_vcon_on_error: True
chains:
  everything:
    links: [requests_link, private_link, flexible_link, git_commit_link, prerelease_link]
    storages: [elasticsearch, milvus]
    ingress_lists: [default]
    enabled: 1
"""

SHIPPED = """
tracers:
  # jlinc:
  #   module: tracers.jlinc
links:
  tag:
    module: links.tag
    ingress-lists:
    egress-lists:
    options:
      tags: [iron, maiden]
storages:
  file:
    module: storage.file
    options:
      path: /data/vcons
      file_permissions: 0o644
chains:
  sample_chain:
    links:
      - tag
    storages:
      - file
    ingress_lists:
      - default_ingress
    egress_lists:
      - default_egress
    enabled: 1
followers:
  sample_follower:
    url: http://127.0.0.1:8000
    egress_list: default_egress
    follower_ingress_list: follower_ingress
    auth_token: your_token
    pulling_interval: 60
    fetch_vcon_limit: 10
"""

ENVIRON = {"HOME": "/root", "OPENAI_API_KEY": "not-this-one"}


@pytest.fixture(scope="module")
def example() -> PipelineConfig:
    """The configuration that the vcon-server document shows."""
    return parse(yaml.safe_load(EXAMPLE), ENVIRON)


def test_the_documents_example_has_nothing_wrong(example: PipelineConfig) -> None:
    """The only remarks are about keys for lists that its one chain does not read."""
    assert example.notes == (
        "ingress_auth.support_calls: no enabled chain reads this list",
        "ingress_auth.sales_leads: no enabled chain reads this list",
    )


def test_the_documents_chain(example: PipelineConfig) -> None:
    """Its chain reads its list, with links and storages in the order written."""
    chain = example.chain_reading("customer_data")
    assert chain is not None
    assert chain.name == "main_chain"
    assert [step.plugin.module for step in chain.links] == [
        "links.deepgram_link",
        "links.analyze",
        "links.webhook",
    ]
    assert [storage.module for storage in chain.storages] == ["storage.postgres", "storage.s3"]


def test_the_documents_options_arrive_unchanged(example: PipelineConfig) -> None:
    """Options keep their types and depth, and what only looks like a variable's name."""
    options = example.links["deepgram_link"].plugin.options
    assert options["api"] == {"model": "nova-2", "smart_format": True, "detect_language": True}
    assert example.storages["postgres"].options["port"] == "5432"
    assert example.links["summarize"].plugin.options["OPENAI_API_KEY"] == "your_openai_key"


def test_the_documents_ingress_keys(example: PipelineConfig) -> None:
    """One key or several, as the document gives them."""
    assert example.ingress_auth["customer_data"] == ("customer-api-key-12345",)
    assert len(example.ingress_auth["support_calls"]) == 3


def test_the_documents_other_sections_have_nothing_wrong() -> None:
    """Imports, pip names of every form, further storages and the tracer need no remark."""
    config = parse(yaml.safe_load(FRAGMENTS), ENVIRON)
    assert config.notes == ()
    assert config.links["prerelease_link"].plugin.pip_name == "beta-package --pre"
    assert [tracer.name for tracer in config.chains["everything"].tracers] == ["jlinc"]


def test_the_shipped_sample_is_accepted() -> None:
    """Null tracers, keys without meaning on a link, and followers are no more than notes."""
    config = parse(yaml.safe_load(SHIPPED), ENVIRON)
    assert config.ingress_lists == ("default_ingress",)
    assert config.notes == (
        "links.tag.ingress-lists: not a known key, ignored",
        "links.tag.egress-lists: not a known key, ignored",
        "followers: following other servers is not supported, ignored",
    )


def test_octal_permissions_arrive_as_yaml_reads_them() -> None:
    """`0o644` is a text in YAML 1.1; what to make of it is the storage's business."""
    config = parse(yaml.safe_load(SHIPPED), ENVIRON)
    assert config.storages["file"].options["file_permissions"] == "0o644"
