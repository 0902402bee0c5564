"""From a document to a plan: every block looked up in the registries and validated, all problems collected."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, get_args

from pydantic_core import PydanticUndefined, to_jsonable_python

from hydrantic.blueprint import ELSEWHERE, WIRINGS, Blueprint, HydraSettings, PackedComponent, trainer_hparams
from hydrantic.components import Component, Fields, hparams_of, resolve, validate
from hydrantic.document import MISSING, Document, Node, from_plain, is_reference, with_child
from hydrantic.errors import BlueprintError, HydranticError, UsageError
from hydrantic.facts import Task
from hydrantic.filenames import file_safe, leads_elsewhere, names_in
from hydrantic.folders import TEMPLATES, leads_outside, left_alone
from hydrantic.hparams import Hparams
from hydrantic.interpolation import resolve as interpolate
from hydrantic.model.hparams import CheckpointHparams, SchedulerWiring
from hydrantic.plan import GROUPS, Plan, children_of, keeping_latest, recorded, watching_validation
from hydrantic.problems import Problems
from hydrantic.project import Project
from hydrantic.registries import STOCK, Entry, registry
from hydrantic.rundir import folder_name
from hydrantic.secrets import secrets_in, without_secrets
from hydrantic.sections import COMPONENTS, LABELLED, OF_SWEEPS, kind_of
from hydrantic.source import DEFAULT, KeyPath, Source
from hydrantic.traits import Traits, traits_of


def make_plan(document: Document, project: Project, composing: Problems | None = None) -> Plan:
    """Look up and validate everything in a composed document.

    Arguments:
        document: what compose returned.
        project: whose settings say what a blueprint may read.
        composing: what composing found already; where it found something, nothing more is said.

    Raises:
        BlueprintError: it has problems; all of them are listed.
    """
    problems = Problems()
    used, record = _interpolated(document, project, problems)
    found = Problems()
    plan = _Planner(_hoisted(used, found), project, found).plan(record.root)
    # Text that could not be resolved has its problem already; what planning says of it is beside the point.
    told = {node.source for node in _nodes(used.root) if is_reference(node)} if problems else set()
    _note_missing(document.root, (), problems)
    told |= {each.source for each in (*(composing or ()), *problems)}
    unsettled = {each.path[:1] for each in composing or () if each.path and each.code not in _WITHIN_A_FILE}
    secrets = dict(secrets_in(used.root, record.root))
    everything = Problems()
    everything.extend(tuple(composing or ()))
    everything.extend(tuple(problems))
    everything.extend(
        tuple(
            without_secrets(secrets, each)
            for each in found
            if each.source not in told and each.path[:1] not in unsettled
        )
    )
    _with_origins(everything, document).raise_any()
    assert plan is not None  # without problems there is a plan
    return plan


def _with_origins(problems: Problems, document: Document) -> Problems:
    """The problems; where a name is unknown that was packed, with where it came from."""
    if document.find(("packed", "components")) is None:
        return problems
    told = Problems()
    for each in problems:
        path: KeyPath = ("packed", "components", f"{each.facts.get('kind')}/{each.facts.get('name')}")
        node = document.find(path) if each.code == "unknown-name" else None
        origin = None if node is None else _packed_component(node)
        told.extend((each if origin is None else dataclasses.replace(each, facts={**each.facts, "packed": origin}),))
    return told


def _packed_component(node: Node) -> dict[str, Any] | None:
    try:
        return PackedComponent.model_validate(node.plain()).to_plain()
    except ValueError:  # reported where it stands
        return None


@dataclass(frozen=True)
class SweepSettings:
    """What a blueprint says of its sweeps, validated, whatever the rest of it is like."""

    document: Document
    hydra: HydraSettings
    sweeper: Component[Any]
    sweeper_at: KeyPath
    """Where the sweeper stands, or would stand."""
    record: Node
    """The document with its references."""

    @property
    def blocks(self) -> Mapping[str, Mapping[str, Any]]:
        """`sweeper` and `launcher` as a record keeps them, without what the environment supplied."""
        chosen = {"sweeper": self.sweeper, "launcher": self.hydra.launcher}
        return {kind: recorded(each, self.document, self.record) for kind, each in chosen.items()}


def plan_sweep(document: Document, project: Project, composing: Problems | None = None) -> SweepSettings:
    """Look up and validate what a composed document says of sweeps; its jobs are planned one by one.

    Arguments:
        document: what compose returned, without the overrides that differ from job to job.
        project: whose settings say what a blueprint may read.
        composing: what composing found already.

    Raises:
        BlueprintError: this part of it has problems; all of them are listed.
    """
    problems = Problems()
    problems.extend(tuple(composing or ()))
    problems.raise_any()
    used, record = _interpolated_sections(document, project, problems)
    planner = _Planner(used, project, problems)
    hydra, sweep = planner.hydra(), planner.single("sweep")
    planner.check_sweep()
    problems.raise_any()
    assert hydra is not None  # there are no problems
    assert sweep is not None
    within_hydra: KeyPath = ("hydra", "sweeper")
    is_hydras = used.find(within_hydra) is not None
    sweeper, at = (hydra.sweeper, within_hydra) if is_hydras else (sweep, ("sweep",))
    return SweepSettings(used, hydra, sweeper, at, record.root)


def without_references(block: Mapping[str, Any], project: Project) -> Mapping[str, Any]:
    """A recorded block with what its references to the environment mean now.

    Raises:
        BlueprintError: the project does not let a variable be read, or it is not set.
    """
    document = Document(from_plain(block, Source(label="the sweep's record")), {}, Path("ledger.jsonl"))
    return interpolate(document, allowed_env=project.environment).document.plain()


def _interpolated_sections(document: Document, project: Project, problems: Problems) -> tuple[Document, Document]:
    """The document with its sections about sweeps resolved; those of one run may refer to what is still to be swept."""
    found = Problems()
    resolved = _interpolated(document, project, found)
    if not found:
        return resolved
    problems.extend(tuple(each for each in found if each.path[:1] and each.path[0] in OF_SWEEPS))
    problems.raise_any()
    kept = {name: node for name, node in children_of(document.root) if name in {*OF_SWEEPS, "vars", "name"}}
    part = dataclasses.replace(document, root=Node(dict(kept), document.root.source))
    return _interpolated(part, project, problems)


_WITHIN_A_FILE: Final = frozenset({"duplicate-key", "key-not-text", "number-too-long"})
"""Problems of composition that leave a section what it was; any other makes the section's own problems a guess."""


