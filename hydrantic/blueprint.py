"""The schema of a blueprint: its sections, before the registries are asked about the components."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal, dataclass_transform

from pydantic import BeforeValidator, JsonValue, StringConstraints, create_model

from hydrantic.components import Fields, LauncherSlot, SweeperSlot, named, plain_value, validate
from hydrantic.document import from_plain
from hydrantic.hparams import Hparam, Hparams, ValidationError
from hydrantic.model.hparams import CheckpointHparams, EarlyStoppingHparams, SchedulerWiring
from hydrantic.problems import Problems
from hydrantic.registries import listed
from hydrantic.rules import DEVICES, DURATION, PART, SHARE
from hydrantic.signature import derive_hparams
from hydrantic.source import Source

if TYPE_CHECKING:
    from pydantic._internal._model_construction import ModelMetaclass
else:
    ModelMetaclass = type(Hparams)  # it has no public name

IN_PYTHON: Final = "Blueprint(...)"
"""The place of what stands in no file."""

Block = JsonValue
"""A component block: a name, or a mapping with `name` and the component's hyperparameters."""

Label = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]+$")]
"""What a metric, callback or logger is called in this blueprint."""


def _nothing_is_empty(value: Any) -> Any:
    return {} if value is None else value


Mapped = Annotated[dict[str, JsonValue], BeforeValidator(_nothing_is_empty)]
"""A mapping; a key with nothing behind it is an empty one."""

Labelled = Annotated[dict[Label, Block], BeforeValidator(_nothing_is_empty)]
"""Component blocks by label."""


class Wiring(Hparams):
    """Which part of the model's output and of the batch's target a loss or metric reads."""

    input: str | None = None
    """Key of the model's output, for models with several outputs."""
    target: str | None = None
    """Key of the batch's target, for batches that are mappings."""


class Objective(Hparams):
    """What a sweep optimises."""

    metric: str
    """Logged name, such as `validation/loss`."""
    mode: Literal["min", "max"] = "min"
    """Whether a smaller or a larger value is better."""


class RunFolder(Hparams):
    """Where a run is kept."""

    dir: str | None = None
    """The run's directory, such as `first/${now:%H-%M-%S}`; below the folder of all runs, unless the command line says
    otherwise."""


class SweepFolder(Hparams):
    """Where the jobs of a sweep are kept."""

    dir: str | None = None
    """The sweep's directory; below the folder of all runs, unless the command line says otherwise."""
    subdir: str | None = None
    """The directory of a job in it, such as `${hydra.job.override_dirname}`; the job's number by default."""


class HydraSettings(Hparams):
    """What Hydra calls its own: folders, and what chooses and runs the jobs of a sweep."""

    run: RunFolder = RunFolder()
    """Where a run is kept."""
    sweep: SweepFolder = SweepFolder()
    """Where the jobs of a sweep are kept."""
    launcher: LauncherSlot = named("local")
    """What runs the jobs of a sweep."""
    sweeper: SweeperSlot = named("grid")
    """What chooses the jobs of a sweep, as the section `sweep` does; one of the two may be written."""
    searchpath: tuple[str, ...] = ()
    """Further folders whose files are options of groups."""


PackedText = Annotated[str, StringConstraints(max_length=500)]
"""A short text in what was packed."""
PackedName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", max_length=200)]
"""The name of a distribution."""
PackedVersion = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9._+!-]+$", max_length=100)]
"""The version of a distribution."""


class PackedComponent(Hparams):
    """What a component was when the blueprint was packed."""

    distribution: PackedName | None = None
    """The distribution that it came from; null for one of the sender's own."""
    version: PackedVersion | None = None
    """The version of that."""
    file: PackedText | None = None
    """The file in the sender's project that one of their own was defined in."""
    source_hash: PackedText | None = None
    """The sha256 of the file that defined it."""
    imports: dict[PackedText, PackedText] = Hparam(default_factory=dict)
    """Further files of the sender's project that it imports, with the sha256 of each."""
    schema_hash: PackedText | None = None
    """A digest of its fields."""
    fields: dict[str, PackedText] = Hparam(default_factory=dict)
    """Its fields: type and default, in words."""


class PackedRun(Hparams):
    """The run that was packed, as a record of what came of it."""

    id: PackedText
    """The name of its directory."""
    status: PackedText
    """How it ended."""
    metrics: dict[str, JsonValue] = Hparam(default_factory=dict)
    """The last value of every logged name."""
    best_metrics: dict[str, JsonValue] = Hparam(default_factory=dict)
    """The metrics of the best validation."""


class Packed(Hparams):
    """What `hydrantic pack` wrote beside a blueprint, for `hydrantic check` to compare with what there is here."""

    format: int = Hparam(ge=1, le=1)
    """The version of this section's form."""
    when: PackedText = ""
    """When it was packed."""
    versions: dict[PackedName, PackedVersion] = Hparam(default_factory=dict)
    """The versions that it ran with, or would have: of Python and of what its numbers depend on."""
    data: PackedText | None = None
    """The fingerprint of the data."""
    run: PackedRun | None = None
    """The run that was packed, if it was one."""
    components: dict[PackedText, PackedComponent] = Hparam(default_factory=dict)
    """Every component, such as `model/mlp`, nested ones too."""


@dataclass_transform(kw_only_default=True, field_specifiers=(Hparam,))
class _Worded(ModelMetaclass):
    """Tells what is wrong with a blueprint made in Python as it is told of a file."""

    def __call__(cls, **sections: Any) -> Any:  # noqa: N805 -- of a metaclass
        try:
            return super().__call__(**sections)
        except ValidationError as error:
            invalid = error
        _problems_of(sections).raise_any()
        raise invalid


