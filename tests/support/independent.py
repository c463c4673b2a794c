"""Reads a bucket with its cloud's own library and compares it with files and with a
manifest.

Arguments: cloud (s3, azure or google), endpoint, bucket, folder, manifest. A file of the
folder is named by the hexadecimal digits of its object's key. Nothing here comes from
Lepton.
"""

import io
import json
import os
import sys
import urllib.parse

from botocore.utils import calculate_tree_hash


def s3(endpoint, bucket):
    import boto3
    from botocore.config import Config

    config = Config(s3={"addressing_style": "path"}, retries={"max_attempts": 3})
    client = boto3.client("s3", endpoint_url=endpoint, config=config)
    pages = client.get_paginator("list_objects_v2").paginate(Bucket=bucket)
    keys = {item["Key"] for page in pages for item in page.get("Contents", [])}
    return keys, lambda key: client.get_object(Bucket=bucket, Key=key)["Body"].read()


def azure(endpoint, bucket):
    from azure.storage.blob import ContainerClient

    names = {"account_name": "AZURE_STORAGE_ACCOUNT", "account_key": "AZURE_STORAGE_KEY"}
    credential = {name: os.environ[variable] for name, variable in names.items()}
    client = ContainerClient(endpoint, bucket, credential=credential)
    return set(client.list_blob_names()), lambda key: client.download_blob(key).readall()


def google(endpoint, bucket):
    from google.auth.credentials import AnonymousCredentials
    from google.cloud import storage

    options = {"api_endpoint": endpoint}
    client = storage.Client(project="lepton", credentials=AnonymousCredentials(), client_options=options)
    bucket = client.bucket(bucket)
    # The library compares the CRC-32C or MD5 of what it gets.
    return {blob.name for blob in bucket.list_blobs()}, lambda key: bucket.blob(key).download_as_bytes()


def main(cloud, endpoint, bucket, folder, manifest):
    listed, read = {"s3": s3, "azure": azure, "google": google}[cloud](endpoint, bucket)
    expected = {bytes.fromhex(name).decode() for name in os.listdir(folder)}
    problems = [f"extra: {key}" for key in listed - expected]
    problems += [f"missing: {key}" for key in expected - listed]

    with open(manifest, encoding="utf-8") as lines:
        entries = [json.loads(line) for line in lines][1:-1]
    digests = {urllib.parse.unquote(entry["key"]): entry["sha256_tree"] for entry in entries}
    if set(digests) != expected:
        problems.append(f"the manifest is of other keys: {set(digests) ^ expected}")

    for key in sorted(listed & expected):
        found = read(key)
        with open(os.path.join(folder, key.encode().hex()), "rb") as file:
            if found != file.read():
                problems.append(f"other bytes: {key}")
        if calculate_tree_hash(io.BytesIO(found)) != digests.get(key):
            problems.append(f"another digest: {key}")

    print(f"{len(listed)} objects, {len(problems)} problems")
    for problem in problems:
        print(problem)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
