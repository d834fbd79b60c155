"""finetune: a batch job that fine-tunes a Hugging Face model on data in object storage."""

__version__ = "0.1.0"
