"""`hydrantic runs` over thousands of runs, beside reading their files by hand, as ratios.

    python tests/benchmarks/after_the_fit.py [--count 5000] [--runs 5]

Both read how each run stands, its resolved blueprint and its metrics, keep those with `optimizer.lr>1e-3`, and print
the ten with the best validation loss. By hand that is json.load of `run.json` and yaml.load of `blueprint.yaml`, with
PyYAML's C loader, in a process of its own; with its loader in Python, which safe_load takes, every twentieth run is
read. `cold` is with the files out of the system's cache, `warm` once they are there.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
SAMPLED: Final = 20

BY_HAND: Final = """
import json, sys, yaml
from pathlib import Path
loader = getattr(yaml, sys.argv[2])
found = []
for record in sorted(Path(sys.argv[1]).glob("*/*/run.json"))[::int(sys.argv[3])]:
    fields = json.loads(record.read_text())
    blueprint = yaml.load((record.parent / "blueprint.yaml").read_text(), loader)
    if float(blueprint["optimizer"]["lr"]) > 1e-3:
        found.append((fields["best_metrics"]["validation/loss"], record.parent.name, blueprint["optimizer"]["lr"]))
for loss, name, lr in sorted(found)[:10]:
    print(name, lr, loss)
"""

BLUEPRINT: Final = """
data: digits
model: mlp
loss: cross_entropy
metrics: {accuracy: , f1: {average: macro}, top3: {name: accuracy, top_k: 3}}
scheduler: {name: cosine, T_max: "${trainer.max_epochs}"}
loggers: {}
trainer: {max_epochs: 1, enable_progress_bar: false}
"""


def main() -> None:
    """Measure, and print the figures."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--count", type=int, default=5000, help="how many runs there are")
    options.add_argument("--runs", type=int, default=5, help="how often each is measured")
    said = options.parse_args()
    print(f"Python {platform.python_version()}, {os.cpu_count()} cores, {said.count:,} runs, {said.runs} times each\n")
    with tempfile.TemporaryDirectory() as folder:
        runs = Path(folder) / "runs"
        make_runs(runs, said.count)
        ours = ("-m", "hydrantic", "runs", str(runs))
        _told(
            "runs, sorted and filtered, cold",
            [_seconds((*ours, *CHOSEN), runs, is_cold=True) for _ in range(said.runs)],
        )
        warm = _told("runs, sorted and filtered, warm", [_seconds((*ours, *CHOSEN), runs) for _ in range(said.runs)])
        _told("runs, the latest thirty, warm", [_seconds(ours, runs) for _ in range(said.runs)])
        _told("runs, all as JSON, warm", [_seconds((*ours, "--json"), runs) for _ in range(said.runs)])
        by_hand = _told(
            "by hand with the C loader, warm",
            [_seconds(_by_hand(runs, "CSafeLoader", 1), runs) for _ in range(said.runs)],
        )
        sampled = SAMPLED * _seconds(_by_hand(runs, "SafeLoader", SAMPLED), runs)
        print(f"\nby hand / hydrantic: {by_hand / warm:.0f} with the C loader, {sampled / warm:.0f} with safe_load")


CHOSEN: Final = ("--where", "optimizer.lr>1e-3", "--sort", "validation/loss", "-n", "10")


def _by_hand(runs: Path, loader: str, every: int) -> tuple[str, ...]:
    return ("-c", BY_HAND, str(runs), loader, str(every))


def make_runs(folder: Path, count: int) -> None:
    """Directories of runs like that of one which is fitted, each with values and metrics of its own."""
    blueprint = folder.parent / "digits.yaml"
    blueprint.write_text(BLUEPRINT)
    subprocess.run(
        [sys.executable, "-m", "hydrantic", "fit", str(blueprint), "--runs", str(folder.parent / "first")],
        check=True, capture_output=True, env=_environment(),
    )  # fmt: skip
    (first,) = (folder.parent / "first" / "digits").iterdir()
    record, text = json.loads((first / "run.json").read_text()), (first / "blueprint.yaml").read_text()
    draw = random.Random(0)
    for number in range(count):
        _make_run(folder / f"digits-{number % 20}" / f"{number:05}", _varied(record, draw, number), text)


def _varied(record: dict[str, Any], draw: random.Random, number: int) -> dict[str, Any]:
    rate = 10 ** draw.uniform(-5, -1)
    values = record["blueprint"] | {"optimizer": record["blueprint"]["optimizer"] | {"lr": rate}, "seed": number % 7}
    best = record["best_metrics"] | {"validation/loss": draw.random()}
    started = f"2026-{1 + number % 12:02}-{1 + number % 28:02}T{number % 24:02}:00:00.000Z"
    return record | {"blueprint": values, "best_metrics": best, "started": started}


def _make_run(folder: Path, record: dict[str, Any], text: str) -> None:
    (folder / "checkpoints").mkdir(parents=True)
    (folder / "run.json").write_text(json.dumps(record, indent=2))
    rate = record["blueprint"]["optimizer"]["lr"]
    lines = (f"  lr: {rate!r}" if line.startswith("  lr: ") else line for line in text.splitlines())
    (folder / "blueprint.yaml").write_text("\n".join(lines) + "\n")
    for name in ("metrics.csv", "log.txt"):
        (folder / name).write_text("\n" * 10)


def _files(runs: Path) -> Iterator[Path]:
    for name in ("run.json", "blueprint.yaml"):
        yield from runs.glob(f"*/*/{name}")


def _forget(runs: Path) -> None:
    """Have the system forget what the files hold."""
    os.sync()
    for file in _files(runs):
        descriptor = os.open(file, os.O_RDONLY)
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
        os.close(descriptor)


def _seconds(command: Sequence[str], runs: Path, *, is_cold: bool = False) -> float:
    if is_cold:
        _forget(runs)
    began = time.perf_counter()
    subprocess.run([sys.executable, *command], check=True, capture_output=True, env=_environment())
    return time.perf_counter() - began


def _environment() -> dict[str, str]:
    return os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}


def _told(what: str, seconds: Sequence[float]) -> float:
    median = statistics.median(seconds)
    print(f"{what:35} {median:6.2f} s  (from {min(seconds):.2f} to {max(seconds):.2f})")
    return median


if __name__ == "__main__":
    main()
