"""The SDK's client and its parallel transfers, set up the way this job needs them."""

from __future__ import annotations

import threading
from typing import Any

from job.errors import SettingsError
from job.store.s3.errors import translate

_LOCK = threading.Lock()  # making a client is not thread-safe, the client made is


def new_client(attempts: int, parallel: int) -> Any:
    """An S3 client from the SDK's own configuration, which retries requests `attempts` times.

    Raises:
        SettingsError: the endpoint or another of the SDK's own settings is malformed.
        Forbidden: the profile or its credentials cannot be found.
    """
    import boto3
    from botocore.config import Config

    try:
        with _LOCK:
            session = boto3.Session()
            chosen = session._session.get_config_variable("max_attempts")
            config = Config(
                connect_timeout=5,
                read_timeout=30,
                max_pool_connections=4 * parallel,  # files, too, travel side by side
                retries={"mode": "standard", "total_max_attempts": int(chosen or attempts)},
            )
            # a store of one's own has no region, but a signature must name one
            region = session.region_name or "us-east-1"
            return session.client("s3", region_name=region, config=config)
    except ValueError as error:
        raise SettingsError(
            str(error), hint="check AWS_ENDPOINT_URL and AWS_MAX_ATTEMPTS"
        ) from error
    except Exception as error:
        raise translate(error, "S3") from error


def transfers(client: Any, part: int, parallel: int) -> Any:
    """An s3transfer manager for parts of `part` bytes, `parallel` at once; a context manager."""
    from s3transfer.manager import (
        TransferConfig,
        TransferManager,
    )

    config = TransferConfig(
        multipart_threshold=part,
        multipart_chunksize=part,
        max_request_concurrency=parallel,
        num_download_attempts=3,
    )
    return TransferManager(client, config)


def expecting(etag: str, size: int) -> Any:
    """Tell s3transfer what to expect: it asks for these very bytes, and needs no HEAD first."""
    from s3transfer.subscribers import BaseSubscriber

    class Expecting(BaseSubscriber):  # type: ignore[misc]  # s3transfer has no types
        def on_queued(self, future: Any, **_: Any) -> None:
            future.meta.provide_transfer_size(size)
            future.meta.provide_object_etag(etag)

    return Expecting()
