"""A real Slurm on this machine, for as long as tests need it."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import pytest

HERE: Final = Path(__file__).parent
PROGRAMS: Final = ("slurmctld", "slurmd", "slurmdbd", "munged", "mariadbd", "mariadb-install-db", "sbatch", "sacct")
PACKAGES: Final = "slurmctld slurmd slurm-client munge slurmdbd mariadb-server"


@contextmanager
def cluster(folder: Path, cores: int = 2) -> Iterator[Path]:
    """Start Slurm's daemons in a folder and end them again; the path of their configuration.

    The test that asks for it is skipped where they are missing or cannot start.
    """
    if missing := [name for name in PROGRAMS if shutil.which(name) is None]:
        pytest.skip(f"Slurm is not installed ({', '.join(missing)}): apt-get install {PACKAGES}")
    if os.geteuid() != 0:
        pytest.skip("only root can start Slurm's daemons")
    try:
        _run("up.sh", str(folder), str(cores), str(_free_ports(4)))
        yield folder / "slurm.conf"
    except subprocess.CalledProcessError as error:
        pytest.skip(f"Slurm's daemons did not start: {error.stderr.strip().splitlines()[-1:]}")
    finally:
        _run("down.sh", str(folder))


def _run(script: str, *arguments: str) -> None:
    # Not the environment of a Slurm that the tests themselves may run under.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("SLURM_")}
    command = ["bash", str(HERE / script), *arguments]
    subprocess.run(command, env=environment, check=True, capture_output=True, text=True, timeout=180)


def _free_ports(number: int) -> int:
    """The first of so many neighbouring ports that nobody listens at."""
    for first in range(20000 + os.getpid() % 10000, 60000, number):
        if all(_is_free(port) for port in range(first, first + number)):
            return first
    raise OSError("no free ports")


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


def ask(*command: str) -> str:
    """The answer of one of Slurm's commands."""
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=60).stdout
