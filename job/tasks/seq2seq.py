"""summarization and translation: an encoder reads the source, a decoder writes the target."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from job.errors import SettingsError
from job.settings import Columns as ColumnSettings
from job.settings import Encode, Generation, Settings
from job.tasks import language_modeling as lm
from job.tasks.base import Batch, Columns, Features, Floats, Outputs, Rows, Scored, Task
from job.tasks.languages import Languages
from job.tasks.padding import Padding
from job.tasks.tokens import inputs_of, tokenize

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel, PreTrainedTokenizerFast

    from job.tables import MappedTable

TARGET_TOKENS = 128
"""A target has at most where the settings do not say."""


@dataclass(frozen=True)
class Seq2Seq(Task):
    """Learns each target token from the source and the target tokens before it."""

    columns: Mapping[str, str]
    encode: Encode = field(default_factory=Encode)
    generation: Generation = field(default_factory=Generation)
    label_smoothing: float = 0.0
    languages: Languages = field(default_factory=Languages)

    auto_class = "AutoModelForSeq2SeqLM"
    peft_type = "SEQ_2_SEQ_LM"
    text_roles = ("source", "target")
    compared = ("loss", "prediction")

    @classmethod
    def create(cls, settings: Settings) -> Seq2Seq:
        """The task as the settings describe it."""
        return cls(
            roles(settings.data.columns),
            settings.encode,
            settings.evaluate.generation,
            settings.train.label_smoothing,
        )

    def problems(self, rows: Columns) -> list[str | None]:
        """A row needs a source and a target."""
        pairs = zip(rows["source"], rows["target"], strict=True)
        return [
            "no source" if source is None else "no target" if target is None else None
            for source, target in pairs
        ]

    # -- tokenizer and model ---------------------------------------------------------------------

    def configure_tokenizer(self, tokenizer: PreTrainedTokenizerFast) -> None:
        """Sets the languages of a tokenizer that knows several.

        Raises:
            SettingsError: it needs them, does not know them, or does not end a text.
        """
        Languages.set(tokenizer, self.encode.source_language, self.encode.target_language)
        if tokenizer.eos_token_id not in targets_of(tokenizer, ["a"], TARGET_TOKENS)[0]:
            raise SettingsError(
                f"the task {self.name} needs a tokenizer that puts an end-of-text token (eos_token) "
                "behind a text, else the model never learns to end",
                hint="take the tokenizer of an encoder-decoder such as T5, BART or Marian",
            )

    def fitted(
        self,
        first: Columns,
        counts: Mapping[str, Mapping[str, int]],
        model_labels: tuple[str, ...],
        tokenizer: PreTrainedTokenizerFast,
    ) -> Seq2Seq:
        """The task with the tokens that generation must begin with."""
        language = self.encode.target_language
        ids = targets_of(tokenizer, ["a"], TARGET_TOKENS)[0]
        return replace(self, languages=Languages.of(tokenizer, language, ids))

    @property
    def facts(self) -> dict[str, Any]:
        """How generation begins."""
        return self.languages.facts

    def restored(self, facts: Mapping[str, Any]) -> Seq2Seq:
        """The task as it was fitted."""
        return replace(self, languages=Languages(**facts))

    def configure_generation(self, generation: Any, config: Any) -> None:
        """Generation as the settings say; what they leave open stays the model's own."""
        wanted = self.generation
        most = wanted.max_new_tokens or self.most_target_tokens(
            self.encode.max_length or TARGET_TOKENS
        )
        positions = getattr(config, "max_position_embeddings", None) or most
        generation.max_new_tokens, generation.max_length = min(most, positions), None
        generation.do_sample, generation.num_beams = False, wanted.num_beams
        if wanted.num_beams == 1:  # a model's own value would be refused when it is saved
            generation.length_penalty = generation.early_stopping = None
        for name in ("length_penalty", "no_repeat_ngram_size"):
            if (value := getattr(wanted, name)) is not None:
                setattr(generation, name, value)
        self.languages.begin(generation)

    # -- features --------------------------------------------------------------------------------

    def most_target_tokens(self, max_length: int) -> int:
        """Tokens of a target at most, for sources of at most `max_length` tokens."""
        return self.encode.max_target_length or min(TARGET_TOKENS, max_length)

    def features(
        self, rows: Columns, tokenizer: PreTrainedTokenizerFast, max_length: int
    ) -> Features:
        """`input_ids` and `labels`, special tokens included.

        A micro-batch of n rows takes n times its longest source and its longest target together,
        and these may belong to different rows. So the `length` of a row is twice the longer of its
        two sides (under fixed padding, both widths): n times the greatest length is never less than
        the tokens that the micro-batch holds.
        """
        prefix, most = self.encode.prefix, self.most_target_tokens(max_length)
        sources = [prefix + (source or "") for source in rows["source"]]
        tokens = tokenize(tokenizer, sources, None, max_length)
        targets = targets_of(tokenizer, [target or "" for target in rows["target"]], most)
        # one row more than fits is counted as cut only where tokens are really lost
        sizes = np.array([len(ids) for ids in targets], np.int32)
        longer = np.maximum(tokens.lengths.to_numpy(), sizes)
        multiple = self.encode.pad_to_multiple_of
        lengths = 2 * (-(-longer // multiple) * multiple)
        if self.encode.padding == "max_length":
            lengths = np.full_like(lengths, max_length + most)
        columns = {
            "input_ids": tokens.input_ids,
            "labels": pa.array(targets, pa.list_(pa.int32())),
            "length": pa.array(lengths.astype(np.int32)),
        }
        cut = tokens.truncated + self._cut_targets(tokenizer, rows["target"], sizes, most)
        return Features(columns, np.arange(len(targets)), min(cut, len(targets)))
