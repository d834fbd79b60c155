"""A model's files: found on the Hub, in a folder or in a bucket, loaded, and saved.

The only importer of transformers' Auto classes. Weights are loaded as float32 explicitly:
transformers takes the file's own dtype, and half-precision weights do not train well.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from job.errors import Absent, DataError, InputMissing, JobError, SettingsError
from job.settings import Model
from job.store import Object, Reader, resolve
from job.tasks.base import Task
from job.uris import local_path, mask, scheme_of

if TYPE_CHECKING:
    from transformers import PreTrainedConfig, PreTrainedModel, PreTrainedTokenizerFast


_COMPLETE = "download it again; a model needs config.json, model.safetensors and tokenizer.json"

FILES = ("*.json", "*.txt", "*.model", "*.jinja", "*.safetensors")
"""What is taken from a Hub repository or a bucket: never a pickle."""

VOCABULARIES = ("tokenizer.json", "vocab.*", "*.model")  # one at least makes a tokenizer


@dataclass(frozen=True)
class Place:
    """A model's or a tokenizer's files: where they are, and what identifies them."""

    name: str
    folder: Path
    identity: str


def is_hub_id(name: str) -> bool:
    """Whether a model's name can only be the Hub's: no scheme and no such folder."""
    return "://" not in name and not local_path(name).is_dir()


def find(
    name: str, revision: str | None, scratch: Path, *, files: tuple[str, ...] = FILES
) -> Place:
    """The model's files on this disk.

    Raises:
        InputMissing: there is no such model, folder or prefix.
        Forbidden: it may not be read.
        Unreachable: the Hub or the store does not answer.
    """
    if is_hub_id(name):
        return _from_hub(name, revision, files)
    if scheme_of(name) == "file":
        return _from_folder(name)
    return _from_bucket(name, scratch / "models")


def _from_folder(name: str) -> Place:
    folder = local_path(name)
    if not (folder / "config.json").is_file() and not (folder / "tokenizer.json").is_file():
        raise InputMissing(
            f"the folder {name} holds neither config.json nor tokenizer.json",
            hint="FINETUNE_MODEL__NAME must name a folder in Hugging Face format",
        )
    digest = hashlib.sha256()
    for path in sorted(
        p for p in folder.iterdir() if p.is_file() and p.suffix in (".json", ".txt", ".safetensors")
    ):
        with path.open("rb") as file:
            digest.update(path.name.encode() + hashlib.file_digest(file, "sha256").digest())
    return Place(name, folder, f"sha256:{digest.hexdigest()}")


def _from_hub(name: str, revision: str | None, files: tuple[str, ...]) -> Place:
    from job.store.hub import hub_errors

    if name.startswith((".", "/", "~")) or name.count("/") > 1:
        raise InputMissing(f"the model folder {name} does not exist")
    with hub_errors(name):
        from huggingface_hub import snapshot_download

        folder = Path(snapshot_download(name, revision=revision, allow_patterns=list(files)))
    return Place(name, folder, f"hub:{folder.name}")


def _from_bucket(name: str, scratch: Path) -> Place:
    prefix = name.rstrip("/") + "/"
    try:
        found = [(r, o) for r, o in resolve(prefix) if _wanted(o.key)]
    except Absent as error:
        raise InputMissing(f"the model {mask(name)} does not exist ({error.message})") from None
    folder = scratch / hashlib.sha256(prefix.encode()).hexdigest()[:16]
    base = _base(found, name)
    for reader, item in found:
        reader.download(item.key, folder / item.key[len(base) :], identity=item.identity)
    identities = sorted(f"{o.key[len(base) :]}={o.identity}" for _, o in found)
    return Place(name, folder, "s3:" + hashlib.sha256("\n".join(identities).encode()).hexdigest())


def _wanted(key: str) -> bool:
    return Path(key).suffix in {Path(pattern).suffix for pattern in FILES}


def _base(found: list[tuple[Reader, Object]], name: str) -> str:
    """The folder part of the keys: config.json lies directly in a model's prefix."""
    for _, item in found:
        if item.key.rsplit("/", 1)[-1] in ("config.json", "tokenizer.json"):
            return item.key[: len(item.key) - len(item.key.rsplit("/", 1)[-1])]
    raise InputMissing(
        f"{mask(name)} holds neither config.json nor tokenizer.json",
        hint="FINETUNE_MODEL__NAME must name a prefix in Hugging Face format",
    )


@contextmanager
def _readable(what: str, place: Place) -> Iterator[None]:
    """Turn the many ways in which a damaged model fails into one error."""
    try:
        yield
    except (JobError, MemoryError):
        raise
    except Exception as error:
        reason = " ".join(str(error).split())[:300]
        raise DataError(
            f"the {what} in {mask(place.name)} cannot be read ({type(error).__name__}: {reason})",
            hint=_COMPLETE,
        ) from error


def check_weights(place: Place) -> None:
    """Look at the weights' headers, so that a damaged model ends the run before its data is prepared.

    Raises:
        DataError: there are none, or a file was cut short.
    """
    from safetensors import safe_open

    files = sorted(place.folder.glob("*.safetensors"))
    if not files:
        raise DataError(
            f"{mask(place.name)} holds no .safetensors file",
            hint="save it with transformers' save_pretrained; weights in a pickle (pytorch_model.bin) "
            "are not read: whoever wrote it can run any program in this job",
        )
    for path in files:
        with _readable(path.name, place), safe_open(path, framework="numpy"):
            pass