def _interpolated(document: Document, project: Project, problems: Problems) -> tuple[Document, Document]:
    document = _with_folders_left_alone(document)
    try:
        resolved = interpolate(document, _Defaults(document), project.environment)
    except BlueprintError as error:
        problems.extend(error.problems)
        return document, document
    return resolved.document, resolved.record


def _with_folders_left_alone(document: Document) -> Document:
    """The document in which interpolation does not touch what fills in a folder's name once a job begins."""
    for path in TEMPLATES:
        node = document.find(path)
        if node is not None and isinstance(node.value, str):
            template = dataclasses.replace(node, value=left_alone(node.value))
            document = dataclasses.replace(document, root=_replaced(document.root, path, template))
    return document


def _replaced(node: Node, path: KeyPath, new: Node) -> Node:
    below = node.child(path[0])
    return with_child(node, path[0], new if len(path) == 1 or below is None else _replaced(below, path[1:], new))


def _note_missing(node: Node, path: KeyPath, problems: Problems) -> None:
    """Note what was left to be given, as OmegaConf writes it, and was not."""
    if node.value == MISSING:
        problems.add("not-given", node.source, path)
    for part, child in node.children():
        _note_missing(child, (*path, part), problems)


def _nodes(node: Node) -> Iterator[Node]:
    yield node
    for _, child in node.children():
        yield from _nodes(child)


