"""Files of a dataset or model on the Hugging Face Hub; HF_ENDPOINT and HF_TOKEN are its own."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

from job.errors import Absent, Forbidden, JobError, SettingsError, StoreError, Unreachable
from job.store.base import Object
from job.store.keys import check_key
from job.store.local import OWN, os_errors, replacing
from job.uris import Uri

T = TypeVar("T")


class HubReader:
    """The files of one repository at one revision.

    The identity of a file is the commit that its revision names and its path: a push renews all of
    the repository's files, and `download` with an identity reads from that very commit.

    Args:
        repo: `organization/name`.
        kind: "dataset" or "model".
        revision: a branch, tag or commit; None is the default branch.
        endpoint: the Hub's address; None is HF_ENDPOINT.
    """

    def __init__(
        self,
        repo: str,
        kind: str = "dataset",
        revision: str | None = None,
        *,
        endpoint: str | None = None,
    ) -> None:
        self.repo = repo
        self.kind = kind
        self.revision = revision
        self._endpoint = endpoint
        at = f"@{revision}" if revision else ""
        self.uri = Uri(f"hf://{'datasets/' if kind == 'dataset' else ''}{repo}{at}")

    def list(self, prefix: str = "") -> Iterator[Object]:
        """Every file whose key begins with `prefix`, in the keys' byte order."""
        tree = self._call(
            lambda: [
                *self._api.list_repo_tree(
                    self.repo, recursive=True, revision=self._commit, repo_type=self.kind
                )
            ]
        )
        files = [(item.path, item.size) for item in tree if hasattr(item, "size")]
        for path, size in sorted(files, key=lambda file: file[0].encode()):
            if path.startswith(prefix):
                yield self._object(path, size)

    def stat(self, key: str) -> Object:
        """The file's size in bytes and identity."""
        check_key(key)
        entries = self._call(
            lambda: self._api.get_paths_info(
                self.repo, [key], revision=self._commit, repo_type=self.kind
            )
        )
        for item in entries:
            if item.path == key and hasattr(item, "size"):
                return self._object(key, item.size)
        raise Absent(f"{self.uri}/{key}: no such file")

    def get(self, key: str) -> bytes:
        """The file's content."""
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "file")
            self.download(key, path)
            return path.read_bytes()

    def download(self, key: str, path: Path, *, identity: str | None = None) -> None:
        """Copy the file to `path`, replacing it whole.

        Raises:
            Absent: there is no such file, or the commit of `identity` is gone.
        """
        check_key(key)
        commit = identity.partition(":")[0] if identity else self._commit
        path.parent.mkdir(parents=True, exist_ok=True)
        # not into the Hub's cache, which would hold every byte a second time
        with tempfile.TemporaryDirectory(dir=path.parent, prefix=f"{OWN}hub") as folder:
            local = self._call(
                lambda: self._api.hf_hub_download(
                    self.repo, key, revision=commit, repo_type=self.kind, local_dir=folder
                )
            )
            with os_errors(str(path)), replacing(path) as name:
                Path(local).replace(name)

    @cached_property
    def _api(self) -> Any:
        from huggingface_hub import HfApi

        return HfApi(endpoint=self._endpoint)

    @cached_property
    def _commit(self) -> str:
        """The commit that the revision names, asked for once: a run reads one state."""
        info = self._call(
            lambda: self._api.repo_info(self.repo, revision=self.revision, repo_type=self.kind)
        )
        return str(info.sha)

    def _object(self, path: str, size: int) -> Object:
        return Object(path, size, f"{self._commit}:{path}")

    def _call(self, work: Callable[[], T]) -> T:
        with hub_errors(str(self.uri)):
            return work()


@contextmanager
def hub_errors(what: str) -> Iterator[None]:
    """Turn the Hub client's errors into the store's.

    Raises:
        Absent, Forbidden, Unreachable, SettingsError, StoreError: as the Hub's answer says.
    """
    try:
        yield
    except JobError:
        raise
    except Exception as error:
        raise _translate(error, what) from error


def _translate(error: Exception, uri: str) -> JobError:
    from huggingface_hub import errors as hub

    text = f"{uri}: {str(error).strip().splitlines()[0] if str(error).strip() else repr(error)}"
    status = getattr(getattr(error, "response", None), "status_code", 0)
    access = "check HF_TOKEN, and that its owner has accepted the repository's terms"
    if isinstance(error, (hub.GatedRepoError, hub.DisabledRepoError)) or status == 403:
        return Forbidden(text, hint=access)
    if isinstance(error, hub.RepositoryNotFoundError):
        # the Hub answers 401 for what is private and for what does not exist
        return Absent(text, hint=f"check the name; if the repository is private, {access}")
    if status == 401:
        return Forbidden(text, hint=access)
    if isinstance(error, hub.HFValidationError):
        return SettingsError(text, hint="write hf://datasets/organization/name[@revision]/path")
    # hf_hub_download says LocalEntryNotFoundError when it could not ask the Hub at all
    if isinstance(error, hub.LocalEntryNotFoundError):
        return Unreachable(text, hint="check HF_ENDPOINT, HF_HUB_OFFLINE and the network")
    if isinstance(error, (hub.RevisionNotFoundError, hub.EntryNotFoundError)) or status == 404:
        return Absent(text)
    library = type(error).__module__.partition(".")[0]  # the Hub's client moves between the two
    if status in (0, 408, 429) and (isinstance(error, OSError) or library in ("httpx", "httpx2")):
        return Unreachable(text, hint="check HF_ENDPOINT, HF_HUB_OFFLINE and the network")
    return Unreachable(text) if status >= 500 else StoreError(text)
