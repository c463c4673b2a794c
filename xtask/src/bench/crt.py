"""Moves a folder into a bucket, or a bucket into a folder, by the AWS CRT.

    crt.py ENDPOINT BUCKET up|down FOLDER PART_SIZE [CERTIFICATE]

The CRT's S3 client is what version 2 of the AWS command line moves objects with;
`s3transfer` is how that and boto3 drive it. Parts have the given number of bytes.
How much goes on at once is left to the CRT, and follows from the throughput that it
takes for the machine's: 10 Gbit/s where it knows nothing of the machine. Credentials
and region come from the environment.
"""

import os
import sys

import botocore.session
from botocore.config import Config
from s3transfer.crt import (
    BotocoreCRTCredentialsWrapper,
    BotocoreCRTRequestSerializer,
    CRTTransferManager,
    create_s3_crt_client,
)


def files(folder):
    """The path and the key of each file."""
    for parent, _, names in os.walk(folder):
        for name in names:
            path = os.path.join(parent, name)
            yield path, os.path.relpath(path, folder)


def keys(session, bucket, settings):
    """The keys of a bucket, by plain listings: the CRT has none."""
    client = session.create_client("s3", **settings)
    for page in client.get_paginator("list_objects_v2").paginate(Bucket=bucket):
        for found in page.get("Contents", []):
            yield found["Key"]


def main():
    endpoint, bucket, direction, folder, part_size, *certificate = sys.argv[1:]
    session = botocore.session.Session()
    region = os.environ["AWS_REGION"]
    config = Config(s3={"addressing_style": "path"})
    settings = {"endpoint_url": endpoint, "region_name": region, "config": config}
    verify = certificate[0] if certificate else None
    if verify:
        settings["verify"] = verify
    credentials = BotocoreCRTCredentialsWrapper(session.get_credentials())
    client = create_s3_crt_client(
        region,
        credentials.to_crt_credentials_provider(),
        part_size=int(part_size),
        use_ssl=endpoint.startswith("https:"),
        verify=verify,
    )
    serializer = BotocoreCRTRequestSerializer(session, dict(settings))
    # The manager says of no failure by itself, so each result is asked for; those
    # that are over are let go, or they would all be held to the end.
    with CRTTransferManager(client, serializer) as manager:
        if direction == "up":
            results = (manager.upload(path, bucket, key) for path, key in files(folder))
        else:
            results = down(manager, bucket, folder, keys(session, bucket, settings))
        running = []
        for result in results:
            running.append(result)
            if len(running) > 1000:
                running = [left for left in running if not finished(left)]
        for result in running:
            result.result()


def finished(result):
    """Whether it is over; raises what it failed by."""
    if result.done():
        result.result()
        return True
    return False


def down(manager, bucket, folder, found):
    """Begins each download."""
    made = set()
    for key in found:
        path = os.path.join(folder, key)
        parent = os.path.dirname(path)
        if parent not in made:
            os.makedirs(parent, exist_ok=True)
            made.add(parent)
        yield manager.download(bucket, key, path)


main()
