"""What runs the jobs of a sweep: a launcher opens an engine, which starts jobs and says which of them have ended."""

from __future__ import annotations

import os
import sys
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import ClassVar, Final, Self

JOB: Final = "hydrantic.sweeping.job"
"""The program that runs a job."""

ERRORS: Final = "stderr.txt"
"""In a job's directory, what its process wrote past its own records, such as its last words before a crash."""

_PACKAGES: Final = frozenset({"site-packages", "dist-packages"})


def job_command(directory: Path) -> list[str]:
    """The command line that runs the job in a directory."""
    return [*python(), "-m", JOB, str(directory)]


def python() -> list[str]:
    """This interpreter, as every process of a sweep is started: the working directory is no place for its modules."""
    return [sys.executable, "-P"]


def environment_of_python() -> dict[str, str]:
    """What a new interpreter needs in its environment to find the hydrantic that runs here; nothing where installed."""
    root = Path(__file__).resolve().parent.parent.parent
    places = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    if root.name in _PACKAGES or str(root) in places:
        return {}
    return {"PYTHONPATH": os.pathsep.join(filter(None, (*places, str(root))))}


@dataclass(frozen=True, slots=True)
class Ended:
    """A job whose process has ended, in whatever way."""

    job: Path
    """The job's directory."""
    code: int | None
    """Its exit code: 0 done, 1 failed, 2 wrong, 130 interrupted, 143 terminated, negative for the signal that killed
    it; None where nobody knows."""
    reason: str = ""
    """What the engine knows of an unusual end, such as `cancelled` or `the node failed`."""


class Engine(ABC):
    """Runs jobs, each in a process of its own; a context manager, which ends them all when it is left.

    A job is a directory that holds `blueprint.yaml` and `job.json`; `python -m hydrantic.sweeping.job DIRECTORY` runs
    it. What became of it stands in the directory's `run.json`: an engine need only know that it has ended.
    """

    capacity: int | None = None
    """How many jobs it takes at a time; None where it keeps a queue itself."""

    @abstractmethod
    def start(self, jobs: Sequence[Path]) -> Sequence[str]:
        """Start jobs, at most `capacity` at a time.

        Returns:
            A ticket for each, such as a process id or a cluster's job id, by which a person finds it.
        """

    @abstractmethod
    def ended(self, seconds: float) -> Sequence[Ended]:
        """The jobs that have ended since the last call; waits up to `seconds` for the first."""

    @abstractmethod
    def stop(self) -> None:
        """Ask every job to save its state and to stop; `ended` still tells when they have. A second call kills."""

    def adopt(self, job: Path, ticket: str) -> bool:
        """Take over a job that another process of the sweep started, if it is still under way.

        Returns:
            Whether it is; `ended` then tells when it has ended.
        """
        return False

    def close(self) -> None:  # noqa: B027 -- an engine may have nothing to let go of
        """Let go of everything; jobs that still run are ended."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()


class Launcher(ABC):
    """Opens an engine; registered with `register_launcher`, chosen with `hydra/launcher=NAME`.

    Its fields are typed as those of any component: from its signature, or an `hparams` argument.
    """

    warm: ClassVar[bool] = False
    """Whether its engine profits from being opened before the jobs are planned."""

    @abstractmethod
    def open(self, sweep: Path, jobs: int | None) -> Engine:
        """Open an engine.

        Arguments:
            sweep: the directory of the sweep; what the engine writes itself lands in a folder of its own below it.
            jobs: how many jobs there will be, where that is known.

        Raises:
            UsageError: it cannot run here, because something is not installed or not reachable.
        """
