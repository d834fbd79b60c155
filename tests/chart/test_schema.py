"""A mistake in the values fails at `helm install`, and says where it is."""

from __future__ import annotations

import re
from typing import Any

import pytest

from helm import cli, schema
from tests.support.chart import rendered

SECRET = "A" * 20


def refused(binary: str, **values: Any) -> str:
    process = cli.run(binary, "template", "demo", str(cli.CHART), values=values)
    assert process.returncode, process.stdout
    return process.stderr


def test_what_is_generated_is_up_to_date() -> None:
    for path, text in schema.generated().items():
        assert path.read_text() == text, "run `make chart`"


def test_the_schema_uses_only_draft_07() -> None:
    later = {"$defs", "prefixItems", "unevaluatedProperties", "dependentRequired", "minContains"}
    assert not later & set(
        re.findall(r'"([^"]+)":', (cli.CHART / "values.schema.json").read_text())
    )


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"gpusPernode": 1}, "gpusPernode"),
        ({"image": {"tga": "1"}}, "tga"),
        ({"config": {"train": {"epoch": 1}}}, "epoch"),
        ({"config": {"trian": {}}}, "trian"),
        ({"config": {"train": {"epochs": "three"}}}, "epochs"),
        ({"config": {"train": {"epochs": -1}}}, "epochs"),
        ({"config": {"task": "classification"}}, "text-classification"),
        ({"nodes": 0}, "nodes"),
        ({"nodes": "two"}, "nodes"),
        ({"backend": "slurm"}, "trainjob"),
        ({"concurrencyPolicy": "Replace"}, "concurrencyPolicy"),
        ({"schedule": "daily"}, "schedule"),
        ({"resources": {"limits": None}}, "limits"),
        ({"scratch": {"size": "20 GB"}}, "size"),
        ({"image": {"digest": "latest"}}, "digest"),
        ({"image": {"repository": "team/finetune:1"}}, "repository"),
        ({"image": {"repository": "it's"}}, "repository"),
        ({"image": {"tag": "x' || true || '"}}, "tag"),
        ({"nodes": None}, "nodes"),
        ({"queue": None}, "queue"),
        ({"scratch": {"size": None}}, "size"),
        ({"launch": {"ttlSecondsAfterFinished": 0}}, "ttlSecondsAfterFinished"),
    ],
)
def test_a_mistake_in_one_value(binary: str, values: dict[str, Any], message: str) -> None:
    assert message in refused(binary, **values)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"image": {"tag": "latest"}}, "image.tag"),
        ({"config": {"runtime": {"nodes": 2}}}, "config.runtime.nodes"),
        ({"config": {"run_id": "a"}, "schedule": "@daily"}, "config.run_id"),
        ({"queue": {"kind": "kueue"}}, "queue.name"),
        ({"queue": {"kind": "kueue", "name": "q"}, "backend": "volcano"}, "Volcano's Jobs"),
        ({"queue": {"kind": "volcano", "name": "q"}}, "set backend to volcano"),
        ({"queue": {"topology": "rack"}}, "queue.topology"),
        ({"launch": {"queued": True}}, "launch.queued"),
        ({"caBundle": {"configMap": "a", "secret": "b"}}, "caBundle"),
        ({"proxy": {"https": "http://me:pw@proxy"}}, "proxy.https holds a password"),
        ({"s3": {"endpoint": "http://me:pw@s3"}}, "s3.endpoint holds a password"),
        ({"config": {"data": {"train": "https://me:pw@host/a.csv"}}}, "valueFrom.secretKeyRef"),
        ({"config": {"data": {"train": "https://h/a?X=1&X-Amz-Signature=f"}}}, "a signature"),
        ({"extraEnv": {"DB_PASSWORD": 12345678}}, "secretKeyRef"),
        ({"s3": {"region": "r"}, "extraEnv": {"AWS_REGION": "q"}}, "from another value"),
        ({"s3": {"endpoint": "s3:9000"}}, "write http:// or https://"),
        ({"podSecurityContext": {"runAsNonRoot": False}}, "podSecurityContext"),
        ({"podSecurityContext": {"runAsUser": 0}}, "podSecurityContext"),
        ({"podSecurityContext": {"seccompProfile": {"type": "Unconfined"}}}, "podSecurityContext"),
        ({"podLabels": {"app.kubernetes.io/component": "web"}}, "pods are found by it"),
        ({"podAnnotations": {"finetune/config": "{}"}}, "the chart sets these"),
        ({"queue": {"kind": "kueue", "name": "q"}, "tolerations": [{}]}, "ResourceFlavor"),
        ({"backend": "volcano", "deadlineSeconds": 60}, "config.train.max_runtime"),
        ({"extraEnv": {"FINETUNE_SEED": "1"}}, "put it into config"),
        ({"extraEnv": {"HF_TOKEN": "abc"}}, "secretKeyRef"),
        ({"extraEnv": {"X": f"hf_{SECRET}"}}, "secretKeyRef"),
        ({"extraEnv": {"X": "postgres://u:p@db"}}, "secretKeyRef"),
        (
            {"schedule": "@daily", "networkPolicy": {"storeCIDRs": [{"cidr": "10.0.0.0/8"}]}},
            "apiServerCIDRs",
        ),
        ({"config": {"publish": {"webhook": "https://h/x"}}}, "webhook.existingSecret"),
        ({"config": {"publish": {"webhook_secret": SECRET * 2}}}, "config.publish.webhook_secret"),
        (
            {
                "config": {"publish": {"webhook": "https://h/x"}},
                "webhook": {"existingSecret": "hook"},
                "networkPolicy": {"storeCIDRs": [{"cidr": "10.0.0.0/8"}]},
            },
            "networkPolicy.webhookCIDRs",
        ),
        (
            {
                "webhook": {"existingSecret": "hook"},
                "extraEnv": {"FINETUNE_PUBLISH__WEBHOOK_SECRET": {"valueFrom": {"x": {}}}},
            },
            "from another value",
        ),
        (
            {"schedule": "@daily", "backend": "jobset", "launch": {"admissionPolicy": True}},
            "admissionPolicy",
        ),
    ],
)
def test_values_that_contradict_each_other(
    binary: str, values: dict[str, Any], message: str
) -> None:
    assert message in refused(binary, **values)


