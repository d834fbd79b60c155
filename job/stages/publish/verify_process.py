"""Runs published files as a user would, with transformers alone: request on stdin, outputs on stdout.

Of the job's own code only pure functions that read a model's outputs take part, so that a model that
only the job can load is detected. Every task's function gives, for each row, the values of the task's
`compared` columns, or None for a value, or a row, that cannot be found in this way.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from typing import Any

Trials = list[dict[str, Any]]
"""Held-out rows by role, as `Task.trials` gives them."""


def text_classification(folder: str, rows: Trials, *, max_length: int) -> list[Any]:
    """Probabilities in the order of the labels, or the score of a regression."""
    from transformers import pipeline

    classify = pipeline("text-classification", model=folder, device="cpu")
    config = classify.model.config
    regression = config.problem_type == "regression"
    outputs = []
    for row in rows:
        inputs = {"text": row["text"]}
        if row.get("text_pair") is not None:
            inputs["text_pair"] = row["text_pair"]
        answers = classify(inputs, top_k=None, truncation=True, max_length=max_length)
        scores = {answer["label"]: answer["score"] for answer in answers}
        ordered = [scores[config.id2label[i]] for i in range(len(config.id2label))]
        outputs.append([ordered[0] if regression else ordered])
    return outputs


def token_classification(folder: str, rows: Trials, *, max_length: int) -> list[Any]:
    """The pipeline's entities; None for a text of several windows, which it does not take."""
    from transformers import pipeline

    classify = pipeline(
        "token-classification", model=folder, device="cpu", aggregation_strategy="first"
    )
    outputs: list[Any] = []
    for row in rows:
        text = " ".join(json.loads(row["tokens"]))
        fits = len(classify.tokenizer(text)["input_ids"]) <= max_length
        outputs.append([classify(text)] if fits and text else None)
    return outputs


def question_answering(folder: str, rows: Trials, **reading: Any) -> list[Any]:
    """The best span's text and its probability, read by the job's own n-best, since transformers no
    longer has a pipeline for it. A question of more than half a window is passed over."""
    from transformers import AutoModelForQuestionAnswering, AutoTokenizer

    from job.tasks.question_answering.spans import SpanSearch, answer_of
    from job.tasks.windows import stride_of

    model = AutoModelForQuestionAnswering.from_pretrained(folder).eval()
    tokenizer = AutoTokenizer.from_pretrained(folder)
    tokenizer.truncation_side = "right"  # windows go on where one ends: none is cut
    max_length, search = reading["max_length"], SpanSearch(**reading["search"])
    stride = stride_of(tokenizer, max_length, reading["stride"], pair=True)
    outputs: list[Any] = []
    for row in rows:
        if 2 * len(tokenizer(row["question"])["input_ids"]) > max_length:
            outputs.append(None)
            continue
        inputs = tokenizer(
            row["question"],
            row["context"],
            max_length=max_length,
            stride=stride,
            truncation="only_second",
            return_overflowing_tokens=True,
            return_offsets_mapping=True,
        )
        windows = [_window(model, tokenizer, inputs, i) for i in range(len(inputs["input_ids"]))]
        outputs.append(list(answer_of(row["context"], windows, search)))
    return outputs


def _window(model: Any, tokenizer: Any, inputs: Any, number: int) -> Any:
    """The model's outputs for one window."""
    import numpy as np
    import torch

    from job.tasks.question_answering.answers import empty_token
    from job.tasks.question_answering.spans import WindowLogits

    names = [name for name in tokenizer.model_input_names if name in inputs]
    with torch.inference_mode():
        out = model(**{name: torch.tensor([inputs[name][number]]) for name in names})
    logits = torch.stack([out.start_logits[0], out.end_logits[0]], dim=-1).float().numpy()
    inside = np.array([part == 1 for part in inputs.sequence_ids(number)])
    starts, ends = np.where(inside, np.array(inputs["offset_mapping"][number], np.int32).T, -1)
    nothing = empty_token(inputs["input_ids"][number], tokenizer.cls_token_id)
    return WindowLogits.of(logits, starts, ends, nothing)


