"""summarization and translation: an encoder reads the source, a decoder writes the target."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any, Protocol, Self

import numpy as np
import pyarrow as pa

from job.batching import Rows
from job.batching.padding import Padding
from job.errors import SettingsError
from job.settings import Encode, Generation
from job.settings.protocols import HasData, HasEncode, HasEvaluate, HasTrain
from job.tasks.base import Task
from job.tasks.language_modeling import loss_and_count, loss_columns, loss_scorer, row_losses
from job.tasks.positions import positions_of
from job.tasks.row_rules import Columns
from job.tasks.scorers import Scorer
from job.tasks.seq2seq.generation import configure, predictions, references, unwrapped
from job.tasks.seq2seq.languages import Beginning, set_languages, tokenize_targets
from job.tasks.special_tokens import SETTING, SpecialTokens
from job.tasks.tokens import inputs_of, tokenize
from job.tasks.types import IGNORED, Batch, Features, Floats, Outputs, Scored

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel, PreTrainedTokenizerFast

    from job.data.arrow import MappedTable

TARGET_TOKENS = 128
"""The most tokens a target may have, unless the settings say otherwise."""


class _Settings(HasData, HasEncode, HasEvaluate, HasTrain, Protocol):
    """The sections that the task reads."""


@dataclass(frozen=True)
class Seq2Seq(Task):
    """Learns each token of the target from the source and the target's tokens before it."""

    columns: Mapping[str, str]
    encode: Encode = field(default_factory=Encode)
    generation: Generation = field(default_factory=Generation)
    label_smoothing: float = 0.0
    beginning: Beginning = field(default_factory=Beginning)

    auto_class = "AutoModelForSeq2SeqLM"
    peft_type = "SEQ_2_SEQ_LM"
    text_roles = ("source", "target")
    targets = ("target",)
    compared = ("loss", "prediction")

    @classmethod
    def create(cls, settings: _Settings) -> Self:
        """See Task."""
        columns, generation = settings.data.columns, settings.evaluate.generation
        roles = {"source": columns.source, "target": columns.target}
        return cls(roles, settings.encode, generation, settings.train.label_smoothing)

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
            SettingsError: they are missing or unknown, the tokenizer does not end a text, or the prefix
                is not what it seems.
        """
        found = SpecialTokens(tokenizer).first_in(self.encode.prefix)
        if found and not self.encode.obey_special_tokens:
            raise SettingsError(
                f"FINETUNE_ENCODE__PREFIX holds {found}, a special token, which is read as text",
                hint=f"set {SETTING}=true",
            )
        set_languages(tokenizer, self.encode.source_language, self.encode.target_language)
        ids = tokenize_targets(tokenizer, ["a"], TARGET_TOKENS).input_ids[0].as_py()
        if tokenizer.eos_token_id not in ids:
            raise SettingsError(
                f"the task {self.name} needs a tokenizer that puts an end-of-text token (eos_token) "
                "after a text, or else the model never learns to end one",
                hint="take the tokenizer of an encoder-decoder such as T5 or BART",
            )

    def fitted(
        self,
        first: Columns,
        counts: Mapping[str, Mapping[str, int]],
        model_labels: tuple[str, ...],
        tokenizer: PreTrainedTokenizerFast,
    ) -> Self:
        """The task with the tokens that targets in its language begin with."""
        return replace(self, beginning=Beginning.of(tokenizer, self.encode.target_language))

    @property
    def facts(self) -> dict[str, Any]:
        """How a target begins."""
        return asdict(self.beginning)

    def restored(self, facts: Mapping[str, Any]) -> Self:
        """The task as it was fitted."""
        return replace(self, beginning=Beginning(**facts))

    def configure_generation(self, generation: Any, config: Any) -> None:
        """Writes how targets are generated; what the settings leave open stays as the model has it."""
        most = self.most_target_tokens(self.encode.max_length or TARGET_TOKENS)
        most = min(self.generation.max_new_tokens or most, positions_of(config) or most)
        configure(generation, self.generation, most)
        self.beginning.write(generation)

    # -- features --------------------------------------------------------------------------------

    def most_target_tokens(self, max_length: int) -> int:
        """The most tokens a target may have, where sources have at most `max_length`."""
        return self.encode.max_target_length or min(TARGET_TOKENS, max_length)

    def features(
        self, rows: Columns, tokenizer: PreTrainedTokenizerFast, max_length: int
    ) -> Features:
        """`input_ids` and `labels`, each with its special tokens.

        A micro-batch of n rows holds n times its longest source and n times its longest target,
        which may belong to different rows. So a row's `length` is twice the longer of its sides (or
        both fixed widths): n times the greatest `length` is never less than what the batch holds.
        """
        most = self.most_target_tokens(max_length)
        sources = [self.encode.prefix + (source or "") for source in rows["source"]]
        tokens = tokenize(tokenizer, sources, None, max_length)
        targets = tokenize_targets(tokenizer, [target or "" for target in rows["target"]], most)
        sides = np.maximum(tokens.lengths.to_numpy(), targets.lengths.to_numpy())
        multiple = self.encode.pad_to_multiple_of
        lengths = 2 * (-(-sides // multiple) * multiple)
        if self.encode.padding == "max_length":
            lengths = np.full_like(lengths, max_length + most)
        columns = {
            "input_ids": tokens.input_ids,
            "labels": targets.input_ids,
            "length": pa.array(lengths, pa.int32()),
        }
        cut = int((tokens.cut | targets.cut).sum())
        return Features(columns, np.arange(len(sources)), cut)

    # -- loss ------------------------------------------------------------------------------------

    def row_weights(self, table: MappedTable, rows: Rows, epoch: int) -> Floats:
        """The number of target tokens."""
        return np.array([len(ids) for ids in table.lists("labels", rows)], dtype=np.float32)

    def batch_of(self, table: MappedTable, rows: Rows, pad: Padding, epoch: int) -> Batch:
        """input_ids, attention_mask, labels followed by IGNORED, and weights, shape (rows,)."""
        import torch

        batch = inputs_of(table, rows, pad)
        fixed = pad.fixed and self.most_target_tokens(pad.fixed)
        # on the right, whatever the tokenizer's side: a decoder begins with its start token
        right = replace(pad, side="right", fixed=fixed)
        batch["labels"] = torch.from_numpy(right.fill(table.lists("labels", rows), IGNORED))
        batch["weights"] = torch.ones(len(rows))
        return batch

    def forward(self, model: Any, batch: Batch) -> Any:
        """The outputs; the decoder's inputs are made from the labels as the model itself makes them."""
        inputs = {name: batch[name] for name in ("input_ids", "attention_mask")}
        make = getattr(unwrapped(model), "prepare_decoder_input_ids_from_labels", None)
        if make is None:  # such a model (M2M100, NLLB) makes them in its own forward alone
            return model(**inputs, labels=batch["labels"])
        return model(**inputs, decoder_input_ids=make(labels=batch["labels"]))

    def row_logits(self, outputs: Any, batch: Batch) -> list[torch.Tensor]:
        """Logits of the target's tokens, shape (tokens, words) per row."""
        mask = batch["labels"] != IGNORED
        return [row[kept] for row, kept in zip(outputs.logits.float(), mask, strict=True)]

    def loss(self, outputs: Any, batch: Batch) -> torch.Tensor:
        """Cross-entropy summed over the target tokens, smoothed as transformers' LabelSmoother does it."""
        losses = row_losses(outputs.logits, batch["labels"], self.label_smoothing)
        return (losses * batch["weights"]).sum()

    # -- predictions -----------------------------------------------------------------------------

    def predict(self, model: PreTrainedModel, batch: Batch) -> tuple[Outputs, float]:
        """Each row's loss (not smoothed) and number of target tokens, followed by the ids that the
        model generates."""
        outputs = self.forward(model, batch)
        losses = row_losses(outputs.logits, batch["labels"])
        figures = loss_and_count(losses, batch["labels"])
        inputs = {name: batch[name] for name in ("input_ids", "attention_mask")}
        generated = unwrapped(model).generate(**inputs).cpu().numpy()
        rows = [np.append(f, ids) for f, ids in zip(figures, generated, strict=True)]
        return rows, float(self.loss(outputs, batch))

    @property
    def reading(self) -> dict[str, Any]:
        """How a source begins, and where targets are cut."""
        cut = self.encode.max_target_length
        return {"prefix": self.encode.prefix, "max_target_length": cut, "most": TARGET_TOKENS}

    def written(self, scored: Scored) -> dict[str, Any]:
        """`prediction`, `reference`, and the reference's `loss` in nats per token."""
        return {
            "prediction": predictions(scored),
            "reference": references(scored),
            "loss": loss_columns(scored)["loss"],
        }


