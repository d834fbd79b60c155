"""S3 and what speaks its protocol."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cached_property, partial
from pathlib import Path
from typing import Any, TypeVar

from job.errors import Absent, Conflict, JobError, StoreError, Unreachable
from job.retry import retrying
from job.store.base import Object
from job.store.keys import check_key
from job.store.local import replacing
from job.store.s3.client import expecting, new_client, transfers
from job.store.s3.errors import (
    BrokenBodyError,
    ChangedError,
    CollisionError,
    code_and_status,
    is_lost_condition,
    is_worth_a_retry,
    translate,
)
from job.uris import Uri

T = TypeVar("T")

PART = 8 << 20
"""Size of the parts that large objects travel in, in bytes."""

_DELETE_AT_ONCE = 1000


class S3Store:
    """Keys below `prefix` of a bucket; endpoint, region and credentials are the SDK's own.

    The identity of an object is its ETag and size: a copy with the same bytes is not a change, and
    in a versioned bucket an older version can be found again by it. Its tag is the ETag.

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

    def list(self, prefix: str = "") -> Iterator[Object]:
        """Every object whose key begins with `prefix`, in the keys' byte order."""
        pages = self._client.get_paginator("list_objects_v2")
        listed = self._call(
            prefix,
            lambda: [
                item
                for page in pages.paginate(Bucket=self.bucket, Prefix=self._root + prefix)
                for item in page.get("Contents", ())
            ],
        )
        # SeaweedFS lists folder by folder, so that a/b comes before a-b; S3 sorts the whole key
        for item in sorted(listed, key=lambda item: item["Key"].encode()):
            if not item["Key"].endswith("/"):  # the folder marks that consoles leave behind
                key = item["Key"][len(self._root) :]
                yield _object(key, item["Size"], item["ETag"])

    def stat(self, key: str) -> Object:
        """The object's size in bytes, identity and tag."""
        head = self._call(key, lambda: self._client.head_object(**self._at(key)))
        return _object(key, head["ContentLength"], head["ETag"])

    def get(self, key: str) -> bytes:
        """The whole object; its checksum, where the store has one, is verified."""
        return self.read(key)[0]

    def read(self, key: str) -> tuple[bytes, str]:
        """The whole object and its ETag."""
        return self._call(key, lambda: self._read(key))

    def download(self, key: str, path: Path, *, identity: str | None = None) -> None:
        """Copy the object to `path`, in parallel parts, replacing the file whole.

        Raises:
            Absent: there is no such object, or none of its versions has that `identity`.
        """
        self._at(key)
        if identity is None:
            retrying(
                lambda: self._fetch(key, path, self.stat(key).identity),
                lambda error: isinstance(error, _Stale),
                attempts=3,
            )
            return
        try:
            self._fetch(key, path, identity)
        except _Stale:
            version = self._version(key, identity)
            if version is None:
                raise
            self._fetch(key, path, identity, VersionId=version)

    def put(
        self, key: str, data: bytes, *, if_absent: bool = False, if_tag: str | None = None
    ) -> str:
        """Write `data` and return its ETag.

        Raises:
            Conflict: the condition does not hold, and the object is not `data` itself.
        """
        condition: dict[str, str] = {}
        if if_absent:
            condition["IfNoneMatch"] = "*"
        elif if_tag is not None:
            condition["IfMatch"] = if_tag

        def work() -> str:
            try:
                answer = self._client.put_object(**self._at(key), Body=data, **condition)
            except Exception as error:
                # AWS answers If-Match on a key that does not exist with 404
                missing = if_tag is not None and code_and_status(error)[0] == "NoSuchKey"
                if not condition or not (is_lost_condition(error) or missing):
                    raise
                if code_and_status(error)[1] == 409 and self._is_as_before(key, if_tag):
                    raise CollisionError(str(error)) from error
                return self._own_write(key, data)
            return str(answer["ETag"])

        return self._call(key, work)

    def upload(self, path: Path, key: str) -> None:
        """Copy the local file `path` to `key`, in parallel parts.

        The SDK adds a checksum to every part, by default CRC32, which the store verifies
        (AWS_REQUEST_CHECKSUM_CALCULATION turns it off for stores that refuse it).
        """
        at = self._at(key)

        def work() -> None:
            with self._transfers() as manager:
                manager.upload(str(path), at["Bucket"], at["Key"]).result()

        self._call(key, work)

    def delete(self, keys: Iterable[str]) -> None:
        """Remove objects, a thousand a request; a key that does not exist is not an error."""
        names = [self._at(key)["Key"] for key in keys]
        for start in range(0, len(names), _DELETE_AT_ONCE):
            self._call("", partial(self._delete, names[start : start + _DELETE_AT_ONCE]))

    @cached_property
    def _client(self) -> Any:
        return new_client(self._attempts, self._parallel)

    def _at(self, key: str) -> dict[str, str]:
        return {"Bucket": self.bucket, "Key": self._root + check_key(key)}

    def _transfers(self) -> Any:
        return transfers(self._client, PART, self._parallel)

    def _delete(self, names: Sequence[str]) -> None:
        from botocore.exceptions import ClientError

        request = {"Objects": [{"Key": name} for name in names], "Quiet": True}
        answer = self._client.delete_objects(Bucket=self.bucket, Delete=request)
        for refused in answer.get("Errors", ()):  # the request as a whole succeeds all the same
            raise ClientError({"Error": refused}, "DeleteObjects")

    def _read(self, key: str, **condition: str) -> tuple[bytes, str]:
        answer = self._client.get_object(**self._at(key), **condition)
        try:
            return answer["Body"].read(), str(answer["ETag"])
        except Exception as error:
            raise BrokenBodyError(str(error)) from error

    def _is_as_before(self, key: str, if_tag: str | None) -> bool:
        """Whether a conditional write may still succeed: nobody has written since."""
        try:
            return self._read(key)[1] == if_tag
        except Exception as error:
            if code_and_status(error)[1] != 404:
                raise
            return if_tag is None

    def _own_write(self, key: str, data: bytes) -> str:
        """The tag of the object at `key`, if it is `data`: an earlier try of the SDK got through."""
        try:
            current, tag = self._read(key)
        except Exception as error:
            if code_and_status(error)[1] == 404 and code_and_status(error)[0] != "NoSuchBucket":
                raise Conflict(f"{self.uri}/{key} was removed by somebody else") from None
            raise
        if current != data:
            raise Conflict(f"{self.uri}/{key} was written by somebody else") from None
        return tag

    def _fetch(self, key: str, path: Path, identity: str, **version: str) -> None:
        """Download exactly the content of `identity`.

        Raises:
            _Stale: the object has other content now.
        """
        etag, size = _etag_and_size(identity)

        def work() -> None:
            with replacing(path) as name:
                if size < PART:
                    # one request, whose full-object checksum the SDK verifies
                    name.write_bytes(self._read(key, IfMatch=etag, **version)[0])
                else:
                    with self._transfers() as manager:
                        manager.download(
                            *self._at(key).values(), str(name), version, [expecting(etag, size)]
                        ).result()
                if (got := name.stat().st_size) != size:
                    raise StoreError(f"{self.uri}/{key}: {got} bytes came, {size} were expected")

        try:
            self._call(key, work)
        except ChangedError:
            raise _Stale(f"{self.uri}/{key} has changed since it was recorded") from None

    def _version(self, key: str, identity: str) -> str | None:
        """The version that has the identity; None when there is none or they may not be listed."""
        at = self._at(key)["Key"]
        pages = self._client.get_paginator("list_object_versions")

        def work() -> str | None:
            for page in pages.paginate(Bucket=self.bucket, Prefix=at):
                for item in page.get("Versions", ()):
                    version = _object(key, item["Size"], item["ETag"])
                    if item["Key"] == at and version.identity == identity:
                        return str(item["VersionId"])
            return None

        try:
            return self._call(key, work)
        except Unreachable:
            raise
        except StoreError:  # versions are not known to this store, or not for these credentials
            return None

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
            self._client.head_bucket(Bucket=self.bucket)
        except ClientError as error:
            if code_and_status(error)[1] == 404:
                raise Absent(
                    f"s3://{self.bucket}: the bucket does not exist",
                    hint="create it, or correct its name",
                ) from None


class _Stale(Absent):
    """The object is there with other content."""

    hint = "start a new run to use what is there now"


def _object(key: str, size: int, etag: str) -> Object:
    return Object(key, size, f"{etag}:{size}", etag)


def _etag_and_size(identity: str) -> tuple[str, int]:
    etag, _, size = identity.rpartition(":")
    if not etag or not size.isdecimal():
        raise StoreError(f"{identity!r} does not identify an S3 object")
    return etag, int(size)