def _hoisted(document: Document, problems: Problems) -> Document:
    """The groups of `ModelHparams` moved from the model's block to the sections that they are in a blueprint."""
    block = document.find(("model",))
    if block is None or not isinstance(block.value, dict) or not _carries_groups(block):
        return document
    root, inner = document.root, dict(block.value)
    for group in [name for name in GROUPS if name in inner]:
        node = inner.pop(group)
        if root.child(group) is not None:
            problems.add("given-twice", node.place, ("model", group), other=group)
        root = with_child(root, group, node)
    return dataclasses.replace(document, root=with_child(root, "model", dataclasses.replace(block, value=inner)))


def _carries_groups(block: Node) -> bool:
    named = block.child("name") or block.child("module_name")
    if named is None or not isinstance(named.value, str) or not any(block.child(group) for group in GROUPS):
        return False
    try:
        return traits_of(registry("model").get(named.value)).carries_groups
    except HydranticError:  # reported where the block itself is resolved
        return False


@dataclass(frozen=True)
class _Planner:
    document: Document
    project: Project
    problems: Problems

    def plan(self, record: Node) -> Plan | None:
        blueprint = self._blueprint()
        single = {section: self.single(section) for section in COMPONENTS if section not in OF_SWEEPS}
        if self._is_written("sweep"):
            single["sweep"] = self.single("sweep")
        (model, traits), data = self._chosen_model(), single["data"]
        if traits.style == "module":
            single["optimizer"] = None
        labelled = {section: self._labelled(section) for section in LABELLED}
        if (taken := self.document.find(("metrics", "loss"))) is not None:
            self.problems.add("label-taken", taken.place, ("metrics", "loss"), label="loss")
        trainer = self._trainer()
        if blueprint is not None:
            self._check_requirements(blueprint)
            self._check_name(blueprint)
            self._check_checkpoint(blueprint.checkpoint)
            self.check_sweep()
        if blueprint is not None and trainer is not None:
            self._check_epochs(blueprint, trainer, single["scheduler"])
        if model is not None:
            self._check_style(traits, model)
        if model is not None and traits.style == "network":
            self._check_monitors(labelled["callbacks"])
        if data is not None:
            self._check_tasks(data, [single["loss"], *labelled["metrics"].values()])
        if self.problems or blueprint is None or trainer is None:
            return None
        blueprint = keeping_latest(blueprint) if _no_validation(trainer) else blueprint
        return Plan(self.document, record, blueprint, trainer=trainer, **single, **labelled)  # type: ignore[arg-type]  # no problems: required ones are there

    def _blueprint(self) -> Blueprint | None:
        fields: Fields = {name: (node, (name,)) for name, node in children_of(self.document.root)}
        root, owner = self.document.root, "a blueprint"
        sound: Blueprint | None = validate(Blueprint, fields, root, (), self.problems, owner=owner)
        return sound

    def _section(self, name: str) -> Node | None:
        found = self.document.find((name,))
        if found is not None:
            return found
        default = Blueprint.model_fields[name].get_default(call_default_factory=True)
        return None if default is PydanticUndefined or default is None else _default_node(default)

    def _chosen_model(self) -> tuple[Entry | None, Traits]:
        """The model that is named, be its fields right or wrong, and its traits."""
        section = self._section("model")
        named = None if section is None else section.child("name") or section.child("module_name") or section
        if named is None or not isinstance(named.value, str):
            return None, Traits()
        try:
            entry = registry("model").get(named.value)
            return entry, traits_of(entry)
        except HydranticError:  # reported where the block itself is resolved
            return None, Traits()

    def single(self, section: str) -> Component[Any] | None:
        """The component of a section that holds one."""
        node = self._section(section)
        optional = not Blueprint.model_fields[section].is_required()
        if node is None or (node.value is None and optional):
            return None
        return self._resolve(section, node, (section,), _default_name(section))

    def hydra(self) -> HydraSettings | None:
        """The section `hydra` by itself."""
        node = self.document.find(("hydra",)) or _default_node({})
        fields: Fields = {name: (value, ("hydra", name)) for name, value in children_of(node)}
        settings: HydraSettings | None = validate(HydraSettings, fields, node, ("hydra",), self.problems, owner="hydra")
        return settings

    def _labelled(self, section: str) -> dict[str, Component[Any]]:
        node = self._section(section)
        blocks = children_of(node) if node is not None else []
        found = {label: self._resolve(section, block, (section, label), label) for label, block in blocks}
        return {label: each for label, each in found.items() if each is not None}

    def _resolve(self, section: str, node: Node, path: KeyPath, label: str = "") -> Component[Any] | None:
        return resolve(kind_of(section), node, path, self.problems, label=label, wiring=WIRINGS.get(section))

    def _trainer(self) -> Hparams | None:
        node = self.document.find(("trainer",)) or _default_node({})
        fields: Fields = {}
        for name, value in children_of(node):
            if name in ELSEWHERE:
                place = value.key or value.source
                self.problems.add("said-elsewhere", place, ("trainer", name), field=name, instead=ELSEWHERE[name])
            else:
                fields[name] = (value, ("trainer", name))
        path: KeyPath = ("trainer",)
        trainer: Hparams | None = validate(trainer_hparams(), fields, node, path, self.problems, owner="trainer")
        return trainer if trainer is None else _with_an_end(trainer)

    def _check_requirements(self, blueprint: Blueprint) -> None:
        if not blueprint.requires:
            return
        from hydrantic.requirements import unmet  # not before there is something to verify: 10 ms

        for position, (requirement, reason) in enumerate(unmet(blueprint.requires)):
            if reason:
                path: KeyPath = ("requires", position)
                source = self.document.source(path)
                self.problems.add("requirement", source, path, requirement=requirement, reason=reason)

    def _check_name(self, blueprint: Blueprint) -> None:
        try:
            folder_name(blueprint.name or self.document.file.stem)
        except UsageError:
            name = blueprint.name or self.document.file.stem
            self.problems.add("name-no-folder", self.document.source(("name",)), ("name",), name=name)

    def check_sweep(self) -> None:
        """Refuse folders of a file that lead elsewhere, and two places that say what is swept."""
        for path in TEMPLATES:
            node = self.document.find(path)
            if node is None or not isinstance(node.value, str) or node.source.on_command_line:
                continue
            if leads_outside(node.value):
                self.problems.add("folder-outside", node.source, path, value=node.value)
        sweeper = self.document.find(("hydra", "sweeper"))
        if sweeper is not None and sweeper.value is not None and self._is_written("sweep"):
            self.problems.add("given-twice", sweeper.place, ("hydra", "sweeper"), other="sweep")

    def _check_checkpoint(self, checkpoint: CheckpointHparams | None) -> None:
        """Refuse a name or a choice of checkpoints that cannot be obeyed."""
        if checkpoint is None:
            return
        if checkpoint.filename is not None and leads_elsewhere(checkpoint.filename):
            path: KeyPath = ("checkpoint", "filename")
            self.problems.add("filename-with-folder", self.document.source(path), path)
        if checkpoint.monitor is None and checkpoint.save_top_k not in {-1, 0, 1}:
            path = ("checkpoint", "save_top_k")
            self.problems.add("no-monitor", self.document.source(path), path, count=checkpoint.save_top_k)
        if checkpoint.monitor is None and checkpoint.mode != _default_of(CheckpointHparams, "mode"):
            path = ("checkpoint", "mode")
            self.problems.add("no-effect", self.document.source(path), path, reason="there is no monitor to rank by")

    def _check_epochs(self, blueprint: Blueprint, trainer: Hparams, scheduler: Component[Any] | None) -> None:
        """Refuse what waits for a validation that never comes, and epochs that contradict each other."""
        fewest, most = trainer["min_epochs"], trainer["max_epochs"]
        if None not in {fewest, most} and 0 <= most < fewest:
            path: KeyPath = ("trainer", "min_epochs")
            self.problems.add("more-than-all", self.document.source(path), path, value=fewest, most=most)
        if reason := _no_validation(trainer):
            for path, name in watching_validation(self.document, blueprint, scheduler):
                self.problems.add("validation-off", self.document.source(path), path, monitor=name, reason=reason)
        if scheduler is None or scheduler.wiring is None or traits_of(scheduler.entry).watches:
            return
        if scheduler.wiring["monitor"] != _default_of(SchedulerWiring, "monitor"):
            path = ("scheduler", "monitor")
            reason = f"the scheduler '{scheduler.name}' watches nothing"
            self.problems.add("no-effect", self.document.source(path), path, reason=reason)

    def _check_style(self, traits: Traits, model: Entry) -> None:
        optimizer = self._section("optimizer")
        if traits.style != "module" and (optimizer is None or optimizer.value is None):
            self._refuse("no-optimizer", "optimizer", model)
        if traits.computes_loss and self._is_written("loss"):
            self._refuse("has-own-loss", "loss", model)
        if not traits.computes_loss and not self._is_written("loss"):
            self.problems.add("no-loss", self.document.source(("model",)), ("loss",), model=model.name)
        if traits.style == "module":
            for section in ("metrics", "optimizer", "scheduler", "matmul_precision"):
                if self._is_written(section):
                    self._refuse("trains-itself", section, model)

    def _check_tasks(self, data: Component[Any], judges: Iterable[Component[Any] | None]) -> None:
        """Refuse a loss or metric for another task than the data's, where that is known without the data."""
        said = data.hparams.get("task")
        task = said if said in get_args(Task) else traits_of(data.entry).task
        for each in judges:
            tasks = None if each is None else traits_of(each.entry).tasks
            if each is not None and tasks is not None and task is not None and task not in tasks:
                place = self.document.key_source(each.path)
                about = {"owner": each.name, "kind": each.kind, "tasks": tasks, "task": task, "data": data.name}
                self.problems.add("unsuited", place, each.path, **about)

    def _check_monitors(self, callbacks: Mapping[str, Component[Any]]) -> None:
        """Refuse what watches a name that nothing logs; callbacks of a project may log whatever they like."""
        written = self.document.find(("callbacks",))
        are_known = written is None or len(children_of(written)) == len(callbacks)
        if not are_known or any(each.entry.shelf != STOCK for each in callbacks.values()):
            return
        metrics = self.document.find(("metrics",))
        logged = ("loss", *(str(label) for label, _ in (metrics.children() if metrics is not None else ())))
        known = tuple(f"{stage}/{name}" for stage in ("training", "validation") for name in logged)
        shown = self.document.find(("checkpoint", "filename"))
        for name in names_in(shown.value) if shown is not None and isinstance(shown.value, str) else ():
            if not file_safe(name).startswith(("epoch", "step", *map(file_safe, known))):
                path: KeyPath = ("checkpoint", "filename")
                self.problems.add("unknown-monitor", self.document.source(path), path, name=name, known=known)
        for path in _MONITORS:
            node = self.document.find(path)
            if node is None or not isinstance(node.value, str):
                continue
            of_test = node.value.startswith("test/") and path[0] == "objective"
            if node.value in known or node.value.startswith(tuple(f"{each}/" for each in known)) or of_test:
                continue
            self.problems.add("unknown-monitor", node.source, path, name=node.value, known=known)

    def _is_written(self, section: str) -> bool:
        node = self.document.find((section,))
        return node is not None and node.value not in (None, {})

    def _refuse(self, code: str, section: str, model: Entry) -> None:
        self.problems.add(code, self.document.key_source((section,)), (section,), model=model.name, section=section)


