"""Where a model's files are: on the Hub, in a folder, in a bucket, or made from a config."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from job.data.artifacts import file_sha256, fingerprint
from job.errors import Absent, DataError, InputMissing
from job.models.quiet_imports import hub
from job.registry import champion
from job.settings import Model
from job.store import layout, open_reader, open_store, resolve
from job.store.commit import MANIFEST
from job.store.keys import safe_path
from job.uris import CHAMPION, Uri

FILES = ("*.json", "*.txt", "*.model", "*.jinja", "*.safetensors")
"""What is downloaded from a Hub repository or a bucket: never a pickle."""

ADAPTER = "adapter_config.json"

CODE = ("*.py",)
"""What is downloaded from the Hub as well where its code is trusted."""

LOCAL = (*FILES, *CODE, "*.spm", "*.tiktoken", "additional_chat_templates/*.jinja")
"""What may be read of a folder on this disk, where nothing is downloaded and everything can be found."""


@dataclass(frozen=True)
class Place:
    """A model's or a tokenizer's files: where they are, and what identifies them."""

    name: str
    """A Hub id, a folder, or a URI without its secrets."""
    folder: Path
    identity: str
    blank: bool = False
    """There is a config and no weights: the model begins at random."""
    base: Path | None = None
    """The folder of the model that adapters in `folder` belong to; None where `folder` is a model."""

    @property
    def weights(self) -> Path:
        """The folder of the whole model's weights."""
        return self.base or self.folder


def find(name: Uri | str, revision: str | None, scratch: Path, *, code: bool = False) -> Place:
    """The model's files on this disk, with its Python files where `code` is trusted.

    Args:
        name: a Hub id, a folder, or the URI of a prefix; or `…/spam/champion` (`version_in_use`).
        revision: the Hub branch, tag or commit.
        scratch: where files from a bucket go.

    Raises:
        InputMissing: there is no such model, folder or prefix.
        Forbidden: it may not be read.
        Unreachable: the Hub or the store does not answer.
    """
    place = _fetched(version_in_use(Uri.of(name)), revision, scratch, code=code)
    base = _base_of(place)
    if base is None:
        return place
    under = _fetched(Uri.of(base), None, scratch)
    if _base_of(under) is not None:
        raise DataError(
            f"{ADAPTER} in {place.name} names {under.name} as its base model, which holds adapters itself",
            hint="merge those into their own base model, and name that",
        )
    return replace(place, base=under.folder, identity=f"{place.identity} on {under.identity}")


def version_in_use(name: Uri) -> Uri:
    """The version that `…/spam/champion` stands for at this moment; any other name as it is.

    Raises:
        InputMissing: no version of that model is in use.
        Torn: its record is damaged.
        Forbidden: it may not be read.
    """
    model = name.of_champion
    if model is None:
        return name
    root, _, key = model.secret.rpartition("/")
    store = open_store(root or "/")
    record, tag = champion.read(store, key)
    if record.version is not None:
        return Uri(f"{root}/{layout.version(key, record.version)}")
    if tag is None and any(store.list(f"{key}/{CHAMPION}/")):
        return name  # a model of that name, as anybody may call one
    raise InputMissing(
        f"{name}: no version of {model} is in use",
        hint="`finetune models` lists its versions, `finetune promote VERSION` puts one to use",
    )


def in_use(model: Model) -> Model:
    """The settings of a model, with versions in place of what stands for them (`version_in_use`).

    Raises:
        InputMissing, Torn, Forbidden: as `version_in_use`.
    """
    tokenizer = version_in_use(model.tokenizer) if model.tokenizer else None
    return model.model_copy(update={"name": version_in_use(model.name), "tokenizer": tokenizer})


def _fetched(uri: Uri, revision: str | None, scratch: Path, *, code: bool = False) -> Place:
    """The files as they are, whether of a model or of adapters."""
    if uri.is_hub_id:
        return _from_hub(uri.secret, revision, FILES + CODE if code else FILES)
    return _from_folder(uri) if uri.scheme == "file" else _from_bucket(uri, scratch / "models")


