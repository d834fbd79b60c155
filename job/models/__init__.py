"""Models: their files found, their configs and tokenizers read, their weights loaded and saved.

Nothing else in the job uses transformers' Auto classes.
"""

from job.models.adapters import modules_of, save_adapter, without_adapters
from job.models.compatibility import check_fits
from job.models.config import label_names, load_config, max_length_of
from job.models.headers import check_weights, parameter_count, stored_count
from job.models.layers import first_layers
from job.models.locate import Place, find, from_config, in_use, version_in_use
from job.models.tokenizer import load_tokenizer, tokenizer_sha256, vocabulary_of
from job.models.weights import load, load_base, pad_as, save

__all__ = [
    "Place",
    "check_fits",
    "check_weights",
    "find",
    "first_layers",
    "from_config",
    "in_use",
    "label_names",
    "load",
    "load_base",
    "load_config",
    "load_tokenizer",
    "max_length_of",
    "modules_of",
    "pad_as",
    "parameter_count",
    "save",
    "save_adapter",
    "stored_count",
    "tokenizer_sha256",
    "version_in_use",
    "vocabulary_of",
    "without_adapters",
]
