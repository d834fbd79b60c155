"""Folders of data as others leave them: what is read, and what is refused with its name."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from job.errors import BadName, DataError, InputMissing, JobError
from job.settings import Data
from job.stages.fetch import fetch, resolve_inputs
from job.store import resolve

CSV = "text,label\na,x\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "data"
    folder.mkdir()
    (folder / "a.csv").write_text(CSV)
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "o.csv").write_text(CSV)
    return folder


def plant(folder: Path, kind: str) -> None:
    """Something beside a.csv that is not a file like others."""
    path = folder / "b.csv"
    match kind:
        case "pipe":
            os.mkfifo(path)
        case "socket":
            with socket.socket(socket.AF_UNIX) as server:
                server.bind(os.path.relpath(path))
        case "device":
            path.symlink_to("/dev/zero")
        case "loop":
            path.symlink_to(path.name)
        case "nowhere":
            path.symlink_to("nothing.csv")
        case "folder":
            (folder / "sub").mkdir()
            path.symlink_to("sub")
        case "outside":
            path.symlink_to("../elsewhere/o.csv")
        case "latin-1":
            Path(os.fsdecode(bytes(folder) + b"/caf\xe9.csv")).write_text(CSV)


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("pipe", "b.csv: a pipe, a socket or a device"),
        ("socket", "b.csv: a pipe, a socket or a device"),
        ("device", "leads out of"),
        ("loop", "b.csv: symbolic links lead in a circle"),
        ("nowhere", "b.csv: a symbolic link that leads nowhere"),
        ("folder", "b.csv: a symbolic link to a folder is not followed"),
        ("outside", "b.csv: a symbolic link leads out of .*FINETUNE_DATA__FOLLOW_LINKS=true"),
        ("latin-1", r"the file name 'caf\\xe9.csv' is not UTF-8"),
    ],
)
def test_what_is_no_plain_file_is_refused_by_name(folder: Path, kind: str, words: str) -> None:
    plant(folder, kind)
    for source in (f"{folder}/*.csv", f"{folder}/"):
        with pytest.raises(JobError, match=words) as caught:
            resolve_inputs(Data.model_validate({"train": source}))
        assert caught.value.exit_code == 65
    if kind not in ("latin-1", "folder"):
        with pytest.raises(JobError, match=words) as caught:
            resolve_inputs(Data.model_validate({"train": f"{folder}/b.csv"}))
        assert caught.value.exit_code == 65
    # what nobody asked for is not looked into
    (file,) = resolve_inputs(Data.model_validate({"train": f"{folder}/a*.csv"})).files
    assert file.uri == f"{folder}/a.csv"


def test_links_are_followed_where_a_setting_says_so(folder: Path, tmp_path: Path) -> None:
    plant(folder, "outside")
    (folder / "c.csv").symlink_to("a.csv")
    data = Data.model_validate({"train": f"{folder}/*.csv", "follow_links": True})
    raw = fetch(data, resolve_inputs(data), tmp_path / "scratch")
    assert [Path(name).name for name in raw.files] == ["a.csv", "b.csv", "c.csv"]
    assert raw.read == {"train": 3}
    inside = Data.model_validate({"train": f"{folder}/c.csv"})
    assert len(resolve_inputs(inside).files) == 1, "a link that stays needs no setting"


def test_a_pipe_in_place_of_a_file_is_not_waited_for(folder: Path, tmp_path: Path) -> None:
    data = Data.model_validate({"train": str(folder)})
    inputs = resolve_inputs(data)
    (folder / "a.csv").unlink()
    os.mkfifo(folder / "a.csv")
    with pytest.raises(DataError, match="a pipe"):
        fetch(data, inputs, tmp_path / "scratch")


def test_names_that_mean_something_elsewhere(folder: Path, tmp_path: Path) -> None:
    for name in ("a\\b.csv", "C:x.csv", "it [v2]/x.csv", "it [v2]/[0-9].csv", "#1?.csv"):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(CSV)
        for source in (f"{folder}/{name}", f"{folder}/**"):
            data = Data.model_validate({"train": source})
            inputs = resolve_inputs(data)
            assert f"{folder}/{name}" in [file.uri for file in inputs.files]
            fetch(data, inputs, tmp_path / "scratch")
    with pytest.raises(BadName, match="File name too long"):
        resolve("/tmp/" + "x" * 300)
    with pytest.raises(InputMissing, match="no such file"):
        resolve(f"{folder}/a.csv/b.csv")