def language_model(auto_class: str) -> Callable[..., list[Any]]:
    """A function that gives each block's mean loss in nats; labels and logits have the same positions."""

    def losses_of(folder: str, rows: Trials, **reading: Any) -> list[Any]:
        import torch
        import transformers

        model = getattr(transformers, auto_class).from_pretrained(folder).eval()
        losses = []
        for row in rows:
            with torch.inference_mode():
                logits = model(input_ids=torch.tensor([row["input_ids"]])).logits[0]
            labels = torch.tensor(row["labels"])
            losses.append([torch.nn.functional.cross_entropy(logits.float(), labels).item()])
        return losses

    return losses_of


CLOSE = 0.02
"""Where two tokens' logits, or two beams' scores, are closer than this, another batch or device may
choose the other one."""


def seq2seq(folder: str, rows: Trials, **reading: Any) -> list[Any]:
    """The target's loss by the model's own head, in nats per token, and the text that it generates with
    the saved generation config, row by row; None for a text that was a close call."""
    import torch
    from transformers import AutoModelForSeq2SeqLM, AutoTokenizer

    model = AutoModelForSeq2SeqLM.from_pretrained(folder).eval()
    tokenizer = AutoTokenizer.from_pretrained(folder)
    max_length = reading["max_length"]
    longest = reading["max_target_length"] or min(reading["most"], max_length)
    several = (model.generation_config.num_beams or 1) > 1
    outputs: list[Any] = []
    for row in rows:
        cut = {"truncation": True, "return_tensors": "pt"}
        source = tokenizer(reading["prefix"] + row["source"], max_length=max_length, **cut)
        inputs = {name: source[name] for name in ("input_ids", "attention_mask")}
        labels = tokenizer(text_target=row["target"], max_length=longest, **cut)["input_ids"]
        with torch.inference_mode():
            loss = model(**inputs, labels=labels).loss.item()
            generated = model.generate(
                **inputs,
                output_scores=True,
                return_dict_in_generate=True,
                num_return_sequences=2 if several else 1,
            )
        if several:
            lead = generated.sequences_scores[0] - generated.sequences_scores[1]
        else:
            best = torch.cat(generated.scores).topk(2).values
            lead = (best[:, 0] - best[:, 1]).min()
        text = tokenizer.decode(generated.sequences[0], skip_special_tokens=True).strip()
        outputs.append([loss, text if lead > CLOSE else None])
    return outputs


OUTPUTS_OF: dict[str, Callable[..., list[Any]]] = {
    "text-classification": text_classification,
    "token-classification": token_classification,
    "question-answering": question_answering,
    "fill-mask": language_model("AutoModelForMaskedLM"),
    "summarization": seq2seq,
    "translation": seq2seq,
    "text-generation": language_model("AutoModelForCausalLM"),
}


def merge_adapters(folder: str, base: str, auto_class: str) -> str:
    """Merge adapters into their base model, as the card says to do; returns the model's own folder."""
    import transformers
    from peft import PeftModel

    config = transformers.AutoConfig.from_pretrained(folder)
    auto = getattr(transformers, auto_class)
    base_config = transformers.AutoConfig.from_pretrained(base)
    base_config.num_labels = config.num_labels
    model = auto.from_pretrained(base, config=base_config, ignore_mismatched_sizes=True)
    vocabulary = config.get_text_config().vocab_size
    if model.get_input_embeddings().weight.shape[0] != vocabulary:
        model.resize_token_embeddings(vocabulary)
    merged = PeftModel.from_pretrained(model, folder).merge_and_unload()
    merged.config = config
    if merged.can_generate():
        merged.generation_config = transformers.GenerationConfig.from_pretrained(folder)
    merged.save_pretrained(f"{folder}-merged")
    transformers.AutoTokenizer.from_pretrained(folder).save_pretrained(f"{folder}-merged")
    return f"{folder}-merged"


def plain(value: Any) -> Any:
    """numpy's scalars as JSON."""
    return value.item() if hasattr(value, "item") else str(value)


if __name__ == "__main__":
    request = json.load(sys.stdin)
    folder = request["folder"]
    if request["base"]:
        folder = merge_adapters(folder, request["base"], request["auto_class"])
    outputs = OUTPUTS_OF[request["task"]](folder, request["rows"], **request["reading"])
    print(json.dumps(outputs, default=plain))
