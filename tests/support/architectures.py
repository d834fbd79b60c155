"""Twelve small models as people have them on disk, each with a task that it is taken for."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.support.task_samples import Rows

WORDS = [
    *("the", "a", "small", "big", "red", "blue", "dog", "cat", "house"),
    *("tree", "runs", "sleeps", "sees", "near", "under", "with", "rome", "anna"),
]
TEXTS = [
    f"{WORDS[i % 18]} {WORDS[i * 5 % 18]} sees the {' '.join(WORDS[: i % 9])} near {WORDS[i * 7 % 18]}"
    for i in range(24)
]
SIZE: Mapping[str, Any] = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 64,
    "initializer_range": 0.3,
}
SIDES: Mapping[str, Any] = {
    "d_model": 32,
    **{
        f"{side}_{name}": 2
        for side in ("encoder", "decoder")
        for name in ("layers", "attention_heads")
    },
    **{f"{side}_ffn_dim": 64 for side in ("encoder", "decoder")},
    "init_std": 0.3,
}
ENDS = {"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2}
TAGS = ["O", "B-PER"]


@dataclass(frozen=True)
class Architecture:
    """A model of a type, and the task for which it is tried."""

    config: Mapping[str, Any]
    task: str
    tokenizer: Callable[[], Any]
    auto_class: str = "AutoModel"
    settings: Mapping[str, str] = field(default_factory=dict)

    def build(self, folder: Path, kind: str) -> Path:
        """Save the model, with random weights, and its tokenizer."""
        import torch
        import transformers

        tokenizer = self.tokenizer()
        torch.manual_seed(0)
        config = transformers.AutoConfig.for_model(
            kind, **{"vocab_size": len(tokenizer), **self.config}
        )
        getattr(transformers, self.auto_class).from_config(config).save_pretrained(folder)
        tokenizer.save_pretrained(folder)
        return folder

    @property
    def rows(self) -> Rows:
        """Rows of the task, by role."""
        return ROWS[self.task]


def wordpiece(layout: str = "[CLS] $A [SEP]", **own: Any) -> Any:
    """BERT's tokenizer; `layout` is that of a text."""
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors, trainers
    from transformers import PreTrainedTokenizerFast

    backend = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    backend.normalizer = normalizers.BertNormalizer()
    backend.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    trainer = trainers.WordPieceTrainer(vocab_size=300, special_tokens=special, show_progress=False)
    backend.train_from_iterator(TEXTS, trainer)
    backend.post_processor = processors.TemplateProcessing(
        single=layout,
        pair=layout.replace("$A [SEP]", "$A [SEP] $B:1 [SEP]:1"),
        special_tokens=[("[CLS]", 2), ("[SEP]", 3)],
    )
    names = {name: f"[{name.upper()}]" for name in ("pad", "unk", "cls", "sep", "mask")}
    given = {f"{name}_token": token for name, token in names.items()}
    inputs = ["input_ids", "token_type_ids", "attention_mask"]
    return PreTrainedTokenizerFast(
        tokenizer_object=backend,
        **given,
        **{"model_max_length": 64, "model_input_names": inputs, **own},
    )


def bytes_of(single: str, **own: Any) -> Any:
    """Byte-level BPE with <s> and </s>, as RoBERTa, GPT-2, BART and T5 lay out their texts."""
    from tokenizers import processors

    from tests.support.seq2seq_samples import byte_level_tokenizer

    tokenizer = byte_level_tokenizer(TEXTS, "bart", words=300)
    tokenizer.backend_tokenizer.post_processor = processors.TemplateProcessing(
        single=single, special_tokens=[("<s>", 1), ("</s>", 2)]
    )
    tokenizer.model_max_length = 64
    for name, token in own.items():
        setattr(tokenizer, name, token)
    return tokenizer


PLAIN = ["input_ids", "attention_mask"]
PAIRS = {"DATA__COLUMNS__TEXT_PAIR": "text_pair"}
PROMPTS = {"DATA__COLUMNS__PROMPT": "prompt", "DATA__COLUMNS__COMPLETION": "completion"}

