"""What the chart makes of each value."""

from __future__ import annotations

import json
import re
from itertools import chain
from typing import Any

import pytest

from helm import binaries, cli
from job.settings.tree import SECTIONS
from tests.chart.conftest import Render, one
from tests.chart.validation import check, templates
from tests.support.chart import Body, launcher, scheduled


@pytest.mark.parametrize("release", ["y", "no", "1", "1e3", "on", "a.b", "x" * 53])
def test_names_that_yaml_or_dns_could_misread(render: Render, release: str) -> None:
    labels = {"y": "n", "1": "1e3"}
    for values in ({}, {"schedule": "@daily"}):
        extra = {"extraEnv": {"N": "off", "Y": "0x1", "E": 1000000}, "podLabels": labels}
        bodies = render(release=release, namespace="on", **values, **extra)
        for body in bodies:
            check(body)
            name = body["metadata"]["name"]
            assert isinstance(name, str)
            assert len(name) <= (52 if body["kind"] == "CronJob" else 63)
            if body["kind"] == "Service":
                assert re.fullmatch(r"[a-z]([-a-z0-9]*[a-z0-9])?", name)
            for pod in templates(body):
                env = {e["name"]: e.get("value") for e in pod["spec"]["containers"][0]["env"]}
                assert (env["N"], env["Y"], env["E"]) == ("off", "0x1", "1000000")
                assert labels.items() <= pod["metadata"]["labels"].items()


def test_a_changed_toleration_is_another_job_of_the_same_run(render: Render) -> None:
    before = one(render(), "Job")["metadata"]
    moved = one(render(tolerations=[{"operator": "Exists"}]), "Job")["metadata"]
    learned = one(render(config={"train": {"epochs": 9}}), "Job")["metadata"]
    checkpoints = one(render(config={"checkpoint": {"keep": 9}}), "Job")["metadata"]
    again = one(render(rerun=1), "Job")["metadata"]
    ids = [body["annotations"]["finetune/run-id"] for body in (before, moved, learned, again)]
    assert ids[0] == ids[1] == checkpoints["annotations"]["finetune/run-id"]
    assert ids[3] == f"{ids[0]}-1"
    assert ids[2] != ids[0]
    names = {body["name"] for body in (before, moved, learned, checkpoints, again)}
    assert len(names) == 5
    assert all(
        body["name"].startswith(body["annotations"]["finetune/run-id"]) for body in (before, moved)
    )


def test_the_settings_of_a_run_s_identity_are_those_of_the_job(render: Render) -> None:
    def run_id(**config: Any) -> str:
        return str(one(render(config=config), "Job")["metadata"]["annotations"]["finetune/run-id"])

    identity = run_id()
    for name, section in SECTIONS.items():
        assert (run_id(**{name: {}}) == identity) is section.incidental, name
    assert run_id(output="s3://elsewhere") == identity
    assert len({identity, run_id(seed=7), run_id(name="other"), run_id(task="fill-mask")}) == 4


def test_what_an_upgrade_does_to_a_running_job(render: Render) -> None:
    assert "helm.sh/resource-policy" not in one(render(), "Job")["metadata"]["annotations"]
    for backend in ("job", "trainjob"):
        values = {"upgradePolicy": "keep", "backend": backend, "progress": {"enabled": True}}
        kept = render(**values)
        for body in kept:  # with all that its pods need
            if body["kind"] != "Pod":
                assert body["metadata"]["annotations"]["helm.sh/resource-policy"] == "keep"
        (one_run,) = (b for b in kept if b["kind"] in ("Job", "TrainJob"))
        (other,) = (
            b for b in render(**values, podLabels={"a": "b"}) if b["kind"] in ("Job", "TrainJob")
        )
        run = "finetune/run-id"
        # two Jobs would take one run from each other
        assert one_run["metadata"]["annotations"][run] != other["metadata"]["annotations"][run]


def test_a_schedule_makes_a_cronjob_and_no_run(render: Render) -> None:
    bodies = render(schedule="0 3 * * 1", timeZone="Europe/Zurich", gpusPerNode=4)
    assert [body for body in bodies if body["kind"] == "Job"] == []
    cronjob = scheduled(bodies)["spec"]
    assert (cronjob["schedule"], cronjob["timeZone"]) == ("0 3 * * 1", "Europe/Zurich")
    assert cronjob["concurrencyPolicy"] == "Forbid"
    template = launcher(bodies)
    assert "nvidia.com/gpu" not in json.dumps(template["spec"]), (
        "no GPU is needed to find out whether to train"
    )
    assert template["spec"]["automountServiceAccountToken"] is True
    # what it creates travels with the config it was made from: an upgrade changes both or neither
    assert [body for body in bodies if body["kind"] == "ConfigMap"] == []
    train = json.loads(template["metadata"]["annotations"]["finetune/train"])
    check({**train, "metadata": {**train["metadata"], "name": "x"}})
    (pod,) = templates(train)
    assert "shm" not in json.dumps(template["spec"])
    assert pod["spec"]["automountServiceAccountToken"] is False
    assert pod["spec"]["serviceAccountName"] != template["spec"]["serviceAccountName"]
    assert (
        pod["metadata"]["annotations"]["finetune/config"]
        == template["metadata"]["annotations"]["finetune/config"]
    )
    assert "helm.sh/resource-policy" not in json.dumps(train)