def load_config(place: Place, settings: Model) -> PreTrainedConfig:
    """The model's config.json."""
    from transformers import AutoConfig

    if not (place.folder / "config.json").is_file():
        raise DataError(f"{mask(place.name)} holds no config.json", hint=_COMPLETE)

    with _readable("config", place):
        return AutoConfig.from_pretrained(
            place.folder, trust_remote_code=settings.trust_remote_code, local_files_only=True
        )


def label_names(config: Any) -> tuple[str, ...]:
    """The model's own labels in order; none where they are transformers' LABEL_0, LABEL_1 …"""
    names = tuple(str(config.id2label[i]) for i in sorted(config.id2label or ()))
    return () if all(name == f"LABEL_{i}" for i, name in enumerate(names)) else names


def load_tokenizer(place: Place, settings: Model) -> PreTrainedTokenizerFast:
    """The fast tokenizer.

    Raises:
        DataError: it cannot be read, or there is only a slow one.
    """
    from transformers import AutoTokenizer

    # without its files transformers makes one that knows no words
    if not any(file for pattern in VOCABULARIES for file in place.folder.glob(pattern)):
        raise DataError(
            f"{mask(place.name)} holds no tokenizer",
            hint="add its tokenizer.json, or name another in FINETUNE_MODEL__TOKENIZER",
        )
    with _readable("tokenizer", place):
        tokenizer = AutoTokenizer.from_pretrained(
            place.folder, trust_remote_code=settings.trust_remote_code, local_files_only=True
        )
    if not getattr(tokenizer, "is_fast", False):
        raise DataError(
            f"the tokenizer in {mask(place.name)} is not a fast one",
            hint="add a tokenizer.json, or name another in FINETUNE_MODEL__TOKENIZER",
        )
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token or tokenizer.unk_token
    if tokenizer.pad_token is None:
        raise SettingsError(
            f"the tokenizer in {mask(place.name)} has no padding token and none that could serve as one",
            hint="add pad_token to its tokenizer_config.json",
        )
    return tokenizer


def tokenizer_sha256(tokenizer: PreTrainedTokenizerFast) -> str:
    """What identifies how text becomes tokens, whatever file it was read from."""
    return hashlib.sha256(tokenizer.backend_tokenizer.to_str().encode()).hexdigest()


def max_length_of(config: Any, tokenizer: Any, wanted: int | None, most: int = 512) -> int:
    """Tokens a row may have: the setting, or the model's own limit, at most `most`.

    Raises:
        SettingsError: the setting is above what the model takes.
    """
    positions = getattr(config, "max_position_embeddings", None) or 10**9
    if getattr(config, "model_type", "") in ("roberta", "xlm-roberta", "camembert", "longformer"):
        positions -= 2  # they count positions from the padding token's id on
    limit = min(positions, tokenizer.model_max_length)
    if wanted is not None and wanted > limit:
        raise SettingsError(
            f"FINETUNE_ENCODE__MAX_LENGTH={wanted} is above the {limit} tokens that the model takes",
            hint=f"set it to {limit} at most",
        )
    return wanted or min(limit, most)


def load(place: Place, task: Task, settings: Model, *, own: bool = False) -> PreTrainedModel:
    """The model with the task's head, in float32, on the CPU.

    A head that does not fit the task's labels is made anew; with `own` (a model that this job
    saved) every weight must fit.

    Raises:
        DataError: the files are damaged or not this architecture's.
    """
    import transformers

    auto = getattr(transformers, task.auto_class)
    config = load_config(place, settings)
    task.configure(config)
    options: dict[str, Any] = {}
    if settings.attention != "auto":
        options["attn_implementation"] = settings.attention
    import torch

    with _readable("model", place):
        loaded: PreTrainedModel
        loaded, report = auto.from_pretrained(
            place.folder,
            config=config,
            dtype=torch.float32,
            ignore_mismatched_sizes=not own,
            trust_remote_code=settings.trust_remote_code,
            local_files_only=True,
            use_safetensors=True,
            output_loading_info=True,
            **options,
        )
    _check_body(place, loaded, report)
    return loaded


def _check_body(place: Place, model: PreTrainedModel, report: Mapping[str, Any]) -> None:
    """Refuse all but a head, or a pooler that another head did not need, to begin at random."""
    body = f"{model.base_model_prefix}."
    shapes = [name for name, *_ in report["mismatched_keys"] if name.startswith(body)]
    missing = {name for name in report["missing_keys"] if name.startswith(body)}
    if shapes:
        problem = f"{shapes[0]} has another shape in its weights than config.json says"
    elif missing and missing >= {k for k, _ in model.named_parameters() if k.startswith(body)}:
        problem = "none of its weights has a name that config.json's architecture knows"
    else:
        return
    raise DataError(
        f"the model in {mask(place.name)} does not fit itself: {problem}", hint=_COMPLETE
    )


def save(model: Any, tokenizer: Any, folder: Path) -> None:
    """Write config, safetensors and tokenizer in Hugging Face format."""
    folder.mkdir(parents=True, exist_ok=True)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def parameter_count(config: Any, task: Task) -> int:
    """Parameters of the model that a config describes, without making any of them."""
    import torch
    import transformers

    with torch.device("meta"):
        model = getattr(transformers, task.auto_class).from_config(config)
    return sum(p.numel() for p in model.parameters())
