"""The proxy does what it says, and the store and a whole run live through it."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from job.store import open_store
from job.store.commit import commit, verify
from tests.faults.pods import Cluster
from tests.faults.proxy import Faults, FaultyProxy
from tests.faults.runs import differences, left, settings
from tests.support.servers import Server

MIXED = Faults(
    error_500=0.03, error_503=0.03, slow_down=0.03, reset=0.03, delay=0.02,
    truncate=0.02, drop_response=0.02, drop_conditional=0.1,
)  # fmt: skip
"""About a fifth of the requests, a third of conditional puts."""

LIES = Faults(
    flip=0.1, page=0.05, cut_put=0.1, lose_put=0.05, conflict=0.05, error_503=0.02, reset=0.02,
    truncate=0.02, drop_response=0.02, drop_conditional=0.03,
)  # fmt: skip
"""More than a third of all requests; for most of them the SDK sees no error."""


def client(url: str) -> Any:
    """boto3 without retries."""
    config = Config(
        s3={"addressing_style": "path"}, retries={"max_attempts": 1, "mode": "standard"}
    )
    return boto3.client("s3", endpoint_url=url, region_name="us-east-1", config=config)


def test_without_faults_it_is_not_noticed(s3_server: Server, bucket: str, tmp_path: Path) -> None:
    name = bucket.removeprefix("s3://")
    with FaultyProxy(s3_server.url, Faults()) as proxy:
        s3 = client(proxy.url)
        s3.put_object(Bucket=name, Key="a", Body=b"one", IfNoneMatch="*")
        with pytest.raises(ClientError, match="PreconditionFailed"):
            s3.put_object(Bucket=name, Key="a", Body=b"two", IfNoneMatch="*")
        assert s3.get_object(Bucket=name, Key="a")["Body"].read() == b"one"
        large = random.Random(0).randbytes(12 * 2**20)
        (tmp_path / "large").write_bytes(large)
        s3.upload_file(str(tmp_path / "large"), name, "b/large")
        s3.download_file(name, "b/large", str(tmp_path / "back"))
        assert (tmp_path / "back").read_bytes() == large
        keys = [item["Key"] for item in s3.list_objects_v2(Bucket=name)["Contents"]]
        assert keys == ["a", "b/large"]
        s3.delete_objects(Bucket=name, Delete={"Objects": [{"Key": key} for key in keys]})
    assert proxy.counts["requests"] > 5
    assert len(proxy.counts) == 1


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ("error_500", "InternalError"),
        ("error_503", "ServiceUnavailable"),
        ("slow_down", "SlowDown"),
        ("forbidden", "AccessDenied"),
        ("reset", "Connection"),
        ("truncate", "IncompleteRead|Connection broken"),
        ("drop_response", "Connection"),
        ("drop_conditional", "Connection"),
    ],
)
def test_each_fault_is_what_it_says(fault: str, words: str, s3_server: Server, bucket: str) -> None:
    name = bucket.removeprefix("s3://")
    with FaultyProxy(s3_server.url, Faults()) as proxy:
        s3 = client(proxy.url)
        s3.put_object(Bucket=name, Key="a", Body=b"x" * 1000)
        proxy.faults = Faults(**{fault: 1.0})
        with pytest.raises((ClientError, BotoCoreError), match=words):
            if fault == "drop_conditional":
                s3.put_object(Bucket=name, Key="b", Body=b"b", IfNoneMatch="*")
            else:
                s3.get_object(Bucket=name, Key="a")["Body"].read()
        proxy.faults = Faults()
        if fault == "drop_conditional":
            assert s3.get_object(Bucket=name, Key="b")["Body"].read() == b"b"
        s3.delete_objects(Bucket=name, Delete={"Objects": [{"Key": "a"}, {"Key": "b"}]})
    assert proxy.counts[fault] >= 1


def test_the_store_lives_with_a_fifth_of_its_requests_failing(
    s3_server: Server, bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "large").write_bytes(random.Random(1).randbytes(9 * 2**20))
    with FaultyProxy(s3_server.url, MIXED, seed=3) as proxy:
        monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.url)
        store = open_store(bucket)
        for number in range(30):
            data = f"{number}".encode()
            store.put(f"once/{number}", data, if_absent=True)
            assert store.get(f"once/{number}") == data
        for number in range(3):
            store.upload(tmp_path / "large", f"large/{number}")
            store.download(f"large/{number}", tmp_path / "back")
            assert (tmp_path / "back").read_bytes() == (tmp_path / "large").read_bytes()
        assert len(list(store.list("once/"))) == 30
    assert proxy.counts["drop_conditional"] > 0
    assert sum(proxy.counts.values()) - proxy.counts["requests"] > proxy.counts["requests"] / 10
    monkeypatch.setenv("AWS_ENDPOINT_URL", s3_server.url)
    clean = open_store(bucket)
    clean.delete([item.key for item in clean.list("")])


@pytest.mark.slow
def test_the_store_is_told_the_truth_by_a_liar(
    s3_server: Server, bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is read is what was written, and what was written stands there whole."""
    large = tmp_path / "large"
    large.write_bytes(random.Random(1).randbytes(9 * 2**20))
    with FaultyProxy(s3_server.url, LIES, seed=4) as proxy:
        monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.url)
        store = open_store(bucket)
        tag = store.put("state", b"0", if_absent=True)
        for number in range(1, 17):
            data = f'{{"step": {number}}}'.encode()
            tag = store.put("state", data, if_tag=tag)
            assert store.read("state") == (data, tag)
            store.put(f"many/{number:02d}", data)
            if number % 8 == 0:
                keys = [item.key for item in store.list("many/")]
                assert keys == [f"many/{n:02d}" for n in range(1, number + 1)]
        for number in range(2):
            commit(store, f"artifact/{number}", {"large": large}, attempt=1, meta={})
            identity = store.stat(f"artifact/{number}/a0001/large").identity
            store.download(f"artifact/{number}/a0001/large", tmp_path / "back", identity=identity)
            assert (tmp_path / "back").read_bytes() == large.read_bytes()
    assert min(proxy.counts[lie] for lie in ("flip", "page", "cut_put", "lose_put")) > 3
    monkeypatch.setenv("AWS_ENDPOINT_URL", s3_server.url)
    clean = open_store(bucket)
    assert clean.get("state") == b'{"step": 16}'
    assert [clean.get(f"many/{n:02d}") for n in (1, 16)] == [b'{"step": 1}', b'{"step": 16}']
    for number in range(2):
        verify(clean, f"artifact/{number}", deep=True)
    clean.delete([item.key for item in clean.list("")])


@pytest.mark.slow
def test_a_run_ends_well_with_a_fifth_of_its_requests_failing(
    s3_server: Server, bucket: str, tmp_path: Path
) -> None:
    given = {"TRAIN__MAX_STEPS": "60"}
    Cluster(1, settings(tmp_path, bucket, "whole", **given), tmp_path).run()
    env = settings(tmp_path, bucket, "faulty", **given)
    with FaultyProxy(s3_server.url, MIXED, seed=5) as proxy:
        cluster = Cluster(1, env | {"AWS_ENDPOINT_URL": proxy.url}, tmp_path)
        cluster.run()
    whole, faulty = (left(bucket, name, tmp_path) for name in ("whole", "faulty"))
    assert differences(whole, faulty) == [], dict(proxy.counts)
    print(dict(proxy.counts), cluster.pods[0].codes, faulty.attempts)
