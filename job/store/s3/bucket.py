"""Requests to a bucket: sent again where that can help, their answers checked, their errors named."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import Any, TypeVar

from job.errors import JobError, StoreError
from job.retry import retrying
from job.store.base import Object
from job.store.keys import check_key
from job.store.s3.checksums import Etags, etag_in, etag_of_bytes, parts_in
from job.store.s3.client import new_client, transfers
from job.store.s3.errors import (
    BrokenBodyError,
    ChangedError,
    code_and_status,
    is_worth_a_retry,
    no_bucket,
    translate,
)
from job.uris import Uri

T = TypeVar("T")

PART = 8 << 20
"""Size of the parts that large objects travel in, in bytes."""


class Bucket:
    """A bucket below `prefix`; endpoint, region and credentials are the SDK's own.

    Args:
        attempts: how often a request is sent before its error counts; AWS_MAX_ATTEMPTS overrides it.
            The default gives up after half a minute to a minute on an endpoint that refuses
            connections, after five minutes on one that accepts them and then says nothing.
        parallel: how many parts travel at once.
    """

    def __init__(
        self, bucket: str, prefix: str = "", *, attempts: int = 8, parallel: int = 10
    ) -> None:
        self.bucket = bucket
        self.prefix = prefix.strip("/")
        self.uri = Uri(f"s3://{bucket}/{self.prefix}".rstrip("/"))
        self._root = f"{self.prefix}/" if self.prefix else ""
        self._attempts = attempts
        self._parallel = parallel
        self._etags = Etags()

    @cached_property
    def client(self) -> Any:
        """The SDK's."""
        return new_client(self._attempts, self._parallel)

    @property
    def _place(self) -> str:
        """The bucket, among those of all endpoints: each kind of bucket has ETags of its own."""
        return f"{self.client.meta.endpoint_url}/{self.bucket}"

    def at(self, key: str) -> dict[str, str]:
        """What names an object in a request."""
        return {"Bucket": self.bucket, "Key": self._root + check_key(key)}

    def _transfers(self) -> Any:
        return transfers(self.client, PART, self._parallel)

    def is_etag_of(self, answer: Any, expected: str) -> bool:
        """Whether an answer's ETag is the one expected; see `Etags.fits`."""
        return self._etags.fits(self._place, answer, expected)

    def check_etag(self, key: str, answer: Any, expected: str) -> None:
        """Compare an answer's ETag with that of what has arrived; see `Etags.check`.

        Raises:
            BrokenBodyError: something else has arrived than the store holds.
        """
        self._etags.check(self._place, key, answer, expected)

    def read_once(self, key: str, **condition: str) -> tuple[bytes, str]:
        """The whole object and its ETag, by a single request; its errors are the SDK's.

        Raises:
            BrokenBodyError: it broke off, or something else has arrived than the store holds.
        """
        answer = self.client.get_object(**self.at(key), **condition)
        try:
            data, etag = answer["Body"].read(), etag_in(answer)
        except Exception as error:
            raise BrokenBodyError(str(error)) from error
        if (parts := parts_in(etag)) in (None, 1):
            self.check_etag(key, answer, etag_of_bytes(data, parts=parts))
        return data, etag

    def head(self, key: str, **more: Any) -> Any:
        """What a HEAD request says of an object; its errors are the SDK's."""
        head = self.client.head_object(**self.at(key), **more)
        etag_in(head)
        return head

    def _call(self, key: str, work: Callable[[], T]) -> T:
        """Do `work`, again where a body broke off, and turn the SDK's errors into the store's.

        The SDK repeats requests by itself, so a RetryingReader around the store would do it twice.
        """
        where = str(self.uri / key)
        try:
            return retrying(work, is_worth_a_retry, attempts=4)
        except JobError:
            raise
        except Exception as error:
            code, status = code_and_status(error)
            if status == 412 or "did not match expected ETag" in str(error):
                raise ChangedError(where) from error
            if status == 404 and code == "404":
                self._refuse_missing_bucket()
            raise translate(error, where) from error

    def _refuse_missing_bucket(self) -> None:
        from botocore.exceptions import ClientError

        try:
            self.client.head_bucket(Bucket=self.bucket)
        except ClientError as error:
            if code_and_status(error)[1] == 404:
                raise no_bucket(str(self.uri)) from None


def contents(page: Any, prefix: str) -> list[dict[str, Any]]:
    """The objects in a page of a listing.

    Raises:
        BrokenBodyError: it is not a listing, or not of `prefix`.
    """
    contents: list[dict[str, Any]] = page.get("Contents", [])
    if not page.keys() & {"Name", "IsTruncated"}:
        raise BrokenBodyError("the answer is not a listing")
    if any(not item["Key"].startswith(prefix) for item in contents):
        raise BrokenBodyError(f"the listing holds what does not begin with {prefix}")
    return contents


def described(key: str, size: int, etag: str) -> Object:
    """The object that S3 describes so."""
    return Object(key, size, f"{etag}:{size}", etag)


def etag_and_size(identity: str) -> tuple[str, int]:
    """What an identity that `described` gave is made of."""
    etag, _, size = identity.rpartition(":")
    if not etag or not size.isdecimal():
        raise StoreError(f"{identity!r} does not identify an S3 object")
    return etag, int(size)
