"""Too little memory makes micro-batches smaller, down to one row."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from job.batching import Rows
from job.errors import OutOfMemory
from job.runtime.device import is_out_of_memory
from job.settings import Train
from job.stages.train.memory import TokenBudget
from job.stages.train.plan import Plan
from tests.faults.runs import settings
from tests.support.samples import ROOT


def plan_of(*lengths: int) -> Plan:
    return Plan(np.array(lengths), lambda rows, epoch: np.ones(len(rows), np.float32), Train(), 1)


def test_memory_errors_are_known_and_limits_end_at_one_row() -> None:
    error = RuntimeError(
        "DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes"
    )
    assert is_out_of_memory(error)
    assert is_out_of_memory(MemoryError())
    assert not is_out_of_memory(RuntimeError("shapes"))
    plan = plan_of(3, 40)
    budget = TokenBudget(100, plan)
    budget.halve(error)
    assert budget.tokens == 50
    budget.halve(error)
    assert budget.tokens == 40
    with pytest.raises(OutOfMemory, match="one row of 40 tokens"):
        budget.halve(error)


@pytest.mark.slow
def test_too_little_memory_makes_micro_batches_smaller(tmp_path: Path) -> None:
    """RLIMIT_AS, set when training begins to what the process has and a little more."""
    env = settings(tmp_path, str(tmp_path / "store"), "m", TRAIN__MAX_STEPS="3")
    env |= {"FINETUNE_TRAIN__BATCH_SIZE": "200", "FINETUNE_EVALUATE__EVERY_STEPS": "9"}
    config = {"model_type": "bert", "hidden_size": 32, "intermediate_size": 8192}
    config |= {"num_hidden_layers": 2, "num_attention_heads": 2, "max_position_embeddings": 64}
    env |= {
        "FINETUNE_MODEL__CONFIG": json.dumps(config),
        "FINETUNE_MODEL__TOKENIZER": env.pop("FINETUNE_MODEL__NAME"),
    }
    program = (
        "import resource; from job.stages.train.loop import TrainLoop\n"
        "run = TrainLoop.run\n"
        "def limited(self):\n"
        "    size = int(open('/proc/self/statm').read().split()[0]) * resource.getpagesize()\n"
        f"    resource.setrlimit(resource.RLIMIT_AS, (size + {400 * 2**20}, -1))\n"
        "    try: run(self)\n"
        "    finally: resource.setrlimit(resource.RLIMIT_AS, (-1, -1))\n"
        "TrainLoop.run = limited\n"
        "from job.commands.worker import work; work('outcome.json', 'run', [])"
    )
    clean = {k: v for k, v in os.environ.items() if not k.startswith("FINETUNE_")}
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={**clean, **env, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "MALLOC_ARENA_MAX": "1"},
        cwd=tmp_path, capture_output=True, text=True, timeout=100, check=False,
    )  # fmt: skip
    assert resource.getrlimit(resource.RLIMIT_AS)[0] == resource.RLIM_INFINITY
    assert done.returncode == 0, done.stderr
    assert "micro-batches are made smaller" in done.stderr


def test_a_budget_is_halved_until_the_largest_micro_batch_fits() -> None:
    plan = plan_of(3, 10, 10, 9)
    tried: list[list[int]] = []

    def trial(rows: Rows) -> None:
        tried.append(sorted(rows.tolist()))
        if len(rows) > 1:
            raise MemoryError

    budget = TokenBudget(40, plan)
    budget.fit(trial)
    assert tried == [[0, 1, 2, 3], [1, 2], [1]]
    assert budget.tokens == 10
