"""DATA, CLEAN and ENCODE: where rows come from and what is done to them before training."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, ConfigDict, Field

from job.errors import SettingsError
from job.settings.sections.base import Inherited, Section
from job.uris import Uri

Format = Literal[
    "auto", "csv", "tsv", "json", "jsonl", "text", "parquet", "arrow", "conll", "squad", "pickle"
]
Fraction = Annotated[float, Field(ge=0, lt=1)]


class Source(Section):
    """One place that rows come from."""

    uri: Annotated[Uri, Field(min_length=1)]
    """s3://, https://, hf:// or a path; may hold a glob (`*`, `**`, `?`), or end in `/` for all below it."""

    weight: Annotated[float, Field(gt=0, le=100)] = 1.0
    """How often an epoch has each of its training rows; 0.5 keeps every second one, chosen by hash."""


def _sources(value: Any) -> Any:
    """Accept one URI, one source or a list of either, and refuse a URI that nothing can read."""
    items = value if isinstance(value, (list, tuple)) else [value]
    sources = [{"uri": item} if isinstance(item, (str, Uri)) else item for item in items]
    for source in sources:
        uri = source.get("uri") if isinstance(source, dict) else None
        if isinstance(uri, (str, Uri)):
            try:
                Uri.of(uri).check()
            except SettingsError as error:
                raise ValueError(str(error)) from None
    return sources


Sources = Annotated[
    tuple[Source, ...],
    BeforeValidator(_sources, json_schema_input_type=str | Source | list[str | Source]),
]


def listed(value: Any) -> Any:
    """Accept `a, b, c` where a list of names is wanted."""
    return tuple(name.strip() for name in value.split(",")) if isinstance(value, str) else value


Names = Annotated[tuple[str, ...], BeforeValidator(listed, json_schema_input_type=str | list[str])]


class Columns(Section):
    """Which column plays which role of the task; by default the one named like the role.

    A dot reaches into a column of objects, as in `translation.en`. The columns of a conll file are
    numbered from 1.
    """

    model_config = ConfigDict(coerce_numbers_to_str=True)

    text: str = "text"
    """The text, or the first of a pair."""

    text_pair: str | None = None
    """The second text of a pair."""

    label: str = "label"
    """The class, a list of classes (multi-label), or a number (regression)."""

    tokens: str = "tokens"
    """For token-classification: the words of a sentence, as a list; in conll files a column's number, by default the first."""

    tags: str = "tags"
    """For token-classification: the tag of each word, as a list; in conll files a column's number, by default the last."""

    question: str = "question"
    """For question-answering: what is asked."""

    context: str = "context"
    """For question-answering: the text that holds the answer."""

    answers: str = "answers"
    """For question-answering: {"text": […], "answer_start": […]}, in characters; empty lists for no answer."""

    source: str = "source"
    """For summarization and translation: the text that is read."""

    target: str = "target"
    """For summarization and translation: the text to be written."""

    prompt: str | None = None
    """For text-generation: what the model is given."""

    completion: str | None = None
    """For text-generation: what it learns to answer to the prompt."""

    messages: str | None = None
    """For text-generation: a chat, as a list of {"role": …, "content": …}; its last answer is learned."""


class Data(Section):
    """Where the rows come from and how they are split."""

    train: Sources = ()
    """Training rows: a URI, a glob, or a JSON list of them; `{"uri": …, "weight": 2}` gives a weight."""

    validation: Sources = ()
    """Rows that select the best checkpoint; held out of the training rows if not given."""

    test: Sources = ()
    """Rows that are scored once, at the end; held out of the training rows if not given."""

    train_target: Sources = ()
    """For two parallel text files: the file of targets for each file of `train`, line by line."""

    validation_target: Sources = ()
    """The file of targets for each file of `validation`, line by line."""

    test_target: Sources = ()
    """The file of targets for each file of `test`, line by line."""

    format: Format = "auto"
    """The files' format; `auto` goes by the name, leaving out `.gz`, `.bz2`, `.xz`, `.zst` and `.zip`."""

    columns: Columns = Columns()
    """The column of each role of the task."""

    column_names: Names = ()
    """The columns of csv and tsv files without a header line, and of conll files, in order."""

    delimiter: Annotated[str, Field(min_length=1, max_length=1)] | None = None
    """What separates columns; by default a comma in csv files and a tab in tsv files."""

    quoting: bool | None = None
    """Whether `"` encloses a field; by default it does in csv files and not in tsv files."""

    escape: Annotated[str, Field(min_length=1, max_length=1)] | None = None
    """What makes the next character of a csv or tsv file plain text, such as the backslash that Spark and MySQL write before a quote; by default a quote is doubled."""

    encoding: str = "utf-8"
    """The text files' encoding; a byte-order mark wins over it."""

    validation_fraction: Fraction = 0.1
    """The fraction of the training rows held out by hash if no validation rows are given; 0 holds out none."""

    test_fraction: Fraction = 0.1
    """The fraction of the training rows held out by hash if no test rows are given; 0 holds out none."""

    split_by: str | None = None
    """A column, such as an author or a document; rows with equal values in it stay in one split."""

    tag_scheme: Annotated[Literal["auto", "iob2", "bioes", "none"], Inherited] = "auto"
    """For token-classification: how tags mark entities; `auto` is BIOES where there is an E- or S-; letters without types, as in B, I, O, mark entities of one type, `_`; `none` is for tags without entities, such as parts of speech."""

    max_bad_fraction: Fraction = 0.01
    """The fraction of a split's rows that may be unreadable before the run fails."""

    max_row_bytes: Annotated[int, Field(ge=1024)] = 16 << 20
    """The most that one row may take (characters in text files); a file with a longer one is refused."""

    max_batch_bytes: Annotated[int, Field(ge=1 << 20)] = 512 << 20
    """The most that one record batch of an Arrow file may take in memory; a file with a larger one is refused."""

    max_columns: Annotated[int, Field(ge=1)] = 10_000
    """The most columns that one file may have."""

    max_expansion: Annotated[float, Field(ge=1)] = 200
    """How many times its size a file may become, once unpacked and once it is rows; 256 MiB is always allowed."""

    redirect_hosts: Names = ("*.huggingface.co", "*.hf.co", "*.githubusercontent.com")
    """The servers that a web server may send a download on to, besides itself; `*.` stands for any name below a domain. https never becomes http."""

    follow_links: bool = False
    """Whether symbolic links may lead out of a data folder, as those of DVC and of the Hub's cache do."""

    allow_pickle: bool = False
    """Whether pickle files may be read; whoever wrote one can run any program in this job."""


