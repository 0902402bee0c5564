"""Optuna without its talk: what it logs and warns of is no matter of the person who sweeps."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from types import ModuleType

from hydrantic import UsageError


def imported() -> ModuleType:
    """The package optuna.

    Raises:
        UsageError: it is not installed.
    """
    if find_spec("optuna") is None:
        raise UsageError("the sweeper 'optuna' needs optuna, which is not installed: pip install 'hydrantic[optuna]'")
    import optuna

    return optuna


@contextmanager
def quietly(level: int | None = None) -> Iterator[ModuleType]:
    """Use optuna with nothing said below a level of its log, errors by default; afterwards all is as it was."""
    optuna = imported()
    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR if level is None else level)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield optuna
    finally:
        optuna.logging.set_verbosity(before)
