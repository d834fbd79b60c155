"""transformers and the Hub's client, imported when they are needed, and silent from then on.

Whatever in the job needs one of them at run time takes it from here, so that nobody has to remember
to turn off their advice and progress bars. Importing transformers takes seconds: it imports torch.
"""

from __future__ import annotations

from functools import cache
from typing import Any


@cache
def transformers() -> Any:
    """The library, without its advice and progress bars, nor those of the Hub's client below it."""
    import transformers as library

    hub()
    library.logging.set_verbosity_error()
    library.logging.disable_progress_bar()
    return library


@cache
def hub() -> Any:
    """huggingface_hub, without progress bars."""
    import huggingface_hub as library
    from huggingface_hub.utils.tqdm import disable_progress_bars

    disable_progress_bars()
    return library
