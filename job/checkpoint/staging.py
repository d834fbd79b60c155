"""Tensors copied into host memory fast, as torch.distributed.checkpoint plans them, and read back.

Each rank writes one safetensors file with its part of every tensor; the offsets are in the file's
header, where torch's own reader of sharded safetensors looks for them. So a checkpoint of any world
is loaded into any other, and nothing is ever unpickled.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch.distributed.checkpoint.hf_storage import HuggingFaceStorageReader
from torch.distributed.checkpoint.metadata import Metadata, MetadataIndex
from torch.distributed.checkpoint.planner import SavePlan, SavePlanner
from torch.distributed.checkpoint.state_dict_loader import load as load_planned
from torch.distributed.checkpoint.state_dict_saver import save as save_planned
from torch.distributed.checkpoint.storage import StorageWriter, WriteResult
from torch.futures import Future

if TYPE_CHECKING:
    from torch.distributed import ProcessGroup

OFFSETS = "DCP_SHARDING_INFO"
"""The header's entry that HuggingFaceStorageReader reads."""


class Staging(StorageWriter):
    """Copies this rank's part of the tensors into host buffers, which are kept for the next time.

    The copy is all that training waits for; `write` makes a file of it afterwards.
    """

    def __init__(self) -> None:
        self._buffers: dict[str, torch.Tensor] = {}
        self._offsets: dict[str, list[int]] = {}

    def copy(self, tensors: Mapping[str, torch.Tensor], group: ProcessGroup | None) -> None:
        """Copy the tensors as they are now; a collective over the group.

        Args:
            tensors: by name, the same names on every rank; ones that are not sharded are the same on
                every rank too.
            group: None in a world of one.
        """
        with _in_one_process():
            save_planned(
                dict(tensors), storage_writer=self, process_group=group, no_dist=group is None
            )

    def write(self, path: Path) -> None:
        """Write what was copied as a safetensors file."""
        from safetensors.torch import save_file

        header = {name: {"saved_offsets": offsets} for name, offsets in self._offsets.items()}
        metadata = {"format": "pt", OFFSETS: json.dumps(header)}
        save_file({name: self._buffers[name] for name in self._offsets}, path, metadata)

    # -- what torch calls ------------------------------------------------------------------------

    def reset(self, checkpoint_id: Any = None) -> None:
        """Forget which tensors were copied, and keep their memory."""
        self._offsets = {}

    def set_up_storage_writer(self, is_coordinator: bool, *args: Any, **kwargs: Any) -> None:
        """There is nothing to set up."""

    def prepare_local_plan(self, plan: SavePlan) -> SavePlan:
        """The plan as it is."""
        return plan

    def prepare_global_plan(self, plans: list[SavePlan]) -> list[SavePlan]:
        """The plans as they are."""
        return plans

    def write_data(self, plan: SavePlan, planner: SavePlanner) -> Future[list[WriteResult]]:
        """Copy this rank's part."""
        results = []
        for item in plan.items:
            name = item.index.fqn
            data = planner.resolve_data(item)
            assert isinstance(data, torch.Tensor)
            data = data.detach()
            buffer = self._buffers.get(name)
            if buffer is None or buffer.shape != data.shape or buffer.dtype != data.dtype:
                buffer = self._buffers[name] = torch.empty_like(
                    data, device="cpu", memory_format=torch.contiguous_format
                )
            _copy(data, buffer)
            assert item.tensor_data is not None
            self._offsets[name] = list(item.tensor_data.chunk.offsets)
            index = MetadataIndex(name, item.tensor_data.chunk.offsets)
            results.append(WriteResult(index, buffer.nbytes, None))
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        done: Future[list[WriteResult]] = Future()
        done.set_result(results)
        return done

    def finish(self, metadata: Metadata, results: list[list[WriteResult]]) -> None:
        """Nothing is left to do: the manifest is written when all files are in the store."""

    @classmethod
    def validate_checkpoint_id(cls, checkpoint_id: Any) -> bool:
        """Any is valid, since none is used."""
        return True


def _copy(data: torch.Tensor, buffer: torch.Tensor) -> None:
    """Copy a tensor; on a CPU as bytes and in one thread, since where the other cores are busy
    several threads wait for each other, tensor by tensor."""
    if data.device.type != "cpu" or not data.is_contiguous():
        buffer.copy_(data, non_blocking=True)
        return
    source, target = (t.reshape(-1).view(torch.uint8).numpy() for t in (data, buffer))
    target[:] = source


def names(folder: Path) -> set[str]:
    """The names of the tensors in a folder of such files."""
    return set(HuggingFaceStorageReader(str(folder)).read_metadata().state_dict_metadata)


def load(folder: Path, tensors: Mapping[str, torch.Tensor]) -> None:
    """Fill the tensors, or this rank's part of them, from the files in a folder."""
    reader = HuggingFaceStorageReader(str(folder))
    with _in_one_process():
        load_planned(dict(tensors), storage_reader=reader, no_dist=True)


@contextmanager
def _in_one_process() -> Iterator[None]:
    """Silence torch's warning that it runs in a single process: that is meant."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*torch.distributed is disabled.*")
        yield