HIDDEN = "abcdef/GHIJKL"
URIS = (
    f"https://me:{HIDDEN}@host/a.csv",
    f"https://me:12/{HIDDEN}@host/a.csv",
    f"https://{HIDDEN}@host/a.csv",
    f"https://me@home:{HIDDEN}@host/a.csv",
    f"s3://AKIAEXAMPLE:{HIDDEN}@bucket/a.csv",
    f"https://h/my file.csv?X-Goog-Signature={HIDDEN}",
    f"https://h/a?token={HIDDEN}",
    f"https://h/a?x=1&X-Amz-Security-Token={HIDDEN}",
    f"https://h/john's.csv?x=1&sig={HIDDEN}",
    f"https://h/a?access_token={HIDDEN}",
    f"glpat-{SECRET}",
    f"eyJ{SECRET}.{SECRET}.x",
)
NAMES = (
    *("WANDB_API_KEY", "WANDB_KEY", "AWS_SESSION_TOKEN", "MLFLOW_TRACKING_PASSWORD", "JWT"),
    *("AZURE_CLIENT_SECRET", "COMET_API_KEY", "NEPTUNE_API_TOKEN", "DB_PWD", "X_AUTH"),
    *("AWS_SECRET_ACCESS_KEY", "HUGGING_FACE_HUB_TOKEN", "AZURE_STORAGE_KEY"),
)


