"""What chooses the values of a sweep's jobs: all at once, or one after the other from what was found so far."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal, TypeAlias

from hydrantic.sweeping.space import Space

Combination: TypeAlias = tuple[str, ...]
"""The overrides of one job: `("optimizer.lr=0.001", "model=cnn")`."""

Outcome = Literal["finished", "pruned", "failed"]
"""What a study learns of a trial."""


@dataclass(frozen=True, slots=True)
class Proposal:
    """One trial of a study: its number, its overrides, and what a job needs to report to it while it runs."""

    number: int
    overrides: Combination
    report: Mapping[str, Any] | None = None
    """Plain data, which `hydrantic.sweeping.job` hands to the study's `reporter`; None where nothing is reported."""


class Study(ABC):
    """Proposes one trial after the other; `tell` says how each went."""

    parallel: int = 1
    """How many trials run at a time, at most."""
    total: int | None = None
    """How many trials there will be, those of earlier processes among them."""

    @abstractmethod
    def ask(self) -> Proposal | None:
        """The next trial, or None where there are enough.

        Raises:
            UsageError: where the study is stored cannot be reached any more.
        """

    @abstractmethod
    def tell(self, number: int, outcome: Outcome, value: float | None) -> None:
        """Say how a trial ended; one that was told already stays as it is.

        Raises:
            UsageError: where the study is stored cannot be reached any more.
        """

    def close(self) -> None:  # noqa: B027 -- few studies hold anything
        """Let go of what it holds; a study that is stored stays stored."""


class Sweeper(ABC):
    """Chooses the jobs of a sweep; registered with `register_sweeper`, chosen in `sweep:` or with `hydra/sweeper=NAME`.

    A sweeper either lists all `combinations` or, where it `learns`, opens a `study`.
    """

    learns: ClassVar[bool] = False
    """Whether the next job depends on what the earlier ones found."""

    @abstractmethod
    def space(self) -> Mapping[str, Any]:
        """What the blueprint itself writes to be swept, by key: texts in Hydra's grammar, or lists of values."""

    def combinations(self, written: Space, given: Space) -> Sequence[Combination]:
        """Every job's overrides, in order.

        Arguments:
            written: what the blueprint sweeps, parsed.
            given: what the command line sweeps besides, or in its place where the key is the same.

        Raises:
            InvalidField: what is written cannot be gone through, such as lists of unequal lengths.
        """
        raise NotImplementedError

    def study(
        self, space: Space, objective: tuple[str, str], folder: Path, under_way: Collection[int] = (), name: str = ""
    ) -> Study:
        """Open a study, or go on with one that is stored.

        Arguments:
            space: everything to be swept.
            objective: logged name and mode of what is optimised.
            folder: of the sweep; a study that is stored nowhere else is stored below it.
            under_way: numbers of the trials of this sweep that go on, or whose outcome will be told; its other ones
                that never ended have failed.
            name: of the sweep, which is how its folder was called when it began; by default its name now.

        Raises:
            InvalidField: a field contradicts the objective, the space or what is stored.
            UsageError: something that it needs is not installed or not reachable.
        """
        raise NotImplementedError

    @staticmethod
    def reporter(report: Mapping[str, Any]) -> Any:
        """A Lightning callback by which a job reports to the study while it trains; `hydrantic.errors.Pruned` ends it.

        Arguments:
            report: of the job's `Proposal`; and as `folder`, where the sweep lies now.
        """
        raise NotImplementedError
