"""MODEL, TRAIN, CHECKPOINT, EVALUATE and PUBLISH: what is fine-tuned, how, and what becomes of it."""

from __future__ import annotations

from base64 import b64decode
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, SecretStr, field_serializer

from job.settings.sections.base import Inherited, Section
from job.uris import Uri

Positive = Annotated[int, Field(ge=1)]
Weight = Annotated[float, Field(ge=0, allow_inf_nan=False)]


def _label(key: object) -> object:
    """In YAML the key 0 is a number; labels are text. (True is left alone: its text is not what was written.)"""
    return str(key) if type(key) is int else key


Label = Annotated[str, BeforeValidator(_label)]


class Lora(Section):
    """Low-rank adapters instead of full fine-tuning (Hu et al. 2021, arXiv 2106.09685)."""

    r: Positive = 8
    """The rank of the update matrices."""

    alpha: Annotated[float, Field(gt=0)] = 16
    """The update is scaled by alpha / r."""

    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Dropout before the adapter."""

    target_modules: tuple[str, ...] | str | None = None
    """Names of the modules that get an adapter; by default those that peft knows for the architecture, `all-linear` for all."""


class Model(Section):
    """The model that is fine-tuned."""

    name: Uri = Uri("")
    """A Hub id, a folder, or an s3:// prefix that holds config.json and model.safetensors; `s3://bucket/prefix/NAME/champion` is the version of that model in use."""

    revision: str | None = None
    """The Hub branch, tag or commit."""

    config: dict[str, Any] | None = None
    """Train from scratch: a transformers config as JSON, `model_type` in it; needs `tokenizer`."""

    tokenizer: Uri | None = None
    """Where the tokenizer is, if not with the model."""

    problem_type: Annotated[
        Literal["auto", "single_label_classification", "multi_label_classification", "regression"],
        Inherited,
    ] = "auto"
    """For text-classification; `auto` takes labels that are lists for multi-label, all others for single-label."""

    lora: Lora | None = None
    """Train low-rank adapters only; they are merged before evaluation. `{}` takes the defaults."""

    gradient_checkpointing: bool = False
    """Recompute activations in the backward pass: less memory, about a third more time."""

    attention: Literal["auto", "eager", "sdpa", "flash_attention_2"] = "auto"
    """The attention kernel; `auto` leaves it to transformers."""

    trust_remote_code: bool = False
    """Run the Python code in a Hub model's repository; needs `revision` to be a full commit hash."""


class Train(Section):
    """How the model is trained."""

    from_: Literal["base", "champion"] = Field("base", alias="from")
    """What the weights are before the first step: those of FINETUNE_MODEL__NAME, or of the champion; this goes on with the rows that it has not learned from, and `replay` of the others."""

    replay: Annotated[float, Field(ge=0, le=1)] = 0.2
    """With `from` champion: the part of the rows it has learned from that are trained on again, drawn by their text's hash."""

    epochs: Annotated[float, Field(gt=0)] = 3.0
    """Passes over the training rows."""

    max_steps: Positive | None = None
    """End after this many optimizer steps, whatever `epochs` says."""

    max_runtime: Annotated[float, Field(gt=0)] | None = None
    """Seconds of training after which the run proceeds to evaluate and publish."""

    batch_size: Positive = 32
    """Rows in an optimizer step over the whole world, whatever the number of devices."""

    learning_rate: Annotated[float, Field(gt=0, le=1)] = 5e-5
    """The highest learning rate, reached at the end of the warm-up."""

    warmup: Annotated[float, Field(ge=0)] = 0.1
    """Steps of linear warm-up: below 1 a fraction of all steps, from 1 a count."""

    schedule: Literal["linear", "cosine", "constant"] = "linear"
    """How the learning rate falls after the warm-up."""

    weight_decay: Annotated[float, Field(ge=0)] = 0.01
    """Decoupled weight decay; never on biases and norms."""

    max_grad_norm: Annotated[float, Field(ge=0)] = 1.0
    """Clip the gradient to this norm; 0 does not clip."""

    label_smoothing: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Probability mass spread evenly over all classes."""

    class_weights: Literal["none", "balanced"] | dict[Label, Weight] = "none"
    """`balanced` weights classes by the inverse of their frequency; or a JSON object from label to weight."""

    mask_probability: Annotated[float, Field(gt=0, lt=1)] = 0.15
    """For fill-mask: the fraction of the tokens that are to be predicted, drawn afresh each epoch."""

    whole_word_mask: bool = False
    """For fill-mask: choose whole words, with all of their tokens, instead of tokens."""

    precision: Literal["auto", "no", "bf16", "fp16"] = "auto"
    """The arithmetic of forward and backward; weights stay float32. `auto`: bf16 on a GPU that has it, else no."""

    tokens_per_device: Positive = 16384
    """The most padded tokens in a micro-batch; a step takes as many micro-batches as it needs."""

    length_window: Positive = 50
    """How many steps' rows are sorted by length together; 1 is plain random batching."""

    patience: Positive | None = None
    """End after this many evaluations in a row without a better score."""

    strategy: Literal["ddp", "fsdp"] = "ddp"
    """With several processes: the whole model on each (ddp), or a part of it on each (fsdp, for models too large for one device)."""

    compile: bool = False
    """Compile the model with torch.compile; pays off for long runs with fixed shapes."""