def test_secrets_in_the_open_are_refused_and_not_repeated(binary: str) -> None:
    message = refused(
        binary,
        podAnnotations={f"a{number}": uri for number, uri in enumerate(URIS)},
        extraEnv={
            **{f"X{number}": uri for number, uri in enumerate(URIS)},
            **dict.fromkeys(NAMES, f"{HIDDEN}{SECRET}"),
        },
        s3={"endpoint": f"ftp://me:{HIDDEN}@s3:9000"},
        huggingface={"endpoint": f"http://hub/?key={HIDDEN}"},
        proxy={"http": f"http://me:{HIDDEN}@proxy:3128"},
    )
    named = [
        *(f"podAnnotations.a{number} holds" for number in range(len(URIS))),
        *(f"extraEnv.{name} looks like" for name in NAMES),
        *(f"extraEnv.X{number} looks like" for number in range(len(URIS))),
        *("s3.endpoint holds", "huggingface.endpoint holds", "proxy.http holds"),
    ]
    assert [name for name in named if f"- {name}" not in message] == []
    assert not any(secret in message for secret in (HIDDEN, SECRET))


@pytest.mark.parametrize(
    "config",
    [
        {"data": {"train": [{"uri": URIS[0]}]}},
        {"data": {"test": "https://h/a?x=1&X-Goog-Signature=f00"}},
        {"model": {"config": {"hf_token": f"hf_{SECRET}"}}},
        {"model": {"config": {"api_key": f"{SECRET}/{SECRET}"}}},
    ],
)
def test_a_secret_in_the_settings_is_refused(binary: str, config: dict[str, Any]) -> None:
    assert "config holds a password, a token or a signature" in refused(binary, config=config)


def test_what_only_looks_like_a_secret_is_accepted(binary: str) -> None:
    config = {
        "output": "s3://models/a@b",
        "data": {
            "train": ["s3://raw/it's @home/?.csv", "hf://datasets/me/it@main/a.csv"],
            "test": "https://data.example.org:8443/it@1.2/a.csv?page=2&sort_by=name",
        },
        "tokenizer": {"special_tokens": {"pad_token": "<pad>"}},
        "encode": {"prefix": "key: value; token=3 "},
        "model": {"config": {"pad_token_id": 3, "tokenizer_class": "PreTrainedTokenizerFast"}},
    }
    env = {"SORT_KEY": "name", "TOKENIZERS_PARALLELISM": "false", "KEY_FILE": "/var/run/a/long/key"}
    assert rendered(binary, {"config": config, "extraEnv": env})


def test_all_contradictions_are_reported_at_once(binary: str) -> None:
    message = refused(
        binary, image={"tag": "latest"}, queue={"kind": "kueue"}, extraEnv={"A_KEY": "x"}
    )
    assert message.count("\n  - ") == 2
    assert refused(binary, image={"tag": "latest"}, extraEnv={"API_KEY": "x"}).count("\n  - ") == 2


def test_what_parent_charts_set_is_accepted(binary: str) -> None:
    values = {"global": {"anything": 1}, "enabled": True}
    assert rendered(binary, values)


def test_a_secret_by_reference_is_accepted(binary: str) -> None:
    by_reference = {"valueFrom": {"secretKeyRef": {"name": "hub", "key": "token"}}}
    env = {
        "HF_TOKEN": by_reference,
        "FINETUNE_DATA__TRAIN": by_reference,
        "AWS_WEB_IDENTITY_TOKEN_FILE": "/var/run/token",
        "TOKENIZERS_PARALLELISM": "false",
        "N": "y",
    }
    assert rendered(binary, {"extraEnv": env})


def test_every_value_says_what_it_is_for() -> None:
    lines = (cli.CHART / "values.yaml").read_text().splitlines()
    assert len(lines) < 160
    group = False
    for before, line in zip(["", *lines], lines, strict=False):
        if not re.match(r" *[a-zA-Z]\w*: ?", line):
            continue
        inside = line.strip().startswith(("requests:", "limits:"))  # of resources
        group = line.endswith(":")  # its values are explained, one by one
        assert group or inside or re.match(r" *#", before), line
    assert not group


def test_no_line_is_too_long_to_review() -> None:
    written = (path for path in cli.CHART.rglob("*") if path.suffix in (".tpl", ".yaml", ".txt"))
    around = (cli.CHART.parents[1] / "k8s" / "cluster").glob("*.yaml")
    for path in (*written, *around, schema.OWN):
        for number, line in enumerate(path.read_text().splitlines(), 1):
            assert len(line) <= 120, f"{path}:{number}"
