# server/storage/cloud_storage/__init__.py

import boto3
import json
from botocore.exceptions import ClientError
from lib.logging_utils import init_logger
from server.lib.vcon_redis import VconRedis

logger = init_logger(__name__)

default_options = {
    "bucket": "vcons",
    "prefix": "",
    "region": "us-east-1",
    "access_key": "",
    "secret_key": "",
    "endpoint_url": None  # For S3-compatible services
}

def _get_client(opts):
    """Get S3 client."""
    return boto3.client(
        's3',
        region_name=opts["region"],
        aws_access_key_id=opts["access_key"],
        aws_secret_access_key=opts["secret_key"],
        endpoint_url=opts.get("endpoint_url")
    )

def _get_key(vcon_uuid, opts):
    """Get S3 key for vCon."""
    prefix = opts.get("prefix", "")
    if prefix and not prefix.endswith("/"):
        prefix += "/"
    return f"{prefix}{vcon_uuid}.json"

def save(vcon_uuid, opts=default_options):
    """Save vCon to S3."""
    options = {**default_options, **opts}
    
    vcon_redis = VconRedis()
    vcon = vcon_redis.get_vcon(vcon_uuid)
    
    client = _get_client(options)
    key = _get_key(vcon_uuid, options)
    
    client.put_object(
        Bucket=options["bucket"],
        Key=key,
        Body=json.dumps(vcon.to_dict()),
        ContentType="application/json"
    )
    
    logger.info(f"Saved {vcon_uuid} to s3://{options['bucket']}/{key}")

def get(vcon_uuid, opts=default_options):
    """Retrieve vCon from S3."""
    options = {**default_options, **opts}
    
    client = _get_client(options)
    key = _get_key(vcon_uuid, options)
    
    try:
        response = client.get_object(
            Bucket=options["bucket"],
            Key=key
        )
        return json.loads(response['Body'].read())
    except ClientError as e:
        if e.response['Error']['Code'] == 'NoSuchKey':
            return None
        raise

def delete(vcon_uuid, opts=default_options):
    """Delete vCon from S3."""
    options = {**default_options, **opts}
    
    client = _get_client(options)
    key = _get_key(vcon_uuid, options)
    
    try:
        client.delete_object(
            Bucket=options["bucket"],
            Key=key
        )
        return True
    except ClientError:
        return False
