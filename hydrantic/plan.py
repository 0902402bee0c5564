"""The plan of a run: the blueprint with each of its components, validated, nothing built."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from hydrantic.blueprint import Blueprint, HydraSettings
from hydrantic.components import Component, allows_none, auto_fields
from hydrantic.document import Document, Node
from hydrantic.errors import BlueprintError
from hydrantic.facts import Facts
from hydrantic.hparams import AUTO, Hparams
from hydrantic.model.hparams import ModelHparams
from hydrantic.problems import Problem, Problems
from hydrantic.secrets import secrets_in, with_references, without_secrets
from hydrantic.sections import COMPONENTS, LABELLED, OF_SWEEPS
from hydrantic.source import KeyPath
from hydrantic.traits import Style, traits_of

GROUPS = tuple(ModelHparams.model_fields)
"""Fields that a model's own Hparams may carry and that are sections of a blueprint."""
_BEYOND_A_RUN = (*OF_SWEEPS, "packed")
"""Sections that tell nothing of one run."""


@dataclass(frozen=True)
class Plan:
    """What a run will build: the blueprint and each of its components, validated."""

    document: Document
    record: Node
    blueprint: Blueprint
    data: Component[Any]
    model: Component[Any]
    loss: Component[Any] | None
    metrics: Mapping[str, Component[Any]]
    optimizer: Component[Any] | None
    scheduler: Component[Any] | None
    callbacks: Mapping[str, Component[Any]]
    loggers: Mapping[str, Component[Any]]
    trainer: Hparams
    sweep: Component[Any] | None = None

    @property
    def name(self) -> str:
        """The run's name."""
        # What of a file's name is no text cannot stand in a blueprint.
        return self.blueprint.name or self.document.file.stem.encode("utf-8", "replace").decode()

    @property
    def style(self) -> Style:
        """How the model takes part in training."""
        return traits_of(self.model.entry).style

    @property
    def components(self) -> Mapping[KeyPath, Component[Any]]:
        """Every component by its section, and label where it has one."""
        found: dict[KeyPath, Component[Any] | None] = {(name,): getattr(self, name) for name in COMPONENTS}
        found |= {(s, label): each for s in LABELLED for label, each in getattr(self, s).items()}
        return {path: each for path, each in found.items() if each is not None}

    @property
    def objective(self) -> tuple[str, str] | None:
        """Logged name and mode of what a sweep optimises."""
        chosen = self.blueprint.objective
        if chosen is not None:
            return chosen.metric, chosen.mode
        checkpoint = self.blueprint.checkpoint
        return (checkpoint.monitor, checkpoint.mode) if checkpoint is not None and checkpoint.monitor else None

    def resolved(self) -> dict[str, Any]:
        """The complete blueprint of one run: every default written out, a reference for what the environment gave."""
        return {section: value for section, value in self.complete().items() if section not in _BEYOND_A_RUN}

    def complete(self) -> dict[str, Any]:
        """The complete blueprint, with what it says of sweeps and of where it was packed, if anything."""
        plain = self.blueprint.to_plain() | {"name": self.name, "trainer": self.trainer.to_plain()}
        for section in COMPONENTS:
            component = getattr(self, section)
            plain[section] = None if component is None else self._recorded(component)
        for group in GROUPS:
            plain["model"].pop(group, None)
        for section in LABELLED:
            plain[section] = {label: self._recorded(each) for label, each in getattr(self, section).items()}
        for section, node in children_of(self.record):
            if section not in {*COMPONENTS, *LABELLED} and section in plain:
                plain[section] = with_references(plain[section], self.document.find((section,)), node)
        plain["hydra"] = None if self.blueprint.hydra is None else self._hydra(self.blueprint.hydra)
        unsaid = {section for section in _BEYOND_A_RUN if self.document.find((section,)) is None}
        return {section: value for section, value in plain.items() if section not in unsaid}

    def _hydra(self, hydra: HydraSettings) -> dict[str, Any]:
        """The section `hydra`, with a sweeper only where it says one: the section `sweep` has it otherwise."""
        plain = hydra.to_plain() | {"launcher": self._recorded(hydra.launcher)}
        del plain["sweeper"]
        is_written = self.document.find(("hydra", "sweeper")) is not None
        return plain | ({"sweeper": self._recorded(hydra.sweeper)} if is_written else {})

    def _recorded(self, component: Component[Any]) -> dict[str, Any]:
        return recorded(component, self.document, self.record)

    def refuse(self, code: str, path: KeyPath, **facts: Any) -> BlueprintError:
        """The error for one problem that shows only when something is built."""
        problem = Problem(code, self.document.source(path), path, facts)
        return BlueprintError((without_secrets(self.secrets, problem),))

    @property
    def secrets(self) -> Mapping[str, str]:
        """What the environment supplied, with the references that records show instead."""
        return dict(secrets_in(self.document.root, self.record))

    def supplied_with(self, facts: Facts) -> Plan:
        """The same plan with every `auto` field set to the data's fact of that name.

        Raises:
            BlueprintError: the blueprint contradicts the data, or the data does not state what a field needs.
        """
        problems = Problems()
        adapt = getattr(self.loss.entry.component, "adapt", None) if self.loss is not None else None
        wanted = facts if adapt is None else adapt(facts)
        changed: dict[str, Any] = {
            "model": self._supplied(self.model, wanted, problems),
            "loss": None if self.loss is None else self._supplied(self.loss, wanted, problems),
            "metrics": {label: self._supplied(each, facts, problems) for label, each in self.metrics.items()},
        }
        if facts.validation_size == 0:
            changed["blueprint"] = self._without_validation(problems)
        self._check_interval(facts, problems)
        problems.raise_any()
        return dataclasses.replace(self, **changed)

    def _without_validation(self, problems: Problems) -> Blueprint:
        """The blueprint with the latest checkpoint kept instead of the best; who asks for the best is told."""
        for path, name in watching_validation(self.document, self.blueprint, self.scheduler):
            problems.add("no-validation", self.document.source(path), path, monitor=name, data=self.data.name)
        return keeping_latest(self.blueprint)

    def _check_interval(self, facts: Facts, problems: Problems) -> None:
        """Refuse validation after more batches than an epoch has, which Lightning refuses once training has begun."""
        size, interval = self.data.hparams.get("batch_size"), self.trainer["val_check_interval"]
        if not size or facts.train_size is None or self.trainer["check_val_every_n_epoch"] is None:
            return
        whole, rest = divmod(facts.train_size, size)
        batches = whole if self.data.hparams.get("drop_last") else whole + bool(rest)
        if isinstance(interval, int) and interval > batches:
            path: KeyPath = ("trainer", "val_check_interval")
            source = self.document.source(path)
            problems.add("beyond-epoch", source, path, value=interval, batches=batches, data=self.data.name)

    def _supplied(
        self, component: Component[Any], facts: Facts, problems: Problems, *, nested: bool = False
    ) -> Component[Any]:
        if not nested and self._is_unsuited(component, facts, problems):
            return component
        values: dict[str, Any] = {}
        autos = auto_fields(type(component.hparams))
        for name, value in component.hparams.items():
            if name in autos:
                self._supply(component, name, value, facts, problems, values, nested)
            elif (within := self._supplied_within(value, facts, problems)) is not value:
                values[name] = within
        try:
            return component.with_fields(**values) if values else component
        except ValidationError as error:
            self._refuse_facts(component, error, problems)
            return component

    def _supplied_within(self, value: Any, facts: Facts, problems: Problems) -> Any:
        """A field's value with every component in it supplied; the value itself where it holds none."""
        if isinstance(value, Component):
            return self._supplied(value, facts, problems, nested=True)
        if isinstance(value, list | tuple):
            return _unless_same(value, type(value)(self._supplied_within(part, facts, problems) for part in value))
        if not isinstance(value, Mapping):
            return value
        parts = {key: self._supplied_within(part, facts, problems) for key, part in value.items()}
        changed = {key: part for key, part in parts.items() if part is not value[key]}
        if not changed:
            return value
        return value.model_copy(update=changed) if isinstance(value, Hparams) else parts

    def _is_unsuited(self, component: Component[Any], facts: Facts, problems: Problems) -> bool:
        """Whether a loss or metric says that it is for another task; one that says nothing is for every task."""
        tasks = traits_of(component.entry).tasks
        if tasks is None or facts.task is None or facts.task in tasks:
            return False
        path = component.path
        problems.add(
            "unsuited", self.document.key_source(path), path,
            owner=component.name, kind=component.kind, tasks=tasks, task=facts.task, data=self.data.name,
        )  # fmt: skip
        return True

    def _refuse_facts(self, component: Component[Any], error: ValidationError, problems: Problems) -> None:
        for each in error.errors(include_url=False):
            field = str(each["loc"][0]) if each["loc"] else ""
            path = component.places.get(field, (*component.path, field))
            problems.add(
                "unsuited-fact", self.document.source(path), path,
                owner=component.name, field=field, data=self.data.name,
                type=each["type"], message=each["msg"], value=each["input"], limits=each.get("ctx", {}),
            )  # fmt: skip

    def _supply(
        self,
        component: Component[Any],
        name: str,
        value: Any,
        facts: Facts,
        problems: Problems,
        values: dict[str, Any],
        nested: bool,
    ) -> None:
        fact = facts.get(name)
        path = component.places.get(name, (*component.path, name))
        if value == AUTO and fact is None and allows_none(type(component.hparams), name):
            values[name] = None
        elif value == AUTO and fact is None:
            problems.add(
                "not-supplied", self.document.source(path), path,
                owner=component.name, field=name, data=self.data.name, known=tuple(facts.stated()),
            )  # fmt: skip
        elif value == AUTO:
            values[name] = fact
        elif fact is not None and not nested and name in component.places and value != fact:
            problems.add(
                "contradicts-data", self.document.source(path), path, field=name, value=value, fact=fact,
                data=self.data.name,
            )  # fmt: skip


