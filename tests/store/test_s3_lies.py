"""An S3 store, or what stands before it, that answers wrongly and says that all is well."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from types import SimpleNamespace

import pytest
from boto3.s3.transfer import TransferConfig

from job.errors import StoreError, Torn, Unreachable
from job.store import open_store
from job.store.s3 import S3Store
from job.store.s3.checksums import Etags
from job.store.s3.errors import BrokenBodyError
from tests.faults.proxy import Faults, FaultyProxy
from tests.support.servers import Server


@pytest.fixture
def lying(
    s3_env: Server, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[..., S3Store]]:
    """A store behind a proxy with these faults, and no pauses between two tries."""
    no_pauses = SimpleNamespace(time=time.time, sleep=lambda seconds: None)
    monkeypatch.setattr("tenacity.nap.time", no_pauses)
    monkeypatch.setattr("botocore.endpoint.time", no_pauses)
    with ExitStack() as stack:

        def behind(**faults: float) -> S3Store:
            proxy = stack.enter_context(FaultyProxy(s3_env.url, Faults(**faults)))
            monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.url)
            return S3Store(bucket.removeprefix("s3://"))

        yield behind


def test_a_web_page_is_no_answer(
    bucket: str, s3_env: Server, lying: Callable[..., S3Store], tmp_path: Path
) -> None:
    """Not an empty listing either, from which a run would begin anew."""
    open_store(bucket).put("a/key", b"1")
    (tmp_path / "large").write_bytes(b"1" * 9_000_000)
    store = lying(page=1.0)
    for action in (
        lambda: store.get("a/key"),
        lambda: store.stat("a/key"),
        lambda: list(store.list("a/")),
        lambda: store.download("a/key", tmp_path / "got"),
        lambda: store.put("a/new", b"2"),
        lambda: store.put("a/new", b"2", if_absent=True),
        lambda: store.upload(tmp_path / "large", "a/large"),
    ):
        with pytest.raises(Unreachable) as caught:
            action()
        assert caught.value.exit_code == 75
    left = s3_env.client().list_objects_v2(Bucket=bucket.removeprefix("s3://"))["Contents"]
    assert [item["Key"] for item in left] == ["a/key"]


@pytest.mark.parametrize("fault", ["cut_put", "lose_put"])
def test_what_is_acknowledged_and_not_kept_is_no_write(
    bucket: str, s3_env: Server, lying: Callable[..., S3Store], fault: str, tmp_path: Path
) -> None:
    store = lying(**{fault: 1.0})
    for if_absent in (False, True):
        with pytest.raises(StoreError, match=r"the store (holds something else|acknowledged)"):
            store.put("record", b'{"step": 10}', if_absent=if_absent)
    (tmp_path / "file").write_bytes(b"weights")
    store.upload(tmp_path / "file", "file")
    with pytest.raises(Torn, match=r"has 3 bytes instead of 7|is missing"):
        store.confirm(tmp_path / "file", "file")
    for key in ("record", "file"):
        s3_env.client().delete_object(Bucket=bucket.removeprefix("s3://"), Key=key)


def test_bits_that_flip_on_the_way_are_noticed_in_large_files_too(
    bucket: str, lying: Callable[..., S3Store], tmp_path: Path
) -> None:
    """No checksum of the SDK's covers what is read in parts; whoever wrote it chose their size."""
    name, size = bucket.removeprefix("s3://"), 17_000_000
    (tmp_path / "large").write_bytes(os.urandom(size))
    config = TransferConfig(multipart_threshold=5 << 20, multipart_chunksize=5 << 20)
    S3Store(name).client.upload_file(str(tmp_path / "large"), name, "large", Config=config)
    identity = open_store(bucket).stat("large").identity
    store = lying(flip=1.0)
    with pytest.raises(Unreachable, match="what arrived is not what its ETag"):
        store.download("large", tmp_path / "got", identity=identity)
    store = lying()
    store.download("large", tmp_path / "got", identity=identity)
    assert (tmp_path / "got").read_bytes() == (tmp_path / "large").read_bytes()


def test_parts_of_any_lengths_are_the_same_file(bucket: str, tmp_path: Path) -> None:
    """As s3fs writes them, and so pandas: what is in its buffer when that is full."""
    store = open_store(bucket)
    parts = [os.urandom((5 << 20) + more) for more in (999, 0, 7)]
    at = {"Bucket": bucket.removeprefix("s3://"), "Key": "large"}
    client = S3Store(at["Bucket"]).client
    upload = {**at, "UploadId": client.create_multipart_upload(**at)["UploadId"]}
    done = [
        {"PartNumber": n, "ETag": client.upload_part(**upload, PartNumber=n, Body=part)["ETag"]}
        for n, part in enumerate(parts, 1)
    ]
    client.complete_multipart_upload(**upload, MultipartUpload={"Parts": done})
    store.put("small", b"by which the store shows what its ETags are")
    store.download("large", tmp_path / "got", identity=store.stat("large").identity)
    assert (tmp_path / "got").read_bytes() == b"".join(parts)


def test_a_name_that_flips_in_a_listing_is_noticed(
    bucket: str, lying: Callable[..., S3Store]
) -> None:
    """Part 7 of ten would not be trained on, and nobody would know; no checksum protects a listing."""
    keys = [f"rows/part-{n}.csv" for n in range(10)]
    for key in keys:
        open_store(bucket).put(key, key.encode())
    store = lying(flip=0.3)
    for _ in range(5):
        assert [item.key for item in store.list("rows/")] == keys


def test_an_etag_that_is_no_md5_is_believed_when_the_same_arrives_twice() -> None:
    """Of a store that has not shown that its ETags are MD5s; encrypted objects have others anywhere."""
    etags, other = Etags(), {"ETag": '"00000000000000000000000000000000"'}
    with pytest.raises(BrokenBodyError):
        etags.check("http://odd", "key", other, "1" * 32)
    etags.check("http://odd", "key", other, "1" * 32)
    with pytest.raises(BrokenBodyError):
        etags.check("http://odd", "key", other, "2" * 32)
    etags.check("http://odd", "key", {**other, "ServerSideEncryption": "aws:kms"}, "3" * 32)
    etags.check("http://odd", "key", {"ETag": '"0x8DC"'}, "3" * 32)
    assert etags.fits("http://odd", {"ETag": f'"{"4" * 32}"'}, "4" * 32)
    for _ in range(3):
        with pytest.raises(BrokenBodyError):
            etags.check("http://odd", "key", other, "5" * 32)
