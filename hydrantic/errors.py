"""The exceptions that hydrantic raises on purpose.

    HydranticError
    ├── UsageError            the command, a path or a project is wrong (exit code 2)
    ├── BlueprintError        a blueprint has problems, all of them listed (exit code 2)
    ├── InvalidJobs           jobs of a sweep have problems (exit code 2)
    ├── RegistrationError     a component cannot be registered
    ├── InvalidField          a component refuses the value of one of its fields
    ├── Diverged              the loss is no number any more
    ├── Pruned                a study gives a trial up: the run ends without having failed
    └── RunFailed             training stopped with an error of its own (exit code 1)

`Interrupted` is beside them: it derives from `BaseException`, so that no component swallows it.
"""

from __future__ import annotations

import signal
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from hydrantic.source import display

if TYPE_CHECKING:
    from hydrantic.problems import Problem


class HydranticError(Exception):
    """The root of hydrantic's exceptions."""


class UsageError(HydranticError, ValueError):
    """The command, a path or the project is wrong; the message says what to do instead."""


class BlueprintError(HydranticError, ValueError):
    """A blueprint has problems; `problems` holds all of them and `str()` words them."""

    def __init__(self, problems: tuple[Problem, ...]) -> None:
        super().__init__(problems)
        self.problems = problems

    def pointing_to(self, project: Path) -> BlueprintError:
        """The same problems; where a name is unknown, with the project whose shelf may have it."""
        beside = {"beside": display(project)}
        return BlueprintError(
            tuple(replace(p, facts={**p.facts, **beside}) if p.code == "unknown-name" else p for p in self.problems)
        )

    def __str__(self) -> str:
        from hydrantic.wording import report

        return report(self.problems)


class InvalidJobs(HydranticError, ValueError):
    """Jobs of a sweep have problems; none was started.

    Arguments:
        count: how many jobs the sweep has.
        invalid: the number, overrides and problems of each that has some.
    """

    def __init__(self, count: int, invalid: Sequence[tuple[int, tuple[str, ...], tuple[Problem, ...]]]) -> None:
        super().__init__(count, invalid)
        self.count = count
        self.invalid = tuple(invalid)

    @property
    def problems(self) -> tuple[Problem, ...]:
        """The problems of all jobs."""
        return tuple(problem for _, _, problems in self.invalid for problem in problems)

    def __str__(self) -> str:
        from hydrantic.wording import report_jobs

        return report_jobs(self.count, self.invalid)


class RegistrationError(HydranticError, ValueError):
    """A component cannot be registered: a taken name, or a signature that no blueprint can fill."""


class InvalidField(HydranticError, ValueError):
    """A component refuses the value of one of its fields.

    Raise it from a component's constructor or from a data module's `setup`; the person who wrote the blueprint then
    reads the message beside the line that set the field.
    """

    def __init__(self, field: str, message: str) -> None:
        super().__init__(f"{field}: {message}")
        self.field = field
        self.message = message


class Diverged(HydranticError, ArithmeticError):
    """The training loss became NaN or infinite: nothing that comes after could be of use."""


class Pruned(HydranticError):
    """A study gives a trial up; raised by its reporter while the trial trains."""


class RunFailed(HydranticError):
    """Training stopped with an error; the run directory says so and `__cause__` holds it."""


class Interrupted(BaseException):
    """A signal ended the run.

    Not an `Exception`, so that no component swallows it; and not a `KeyboardInterrupt` or `SystemExit`, which
    Lightning would turn into exit codes of its own.
    """

    def __init__(self, number: int) -> None:
        self.signal = signal.Signals(number)
        super().__init__(f"stopped by {self.signal.name}")

    @property
    def exit_code(self) -> int:
        """What the process should exit with: 130 for SIGINT, 143 for SIGTERM."""
        return 128 + self.signal