@dataclass(frozen=True)
class Summarization(Seq2Seq):
    """Learns summaries."""

    name = "summarization"
    default_metric = "rougeL"

    @property
    def signatures(self) -> dict[str, str]:
        """How ROUGE was computed."""
        from job.tasks.seq2seq.rouge import ROUGE_SIGNATURE

        return {"rouge_signature": ROUGE_SIGNATURE}

    def metrics(self, scored: Scored) -> dict[str, float]:
        """ROUGE, in percent."""
        from job.tasks.seq2seq.metrics import rouge

        return rouge(predictions(scored), references(scored))

    def scorer(self, scored: Scored, metric: str) -> Scorer | None:
        """See Task."""
        from job.tasks.seq2seq.scorers import rouge_scorer

        if metric == "loss":
            return loss_scorer(scored, metric)
        return rouge_scorer(metric, predictions(scored), references(scored))


@dataclass(frozen=True)
class Translation(Seq2Seq):
    """Learns translations."""

    name = "translation"
    default_metric = "bleu"

    @property
    def signatures(self) -> dict[str, str]:
        """sacreBLEU's own signatures."""
        from job.tasks.seq2seq.metrics import sacrebleu_signatures

        return sacrebleu_signatures()

    def metrics(self, scored: Scored) -> dict[str, float]:
        """BLEU and chrF, in percent."""
        from job.tasks.seq2seq.metrics import sacrebleu_scores

        return sacrebleu_scores(predictions(scored), references(scored))

    def scorer(self, scored: Scored, metric: str) -> Scorer | None:
        """See Task."""
        from job.tasks.seq2seq.scorers import sacrebleu_scorer

        if metric == "loss":
            return loss_scorer(scored, metric)
        return sacrebleu_scorer(metric, predictions(scored), references(scored))