ARCHITECTURES: Mapping[str, Architecture] = {
    "bert": Architecture(
        {**SIZE, "max_position_embeddings": 64}, "text-classification", wordpiece, settings=PAIRS
    ),
    "roberta": Architecture(
        {**SIZE, **ENDS, "max_position_embeddings": 65},
        "token-classification",
        lambda: bytes_of("<s> $A </s>", cls_token="<s>", sep_token="</s>"),
    ),
    "distilbert": Architecture(
        {"dim": 32, "n_layers": 2, "n_heads": 2, "hidden_dim": 64, "max_position_embeddings": 64},
        "question-answering",
        lambda: wordpiece(model_input_names=PLAIN),
    ),
    "electra": Architecture(
        {**SIZE, "embedding_size": 16, "max_position_embeddings": 64},
        "text-classification",
        wordpiece,
        settings=PAIRS,
    ),
    "deberta-v2": Architecture(
        {**SIZE, "max_position_embeddings": 64, "relative_attention": True, "pos_att_type": ["p2c"]},
        "text-classification",
        lambda: wordpiece(model_input_names=PLAIN),
        settings=PAIRS,
    ),
    "modernbert": Architecture(
        {**SIZE, "max_position_embeddings": 64, "pad_token_id": 0, "cls_token_id": 2, "sep_token_id": 3,
         "bos_token_id": 2, "eos_token_id": 3},
        "fill-mask",
        lambda: wordpiece(model_input_names=PLAIN),
        "AutoModelForMaskedLM",
    ),
    "xlnet": Architecture(
        {"d_model": 32, "n_layer": 2, "n_head": 2, "d_inner": 64, "pad_token_id": 0},
        "text-classification",
        lambda: wordpiece("$A [SEP] [CLS]", padding_side="left"),
    ),
    "gpt2": Architecture(
        {"n_embd": 32, "n_layer": 2, "n_head": 2, "n_positions": 64, "bos_token_id": 1, "eos_token_id": 2},
        "text-generation",
        lambda: bytes_of("$A", pad_token=None),
        "AutoModelForCausalLM",
        PROMPTS,
    ),
    "llama": Architecture(
        {**SIZE, "num_key_value_heads": 2, "max_position_embeddings": 64, "bos_token_id": 1, "eos_token_id": 2},
        "text-classification",
        lambda: bytes_of("<s> $A", pad_token=None),
        "AutoModelForCausalLM",
    ),
    "t5": Architecture(
        {"d_model": 32, "d_kv": 16, "d_ff": 64, "num_layers": 2, "num_heads": 2, "pad_token_id": 0,
         "eos_token_id": 2, "decoder_start_token_id": 0, "initializer_factor": 2.0},
        "summarization",
        lambda: bytes_of("$A </s>", bos_token=None),
        "AutoModelForSeq2SeqLM",
    ),
    "bart": Architecture(
        {**SIDES, **ENDS, "max_position_embeddings": 64, "decoder_start_token_id": 2},
        "translation",
        lambda: bytes_of("<s> $A </s>"),
        "AutoModelForSeq2SeqLM",
    ),
    "marian": Architecture(
        {**SIDES, **ENDS, "max_position_embeddings": 64, "decoder_start_token_id": 0,
         "decoder_vocab_size": None},
        "translation",
        lambda: bytes_of("$A </s>", bos_token=None),
        "AutoModelForSeq2SeqLM",
    ),
}  # fmt: skip


def _answer(context: str) -> str:
    return json.dumps({"text": [context[:3]], "answer_start": [0]})


ROWS: Mapping[str, Rows] = {
    "text-classification": {
        "text": TEXTS,
        "label": ["ham", "spam"] * 12,
        "text_pair": TEXTS[::-1],
    },
    "token-classification": {
        "tokens": [json.dumps(text.split()) for text in TEXTS],
        "tags": [json.dumps([TAGS[n % 2] for n, _ in enumerate(text.split())]) for text in TEXTS],
    },
    "question-answering": {
        "question": TEXTS,
        "context": TEXTS[::-1],
        "answers": [_answer(text) for text in TEXTS[::-1]],
    },
    "fill-mask": {"text": TEXTS},
    "text-generation": {"prompt": TEXTS, "completion": TEXTS[::-1]},
    "summarization": {"source": TEXTS, "target": [text[:20] for text in TEXTS]},
    "translation": {"source": TEXTS, "target": TEXTS[::-1]},
}
