"""`hydrantic fit BLUEPRINT -m key=a,b ...`: many runs of one blueprint."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path


def fit_all(blueprint: Path, overrides: Sequence[str], options: Namespace) -> int:
    """Run the jobs of a sweep, and print what came of them; the exit code is 1 where one failed."""
    from hydrantic.sweeping.sweep import sweep

    done = sweep(
        blueprint,
        overrides,
        project=options.project,
        runs=options.runs,
        test=not options.no_test,
        skip_invalid=options.skip_invalid,
    )
    print(done.summary())
    return done.exit_code
