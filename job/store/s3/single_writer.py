"""S3 without conditional writes, for stores that do not know them."""

from __future__ import annotations

from job.errors import Absent, Conflict
from job.store.s3 import S3Store


class SingleWriterStore(S3Store):
    """Looks before it writes, instead of setting a condition: enough where nobody else writes."""

    def put(
        self, key: str, data: bytes, *, if_absent: bool = False, if_tag: str | None = None
    ) -> str:
        """Write `data` and return its ETag.

        Raises:
            Conflict: the condition does not hold, and the object is not `data` itself.
        """
        if if_absent or if_tag is not None:
            try:
                current, tag = self.read(key)
            except Absent:
                if if_tag is not None:
                    raise Conflict(f"{self.uri}/{key} was removed by somebody else") from None
            else:
                if current == data:
                    return tag
                if tag != if_tag:
                    raise Conflict(f"{self.uri}/{key} was written by somebody else")
        return super().put(key, data)
