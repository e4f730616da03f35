"""Options that vcon-server's plugins know are taken by ours, and are not called misspelt."""

from importlib import import_module

import pytest

from pipeline.config.parser import PluginSpec
from pipeline.plugins.options import unknown_options

CREDENTIALS = (
    "LITELLM_PROXY_URL LITELLM_MASTER_KEY AZURE_OPENAI_ENDPOINT AZURE_OPENAI_API_KEY "
    "AZURE_OPENAI_API_VERSION OPENAI_API_KEY openai_api_key api_key organization organization_key "
    "project project_key send_ai_usage_data_to_url ai_usage_api_token"
)
KNOWN = {
    "links.analyze": "prompt analysis_type model sampling_rate temperature system_prompt source "
    f"only_if {CREDENTIALS}",
    "links.analyze_and_label": "prompt analysis_type model sampling_rate temperature source "
    f"response_format only_if {CREDENTIALS}",
    "links.analyze_vcon": "prompt analysis_type model sampling_rate temperature system_prompt "
    f"remove_body_properties only_if {CREDENTIALS}",
    "links.check_and_tag": "tag_name tag_value evaluation_question analysis_type model source "
    f"response_format verbosity minimal_reasoning {CREDENTIALS}",
    "links.datatrails": "api_url auth_url partner_id asset_attributes auth vcon_operation",
    "links.deepgram_link": "minimum_duration DEEPGRAM_KEY minimum_confidence api model",
    "links.delay": "seconds",
    "links.detect_engagement": "prompt analysis_type model sampling_rate temperature source "
    f"only_if {CREDENTIALS}",
    "links.diet": "remove_dialog_body post_media_to_url remove_analysis remove_attachment_types "
    "remove_system_prompts s3_bucket s3_path aws_access_key_id aws_secret_access_key aws_region "
    "presigned_url_expiration",
    "links.expire_vcon": "seconds",
    "links.groq_whisper": "minimum_duration API_KEY Content-Type",
    "links.hugging_face_whisper": "minimum_duration API_URL API_KEY Content-Type",
    "links.hugging_llm_link": "HUGGINGFACE_API_KEY model use_local_model max_length temperature "
    "top_p top_k",
    "links.jq_link": "filter forward_matches",
    "links.openai_transcribe": "model language minimum_duration max_chunk_duration "
    f"use_silence_chunking silence_thresh silence_len {CREDENTIALS}",
    "links.post_analysis_to_slack": "token channel_name default_channel_name url only_if "
    "analysis_to_post",
    "links.sampler": "method value seed",
    "links.scitt": "scrapi_url signing_key_pem signing_key_path issuer key_id vcon_operation "
    "store_receipt",
    "links.tag": "tags",
    "links.tag_router": "tag_routes forward_original",
    "links.transcribe": "vendor vendor_options transcribe_options",
    "links.webhook": "webhook-urls headers",
    "links.wtf_transcribe": "vfun-server-url language diarize vfun-timeout url-timeout api-key",
    "storage.chatgpt_files": f"vector_store_id purpose {CREDENTIALS}",
    "storage.dataverse": "url api_version tenant_id client_id client_secret entity_name uuid_field "
    "data_field subject_field created_at_field",
    "storage.elasticsearch": "cloud_id api_key url username password ca_certs index_prefix "
    "index hosts",
    "storage.file": "path organize_by_date compression max_file_size file_permissions "
    "dir_permissions",
    "storage.milvus": "host port collection_name embedding_model embedding_dim index_type "
    "create_collection_if_missing skip_if_exists metric_type nlist m ef_construction pq_m pq_nbits "
    f"n_trees {CREDENTIALS}",
    "storage.mongo": "url database collection",
    "storage.postgres": "database user password host port table_name",
    "storage.redis_storage": "prefix expires",
    "storage.s3": "aws_access_key_id aws_secret_access_key aws_bucket aws_region endpoint_url "
    "s3_path",
    "storage.scitt": "scrapi_url signing_key_pem signing_key_path issuer key_id operations",
    "storage.sftp": "url port username password path add_timestamp_to_filename filename extension",
    "storage.vcon_mcp": "base_url api_key timeout transient_retries transient_backoff_base_s",
    "storage.spaceandtime": "name",
    "storage.utopia": "base_url kb_id email password timeout transient_retries "
    "transient_backoff_base_s require_analysis_grant",
    "storage.webhook": "webhook-urls headers",
    "tracers.jlinc": "data_store_api_url data_store_api_key archive_api_url archive_api_key "
    "system_prefix agreement_id hash_event_data dlq_vcon_on_error",
}
WITHOUT_MEANING = {
    "links.sampler": "rate",
    "links.tag_router": "rules",
    "storage.dataverse": "name",
    "storage.redis_storage": "redis_url",
    "storage.sftp": "name",
}


def spec(module: str, names: str) -> PluginSpec:
    """A plugin with these options."""
    return PluginSpec("it", module, options=dict.fromkeys(names.split(), 1))


@pytest.mark.parametrize(("module", "names"), KNOWN.items())
def test_options_that_have_a_meaning(module: str, names: str) -> None:
    """They are known here, too."""
    options = import_module(module).Options
    assert unknown_options(options, spec(module, names), strict=False) == []


@pytest.mark.parametrize(("module", "names"), WITHOUT_MEANING.items())
def test_options_without_a_meaning(module: str, names: str) -> None:
    """They are a note and no error."""
    options = import_module(module).Options
    assert len(unknown_options(options, spec(module, names), strict=False)) == 1
