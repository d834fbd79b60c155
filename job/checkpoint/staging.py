"""Tensors copied into host memory fast, in the pieces that torch.distributed.checkpoint plans, and read back.

Each rank writes one safetensors file with its part of every tensor; the offsets are in the file's
header, where torch's own reader of sharded safetensors looks for them. So a checkpoint of any world
is loaded into any other, and nothing is ever unpickled.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import torch
from torch.distributed.checkpoint.default_planner import DefaultSavePlanner
from torch.distributed.checkpoint.hf_storage import HuggingFaceStorageReader
from torch.distributed.checkpoint.planner import WriteItem
from torch.distributed.checkpoint.state_dict_loader import load as load_planned

from job.distributed.world import World

Key = tuple[str, tuple[int, ...]]
"""A tensor's name, and where in the tensor a piece of it begins."""
OFFSETS = "DCP_SHARDING_INFO"
"""The header's entry that HuggingFaceStorageReader reads."""


class Staging:
    """Copies this rank's part of the tensors into host buffers, which are kept for the next time.

    The copy is all that training waits for; `write` makes a file of it afterwards.
    """

    def __init__(self) -> None:
        self._buffers: dict[str, torch.Tensor] = {}
        self._offsets: dict[str, list[int]] = {}

    def copy(self, tensors: Mapping[str, torch.Tensor], world: World) -> None:
        """Copy the tensors as they are now; a collective of all ranks.

        Args:
            tensors: by name, the same names on every rank; ones that are not sharded are the same on
                every rank too.
        """
        planner = DefaultSavePlanner()
        planner.set_up_planner(dict(tensors), is_coordinator=world.first)
        held = [_Piece(item) for item in planner.create_local_plan().items]
        # told in JSON: torch's own save would have every rank unpickle the others' plans
        shares = divided(world.gather([piece.facts for piece in held]))
        self._offsets = {}
        for piece in held:
            if piece.key not in shares[world.rank]:
                continue
            data = planner.resolve_data(piece.item)
            assert isinstance(data, torch.Tensor)
            self._stage(piece, data.detach())
        if torch.cuda.is_available():
            torch.cuda.synchronize()

    def _stage(self, piece: _Piece, data: torch.Tensor) -> None:
        buffer = self._buffers.get(piece.name)
        if buffer is None or buffer.shape != data.shape or buffer.dtype != data.dtype:
            buffer = self._buffers[piece.name] = torch.empty_like(
                data, device="cpu", memory_format=torch.contiguous_format
            )
        _copy(data, buffer)
        self._offsets[piece.name] = piece.offsets

    def write(self, path: Path) -> None:
        """Write what was copied as a safetensors file."""
        from safetensors.torch import save_file

        header = {name: {"saved_offsets": offsets} for name, offsets in self._offsets.items()}
        metadata = {"format": "pt", OFFSETS: json.dumps(header)}
        save_file({name: self._buffers[name] for name in self._offsets}, path, metadata)


class _Piece:
    """A tensor, or this rank's shard of one, as torch plans to write it."""

    def __init__(self, item: WriteItem) -> None:
        assert item.tensor_data is not None
        self.item, self.name = item, item.index.fqn
        self.offsets = list(item.tensor_data.chunk.offsets)
        self.key: Key = (self.name, tuple(self.offsets))

    @property
    def facts(self) -> tuple[str, list[int], int]:
        """Name, offsets and bytes."""
        return self.name, self.offsets, self.item.tensor_storage_size() or 0


def divided(held: Sequence[Sequence[tuple[str, Sequence[int], int]]]) -> list[set[Key]]:
    """Which pieces each rank writes: of those that several hold, each is for the rank that has the
    least to write so far.

    Args:
        held: by rank, the name, offsets and bytes of each piece that it holds.
    """
    holders: dict[Key, list[int]] = {}
    sizes: dict[Key, int] = {}
    for rank, pieces in enumerate(held):
        for name, offsets, size in pieces:
            key = (name, tuple(offsets))
            holders.setdefault(key, []).append(rank)
            sizes[key] = size
    shares: list[set[Key]] = [set() for _ in held]
    loads = [0] * len(held)
    for key, ranks in holders.items():
        rank = min(ranks, key=lambda rank: loads[rank])
        shares[rank].add(key)
        loads[rank] += sizes[key]
    return shares


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
