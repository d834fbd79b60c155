"""Disagreements planted into a model's folder: what people's files have, each with what must be said of it."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

Edit = Callable[[Path], None]
ENCODERS = ("bert", "roberta", "distilbert", "electra", "deberta-v2", "modernbert")
SEQ2SEQ = ("t5", "bart", "marian")
ALL = (*ENCODERS, "xlnet", "gpt2", "llama", *SEQ2SEQ)


@dataclass(frozen=True)
class Plant:
    """A disagreement, the words that must name it, and the architectures that can have it."""

    edit: Edit
    words: tuple[str, ...]
    kinds: tuple[str, ...] = ALL
    settings: Mapping[str, str] = field(default_factory=dict)


def edited(name: str, **values: Any) -> Edit:
    """Fields of a JSON file set; None removes one."""

    def edit(folder: Path) -> None:
        path = folder / name
        fields = {**(json.loads(path.read_text()) if path.exists() else {}), **values}
        path.write_text(json.dumps({k: v for k, v in fields.items() if v is not None}))

    return edit


def weights(change: Callable[[dict[str, Any]], None]) -> Edit:
    """The tensors of model.safetensors changed."""

    def edit(folder: Path) -> None:
        from safetensors.torch import load_file, save_file

        tensors = load_file(folder / "model.safetensors")
        change(tensors)
        save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})

    return edit


def _largest(tensors: Mapping[str, Any]) -> str:
    """A matrix of the body: the last of those that are largest but for the embeddings."""
    matrices = sorted((t.numel(), n) for n, t in tensors.items() if t.dim() == 2 and "emb" not in n)
    outer = ("lm_head", "wte", "shared")
    name: str = next(n for _, n in reversed(matrices) if not any(part in n for part in outer))
    return name


def _not_a_number(tensors: dict[str, Any]) -> None:
    tensors[_largest(tensors)].view(-1)[3] = float("nan")


def _beyond_half(tensors: dict[str, Any]) -> None:
    tensors[_largest(tensors)].view(-1)[3] = 1e5


def _gone(tensors: dict[str, Any]) -> None:
    del tensors[_largest(tensors)]


def _wider(tensors: dict[str, Any]) -> None:
    import torch

    name = _largest(tensors)
    tensors[name] = torch.cat([tensors[name], tensors[name]])


def _second_output(tensors: dict[str, Any]) -> None:
    """An output layer beside the embeddings that config.json says it is."""
    embeddings = {
        "transformer.wte.weight": "lm_head",
        "model.embeddings.tok_embeddings.weight": "decoder",
    }
    for name, output in embeddings.items():
        if name in tensors:
            tensors[f"{output}.weight"] = tensors[name].flip(0).contiguous()


def another_tokenizer(folder: Path) -> None:
    """The tokenizer of a larger vocabulary, with the same special tokens."""
    from tokenizers import Tokenizer

    path = folder / "tokenizer.json"
    state = json.loads(path.read_text())
    vocabulary = state["model"]["vocab"]
    more = {f"word{number}": len(vocabulary) + number for number in range(200)}
    state["model"]["vocab"] = {**vocabulary, **more}
    Tokenizer.from_str(json.dumps(state)).save(str(path))


def as_class(folder: Path) -> None:
    """The class of another kind of tokenizer."""
    kind = json.loads((folder / "tokenizer.json").read_text())["model"]["type"]
    name = "BertTokenizer" if kind == "BPE" else "LlamaTokenizer"
    edited("tokenizer_config.json", tokenizer_class=name)(folder)


PLANTS: Mapping[str, Plant] = {
    "padding": Plant(edited("config.json", pad_token_id=7), ("pad_token_id=7", "is 0"), tuple(k for k in ALL if k not in ("gpt2", "llama"))),
    "end of a text": Plant(edited("config.json", eos_token_id=7), ("config.json gives eos_token_id=7", "is 2"), ("gpt2", "llama", *SEQ2SEQ)),
    "vocabulary": Plant(another_tokenizer, ("vocabulary of", "vocab_size=")),
    "rows": Plant(edited("config.json", vocab_size=4000), ("another shape", "(4000")),
    # transformers goes by tokenizer.json for ModernBERT, whatever the class
    "class": Plant(as_class, ("by tokenizer.json", "Tokenizer, which transformers takes it for"), tuple(k for k in ALL if k != "modernbert")),
    "labels": Plant(
        edited("config.json", id2label={"0": "a", "1": "b"}, label2id={"a": 1, "b": 0}, num_labels=None),
        ("contradicts itself", "id2label", "label2id"),
    ),
    "not a number": Plant(weights(_not_a_number), ("not all numbers", "nan")),
    "gone": Plant(weights(_gone), ("its weights lack",)),
    "wider": Plant(weights(_wider), ("another shape", " x ")),
    "half": Plant(weights(_beyond_half), ("PRECISION=fp16", "100000"), settings={"TRAIN__PRECISION": "fp16"}),
    "side": Plant(edited("tokenizer_config.json", padding_side="left"), ("padding changes", "alone", "beside"), ("bert", "distilbert", "electra")),
    "other side": Plant(edited("tokenizer_config.json", padding_side="right"), ("padding changes", "alone", "beside"), ("xlnet",)),
    "inputs": Plant(
        edited("tokenizer_config.json", model_input_names=["input_ids", "token_type_ids", "attention_mask"]),
        ("gives token_type_ids", "takes none"),
        ("distilbert", "llama"),
    ),
    "positions": Plant(
        edited("config.json", max_position_embeddings=512, n_positions=512),
        ("another shape",),
        ("bert", "roberta", "distilbert", "electra", "gpt2", "bart"),
    ),
    "class token": Plant(edited("config.json", cls_token_id=7), ("cls_token_id=7", "'[CLS]' is 2"), ("deberta-v2", "modernbert", "xlnet")),
    "separator": Plant(edited("config.json", sep_token_id=7), ("sep_token_id=7", "is 3"), ("deberta-v2", "modernbert")),
    "end as generated": Plant(edited("generation_config.json", eos_token_id=[7, 9]), ("generation_config.json gives eos_token_id=[7, 9]",), ("gpt2", "t5")),
    "begin": Plant(edited("generation_config.json", decoder_start_token_id=7), ("decoder_start_token_id=", "learned", "7"), SEQ2SEQ),
    "end": Plant(edited("generation_config.json", forced_eos_token_id=4000), ("forced_eos_token_id=4000",), SEQ2SEQ),
    "language": Plant(edited("generation_config.json", forced_bos_token_id=4000), ("forced_bos_token_id=4000",), SEQ2SEQ),
    "tied": Plant(weights(_second_output), ("tie_word_embeddings is true",), ("gpt2", "modernbert")),
    "output": Plant(edited("config.json", tie_word_embeddings=False), ("its weights lack",), ("gpt2", "modernbert")),
}  # fmt: skip