def recorded(component: Component[Any], document: Document, record: Node) -> dict[str, Any]:
    """The block that selects a component, with references in place of what the environment supplied.

    Arguments:
        component: chosen in the document.
        document: resolved.
        record: the same with its references.
    """
    plain = component.to_plain()
    for name, path in component.places.items():
        reference = Document(record, {}, document.file).find(path)
        if reference is not None and name in plain:  # a class may keep a field out of what is written
            plain[name] = with_references(plain[name], document.find(path), reference)
    return plain


def keeping_latest(blueprint: Blueprint) -> Blueprint:
    """The blueprint with the latest checkpoint kept, where validation would rank them and there is none."""
    checkpoint = blueprint.checkpoint
    if checkpoint is None or not str(checkpoint.monitor).startswith("validation/"):
        return blueprint
    latest = checkpoint.model_copy(update={"monitor": None, "save_top_k": min(checkpoint.save_top_k, 1)})
    return blueprint.model_copy(update={"checkpoint": latest})


def watching_validation(
    document: Document, blueprint: Blueprint, scheduler: Component[Any] | None
) -> Iterator[tuple[KeyPath, str]]:
    """What cannot do without validation, and the logged name that it watches; a default checkpoint can."""
    watching: dict[KeyPath, str | None] = {}
    if blueprint.checkpoint is not None and document.find(("checkpoint", "monitor")) is not None:
        watching["checkpoint", "monitor"] = blueprint.checkpoint.monitor
    if blueprint.early_stopping is not None:
        watching["early_stopping", "monitor"] = blueprint.early_stopping.monitor
    if blueprint.objective is not None:
        watching["objective", "metric"] = blueprint.objective.metric
    if scheduler is not None and scheduler.wiring is not None and traits_of(scheduler.entry).watches:
        watching["scheduler", "monitor"] = scheduler.wiring["monitor"]
    yield from ((path, name) for path, name in watching.items() if name and name.startswith("validation/"))


def _unless_same(before: Sequence[Any], after: Sequence[Any]) -> Sequence[Any]:
    return before if all(new is old for new, old in zip(after, before, strict=True)) else after


def children_of(node: Node) -> Sequence[tuple[str, Node]]:
    """The entries of a mapping, or nothing where a node is none."""
    return list(node.value.items()) if isinstance(node.value, dict) else []