class Clean(Section):
    """What is done to the rows before they are tokenized, in this order."""

    rename: dict[str, str] = Field(default_factory=dict)
    """New names of columns, as a JSON object from the old name to the new one."""

    derive: dict[str, str] = Field(default_factory=dict)
    """New columns, each by a sandboxed Jinja template over the others: `{"text": "{{title}} {{body}}"}`."""

    unique: Names = ()
    """Columns in which a repeated value ends the run; for identifiers."""

    unescape_html: Annotated[bool, Inherited] = False
    """Turn `&amp;` and the like into the characters they stand for."""

    lowercase: Annotated[bool, Inherited] = False
    """Lower-case the text roles; an uncased tokenizer does so by itself."""

    normalize_unicode: Annotated[Literal["NFC", "NFKC", "NFD", "NFKD"] | None, Inherited] = None
    """A Unicode normal form for the text roles."""

    strip: Annotated[bool, Inherited] = True
    """Remove white space around the text roles."""

    drop_empty: bool = True
    """Drop rows whose text is empty; otherwise they are trained on."""

    deduplicate: bool = False
    """Keep the first of the rows whose text roles are equal up to case and white space."""

    min_words: Annotated[int, Field(ge=0)] = 0
    """Drop rows with fewer words in the text role; words are what white space separates."""

    max_words: Annotated[int, Field(ge=1)] | None = None
    """Drop rows with more words in the text role."""

    sample: Annotated[float, Field(gt=0)] | None = None
    """Train on this many rows (1 or more), or on this fraction of them (below 1), drawn by the seed."""

    sort_by: str | None = None
    """Write the rows of each split in the order of this column; a leading `-` reverses it."""


class Encode(Section):
    """How rows become tokens."""

    max_length: Annotated[Annotated[int, Field(ge=2)] | None, Inherited] = None
    """The most tokens a row may have, special ones included; longer rows are cut and counted. Default: the model's, at most 512."""

    padding: Literal["dynamic", "max_length"] = "dynamic"
    """Pad to the longest row of a micro-batch, or always to max_length, for devices that need a single shape."""

    pad_to_multiple_of: Annotated[int, Field(ge=1)] = 1
    """Round padded lengths up to a multiple, such as 8 for tensor cores."""

    stride: Annotated[Annotated[int, Field(ge=0)] | None, Inherited] = None
    """For token-classification and question-answering: tokens that the windows of a long row share. Default: a quarter of max_length, at most 128."""

    label_all_pieces: Annotated[bool, Inherited] = False
    """For token-classification: give a word's tag to all of its tokens, not only to the first."""

    max_target_length: Annotated[Annotated[int, Field(ge=2)] | None, Inherited] = None
    """For summarization and translation: the most tokens a target may have, special ones included. Default: 128, or max_length where that is less."""

    prefix: Annotated[str, Inherited] = ""
    """For summarization and translation: what is put before each source, such as T5's `summarize: `."""

    source_language: Annotated[str | None, Inherited] = None
    """For models of several languages (mBART, NLLB): the source's, as the tokenizer writes it, such as eng_Latn."""

    target_language: Annotated[str | None, Inherited] = None
    """For models of several languages: the target's; generation begins with it."""

    obey_special_tokens: Annotated[bool, Inherited] = False
    """Obey special tokens that stand in the rows' texts, such as `</s>`, which ends a text; otherwise they are read as the characters they are written with. A chat template's own are always obeyed, and so are the masks to be filled in."""
