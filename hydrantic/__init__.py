"""hydrantic trains PyTorch models from one YAML file, the blueprint.

    import hydrantic

    run = hydrantic.fit("blueprints/mlp.yaml", overrides=["trainer.max_epochs=5"])
    run.metrics["test/accuracy"]
    sweep = hydrantic.sweep("blueprints/mlp.yaml", {"optimizer.lr": [1e-3, 3e-3], "seed": [1, 2, 3]})
    sweep.table()
    hydrantic.load("runs/mlp").predict({"data.path": "new.csv"})

Nothing heavy is imported before it is used: `import hydrantic` loads neither torch nor lightning nor hydra.
"""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hydrantic.blueprint import Blueprint as Blueprint
    from hydrantic.checking import check as check
    from hydrantic.components import Component as Component
    from hydrantic.components import DataSlot as DataSlot
    from hydrantic.components import LayerSlot as LayerSlot
    from hydrantic.components import LossSlot as LossSlot
    from hydrantic.components import MetricSlot as MetricSlot
    from hydrantic.components import ModelSlot as ModelSlot
    from hydrantic.components import OptimizerSlot as OptimizerSlot
    from hydrantic.components import PrunerSlot as PrunerSlot
    from hydrantic.components import SamplerSlot as SamplerSlot
    from hydrantic.components import SchedulerSlot as SchedulerSlot
    from hydrantic.components import named as named
    from hydrantic.data import InMemoryData as InMemoryData
    from hydrantic.data import InMemoryDataHparams as InMemoryDataHparams
    from hydrantic.data import Samples as Samples
    from hydrantic.errors import BlueprintError as BlueprintError
    from hydrantic.errors import HydranticError as HydranticError
    from hydrantic.errors import InvalidField as InvalidField
    from hydrantic.errors import RegistrationError as RegistrationError
    from hydrantic.errors import UsageError as UsageError
    from hydrantic.exporting import export as export
    from hydrantic.facts import Facts as Facts
    from hydrantic.finders.batch_sizes import BatchSizes as BatchSizes
    from hydrantic.finders.batch_sizes import batch_size_find as batch_size_find
    from hydrantic.finders.profiling import Profile as Profile
    from hydrantic.finders.profiling import profile as profile
    from hydrantic.finders.rates import RateTest as RateTest
    from hydrantic.finders.rates import lr_find as lr_find
    from hydrantic.fitting import fit as fit
    from hydrantic.fitting import resume as resume
    from hydrantic.hparams import AUTO as AUTO
    from hydrantic.hparams import Auto as Auto
    from hydrantic.hparams import Hparam as Hparam
    from hydrantic.hparams import Hparams as Hparams
    from hydrantic.model.hparams import ModelHparams as ModelHparams
    from hydrantic.model.model import Model as Model
    from hydrantic.packing import Parcel as Parcel
    from hydrantic.packing import pack as pack
    from hydrantic.paths import InputPath as InputPath
    from hydrantic.paths import OutputPath as OutputPath
    from hydrantic.registries import register_callback as register_callback
    from hydrantic.registries import register_data as register_data
    from hydrantic.registries import register_launcher as register_launcher
    from hydrantic.registries import register_layer as register_layer
    from hydrantic.registries import register_logger as register_logger
    from hydrantic.registries import register_loss as register_loss
    from hydrantic.registries import register_metric as register_metric
    from hydrantic.registries import register_model as register_model
    from hydrantic.registries import register_optimizer as register_optimizer
    from hydrantic.registries import register_pruner as register_pruner
    from hydrantic.registries import register_sampler as register_sampler
    from hydrantic.registries import register_scheduler as register_scheduler
    from hydrantic.registries import register_sweeper as register_sweeper
    from hydrantic.reporting import report as report
    from hydrantic.rerunning import Rerun as Rerun
    from hydrantic.rerunning import rerun as rerun
    from hydrantic.rules import Interval as Interval
    from hydrantic.rules import Split as Split
    from hydrantic.run import Run as Run
    from hydrantic.run import load as load
    from hydrantic.sweeping.engine import Ended as Ended
    from hydrantic.sweeping.engine import Engine as Engine
    from hydrantic.sweeping.engine import Launcher as Launcher
    from hydrantic.sweeping.results import Job as Job
    from hydrantic.sweeping.results import Sweep as Sweep
    from hydrantic.sweeping.space import Choice as Choice
    from hydrantic.sweeping.space import Range as Range
    from hydrantic.sweeping.space import Space as Space
    from hydrantic.sweeping.sweep import sweep as sweep
    from hydrantic.sweeping.sweeper import Combination as Combination
    from hydrantic.sweeping.sweeper import Proposal as Proposal
    from hydrantic.sweeping.sweeper import Study as Study
    from hydrantic.sweeping.sweeper import Sweeper as Sweeper

