"""Optuna's samplers: how a study finds the next values from those that it has tried."""

from __future__ import annotations

from inspect import signature
from typing import TYPE_CHECKING, Any, Literal

from pydantic import NonNegativeInt, PositiveFloat, PositiveInt

from hydrantic import Hparam, Hparams, InvalidField, register_sampler

from .quietly import imported

if TYPE_CHECKING:
    from optuna.samplers import BaseSampler


class SeedHparams(Hparams):
    """What makes the draws of a sampler repeatable."""

    seed: NonNegativeInt | None = Hparam(default=None, lt=2**31)
    """The same seed proposes the same values where one trial runs at a time; without one, each study differs."""


class IndependentHparams(SeedHparams):
    """What a sampler tells of keys that it cannot sample together with the others."""

    warn_independent_sampling: bool = False
    """Whether to say so when a value is drawn without regard to the others."""


class TPEHparams(IndependentHparams):
    """How the tree-structured Parzen estimator samples."""

    n_startup_trials: NonNegativeInt = 10
    """Trials that are drawn at random before anything is estimated."""
    n_ei_candidates: PositiveInt = 24
    """Candidates among which the expected improvement chooses."""
    multivariate: bool | None = None
    """Whether keys are estimated together, so that how they depend on each other counts; null leaves it to Optuna."""
    group: bool = False
    """Whether only keys that occur in the same trials are estimated together."""
    constant_liar: bool = True
    """Whether trials that still run count as bad ones, so that those beside them are tried elsewhere."""


@register_sampler("tpe", aliases=["optuna.samplers.TPESampler"])
def tpe(hparams: TPEHparams, trials: int = 0) -> BaseSampler:
    """Tree-structured Parzen estimator: a density of the good trials and one of the others.

    Algorithms for hyper-parameter optimization, Bergstra et al., NeurIPS (2011).

    Arguments:
        hparams: how it samples.
        trials: how many there are already.
    """
    takes = signature(imported().samplers.TPESampler).parameters
    arguments = dict(hparams) | {"seed": _seed(hparams, trials)}
    # Deprecated since Optuna 4.9.
    if not hparams.warn_independent_sampling or "warn_independent_sampling" not in takes:
        del arguments["warn_independent_sampling"]
    if hparams.multivariate is None:
        arguments["multivariate"] = True if hparams.group else takes["multivariate"].default
    if hparams.group and not arguments["multivariate"]:
        raise InvalidField("group", "needs `multivariate: true`")
    return _sampler("TPESampler", arguments)


class CmaEsHparams(IndependentHparams):
    """How the covariance matrix adaptation samples."""

    sigma0: PositiveFloat | None = None
    """Standard deviation to begin with; by default a sixth of the smallest range."""
    n_startup_trials: NonNegativeInt = 1
    """Trials that are drawn at random first."""
    popsize: PositiveInt | None = Hparam(default=None, ge=2)
    """Size of a generation; by default it follows from the number of keys."""
    consider_pruned_trials: bool = False
    """Whether pruned trials count, too."""
    use_separable_cma: bool = False
    """Whether the covariances are left out, which suits many keys and few trials."""
    with_margin: bool = False
    """Whether no integer and no step is ever given up for good."""
    lr_adapt: bool = False
    """Whether the learning rate adapts, which suits noisy and multimodal objectives."""


@register_sampler("cmaes", aliases=["optuna.samplers.CmaEsSampler"])
def cmaes(hparams: CmaEsHparams, trials: int = 0) -> BaseSampler:
    """Covariance matrix adaptation evolution strategy; for numbers, choices are drawn at random.

    The CMA evolution strategy: a tutorial, Hansen (2016).

    Arguments:
        hparams: how it samples.
        trials: how many there are already.
    """
    return _sampler("CmaEsSampler", dict(hparams) | {"seed": _seed(hparams, trials)})


class RandomHparams(SeedHparams):
    """How a random sampler samples."""


@register_sampler("random", aliases=["optuna.samplers.RandomSampler"])
def random(hparams: RandomHparams, trials: int = 0) -> BaseSampler:
    """Values drawn at random, whatever was found before.

    Arguments:
        hparams: how it samples.
        trials: how many there are already.
    """
    return _sampler("RandomSampler", {"seed": _seed(hparams, trials)})


class GPHparams(IndependentHparams):
    """How a Gaussian process samples."""

    n_startup_trials: NonNegativeInt = 10
    """Trials that are drawn at random first."""
    deterministic_objective: bool = False
    """Whether the same values always give the same result."""


@register_sampler("gp", aliases=["optuna.samplers.GPSampler"])
def gp(hparams: GPHparams, trials: int = 0) -> BaseSampler:
    """Bayesian optimization with a Gaussian process; best of few and costly trials.

    Practical Bayesian optimization of machine learning algorithms, Snoek et al., NeurIPS (2012).

    Arguments:
        hparams: how it samples.
        trials: how many there are already.
    """
    return _sampler("GPSampler", dict(hparams) | {"seed": _seed(hparams, trials)})


class QMCHparams(IndependentHparams):
    """How a low-discrepancy sequence samples."""

    qmc_type: Literal["sobol", "halton"] = "sobol"
    """Which sequence."""
    scramble: bool = False
    """Whether the sequence is randomised, with the seed."""


@register_sampler("qmc", aliases=["optuna.samplers.QMCSampler"])
def qmc(hparams: QMCHparams) -> BaseSampler:
    """Quasi-Monte Carlo: a sequence that fills the space more evenly than chance; choices are drawn at random.

    Arguments:
        hparams: how it samples.
    """
    return _sampler("QMCSampler", dict(hparams) | {"warn_asynchronous_seeding": False})


def _seed(hparams: SeedHparams, trials: int) -> int | None:
    """The seed; that of a study that goes on is another one, or it would propose its first values again."""
    return None if hparams.seed is None else hparams.seed + trials


def _sampler(name: str, arguments: dict[str, Any]) -> BaseSampler:
    sampler: BaseSampler = getattr(imported().samplers, name)(**arguments)
    return sampler
