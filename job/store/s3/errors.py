"""What botocore and s3transfer raise, as the store's errors; and which of it is worth a retry."""

from __future__ import annotations

from job.errors import Absent, Forbidden, JobError, StoreError, Unreachable, from_os_error

_NO_CREDENTIALS = (
    "NoCredentialsError",
    "PartialCredentialsError",
    "CredentialRetrievalError",
    "ProfileNotFound",
    "TokenRetrievalError",
    "UnauthorizedSSOTokenError",
    "SSOTokenLoadError",
)
_WHO_ASKS = (
    "AccessDenied",
    "ExpiredToken",
    "ExpiredTokenException",
    "InvalidAccessKeyId",
    "InvalidToken",
    "SignatureDoesNotMatch",
)
_BUSY = ("RequestTimeout", "ServiceUnavailable", "SlowDown", "Throttling", "TooManyRequests")
_DAMAGED = (
    "BadDigest",
    "EntityTooSmall",  # of the parts of one upload, when they are put together
    "IncompleteBody",
    "InvalidPart",
    "XAmzContentChecksumMismatch",
)
_NO_ANSWER = ("ConnectionError", "HTTPClientError")
_BROKEN = (
    "ChecksumMismatchError",
    "FlexibleChecksumError",
    "IncompleteReadError",
    "ResponseParserError",
    "ResponseStreamingError",
    "RetriesExceededError",
    "BrokenBodyError",
)


class ChangedError(Exception):
    """The object is there, but no longer with the ETag that was asked for."""


class BrokenBodyError(Exception):
    """A body broke off, fell silent or arrived damaged after the answer had begun; or what answered was
    not S3."""


class CollisionError(Exception):
    """A conditional write met another request under way (409), and nothing was written."""


class CutShortError(Exception):
    """The store acknowledged a write and holds something else than it was given."""


def is_worth_a_retry(error: BaseException) -> bool:
    """Whether to ask again: the SDK itself retries none of these."""
    return isinstance(error, (CollisionError, CutShortError)) or is_broken_body(error)


def code_and_status(error: BaseException) -> tuple[str, int]:
    """S3's error code and the HTTP status of a ClientError; ("", 0) for any other error."""
    response = getattr(error, "response", None)
    if not isinstance(response, dict):
        return "", 0
    code = str(response.get("Error", {}).get("Code", ""))
    return code, int(response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))


def is_lost_condition(error: BaseException) -> bool:
    """Whether a conditional request was refused, or collided with another one under way."""
    code, status = code_and_status(error)
    return status in (409, 412) and code != "NoSuchBucket"


def is_broken_body(error: BaseException) -> bool:
    """Whether a body broke off or arrived damaged: the one thing the SDK does not retry itself."""
    # s3transfer gives up for a silent server too, with which the SDK has been patient enough
    if _is(getattr(error, "last_exception", error), ("ReadTimeoutError",)):
        return False
    return _is(error, _BROKEN) or code_and_status(error)[0] in _DAMAGED


def translate(error: Exception, where: str) -> JobError:
    """The store's error for one of the SDK's; `where` is the URI of what was asked for.

    A bare 404, as HEAD gives it, names the key; the caller says so when it is the bucket.
    """
    code, status = code_and_status(error)
    text = f"{where}: {error}"
    if code == "NoSuchBucket":
        return no_bucket(where)
    if code in ("404", "NoSuchKey", "NoSuchVersion", "NotFound"):
        return Absent(f"{where}: no such key")
    if status in (401, 403) or code in _WHO_ASKS or _is(error, _NO_CREDENTIALS):
        return Forbidden(text)
    if status in (429, 500, 502, 503, 504) or code in _BUSY or _is(error, _NO_ANSWER):
        return Unreachable(text)
    if is_broken_body(error) or _is(error, ("RetriesExceededError",)):
        return Unreachable(f"{text}; the answer broke off or arrived damaged each time")
    # s3transfer wraps a failed upload, and the reason with it
    cause = error.__cause__ or error.__context__
    if isinstance(cause, Exception) and _is(error, ("S3UploadFailedError",)):
        return translate(cause, where)
    if isinstance(error, FileNotFoundError):
        return Absent(f"{error.filename or where}: no such file")
    if isinstance(error, OSError):
        return from_os_error(error) or Unreachable(text)
    return StoreError(text)


def no_bucket(where: str) -> Absent:
    """The error for a bucket that does not exist; `where` is the URI of what was asked for in it."""
    bucket = "/".join(where.split("/")[:3])
    return Absent(f"{bucket}: the bucket does not exist", hint="create it, or correct its name")


def _is(error: BaseException, names: tuple[str, ...]) -> bool:
    # by name, so that asking about an error does not import the SDK
    return any(cls.__name__ in names for cls in type(error).__mro__)
