"""The image's recipe, as far as it can be checked without building it."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
CACHES = {
    "HOME",
    "TMPDIR",
    "XDG_CACHE_HOME",
    "HF_HOME",
    "HF_METRICS_CACHE",
    "MPLCONFIGDIR",
    "TORCHINDUCTOR_CACHE_DIR",
    "TRITON_CACHE_DIR",
    "FINETUNE_RUNTIME__SCRATCH",
}


def instructions() -> list[tuple[str, str]]:
    """The Dockerfile as (instruction, arguments), comments left out and continued lines joined."""
    lines = (ROOT / "Dockerfile").read_text().splitlines()
    text = "\n".join(line for line in lines if not line.lstrip().startswith("#"))
    joined = re.sub(r"\\\n\s*", " ", text).splitlines()
    return [(line.split()[0], line.split(maxsplit=1)[1]) for line in joined if line.strip()]


def last_stage() -> list[tuple[str, str]]:
    """The instructions of the stage that becomes the image."""
    everything = instructions()
    return everything[max(i for i, (name, _) in enumerate(everything) if name == "FROM") :]


def pairs(instruction: str) -> dict[str, str]:
    """The last stage's NAME=value pairs of ENV, LABEL or ARG."""
    found = " ".join(given for name, given in last_stage() if name == instruction)
    return {
        name: quoted or plain
        for name, quoted, plain in re.findall(r'([\w.]+)=(?:"([^"]*)"|(\S+))', found)
    }


def of(instruction: str) -> list[str]:
    return [given for name, given in last_stage() if name == instruction]


def test_hadolint_finds_nothing() -> None:
    beside = Path(sys.executable).with_name("hadolint")
    hadolint = str(beside) if beside.exists() else shutil.which("hadolint")
    if hadolint is None:
        pytest.skip("hadolint is not installed")
    done = subprocess.run(
        [hadolint, "Dockerfile"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


def test_everything_that_is_written_lies_below_the_one_scratch_folder() -> None:
    environment = pairs("ENV")
    assert set(environment) >= CACHES
    scratch = Path(environment["FINETUNE_RUNTIME__SCRATCH"])
    paths = {n: v for n, v in environment.items() if v.startswith("/") and n != "PATH"}
    assert [n for n, v in paths.items() if not Path(v).is_relative_to(scratch)] == []
    # an empty volume is mounted there: what must exist from the start is the folder itself
    assert {environment["HOME"], environment["TMPDIR"], *of("WORKDIR")} == {str(scratch)}


def test_the_job_and_its_libraries_take_the_image_s_environment(tmp_path: Path) -> None:
    scratch = pairs("ENV")["FINETUNE_RUNTIME__SCRATCH"]
    given = {
        name: value.replace(scratch, str(tmp_path), 1)
        for name, value in pairs("ENV").items()
        if name != "PATH"
    }
    # no PATH, no inherited variables: what the image sets is enough
    asked = (
        "import getpass, tempfile, pathlib, huggingface_hub.constants as hub;"
        "print(tempfile.gettempdir(), pathlib.Path.home(), hub.HF_HUB_CACHE, getpass.getuser())"
    )
    done = subprocess.run(
        [sys.executable, "-c", asked], env=given, capture_output=True, text=True, check=True
    )
    *places, user = done.stdout.split()
    assert [place for place in places if not Path(place).is_relative_to(tmp_path)] == []
    assert user == "finetune"

    command = [sys.executable, "-m", "job", "config"]
    shown = subprocess.run(
        command, cwd=ROOT, env=given, capture_output=True, text=True, check=False
    )
    assert shown.returncode == 0, shown.stderr
    assert re.search(rf'FINETUNE_RUNTIME__SCRATCH +"{tmp_path}" +environment', shown.stdout)


def test_it_runs_as_a_number_that_is_not_root() -> None:
    (user,) = of("USER")
    assert re.fullmatch(r"[1-9]\d*:[1-9]\d*", user)


def test_the_job_is_the_first_process() -> None:
    (entrypoint,), (command,) = of("ENTRYPOINT"), of("CMD")
    # the exec form: a shell as PID 1 would keep SIGTERM to itself
    (script,) = json.loads(entrypoint)
    assert script in PROJECT["scripts"]
    assert json.loads(command) == ["run"]


def test_labels_say_what_the_project_says() -> None:
    labels = {name.rpartition(".")[2]: value for name, value in pairs("LABEL").items()}
    arguments = pairs("ARG")
    assert labels == {
        "title": PROJECT["name"],
        "description": PROJECT["description"],
        "licenses": PROJECT["license"],
        "version": "${VERSION}",
        "revision": "${REVISION}",
    }
    assert arguments["VERSION"] == PROJECT["version"]


def test_only_what_is_copied_is_sent_to_the_builder() -> None:
    patterns = [
        line
        for line in (ROOT / ".dockerignore").read_text().splitlines()
        if not line.startswith("#")
    ]
    copied = {
        source.rstrip("/")
        for name, given in instructions()
        if name == "COPY" and "--from" not in given
        for source in given.split()[:-1]
    }
    assert patterns[0] == "*"
    assert {pattern[1:] for pattern in patterns if pattern.startswith("!")} == copied
    assert [source for source in copied if not (ROOT / source).exists()] == []


def test_the_lock_is_what_the_torch_argument_expects() -> None:
    locked = [Requirement(line) for line in (ROOT / "requirements.lock").read_text().splitlines()]
    # the Dockerfile adds +cpu to this line; a local version here would make the GPU image a CPU one
    (torch,) = [str(one.specifier) for one in locked if one.name == "torch"]
    assert re.fullmatch(r"==[\d.]+", torch)
    # the job's own build takes setuptools from the libraries, without an index
    assert "setuptools" in {one.name for one in locked}


@pytest.mark.parametrize("name", ["Dockerfile", ".dockerignore", "tests/image/build.sh"])
def test_no_registry_is_named(name: str) -> None:
    text = (ROOT / name).read_text()
    assert re.findall(r"\w+://|\b[\w-]+\.(?:io|com|org|dev|net)\b", text) == []


def test_the_build_passes_over_a_client_without_its_daemon(tmp_path: Path) -> None:
    script(tmp_path / "docker", "exit 1")
    script(tmp_path / "podman", '[ "$1" = info ] || printf "%s\\n" "$@"')
    done = build(tmp_path, TORCH="cpu", IMAGE="some:tag", REVISION="abc", BUILD_OPTIONS="--a b")
    assert done.returncode == 0, done.stderr
    words = ["build", "--build-arg", "REVISION=abc", "--build-arg", "TORCH=cpu"]
    assert done.stdout.split("\n")[:-1] == [*words, "--a", "b", "--tag", "some:tag", "."]


def test_the_build_says_that_nothing_can_build(tmp_path: Path) -> None:
    for name in ("docker", "podman", "buildah"):
        script(tmp_path / name, "exit 1")
    done = build(tmp_path)
    assert (done.returncode, done.stdout) == (69, "")
    assert "docker podman buildah" in done.stderr.replace(",", "")


def script(path: Path, text: str) -> None:
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)


def build(folder: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    environment = {"PATH": f"{folder}{os.pathsep}{os.environ['PATH']}", **variables}
    command = ["sh", str(ROOT / "tests/image/build.sh")]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
