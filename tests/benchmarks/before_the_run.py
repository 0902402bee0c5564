"""What a person waits for before anything runs, beside LightningCLI and applications of Hydra, in turn, as ratios.

    pip install -e '.[benchmark]' -c constraints.txt      LightningCLI needs jsonargparse
    python tests/benchmarks/before_the_run.py [--runs 5]

Every figure is the median time of a whole process on one thread; the peers answer the question that comes nearest. The
first two rows say what the manifest costs when it has to be made.
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
PEERS = HERE / "peers"
MLP = str(ROOT / "blueprints" / "mlp.yaml")
MISTAKEN = str(ROOT / "tests" / "goldens" / "field_unknown.yaml")

Command = tuple[str, ...]


def _hydrantic(*words: str) -> Command:
    return (sys.executable, "-m", "hydrantic", *words)


def _peer(file: str, *words: str) -> Command:
    return (sys.executable, str(PEERS / file), *words)


CLI_CONFIG = ("fit", "--config", str(PEERS / "cli.yaml"), "--print_config")
CLI_MISTAKEN = ("fit", "--config", str(PEERS / "cli_mistaken.yaml"))
ROWS: tuple[tuple[str, Command, Command, Command, Command], ...] = (
    ("--help", _hydrantic("--help"), _peer("with_lightning_cli.py", "--help"), _peer("with_hydra.py", "--help"),
     _peer("with_lean_hydra.py", "--help")),
    ("list", _hydrantic("list"), _peer("with_lightning_cli.py", "fit", "--help"), _peer("with_hydra.py", "--info"),
     _peer("with_lean_hydra.py", "--info")),
    ("describe model mlp", _hydrantic("describe", "model", "mlp"),
     _peer("with_lightning_cli.py", "fit", "--help"), _peer("with_hydra.py", "--help"),
     _peer("with_lean_hydra.py", "--help")),
    ("check mlp.yaml", _hydrantic("check", MLP), _peer("with_lightning_cli.py", *CLI_CONFIG),
     _peer("with_hydra.py", "--cfg", "job"), _peer("with_lean_hydra.py", "--cfg", "job")),
    ("check, with mistakes", _hydrantic("check", MISTAKEN), _peer("with_lightning_cli.py", *CLI_MISTAKEN),
     _peer("with_hydra.py", "model.hiden=1"), _peer("with_lean_hydra.py", "model.hiden=1")),
    ("show mlp.yaml", _hydrantic("show", MLP), _peer("with_lightning_cli.py", *CLI_CONFIG),
     _peer("with_hydra.py", "--cfg", "job", "--resolve"), _peer("with_lean_hydra.py", "--cfg", "job", "--resolve")),
    ("explain model.dropout", _hydrantic("explain", MLP, "model.dropout"), _peer("with_lightning_cli.py", *CLI_CONFIG),
     _peer("with_hydra.py", "--info", "config"), _peer("with_lean_hydra.py", "--info", "config")),
    ("schema", _hydrantic("schema", "-o", "-"), _peer("with_lightning_cli.py", *CLI_CONFIG),
     _peer("with_hydra.py", "--cfg", "all"), _peer("with_lean_hydra.py", "--cfg", "all")),
)  # fmt: skip
"""What is asked, of hydrantic, of LightningCLI, of Hydra with torch at the top, and of Hydra without."""


def main() -> None:
    """Measure, and print a table."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--runs", type=int, default=5, help="how often each is measured")
    runs = options.parse_args().runs
    print(f"Python {platform.python_version()}, {os.cpu_count()} cores, one thread, {runs} runs in turn; seconds\n")
    with tempfile.TemporaryDirectory() as folder:
        _manifest(Path(folder))
        print(f"\n{'':24}{'hydrantic':>10}{'LightningCLI':>22}{'Hydra, torch':>20}{'Hydra alone':>20}")
        for name, *commands in ROWS:
            _row(name, commands, Path(folder), runs)


def _manifest(folder: Path) -> None:
    made, kept = (_seconds(_hydrantic("list"), folder) for _ in range(2))
    print(f"{'list, manifest made':24}{made:>10.2f}\n{'list, manifest kept':24}{kept:>10.2f}")


def _row(name: str, commands: Sequence[Command], folder: Path, runs: int) -> None:
    for command in commands:
        _seconds(command, folder)
    times = [[_seconds(command, folder) for command in commands] for _ in range(runs)]
    ours = [each[0] for each in times]
    text = f"{name:24}{statistics.median(ours):>10.3f}"
    for peer, width in zip(range(1, len(commands)), (22, 20, 20), strict=True):
        theirs = statistics.median(each[peer] for each in times)
        ratio = statistics.median(each[0] / each[peer] for each in times)
        text += f"{f'{theirs:.2f}  ratio {ratio:.3f}':>{width}}"
    print(text, flush=True)


def _seconds(command: Command, folder: Path) -> float:
    unset = ("HYDRANTIC", "PYTHONDONTWRITEBYTECODE")  # modules are compiled once, as those of installed packages are
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(unset)}
    paths = {"PYTHONPATH": str(ROOT), "HYDRANTIC_CACHE": str(folder / "cache"), "OMP_NUM_THREADS": "1"}
    began = time.perf_counter()
    subprocess.run(command, cwd=folder, env=inherited | paths, check=False, capture_output=True)
    return time.perf_counter() - began


if __name__ == "__main__":
    main()