_HOMES = {
    "hydrantic.blueprint": ("Blueprint",),
    "hydrantic.checking": ("check",),
    "hydrantic.components": (
        "Component", "DataSlot", "LayerSlot", "LossSlot", "MetricSlot", "ModelSlot", "OptimizerSlot", "PrunerSlot",
        "SamplerSlot", "SchedulerSlot", "named",
    ),
    "hydrantic.data": ("InMemoryData", "InMemoryDataHparams", "Samples"),
    "hydrantic.errors": ("BlueprintError", "HydranticError", "InvalidField", "RegistrationError", "UsageError"),
    "hydrantic.exporting": ("export",),
    "hydrantic.facts": ("Facts",),
    "hydrantic.finders.batch_sizes": ("BatchSizes", "batch_size_find"),
    "hydrantic.finders.profiling": ("Profile", "profile"),
    "hydrantic.finders.rates": ("RateTest", "lr_find"),
    "hydrantic.fitting": ("fit", "resume"),
    "hydrantic.hparams": ("AUTO", "Auto", "Hparam", "Hparams"),
    "hydrantic.model.hparams": ("ModelHparams",),
    "hydrantic.model.model": ("Model",),
    "hydrantic.packing": ("Parcel", "pack"),
    "hydrantic.paths": ("InputPath", "OutputPath"),
    "hydrantic.registries": (
        "register_callback", "register_data", "register_launcher", "register_layer", "register_logger",
        "register_loss", "register_metric", "register_model", "register_optimizer", "register_pruner",
        "register_sampler", "register_scheduler", "register_sweeper",
    ),
    "hydrantic.rerunning": ("Rerun", "rerun"),
    "hydrantic.reporting": ("report",),
    "hydrantic.rules": ("Interval", "Split"),
    "hydrantic.run": ("Run", "load"),
    "hydrantic.sweeping.engine": ("Ended", "Engine", "Launcher"),
    "hydrantic.sweeping.results": ("Job", "Sweep"),
    "hydrantic.sweeping.space": ("Choice", "Range", "Space"),
    "hydrantic.sweeping.sweep": ("sweep",),
    "hydrantic.sweeping.sweeper": ("Combination", "Proposal", "Study", "Sweeper"),
}  # fmt: skip
_HOME_OF = {name: module for module, names in _HOMES.items() for name in names}

__all__ = sorted([*_HOME_OF, "__version__"])  # noqa: PLE0605 -- a test holds it equal to the names above


def __getattr__(name: str) -> Any:
    if name == "__version__":
        return _version()
    if name not in _HOME_OF:
        raise AttributeError(f"module 'hydrantic' has no attribute '{name}'")
    return getattr(import_module(_HOME_OF[name]), name)


def __dir__() -> list[str]:
    return [*globals(), *__all__]


def _version() -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("hydrantic")
    except PackageNotFoundError:  # the bare checkout
        import tomllib

        text = (Path(__file__).parent.parent / "pyproject.toml").read_text("utf-8")
        return str(tomllib.loads(text)["project"]["version"])


# In the wheel the stock shelf lies inside the package. In a checkout it lies beside it and is found from there.
if not (Path(__file__).parent / "registry").is_dir() and (Path(__file__).parent.parent / "registry").is_dir():
    __path__.append(str(Path(__file__).parent.parent))