_MONITORS: Final[tuple[KeyPath, ...]] = (
    ("checkpoint", "monitor"),
    ("early_stopping", "monitor"),
    ("objective", "metric"),
    ("scheduler", "monitor"),
)
"""Where a blueprint names what it watches; whatever it does not write is always logged."""


def _default_node(value: Any) -> Node:
    return from_plain(value, DEFAULT)


def _default_name(section: str) -> str:
    """The component of a section that no blueprint need choose, such as the optimizer; else nothing."""
    default = Blueprint.model_fields[section].default
    return default if isinstance(default, str) else ""


DEFAULT_EPOCHS = 10
"""Epochs of training where a blueprint sets no end; Lightning's own default is 1000."""


def _with_an_end(trainer: Hparams) -> Hparams:
    ends = trainer["max_epochs"] is None and trainer["max_steps"] == -1 and trainer["max_time"] is None
    return trainer.model_copy(update={"max_epochs": DEFAULT_EPOCHS}) if ends else trainer


def _no_validation(trainer: Hparams) -> str:
    """Why there will be no validation, or an empty text where there will be."""
    every, most = trainer["check_val_every_n_epoch"], trainer["max_epochs"]
    if trainer["limit_val_batches"] == 0:
        return "trainer.limit_val_batches is 0"
    if every is not None and most is not None and 0 <= most < every:
        return f"trainer.check_val_every_n_epoch is {every}, and trainer.max_epochs {most}"
    return ""


