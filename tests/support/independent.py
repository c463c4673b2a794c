"""Reads a bucket with boto3 and compares it with files and with a manifest.

Arguments: endpoint, bucket, folder, manifest. A file of the folder is named by
the hexadecimal digits of its object's key. Nothing here comes from Lepton.
"""

import io
import json
import os
import sys
import urllib.parse

import boto3
from botocore.config import Config
from botocore.utils import calculate_tree_hash


def main(endpoint, bucket, folder, manifest):
    config = Config(s3={"addressing_style": "path"}, retries={"max_attempts": 3})
    s3 = boto3.client("s3", endpoint_url=endpoint, config=config)
    listed = set()
    for page in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket):
        listed.update(item["Key"] for item in page.get("Contents", []))
    expected = {bytes.fromhex(name).decode() for name in os.listdir(folder)}
    problems = [f"extra: {key}" for key in listed - expected]
    problems += [f"missing: {key}" for key in expected - listed]

    with open(manifest, encoding="utf-8") as lines:
        entries = [json.loads(line) for line in lines][1:-1]
    digests = {urllib.parse.unquote(entry["key"]): entry["sha256_tree"] for entry in entries}
    if set(digests) != expected:
        problems.append(f"the manifest is of other keys: {set(digests) ^ expected}")

    for key in sorted(listed & expected):
        found = s3.get_object(Bucket=bucket, Key=key)["Body"].read()
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
