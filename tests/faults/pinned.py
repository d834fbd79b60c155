"""`make pinned`: what a change of the code's shape must not change, printed to be compared.

A small run of each task in two steps, one with LoRA and one in two processes, then `evaluate`,
`predict` and `tokenizer`, through the command line and a SeaweedFS server of its own. A line is a
name and what it must stay: run ids, the prefixes of artifacts (which hold their fingerprints), and
the SHA-256 of weights, predictions and encoded rows. The bits of weights are those of one machine
and one set of packages: compare two commits on the same.

    python -m tests.faults.pinned > before    …    python -m tests.faults.pinned | diff before -
"""

from __future__ import annotations

import json
import os
import re
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from job.demo import tickets
from tests.support.samples import finetune, tiny_bert, write_csv
from tests.support.seq2seq_samples import BACKWARDS, tiny
from tests.support.servers import seaweedfs

BUCKET = "s3://pinned"
ROWS = tickets(120)
WORDS = ("billing", "order", "refund", "app", "parcel")
GPT2 = '{"model_type": "gpt2", "n_embd": 32, "n_layer": 2, "n_head": 2, "n_positions": 64}'

ARTIFACT = re.compile(r"^out/(?P<place>.+)/manifest\.json$")
HASHED = re.compile(r"(\.safetensors|\.arrow|\.parquet|\.jsonl|tokenizer\.json|vocab\.\w+)$")
MEASURED = re.compile(r"^metrics.*\.jsonl$")
"""Names of files that hold times."""
USES = re.compile(r"(?<=(?:evaluations|predictions)/)\w+")
"""The fingerprint of what uses a published model, which has times among its files."""

RUNS: dict[str, dict[str, str]] = {
    "text-classification": {"DATA__TRAIN": "rows.csv", "CLEAN__LOWERCASE": "true"},
    "token-classification": {"DATA__TRAIN": "rows.conll"},
    "question-answering": {"DATA__TRAIN": "squad.json", "DATA__FORMAT": "squad"},
    "fill-mask": {"DATA__TRAIN": "rows.txt"},
    "text-generation": {
        "DATA__TRAIN": "rows.txt",
        "MODEL__NAME": "",
        "MODEL__CONFIG": GPT2,
        "MODEL__TOKENIZER": f"{BUCKET}/bart",
    },
    "summarization": {"DATA__TRAIN": "pairs.csv", "MODEL__NAME": "t5"},
    "translation": {"DATA__TRAIN": "pairs.csv", "MODEL__NAME": "bart"},
    "lora": {
        "TASK": "text-classification",
        "DATA__TRAIN": "rows.csv",
        "MODEL__LORA": "{}",
        "PUBLISH__MERGE": "false",
    },
    "two-processes": {
        "TASK": "text-classification",
        "DATA__TRAIN": "rows.csv",
        "RUNTIME__PROCESSES": "2",
    },
}


def main() -> None:
    """Run everything and print what must not change, in order of the names."""
    with tempfile.TemporaryDirectory() as name, seaweedfs(Path(name, "s3")) as server:
        os.environ |= server.env
        server.create_bucket(BUCKET.removeprefix("s3://"))
        client, folder = server.client(), Path(name)
        _upload(client, folder)
        lines = [line for run, own in RUNS.items() for line in _run(client, run, own, folder)]
        lines += _others(client, folder, lines)
    print("\n".join(sorted(lines)))


def _upload(client: Any, folder: Path) -> None:
    """Models and rows, put into the bucket."""
    data = folder / "data"
    words = sorted({word.lower() for text, _ in ROWS for word in re.findall(r"\w+", text)})
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    tiny_bert(data / "bert", [], words=[*special, *words])
    for kind in ("t5", "bart"):
        tiny(data / kind, [source for source, _ in BACKWARDS], kind)
    write_csv(data / "rows.csv", ROWS)
    write_csv(data / "pairs.csv", BACKWARDS[:60], ("source", "target"))
    (data / "rows.txt").write_text("".join(f"{text}\n" for text, _ in ROWS))
    (data / "rows.conll").write_text("".join(_sentences()))
    (data / "squad.json").write_text(json.dumps({"version": "1.1", "data": list(_articles())}))
    for path in sorted(p for p in data.rglob("*") if p.is_file()):
        key = path.relative_to(data).as_posix()
        client.put_object(Bucket="pinned", Key=key, Body=path.read_bytes())