@dataclass(frozen=True)
class _Defaults:
    """The values that nobody wrote, for interpolations that refer to them."""

    document: Document

    def __call__(self, path: KeyPath) -> Any:
        section, rest = str(path[0]), path[1:]
        if section == "name":
            return _inside(self.document.file.stem, rest)
        if section == "trainer" and rest:
            return _inside(self._of_trainer(str(rest[0])), rest[1:])
        depth = 1 if section in COMPONENTS else 2
        if section in {*COMPONENTS, *LABELLED} and len(path) > depth:
            return _inside(self._of_component(path[:depth], str(path[depth])), path[depth + 1 :])
        if rest and (settings := _settings(section)) is not None and self.document.find((section,)) is not None:
            return _inside(_default_of(settings, str(rest[0])), rest[1:])
        return _inside(_default_of(Blueprint, section), rest)

    def _of_trainer(self, field: str) -> Any:
        ends = any(self.document.find(("trainer", other)) is not None for other in ("max_steps", "max_time"))
        return DEFAULT_EPOCHS if field == "max_epochs" and not ends else _default_of(trainer_hparams(), field)

    def _of_component(self, path: KeyPath, field: str) -> Any:
        section = str(path[0])
        node = self.document.find(path) or _section_default(path)
        if node is None or node.child("kwargs") is not None:  # in the seeds' form a field is `kwargs.field`
            raise KeyError(field)
        named = node.child("name") or node.child("module_name") or node
        name = named.value if isinstance(named.value, str) else _default_name(section) if len(path) == 1 else path[1]
        if field == "name":
            return name
        try:
            return _default_of(hparams_of(registry(kind_of(section)).get(str(name))), field)
        except HydranticError:  # reported where the block itself is resolved
            raise KeyError(field) from None


def _default_of(hparams: type[Hparams], field: str) -> Any:
    info = hparams.model_fields.get(field)
    if info is None or info.is_required():
        raise KeyError(field)
    default = info.get_default(call_default_factory=True)
    return to_jsonable_python(default)


def _section_default(path: KeyPath) -> Node | None:
    """What stands at `path` where a blueprint does not have the section."""
    default = Blueprint.model_fields[str(path[0])].get_default(call_default_factory=True)
    node = None if default is PydanticUndefined or default is None else _default_node(default)
    return node if node is None or len(path) == 1 else node.child(path[1])


def _settings(section: str) -> type[Hparams] | None:
    """The Hparams of a section that holds settings and no component."""
    annotation = Blueprint.model_fields[section].annotation if section in Blueprint.model_fields else None
    members = (annotation, *get_args(annotation))
    return next((each for each in members if isinstance(each, type) and issubclass(each, Hparams)), None)


def _inside(value: Any, path: KeyPath) -> Any:
    """The part of plain data at `path`.

    Raises:
        KeyError: it has none.
    """
    node = _default_node(value)
    for part in path:
        if (below := node.child(part)) is None:
            raise KeyError(part)
        node = below
    return node.plain()
