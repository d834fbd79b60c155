"""S3 and what speaks its protocol."""

from __future__ import annotations

import filecmp
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from job.errors import Absent, StoreError, Torn, Unreachable
from job.retry import retrying
from job.store.base import Object
from job.store.local import replacing
from job.store.s3.bucket import PART, Bucket, contents, described, etag_and_size
from job.store.s3.checksums import crc32_of, etag_of, parts_in
from job.store.s3.client import expecting
from job.store.s3.errors import BrokenBodyError, ChangedError
from job.store.s3.write import Write

_DELETE_AT_ONCE = 1000
_LISTINGS = 4
"""How many pairs of listings are compared; others may be writing all the while."""


class S3Store(Bucket):
    """Keys below `prefix` of a bucket.

    The identity of an object is its ETag and size: a copy with the same bytes is not a change, and
    in a versioned bucket an older version can be found again by it. Its tag is the ETag.
    """

    def list(self, prefix: str = "") -> Iterator[Object]:
        """Every object whose key begins with `prefix`, in the keys' byte order.

        No checksum protects a listing, and a name that is missing from one could not be noticed: it is
        believed when it has come twice, or when it changes each time that it is asked for.
        """
        for _ in range(_LISTINGS):
            listed = self._call(prefix, partial(self._listed, prefix))
            if listed == self._call(prefix, partial(self._listed, prefix)):
                break
        yield from listed

    def stat(self, key: str) -> Object:
        """The object's size in bytes, identity and tag."""
        head = self._call(key, lambda: self.head(key))
        return described(key, head["ContentLength"], head["ETag"])

    def get(self, key: str) -> bytes:
        """The whole object; its checksum, where the store has one, is verified."""
        return self.read(key)[0]

    def read(self, key: str) -> tuple[bytes, str]:
        """The whole object and its ETag."""
        return self._call(key, lambda: self.read_once(key))

    def download(self, key: str, path: Path, *, identity: str | None = None) -> None:
        """Copy the object to `path`, in parallel parts, replacing the file whole.

        Raises:
            Absent: there is no such object, or none of its versions has that `identity`.
        """
        self.at(key)
        if identity is None:
            retrying(
                lambda: self._fetch(key, path, self.stat(key).identity),
                lambda error: isinstance(error, _Stale),
                attempts=3,
            )
            return
        try:
            self._fetch(key, path, identity, checked=True)
        except _Stale:
            version = self._version(key, identity)
            if version is None:
                raise
            self._fetch(key, path, identity, checked=True, VersionId=version)

    def put(
        self, key: str, data: bytes, *, if_absent: bool = False, if_tag: str | None = None
    ) -> str:
        """Write `data` and return its ETag.

        Raises:
            Conflict: the condition does not hold, and the object is not `data` itself.
        """
        return self._call(key, Write(self, key, data, if_absent, if_tag).send)

    def upload(self, path: Path, key: str) -> None:
        """Copy the local file `path` to `key`, in parallel parts.

        The SDK adds a checksum to every part, by default CRC32, which the store verifies
        (AWS_REQUEST_CHECKSUM_CALCULATION turns it off for stores that refuse it).
        """
        at = self.at(key)

        def work() -> None:
            try:
                with self._transfers() as manager:
                    manager.upload(str(path), at["Bucket"], at["Key"]).result()
            except KeyError as error:
                raise BrokenBodyError(f"the answer names no {error}, so it is not S3's") from error

        self._call(key, work)

    def confirm(self, path: Path, key: str) -> Object:
        """The object, whose CRC32 or ETag, or else its content, is the local file's.

        Raises:
            Torn: it is missing, or holds something else.
        """
        where, size = f"{self.uri}/{key}", path.stat().st_size
        try:
            head = self._call(key, lambda: self.head(key, ChecksumMode="ENABLED"))
            stored = described(key, head["ContentLength"], head["ETag"])
            if stored.size != size:
                raise Torn(f"{where} has {stored.size} bytes instead of {size}")
            if not self._is_proven(head, path, size):
                with tempfile.TemporaryDirectory(dir=path.parent) as folder:
                    self.download(key, copy := Path(folder, "copy"))
                    if not filecmp.cmp(path, copy, shallow=False):
                        raise Torn(f"{where} does not hold what was uploaded")
        except Absent as error:
            raise Torn(f"{where} is missing") from error
        return stored

    def delete(self, keys: Iterable[str]) -> None:
        """Remove objects, a thousand a request; a key that does not exist is not an error."""
        names = [self.at(key)["Key"] for key in keys]
        for start in range(0, len(names), _DELETE_AT_ONCE):
            self._call("", partial(self._delete, names[start : start + _DELETE_AT_ONCE]))

    def sweep(self, prefix: str, *, superseded: bool) -> int:
        """Abort the uploads in parts that were never completed; whose writer still lives, S3 cannot say."""
        if not superseded:
            return 0
        pages = self.client.get_paginator("list_multipart_uploads")

        def work() -> int:
            whole = pages.paginate(Bucket=self.bucket, Prefix=self._root + prefix)
            begun = [(u["Key"], u["UploadId"]) for page in whole for u in page.get("Uploads", ())]
            mine = [(key, upload) for key, upload in begun if key.startswith(self._root + prefix)]
            for key, upload in mine:
                self.client.abort_multipart_upload(Bucket=self.bucket, Key=key, UploadId=upload)
            return len(mine)

        return self._call(prefix, work)

    def _listed(self, prefix: str) -> Sequence[Object]:
        pages = self.client.get_paginator("list_objects_v2")
        found: list[Object] = []
        try:
            for page in pages.paginate(Bucket=self.bucket, Prefix=self._root + prefix):
                for item in contents(page, self._root + prefix):
                    if not item["Key"].endswith("/"):  # the folder marks that consoles leave behind
                        key = item["Key"][len(self._root) :]
                        found.append(described(key, item["Size"], item["ETag"]))
        except (ValueError, KeyError) as error:
            # a number or a time that is none, a name that is not there
            raise BrokenBodyError(f"the listing cannot be read ({error})") from error
        # SeaweedFS lists folder by folder, so that a/b comes before a-b; S3 sorts the whole key
        return sorted(found, key=lambda item: item.key.encode())

    def _delete(self, names: Sequence[str]) -> None:
        from botocore.exceptions import ClientError

        request = {"Objects": [{"Key": name} for name in names], "Quiet": True}
        answer = self.client.delete_objects(Bucket=self.bucket, Delete=request)
        for refused in answer.get("Errors", ()):  # the request as a whole succeeds all the same
            raise ClientError({"Error": refused}, "DeleteObjects")

    def _is_proven(self, head: Any, path: Path, size: int) -> bool:
        """Whether what the store says of an upload shows that it holds the file's bytes."""
        part = PART if size >= PART else None
        if crc := head.get("ChecksumCRC32"):
            return bool(crc == crc32_of(path, part if "-" in crc else None))
        return self.is_etag_of(head, etag_of(path, part))

    def _check_parts(self, key: str, etag: str, path: Path, **version: str) -> None:
        """Compare a file that arrived in parts with its ETag, as far as the store says what those stand for.

        Raises:
            BrokenBodyError: something else has arrived than the store holds.
        """
        parts = parts_in(etag) or 0
        head = self.head(key, **version, **({"PartNumber": 1} if parts else {}))
        if not parts:
            self.check_etag(key, head, etag_of(path, None))
            return
        first, size = int(head["ContentLength"]), path.stat().st_size
        if first == size and parts > 1:
            return  # the store does not say how long the parts are
        expected = etag_of(path, first)
        if not self.is_etag_of(head, expected):  # s3fs, for one, writes parts of any lengths
            heads = (self.head(key, PartNumber=n, **version) for n in range(1, parts + 1))
            expected = etag_of(path, [int(one["ContentLength"]) for one in heads])
        self.check_etag(key, head, expected)

    def _fetch(
        self, key: str, path: Path, identity: str, *, checked: bool = False, **version: str
    ) -> None:
        """Download exactly the content of `identity`.

        Args:
            checked: compare what came in parts with its ETag; for files that nobody else verifies.

        Raises:
            _Stale: the object has other content now.
        """
        etag, size = etag_and_size(identity)

        def work() -> None:
            with replacing(path) as name:
                if size < PART:
                    # one request, whose full-object checksum the SDK verifies
                    name.write_bytes(self.read_once(key, IfMatch=etag, **version)[0])
                else:
                    with self._transfers() as manager:
                        manager.download(
                            *self.at(key).values(), str(name), version, [expecting(etag, size)]
                        ).result()
                if (got := name.stat().st_size) != size:
                    raise BrokenBodyError(f"{got} bytes came, {size} were expected")
                if checked and (size >= PART or parts_in(etag) not in (None, 1)):
                    self._check_parts(key, etag, name, **version)

        try:
            self._call(key, work)
        except ChangedError:
            raise _Stale(f"{self.uri}/{key} has changed since it was recorded") from None

    def _version(self, key: str, identity: str) -> str | None:
        """The version that has the identity; None when there is none or they may not be listed."""
        at = self.at(key)["Key"]
        pages = self.client.get_paginator("list_object_versions")

        def work() -> str | None:
            for page in pages.paginate(Bucket=self.bucket, Prefix=at):
                for item in page.get("Versions", ()):
                    version = described(key, item["Size"], item["ETag"])
                    if item["Key"] == at and version.identity == identity:
                        return str(item["VersionId"])
            return None

        try:
            return self._call(key, work)
        except Unreachable:
            raise
        except StoreError:  # versions are not known to this store, or not for these credentials
            return None


class _Stale(Absent):
    """The object is there with other content."""

    hint = "start a new run to use what is there now"