class Blueprint(Hparams, metaclass=_Worded):
    """One run, described completely: what is trained, on what, and how.

    Raises:
        BlueprintError: a section is unknown, missing or wrong; all problems are listed.
    """

    name: str | None = Hparam(default=None, min_length=1)
    """Name of the run's folder and of the experiment; the file's name by default."""
    description: str = ""
    """What this blueprint is for, in a sentence."""
    requires: tuple[str, ...] = ()
    """Distributions that it needs, such as `hydrantic>=0.1`; verified, never installed."""
    seed: int = Hparam(default=42, ge=0, lt=2**32)
    """Seed of everything random in training."""
    matmul_precision: Literal["highest", "high", "medium"] | None = None
    """Precision of float32 matrix products, as in `torch.set_float32_matmul_precision`; null leaves it alone."""
    data: Block
    """The data module."""
    model: Block
    """The model or network."""
    loss: Block = None
    """The loss; a model that computes its own has none here."""
    metrics: Labelled = Hparam(default_factory=dict)
    """Metrics by label; the label is the metric's name unless the block says otherwise."""
    optimizer: Block = "adam"
    """The optimizer."""
    scheduler: Block = None
    """The learning-rate scheduler; none by default."""
    checkpoint: CheckpointHparams | None = CheckpointHparams()
    """Which states of the training are kept; null keeps none."""
    early_stopping: EarlyStoppingHparams | None = None
    """When training stops early; never by default."""
    callbacks: Labelled = Hparam(default_factory=dict)
    """Further callbacks by label."""
    loggers: Labelled = Hparam(default={"wandb": None, "csv": None})
    """Loggers by label; metrics.csv is always written."""
    trainer: Mapped = Hparam(default_factory=dict)
    """Arguments of `lightning.Trainer`."""
    objective: Objective | None = None
    """What a sweep optimises; the checkpoint's monitor by default."""
    vars: Mapped = Hparam(default_factory=dict)
    """Free values for `${vars.name}`."""
    sweep: Block = "grid"
    """Which values the jobs of a sweep have (`fit -m`), and what chooses them; a single run leaves it alone."""
    hydra: HydraSettings | None = None
    """Folders, launcher and sweeper, as Hydra calls them."""
    packed: Packed | None = None
    """What `hydrantic pack` noted of the sender's components, versions and results; it has no effect on a run."""


def written(blueprint: Mapping[str, Any]) -> dict[str, Any]:
    """What a blueprint made in Python says, as plain data; what it leaves to the defaults is left out."""
    if isinstance(blueprint, Hparams):
        return blueprint.model_dump(mode="json", exclude_unset=True)
    return {str(name): written(value) if isinstance(value, Hparams) else value for name, value in blueprint.items()}


def _problems_of(sections: Mapping[str, Any]) -> Problems:
    node, problems = from_plain(plain_value(written(sections)), Source(label=IN_PYTHON)), Problems()
    fields: Fields = {str(name): (part, (name,)) for name, part in node.children()}
    validate(Blueprint, fields, node, (), problems, owner="a blueprint")
    return problems


WIRINGS: Final[Mapping[str, type[Hparams]]] = {"loss": Wiring, "metrics": Wiring, "scheduler": SchedulerWiring}
"""Keys that the blocks of a section have beside the component's own fields."""

ELSEWHERE: Final[Mapping[str, str]] = {
    "logger": "use the section `loggers:`",
    "callbacks": "use the section `callbacks:`",
    "default_root_dir": "use `--runs DIR` or HYDRANTIC_RUNS",
    "plugins": "write the plugin into a callback or strategy of your shelf",
    "enable_checkpointing": "use the section `checkpoint:` (null for none)",
    "model_registry": "it is a service of Lightning's cloud",
    "barebones": "leave out loggers and callbacks instead",
}
"""Arguments of `lightning.Trainer` that a blueprint says elsewhere."""


def trainer_hparams() -> type[Hparams]:
    """The Hparams of the section `trainer`, from the signature of `lightning.Trainer`."""
    listing = listed()
    return _derived_from_the_trainer() if listing is None else listing.trainer


_TRAINER_RULES: Final[Mapping[str, Any]] = {
    **dict.fromkeys(("limit_train_batches", "limit_val_batches", "limit_test_batches", "limit_predict_batches"), SHARE),
    "overfit_batches": SHARE,
    "val_check_interval": PART,
    "devices": DEVICES,
    "max_time": DURATION,
}
"""What the Trainer's arguments have to obey beside their types."""


@functools.cache
def _derived_from_the_trainer() -> type[Hparams]:
    from lightning.pytorch import Trainer

    derived = derive_hparams(Trainer, leave=frozenset(ELSEWHERE), translate=lambda _: None, rules=_TRAINER_RULES)
    fields: dict[str, Any] = {}
    for name, choices in _trainer_choices().items():
        info = derived.model_fields[name]
        fields[name] = (Literal[choices] | None if info.default is None else Literal[choices], info.default)
    return create_model(derived.__name__, __base__=derived, **fields)


def _trainer_choices() -> Mapping[str, tuple[str, ...]]:
    """The texts that Lightning accepts where its signature says only that it takes text."""
    from lightning.pytorch.accelerators import AcceleratorRegistry
    from lightning.pytorch.strategies import StrategyRegistry
    from lightning.pytorch.utilities.enums import GradClipAlgorithmType

    return {
        "accelerator": ("auto", "gpu", *sorted(AcceleratorRegistry.available_accelerators())),
        "strategy": ("auto", *StrategyRegistry.available_strategies()),
        "gradient_clip_algorithm": tuple(each.value for each in GradClipAlgorithmType),
        "profiler": ("simple", "advanced", "pytorch", "xla"),
    }