def test_rights_are_minimal(render: Render) -> None:
    assert [b for b in render() if b["kind"] in ("Role", "RoleBinding")] == []
    plain = render(progress={"enabled": True})
    jobs, events = one(plain, "Role")["rules"]
    assert jobs["resourceNames"] == [one(plain, "Job")["metadata"]["name"]]
    assert jobs["verbs"] == ["get", "patch"]
    assert events == {"apiGroups": [""], "resources": ["events"], "verbs": ["create"]}
    rules = one(render(schedule="@daily"), "Role")["rules"]
    assert [rule["resources"] for rule in rules] == [["jobs"], ["cronjobs"], ["pods"], ["events"]]
    assert rules[1]["resourceNames"] == ["demo-finetune"], "whose annotations show the champion"
    assert not {"delete", "update", "*"} & set(chain(*(rule["verbs"] for rule in rules)))
    assert all("secrets" not in rule["resources"] for rule in rules)


@pytest.mark.parametrize(
    ("values", "rule"),
    [
        ({"queue": {"kind": "kueue", "name": "q"}}, ("kueue.x-k8s.io", "workloads", "list")),
        ({"backend": "volcano"}, ("scheduling.volcano.sh", "podgroups", "get")),
    ],
)
def test_launchers_may_read_why_a_run_waits(
    render: Render, values: Body, rule: tuple[str, str, str]
) -> None:
    rules = one(render(schedule="@daily", **values), "Role")["rules"]
    assert rule in [(r["apiGroups"][0], r["resources"][0], *r["verbs"]) for r in rules]
    plain = one(render(progress={"enabled": True}, **values), "Role")["rules"]
    assert len(plain) == 2, "a run's own pods may not"


def test_what_kueue_would_suspend_for_want_of_a_queue_can_have_one(render: Render) -> None:
    def labels(**launch: Any) -> tuple[Body, Body]:
        queue = {"kind": "kueue", "name": "gpus"}
        bodies = render(schedule="@daily", queue=queue, launch=launch)
        cronjob = scheduled(bodies)["spec"]["jobTemplate"]["metadata"]["labels"]
        return cronjob, one(bodies, "Pod")["metadata"]["labels"]

    name = "kueue.x-k8s.io/queue-name"
    assert not any(name in part for part in labels())
    assert [part[name] for part in labels(queued=True)] == ["gpus", "gpus"]
    assert [part[name] for part in labels(queued=True, queueName="cpus")] == ["cpus", "cpus"]


def test_secrets_come_by_reference(render: Render) -> None:
    bodies = render(s3={"existingSecret": "s3"}, huggingface={"existingSecret": "hub"})
    assert [body for body in bodies if body["kind"] == "Secret"] == []
    (pod,) = templates(one(bodies, "Job"))
    refs = pod["spec"]["containers"][0]["envFrom"]
    assert refs == [{"secretRef": {"name": "s3"}}, {"secretRef": {"name": "hub"}}]


def test_a_webhook_s_secret_comes_by_reference_to_whoever_moves_the_champion(
    render: Render,
) -> None:
    policy = {
        "storeCIDRs": [{"cidr": "10.0.0.0/8"}],
        "apiServerCIDRs": [{"cidr": "10.1.0.1/32"}],
        "webhookCIDRs": [{"cidr": "192.0.2.7/32", "ports": [8443]}],
    }
    bodies = render(
        schedule="@daily",
        config={"publish": {"webhook": "https://h/x"}},
        webhook={"existingSecret": "hook", "key": "k"},
        networkPolicy=policy,
    )
    train = json.loads(launcher(bodies)["metadata"]["annotations"]["finetune/train"])
    for pod in (*templates(train), launcher(bodies)):
        env = {e["name"]: e.get("valueFrom") for e in pod["spec"]["containers"][0]["env"]}
        reference = {"secretKeyRef": {"name": "hook", "key": "k"}}
        assert env["FINETUNE_PUBLISH__WEBHOOK_SECRET"] == reference
    out = one(bodies, "NetworkPolicy")["spec"]["egress"]
    assert {"ipBlock": {"cidr": "192.0.2.7/32"}} in [
        to for rule in out for to in rule.get("to", ())
    ]


