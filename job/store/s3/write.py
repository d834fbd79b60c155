"""One object written by one request: whole, once, and only where its condition holds."""

from __future__ import annotations

from typing import Any

from job.errors import Conflict
from job.store.s3.bucket import Bucket
from job.store.s3.checksums import etag_in, etag_of_bytes
from job.store.s3.errors import (
    CollisionError,
    CutShortError,
    code_and_status,
    is_lost_condition,
)


class Write:
    """A write that can be sent again: it knows its own bytes, and what a second try must be held to."""

    def __init__(
        self, bucket: Bucket, key: str, data: bytes, if_absent: bool, if_tag: str | None
    ) -> None:
        self._bucket, self._key, self._data = bucket, key, data
        self._condition: dict[str, str] = {}
        if if_absent:
            self._condition["IfNoneMatch"] = "*"
        elif if_tag is not None:
            self._condition["IfMatch"] = if_tag

    def send(self) -> str:
        """Write, and return the ETag of what stands there then.

        Raises:
            Conflict: the condition does not hold, and the object is not this very data.
            CollisionError, CutShortError, BrokenBodyError: it is worth another try.
        """
        try:
            answer = self._bucket.client.put_object(
                **self._bucket.at(self._key), Body=self._data, **self._condition
            )
        except Exception as error:
            code, status = code_and_status(error)
            # AWS answers If-Match on a key that does not exist with 404
            missing = "IfMatch" in self._condition and code == "NoSuchKey"
            if not self._condition or not (is_lost_condition(error) or missing):
                raise
            return self._found(collided=status == 409)
        return self._kept(answer)

    def _found(self, *, collided: bool) -> str:
        """The tag of the object that does not let this write through, if it is this write: an earlier
        try got through, of which the SDK was not told.

        Raises:
            Conflict: it is somebody else's.
        """
        current, tag = self._standing()
        if collided and tag == self._expected:
            raise CollisionError(f"another request for {self._key} is under way")
        if current == self._data:
            return tag
        if current is not None and self._data.startswith(current):
            raise self._cut_short(tag)
        raise self._conflict(current)

    def _kept(self, answer: Any) -> str:
        """The tag of what the store says that it has written: that is believed only when it describes
        it so when asked, or gives it back."""
        etag = etag_in(answer)
        if self._is_described():
            return etag
        current, standing = self._standing()
        if current == self._data:
            return standing
        if standing == self._expected:
            raise CutShortError(f"the store acknowledged {self._key} and has not written it")
        if standing == etag or (current is not None and self._data.startswith(current)):
            raise self._cut_short(standing)
        if self._condition:
            raise self._conflict(current)
        return etag  # somebody has written since

    def _is_described(self) -> bool:
        """Whether the store, asked for what stands there, names the MD5 of this data."""
        try:
            head = self._bucket.head(self._key)
        except Exception as error:
            if code_and_status(error)[1] == 404:
                return False
            raise
        return self._bucket.is_etag_of(head, etag_of_bytes(self._data))

    @property
    def _expected(self) -> str:
        """The tag of what this write is to replace; empty for nothing."""
        return self._condition.get("IfMatch", "")

    def _standing(self) -> tuple[bytes | None, str]:
        """What stands there now, and its tag; None and no tag where nothing does."""
        try:
            return self._bucket.read_once(self._key)
        except Exception as error:
            code, status = code_and_status(error)
            if status == 404 and code != "NoSuchBucket":
                return None, ""
            raise

    def _conflict(self, current: bytes | None) -> Conflict:
        done = "removed" if current is None else "written"
        return Conflict(f"{self._bucket.uri}/{self._key} was {done} by somebody else")

    def _cut_short(self, tag: str) -> CutShortError:
        """The error for a write that left something else; what it left is replaced by the next try."""
        if self._condition:
            self._condition = {"IfMatch": tag}
        return CutShortError(f"the store holds something else of {self._key} than it was given")