def _base_of(place: Place) -> str | None:
    """The name of the model that a folder's adapters belong to; None for a model of its own.

    Raises:
        DataError: it is not named.
    """
    path = place.folder / ADAPTER
    if not path.is_file():
        return None
    config: Any = None
    with suppress(ValueError, RecursionError):
        config = json.loads(path.read_text())
    base = config.get("base_model_name_or_path") if isinstance(config, dict) else None
    if not isinstance(base, str) or not base:
        raise DataError(
            f"{ADAPTER} in {place.name} does not name a base model in base_model_name_or_path",
            hint="save the adapters with peft again",
        )
    return base


def _from_folder(uri: Uri) -> Place:
    folder = uri.path
    if not (folder / "config.json").is_file() and not (folder / "tokenizer.json").is_file():
        raise InputMissing(
            f"the folder {uri} holds neither config.json nor tokenizer.json",
            hint="FINETUNE_MODEL__NAME must name a folder in Hugging Face format",
        )
    digest = hashlib.sha256()
    for path in sorted({p for pattern in LOCAL for p in folder.glob(pattern) if p.is_file()}):
        name = path.relative_to(folder).as_posix()
        digest.update(name.encode() + bytes.fromhex(file_sha256(path)))
    return Place(str(uri), folder, f"sha256:{digest.hexdigest()}")


def _from_hub(name: str, revision: str | None, files: tuple[str, ...]) -> Place:
    from job.store.hub import hub_errors

    if name.startswith((".", "/", "~")) or name.count("/") > 1:
        raise InputMissing(f"the model folder {name} does not exist")
    with hub_errors(name):
        download = hub().snapshot_download
        folder = Path(download(name, revision=revision, allow_patterns=list(files)))
    return Place(name, folder, f"hub:{folder.name}")


def _from_bucket(uri: Uri, scratch: Path) -> Place:
    prefix = uri.folder
    base = open_reader(prefix)[1]  # empty, except that hf:// keeps a folder in its keys
    try:
        below = {o.key.removeprefix(base): (r, o) for r, o in resolve(prefix)}
    except Absent as error:
        raise InputMissing(f"the model {uri} does not exist ({error.message})") from None
    files = {file: stored for file, stored in below.items() if _wanted(file)}
    if not {"config.json", "tokenizer.json"} & files.keys():
        raise InputMissing(
            f"{uri} holds neither config.json nor tokenizer.json",
            hint="FINETUNE_MODEL__NAME must name a prefix in Hugging Face format",
        )
    folder = scratch / hashlib.sha256(prefix.secret.encode()).hexdigest()[:16]
    for file, (reader, item) in files.items():
        reader.download(item.key, safe_path(folder, file), identity=item.identity)
    _check_manifest(uri, folder, set(files))
    identities = sorted(f"{file}={item.identity}" for file, (_, item) in files.items())
    return Place(
        str(uri), folder, "s3:" + hashlib.sha256("\n".join(identities).encode()).hexdigest()
    )


def _check_manifest(uri: Uri, folder: Path, files: set[str]) -> None:
    """A version that a run published names its files' hashes.

    Raises:
        DataError: a file is not the one that was published.
    """
    if MANIFEST not in files:
        return
    # a manifest that is not ours
    with suppress(ValueError, KeyError, TypeError, AttributeError, RecursionError):
        listed = json.loads((folder / MANIFEST).read_text())["files"]
        for file in files & listed.keys():
            if file_sha256(folder / file) != listed[file]["sha256"]:
                raise DataError(
                    f"{uri}: {file} is not the file that its manifest names",
                    hint="it was changed or damaged after it was published; publish it again",
                )


def _wanted(file: str) -> bool:
    """A model's own files are directly in its prefix; below it are other models, or parts of them."""
    return "/" not in file and Path(file).suffix in {Path(pattern).suffix for pattern in FILES}


def from_config(
    config: Mapping[str, Any], vocabulary: Mapping[str, int | None], scratch: Path
) -> Place:
    """A folder with a config.json alone, for a model that is trained from scratch.

    Args:
        config: transformers' own fields, `model_type` among them.
        vocabulary: what the tokenizer decides unless the config does: vocab_size and token ids.
    """
    folder = scratch / "from-config"
    folder.mkdir(parents=True, exist_ok=True)
    whole = {**{k: v for k, v in vocabulary.items() if v is not None}, **config}
    (folder / "config.json").write_text(json.dumps(whole))
    return Place("a config", folder, f"config:{fingerprint(whole)}", blank=True)
