"""Sweeps beside Hydra's own launcher, in turn, as ratios; and what it costs to compose, plan and write 1,000 jobs.

    python tests/benchmarks/sweeps.py [--runs 3] [--jobs 16 64] [--planned 1000]

Both fit the same tiny network to the digits and keep the same files: Hydra's basic launcher one job after the other in
one process, hydrantic each job in a process of its own, as many at a time as there are cores.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
BLUEPRINT = HERE / "project" / "blueprints" / "sweeping.yaml"
OVERRIDE = "seed=range(0,{jobs})"

PLANNING = """
import json, resource, sys, time
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
from pathlib import Path
from hydrantic.project import Project
from hydrantic.sweeping.drafts import Order, drafted
from hydrantic.sweeping.running import JobFolders
from hydrantic.sweeping.view import View
blueprint, runs, override = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]
draft = drafted(Order(blueprint, (override,), Project.find().open(), runs))
directory = draft.directory()
directory.mkdir(parents=True)
began, memory = time.perf_counter(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
with View() as view:
    jobs = draft.jobs(view)
folders = JobFolders(directory, draft.order.project, True)
for job in jobs:
    folders.make(job)
seconds = time.perf_counter() - began
grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - memory
print(json.dumps({"jobs": len(jobs), "seconds": seconds, "kilobytes": grown, "torch": "torch" in sys.modules}))
"""

COMPOSING = """
import json, resource, sys, time
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf
with initialize_config_dir(sys.argv[1], version_base="1.3"):
    compose("sweeping", overrides=["seed=0"])
    began, memory = time.perf_counter(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    texts = [OmegaConf.to_yaml(compose("sweeping", overrides=[f"seed={n}"])) for n in range(int(sys.argv[2]))]
    seconds = time.perf_counter() - began
grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - memory
print(json.dumps({"jobs": len(texts), "seconds": seconds, "kilobytes": grown}))
"""


def main() -> None:
    """Measure, and print the figures."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--runs", type=int, default=3, help="how often each sweep is measured")
    options.add_argument("--jobs", type=int, nargs="*", default=[16, 64], help="how many jobs a sweep has")
    options.add_argument("--planned", type=int, default=1000, help="how many jobs are composed, planned and written")
    said = options.parse_args()
    print(f"Python {platform.python_version()}, {os.cpu_count()} cores, one thread a job, {said.runs} runs in turn\n")
    with tempfile.TemporaryDirectory() as folder:
        _warm_up(Path(folder))
        for jobs in said.jobs:
            _sweeps(jobs, said.runs, Path(folder))
        _planning(said.planned, Path(folder))


def _warm_up(folder: Path) -> None:
    _seconds(("-m", "hydrantic", "check", str(BLUEPRINT)), folder)


def _sweeps(jobs: int, runs: int, folder: Path) -> None:
    override = OVERRIDE.format(jobs=jobs)
    ours = ("-m", "hydrantic", "fit", str(BLUEPRINT), "-m", override, "--runs", str(folder / "runs"))
    theirs = (str(HERE / "peers" / "sweeping.py"), "-m", override, f"hydra.sweep.dir={folder / 'multirun'}")
    pairs = [(_seconds(ours, folder), _seconds(theirs, folder)) for _ in range(runs)]
    mine, peer = (statistics.median(column) for column in zip(*pairs, strict=True))
    ratio = statistics.median(one / other for one, other in pairs)
    print(f"{jobs:>5} fits: hydrantic {mine:.1f} s, Hydra's basic launcher {peer:.1f} s, ratio {ratio:.2f}", flush=True)


def _planning(jobs: int, folder: Path) -> None:
    planned = _told(PLANNING, folder, str(BLUEPRINT), str(folder / "planned"), OVERRIDE.format(jobs=jobs))
    composed = _told(COMPOSING, folder, str(HERE / "peers" / "conf"), str(jobs))
    assert planned["jobs"] == composed["jobs"] == jobs
    assert not planned["torch"]
    for name, found in (("hydrantic: compose, plan, write", planned), ("Hydra: compose alone", composed)):
        each = f"{1000 * found['seconds'] / jobs:.2f} ms and {found['kilobytes'] / jobs:.1f} KiB"
        print(f"{jobs:>5} jobs, {name}: {each} a job")


def _told(program: str, folder: Path, *arguments: str) -> dict[str, float]:
    done = subprocess.run(
        [sys.executable, "-c", program, *arguments], cwd=folder, env=_environment(folder), check=True,
        stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    told: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return told


def _seconds(words: tuple[str, ...], folder: Path) -> float:
    began = time.perf_counter()
    done = subprocess.run(
        [sys.executable, *words], cwd=folder, env=_environment(folder), check=False, capture_output=True, text=True
    )
    if done.returncode:
        sys.exit(f"{' '.join(words)} failed:\n{done.stdout}\n{done.stderr}")
    return time.perf_counter() - began


def _environment(folder: Path) -> dict[str, str]:
    unset = ("HYDRANTIC", "PYTHONDONTWRITEBYTECODE")  # modules are compiled once, as those of installed packages are
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(unset)}
    ours = {"PYTHONPATH": str(ROOT), "HYDRANTIC_CACHE": str(folder / "cache"), "OMP_NUM_THREADS": "1"}
    return inherited | ours | {"WANDB_MODE": "disabled"}


if __name__ == "__main__":
    main()