class Checkpoint(Section):
    """When the state of training is committed to the store."""

    incidental = True

    every_steps: Positive | None = None
    """Steps between checkpoints; by default only time and evaluations decide."""

    every_seconds: Annotated[float, Field(gt=0)] = 600.0
    """Seconds between checkpoints, by rank 0's clock."""

    keep: Positive = 2
    """How many checkpoints are kept besides the best one."""


class Generation(Section):
    """How summarization and translation generate when they are scored, and by default afterwards."""

    num_beams: Positive = 1
    """Hypotheses that are followed at once; 1 always takes the likeliest token."""

    max_new_tokens: Positive | None = None
    """The most tokens to generate; by default as many as a target may have."""

    min_new_tokens: Positive | None = None
    """The fewest tokens to generate; by default a text ends where the model ends it."""

    length_penalty: float | None = None
    """With several beams: above 0 longer hypotheses win more often, below 0 shorter ones. Default: the model's own."""

    no_repeat_ngram_size: Annotated[int, Field(ge=0)] | None = None
    """Runs of this many tokens are never generated twice; 0 allows them. Default: the model's own."""


OF_ROWS = ("label", "length")
"""What EVALUATE__SLICES can name that is not a column of the data."""


class Evaluate(Section):
    """How the model is scored."""

    metric: str | None = None
    """The metric that selects the best checkpoint, without prefix; by default the task's own. Losses and errors are minimized."""

    every_steps: Positive | None = None
    """Steps between evaluations; by default at the end of each epoch."""

    max_rows: Positive | None = None
    """The most validation rows scored during training; the final scores are over all rows."""

    n_best: Annotated[Positive, Inherited] = 20
    """For question-answering: the number of candidates over which an answer's probability is computed."""

    max_answer_tokens: Annotated[Positive, Inherited] = 30
    """For question-answering: the most tokens an answer may have."""

    no_answer_threshold: Annotated[float, Inherited] = 0.0
    """For question-answering with unanswerable rows: give no answer where that scores higher than the best span by more than this."""

    generation: Annotated[Generation, Inherited] = Generation()
    """For summarization and translation."""

    slices: tuple[str, ...] = ()
    """Parts of the held-out rows that are scored by themselves as well: `label`, `length` (in words), or columns of the data, a part for each value."""

    @property
    def slice_columns(self) -> tuple[str, ...]:
        """Of `slices`, the columns of the data."""
        return tuple(name for name in self.slices if name not in OF_ROWS)


class Publish(Section):
    """What becomes of the trained model."""

    incidental = True

    gate: Literal["always", "not-worse", "better"] = "not-worse"
    """When a version becomes the champion: always, or where a paired test on the gate's rows shows that it is not worse than the best champion so far by `margin`, or better by `min_gain`."""

    margin: Annotated[float, Field(ge=0)] | None = None
    """For `not-worse`: how much worse it may be, in the metric's units. By default 1 % of the metric's scale, or of the champion's value where it has none, as perplexity."""

    min_gain: Annotated[float, Field(ge=0)] = 0.0
    """For `better`: by how much it must be better, in the metric's units."""

    life_alpha: Annotated[float, Field(gt=0, lt=1)] = 0.05
    """The most that the chance may be, over all nights together, that a worse version is ever promoted."""

    floors: dict[str, float] = Field(default_factory=dict)
    """The least score in a part of the gate's rows below which nothing is promoted: `{"label=spam": 0.9, "length=64-127": 0.8}`, or a column's name and value."""

    slice_margin: Annotated[float, Field(ge=0)] | None = None
    """How much worse than the best champion a version may be in any part that FINETUNE_EVALUATE__SLICES names; by default that is shown and decides nothing."""

    webhook: Uri = Uri("")
    """An https:// or http:// address that is told when another version becomes the champion: a CloudEvent by POST, signed with WEBHOOK_SECRET."""

    webhook_secret: Annotated[SecretStr, Field(min_length=24)] = SecretStr("")
    """What signs it, as Standard Webhooks says: `whsec_` and base64, or any text of at least 24 characters, whose bytes are the key."""

    merge: bool = True
    """Merge LoRA adapters into the weights; false publishes the adapters alone, for the base model that they were trained on."""

    license: str | None = None
    """The licence named in the model card, by the Hub's name for it (apache-2.0, cc-by-4.0 …)."""

    hub_repo: str | None = None
    """A Hub repository that a version's files are pushed to as well when it becomes the champion; needs HF_TOKEN."""

    @property
    def signing_key(self) -> bytes:
        """The key that WEBHOOK_SECRET stands for.

        Raises:
            ValueError: what follows `whsec_` in it is not base64.
        """
        text = self.webhook_secret.get_secret_value()
        encoded = text.removeprefix("whsec_")
        return text.encode() if encoded == text else b64decode(encoded, validate=True)

    @field_serializer("webhook")
    def _without_path(self, webhook: Uri) -> str:
        return webhook.server  # a path may be a secret itself
