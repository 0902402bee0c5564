"""Directories of jobs that an engine can run, with a callback that tells what became of their processes."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from hydrantic import Ended, Engine
from tests.projects import DIGITS, project, write

SHELF = """
    import json, os, random, signal, sys, time
    import numpy, torch
    from lightning.pytorch import Callback
    from hydrantic import register_callback

    @register_callback("witness")
    class Witness(Callback):
        def __init__(self, run_dir, does: str = "nothing") -> None:
            self.run_dir, self.does = run_dir, does
            self.drawn = [random.random(), numpy.random.random()]

        def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
            if self.does == "deaf":
                signal.signal(signal.SIGTERM, signal.SIG_IGN)
            witness = self.run_dir / "witness.json"
            if not witness.exists():
                process = {"pid": os.getpid(), "session": os.getsid(0), "argv": sys.argv, "cwd": os.getcwd()}
                seen = {"gpus": os.environ.get("CUDA_VISIBLE_DEVICES"), "threads": torch.get_num_threads()}
                part = witness.with_suffix(f".{os.getpid()}")  # another process may be about to write it too
                part.write_text(json.dumps({**process, **seen, "drawn": self.drawn}))
                part.rename(witness)
            if self.does == "raise":
                raise RuntimeError("it exploded")
            if self.does == "crash":
                os.kill(os.getpid(), signal.SIGKILL)
            if self.does in {"linger", "deaf"} and not (self.run_dir / "go").exists():
                time.sleep(0.05)
"""

LINGER = DIGITS.replace("max_epochs: 1", "max_epochs: 60") + "callbacks: {witness: {does: linger}}\n"
"""A blueprint that takes over a minute, or seconds once its directory holds a file `go`."""

DEAF = LINGER.replace("linger", "deaf")
"""The same, which no signal stops but the one that kills."""


SEARCH = (
    DIGITS.replace("max_epochs: 1", "max_epochs: 2")
    + """
objective: {metric: validation/accuracy, mode: max}
sweep:
  name: optuna
  n_trials: 3
  sampler: {name: random, seed: 6}
  pruner: {name: median, n_startup_trials: 1}
  params: {optimizer.lr: "choice(1e-2, 1e-9)"}
"""
)
"""A study that gives hopeless trials up; it knows of them only from others."""


def does(what: str) -> str:
    """A blueprint whose first batch ends so."""
    return f"{DIGITS}callbacks: {{witness: {{does: {what}}}}}\n"


def home(folder: Path) -> Path:
    """A project with the callback; its path has a space and an umlaut."""
    return project(folder / "mein Projekt ü", parts=SHELF).root or folder


def job(home: Path, number: int, text: str = does("nothing")) -> Path:
    """The directory of a job."""
    directory = home / "runs" / "a" / "sweep-1" / str(number)
    write(directory / "blueprint.yaml", f"name: a\nseed: {number}\n{text}")
    order = {"number": number, "overrides": [], "sweep": "sweep-1", "project": str(home), "test": False}
    write(directory / "job.json", json.dumps(order | {"report": None, "threads": None}))
    return directory


def all_ended(engine: Engine, number: int, seconds: float = 120) -> dict[str, Ended]:
    """The ends of so many jobs, by the name of their directories."""
    over: list[Ended] = []
    until = time.monotonic() + seconds
    while len(over) < number and time.monotonic() < until:
        over += engine.ended(0.5)
    assert len(over) == number
    return {each.job.name: each for each in over}


def run_all(engine: Engine, jobs: Sequence[Path]) -> dict[str, Ended]:
    """Run jobs, as many at a time as the engine takes."""
    over: dict[str, Ended] = {}
    waiting = list(jobs)
    at_once = engine.capacity or len(waiting)
    while waiting:
        now, waiting = waiting[:at_once], waiting[at_once:]
        assert len(engine.start(now)) == len(now)
        over |= all_ended(engine, len(now))
    return over


def eventually(condition: Callable[[], object], seconds: float = 60) -> None:
    """Wait for what another process does."""
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, "it never came about"
        time.sleep(0.02)


def begun(directory: Path) -> dict[str, Any]:
    """What a job tells of its process, once it trains."""
    eventually((directory / "witness.json").exists)
    return witness(directory)


def witness(directory: Path) -> dict[str, Any]:
    """What a job has told of its process."""
    told: dict[str, Any] = json.loads((directory / "witness.json").read_text("utf-8"))
    return told


def record(directory: Path) -> dict[str, Any]:
    """A job's own record."""
    fields: dict[str, Any] = json.loads((directory / "run.json").read_text("utf-8"))
    return fields


def is_alive(process: int) -> bool:
    """Whether a process runs; one that has ended and that nobody has asked about does not."""
    try:
        state = Path(f"/proc/{process}/stat").read_text("utf-8").rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"
