"""Start-up and speed of hydrantic beside the same training written by hand with Lightning, in turn, as ratios.

    python tests/benchmarks/start_and_speed.py [--runs 5] [--epochs 20] [--quick]

Every figure is the median over the runs; a ratio below 1 means that hydrantic takes less time. It measures whole
processes on one thread: from their start to the end of `--help` or to the first optimizer step, and the time of an
epoch (training and validation) after the first.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
PROJECT = HERE / "project"
HYDRANTIC = (sys.executable, "-m", "hydrantic")

Figures = dict[str, float]


def main() -> None:
    """Measure, and print a table."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--runs", type=int, default=5, help="how often each is measured")
    options.add_argument("--epochs", type=int, default=20, help="epochs of a training on the digits")
    options.add_argument("--quick", action="store_true", help="leave out the larger data set")
    chosen = options.parse_args()
    print(f"Python {platform.python_version()}, {os.cpu_count()} cores, one thread, {chosen.runs} runs in turn\n")
    print(f"{'':44}{'hydrantic':>12}{'by hand':>12}{'ratio':>8}")
    with tempfile.TemporaryDirectory() as folder:
        _start(Path(folder), chosen.runs)
        _trainings(Path(folder), chosen.runs, chosen.epochs, quick=chosen.quick)


def _start(folder: Path, runs: int) -> None:
    importing = (sys.executable, "-c", "import lightning.pytorch")
    pairs = [(_seconds([*HYDRANTIC, "--help"], folder), _seconds(importing, folder)) for _ in range(runs + 1)][1:]
    _row("--help, beside importing Lightning", [a for a, _ in pairs], [b for _, b in pairs], "s")


def _trainings(folder: Path, runs: int, epochs: int, *, quick: bool) -> None:
    mlp = [str(ROOT / "blueprints" / "mlp.yaml"), "+callbacks.stopwatch=null", "trainer.accelerator=cpu"]
    _compare("mlp.yaml", "mlp", [*mlp, "loggers.wandb.mode=disabled"], folder, runs, epochs)
    offline = [*mlp, "loggers.wandb.mode=offline"]
    _compare("mlp.yaml, W&B offline", "mlp", offline, folder, runs, epochs, {"BENCHMARK_WANDB": "1"})
    for case in ("one", "five"):
        blueprint = str(PROJECT / "blueprints" / f"{case}.yaml")
        _compare(f"digits, {case} metric{'s' * (case == 'five')}", case, [blueprint], folder, runs, epochs)
    if quick:
        return
    table = _write_table(folder / "table.npz")
    for case in ("large_one", "large_five"):
        blueprint = str(PROJECT / "blueprints" / f"{case}.yaml")
        words = [blueprint, f"data.path={table}"]
        name = f"100,000 x 100, {case.removeprefix('large_')} metric{'s' * case.endswith('five')}"
        _compare(name, case, words, folder, max(2, runs // 2), 4, {"BENCHMARK_TABLE": str(table)})


def _compare(
    name: str, case: str, words: Sequence[str], folder: Path, runs: int, epochs: int,
    further: Mapping[str, str] | None = None,
) -> None:  # fmt: skip
    command = [*HYDRANTIC, "fit", *words, f"trainer.max_epochs={epochs}", "--project", str(PROJECT), "--no-test"]
    settings = {"BENCHMARK_CASE": case, "BENCHMARK_EPOCHS": str(epochs), **(further or {})}
    ours: list[Figures] = []
    theirs: list[Figures] = []
    for _ in range(runs):
        ours.append(_watch(command, folder, settings))
        by_hand = (sys.executable, str(HERE / "by_hand.py"))
        theirs.append(_watch(by_hand, folder, settings | {"BENCHMARK_BY_HAND": "1"}))
    _row(f"{name}: first step", [f["first_step"] for f in ours], [f["first_step"] for f in theirs], "s")
    _row(f"{name}: epoch", [f["epoch"] * 1e3 for f in ours], [f["epoch"] * 1e3 for f in theirs], "ms")
    a, b = (statistics.median(f["speed"] for f in figures) for figures in (ours, theirs))
    print(f"{'':4}{'training steps in a second of such an epoch':43}{a:>9.0f}{b:>12.0f}", flush=True)


def _row(name: str, ours: Sequence[float], theirs: Sequence[float], unit: str) -> None:
    ratio = statistics.median(a / b for a, b in zip(ours, theirs, strict=True))
    a, b = statistics.median(ours), statistics.median(theirs)
    print(f"{name:44}{a:>9.3g} {unit:2}{b:>9.3g} {unit:2}{ratio:>8.2f}", flush=True)


def _seconds(command: Sequence[str], folder: Path) -> float:
    began = time.perf_counter()
    subprocess.run(command, cwd=folder, env=_environment({}), check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - began


def _watch(command: Sequence[str], folder: Path, settings: Mapping[str, str]) -> Figures:
    runs = str(folder / "runs")
    environment = _environment({**settings, "BENCHMARK_BEGAN": repr(time.time()), "HYDRANTIC_RUNS": runs})
    done = subprocess.run(command, cwd=folder, env=environment, check=False, capture_output=True, text=True)
    found = re.search(r"STOPWATCH (\{.*\})", done.stdout)
    if found is None:
        raise SystemExit(f"{' '.join(command)} failed:\n{done.stderr[-2000:]}")
    told = json.loads(found[1])
    epoch = statistics.median(told["epochs"])
    return {"first_step": told["first_step"], "epoch": epoch, "speed": told["steps"] / epoch}


def _environment(further: Mapping[str, str]) -> dict[str, str]:
    # Without the last, modules are compiled once, as those of installed packages are.
    unset = ("WANDB", "HYDRANTIC", "PYTHONDONTWRITEBYTECODE")
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(unset)}
    return {**inherited, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", **further}


def _write_table(file: Path) -> Path:
    import numpy as np

    random = np.random.default_rng(0)
    inputs = random.standard_normal((100_000, 100), dtype=np.float32)
    scores = inputs @ random.standard_normal((100, 10), dtype=np.float32)
    np.savez(file, inputs=inputs, targets=scores.argmax(1).astype(np.int64))
    return file


if __name__ == "__main__":
    main()