def test_the_world_outside(render: Render) -> None:
    (pod,) = templates(
        one(
            render(
                s3={"endpoint": "http://s3:8333", "region": "r"},
                huggingface={"endpoint": "https://hub", "offline": True},
                caBundle={"secret": "ca", "key": "k"},
                proxy={"https": "http://proxy", "noProxy": ".corp"},
            ),
            "Job",
        )
    )
    (container,) = pod["spec"]["containers"]
    env = {item["name"]: item.get("value") for item in container["env"]}
    assert env["AWS_ENDPOINT_URL"] == "http://s3:8333"
    assert (env["HF_ENDPOINT"], env["HF_HUB_OFFLINE"]) == ("https://hub", "1")
    assert env["HTTPS_PROXY"] == env["https_proxy"] == "http://proxy"
    assert env["NO_PROXY"].startswith("$(KUBERNETES_SERVICE_HOST),")
    assert env["NO_PROXY"].endswith(",.corp")
    mounts = {mount["name"]: mount["mountPath"] for mount in container["volumeMounts"]}
    assert env["AWS_CA_BUNDLE"] == env["SSL_CERT_FILE"] == mounts["ca"] + "/ca.crt"
    assert [v for v in pod["spec"]["volumes"] if v["name"] == "ca"] == [
        {"name": "ca", "secret": {"secretName": "ca", "items": [{"key": "k", "path": "ca.crt"}]}}
    ]


def test_the_network_is_open_until_the_store_s_addresses_are_known(render: Render) -> None:
    assert [body for body in render() if body["kind"] == "NetworkPolicy"] == []
    policy = {
        "storeCIDRs": [{"cidr": "10.0.0.0/8", "ports": [9000]}],
        "presets": ["eksPodIdentity", "hub"],
    }
    spec = one(render(networkPolicy=policy), "NetworkPolicy")["spec"]
    own, names, *rest = spec["egress"]
    assert own["to"] == spec["ingress"][0]["from"]
    assert {port["port"] for port in names["ports"]} == {53, 5353}
    assert rest[0]["to"] == [{"ipBlock": {"cidr": "10.0.0.0/8"}}]
    assert [item["to"][0]["ipBlock"]["cidr"] for item in rest[1:]] == [
        "169.254.170.23/32",
        "0.0.0.0/0",
    ]


def test_one_pod_a_node_and_nodes_that_are_lost(render: Render) -> None:
    (pod,) = templates(one(render(nodes=2), "Job"))
    terms = pod["spec"]["affinity"]["podAntiAffinity"]
    assert terms["preferredDuringSchedulingIgnoredDuringExecution"][0]["podAffinityTerm"][
        "topologyKey"
    ]
    lost = [t for t in pod["spec"]["tolerations"] if t["effect"] == "NoExecute"]
    assert {t["tolerationSeconds"] for t in lost} == {60}
    (pod,) = templates(one(render(nodes=2, affinity={"nodeAffinity": {}}), "Job"))
    assert pod["spec"]["affinity"] == {"nodeAffinity": {}}


def test_notes_warn_of_runs_that_may_be_half_scheduled() -> None:
    binary = binaries.find("helm4")  # helm 3 renders notes only with a cluster

    def notes(**values: Any) -> str:
        arguments = ("install", "demo", str(cli.CHART), "--dry-run=client", "--namespace", "team")
        process = cli.run(binary, *arguments, values={"config": {"output": "s3://m"}, **values})
        assert process.returncode == 0, process.stderr
        return process.stdout.partition("NOTES:")[2]

    assert "no gang scheduler" in notes(nodes=2)
    assert "no gang scheduler" not in notes()
    assert "no gang scheduler" not in notes(nodes=2, queue={"kind": "kueue", "name": "q"})
    assert "s3://m/model/models/VERSION" in notes()
    waits = notes(queue={"kind": "kueue", "name": "gpus"})
    assert "no pods until Kueue has room for all of them in queue gpus" in waits
    assert "get workloads" in waits
    assert "no pods until Volcano" in notes(backend="volcano")
    assert "get podgroups" in notes(backend="volcano")
    assert "no pods until" not in notes()
    assert "to be deleted by hand" in notes(upgradePolicy="keep")
    due = notes(schedule="@daily")
    assert "create job --from=cronjob/demo-finetune demo-finetune-1" in due
    assert "create job --from=cronjob/demo-finetune-rollback " in due
    assert "finetune/champion-since" in due
