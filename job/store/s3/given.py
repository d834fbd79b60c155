"""A bucket of data as somebody else left it."""

from __future__ import annotations

from job.errors import BadName
from job.store.s3 import S3Store
from job.uris import Uri


class GivenBucket(S3Store):
    """A bucket's objects for reading. To S3 a key is bytes: `//`, `\\` and `..` in it are plain.

    Args:
        bucket: its name.
        root: what keys begin with, the last slash included; it is left out of an object's key.
    """

    def __init__(self, bucket: str, root: str = "") -> None:
        super().__init__(bucket)
        self._root = root
        self.uri = Uri(f"s3://{bucket}/{root}".removesuffix("/"))

    def at(self, key: str) -> dict[str, str]:
        """What names an object in a request."""
        if not key or "\0" in key:
            raise BadName(f"{self.uri}/{key}: not the name of an object")
        return {"Bucket": self.bucket, "Key": self._root + key}