def _sentences() -> Iterator[str]:
    for text, _ in ROWS:
        for word in text.split():
            yield f"{word}\t{'B-THING' if word in WORDS else 'O'}\n"
        yield "\n"


def _articles() -> Iterator[dict[str, Any]]:
    for number, (text, _) in enumerate(ROWS):
        word = text.split()[-1]
        answer = {"text": word, "answer_start": text.rindex(word)}
        question = {"id": f"{number}", "question": "what stands last?", "answers": [answer]}
        yield {"title": f"{number}", "paragraphs": [{"context": text, "qas": [question]}]}


def _settings(name: str, own: Mapping[str, str]) -> dict[str, str]:
    values = {
        "TASK": name,
        "NAME": name,
        "OUTPUT": f"{BUCKET}/out",
        "MODEL__NAME": "bert",
        "ENCODE__MAX_LENGTH": "32",
        "TRAIN__MAX_STEPS": "2",
        "TRAIN__BATCH_SIZE": "8",
        "TRAIN__LEARNING_RATE": "1e-3",
        "RUNTIME__DEVICE": "cpu",
        "RUNTIME__PORT": str(20_000 + os.getpid() % 9_000),
        **own,
    }
    for setting in ("DATA__TRAIN", "DATA__TEST", "MODEL__NAME", "PREDICT__INPUT"):
        if values.get(setting):
            values[setting] = f"{BUCKET}/{values[setting]}"
    return {f"FINETUNE_{setting}": value for setting, value in values.items()}


def _finetune(command: str, env: Mapping[str, str], folder: Path) -> None:
    done = finetune(command, env={"OMP_NUM_THREADS": "1", **env}, cwd=folder, timeout=600)
    if done.returncode:
        sys.exit(f"finetune {command} {env} ended with {done.returncode}:\n{done.stderr}")


def _run(client: Any, name: str, own: Mapping[str, str], folder: Path) -> list[str]:
    _finetune("run", _settings(name, own), folder)
    return list(_artifacts(client, f"out/{name}/"))


def _others(client: Any, folder: Path, lines: list[str]) -> list[str]:
    """What the other commands make of the classifier that was trained."""
    (version,) = {
        line.split()[0].rpartition("/")[0]
        for line in lines
        if line.startswith("text-classification/models/")
    }
    classifier = {"TASK": "text-classification", "MODEL__NAME": f"out/{version}"}
    commands = {
        "evaluate": {**classifier, "DATA__TEST": "rows.csv"},
        "predict": {**classifier, "PREDICT__INPUT": "rows.csv", "PREDICT__KEEP": "label"},
        "tokenizer": {"TASK": "text-classification", "DATA__TRAIN": "rows.csv"},
    }
    found: list[str] = []
    for command, own in commands.items():
        _finetune(command, _settings(command, own), folder)
        found += _artifacts(client, f"out/{command}/")
    return found


def _artifacts(client: Any, prefix: str) -> Iterator[str]:
    """A line for each file whose bytes are decided by what it is made from."""
    listed = client.list_objects_v2(Bucket="pinned", Prefix=prefix)["Contents"]
    for key in sorted(item["Key"] for item in listed):
        found = ARTIFACT.match(key)
        if not found or "/checkpoints/" in key:  # the order of a header's names in them is free
            continue
        manifest = json.loads(client.get_object(Bucket="pinned", Key=key)["Body"].read())
        for name, file in manifest["files"].items():
            if HASHED.search(name) and not MEASURED.match(name):
                yield f"{USES.sub('*', found['place'])}/{name} {file['sha256']}"


if __name__ == "__main__":
    main()
