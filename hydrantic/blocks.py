"""Blocks of a blueprint written in Python: `models.mlp(hidden_dims=(64,))` means `{name: mlp, hidden_dims: [64]}`.

    from hydrantic.blocks import data, losses, models

    hydrantic.fit(Blueprint(data=data.digits(), model=models.mlp(hidden_dims=(64,)), loss=losses.cross_entropy()))

Every registered name is an attribute, the project's among them; arguments are checked as they are in a YAML file.
"""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from hydrantic.blueprint import WIRINGS
from hydrantic.components import hparams_of, plain_value, resolve
from hydrantic.document import Whole, from_plain
from hydrantic.manifest import current
from hydrantic.phrases import words
from hydrantic.problems import Problems
from hydrantic.project import Project
from hydrantic.registries import KINDS, UnknownName, reading, registry
from hydrantic.sections import COMPONENTS, LABELLED
from hydrantic.source import Source
from hydrantic.spec import fields_of

_WIRED: Final = {kind: WIRINGS.get(section) for section, kind in {**COMPONENTS, **LABELLED}.items()}


@dataclass(frozen=True)
class Maker:
    """Makes blocks that select one component."""

    kind: str
    name: str

    def __call__(self, **fields: Any) -> dict[str, Any]:
        """The block with these fields, as plain data.

        Raises:
            BlueprintError: a field is unknown or has a wrong value; all problems are listed.
        """
        block = Whole({"name": self.name} | {field: plain_value(value) for field, value in fields.items()})
        project = Project.find().open()
        problems = Problems()
        with reading(current(project)):
            node = from_plain(block, Source(label=f"{KINDS[self.kind]}.{self.name}(...)"))
            resolve(self.kind, node, (), problems, wiring=_WIRED.get(self.kind))
        problems.raise_any()
        return block

    @property
    def __signature__(self) -> inspect.Signature:
        with reading(current(Project.find().open())):
            fields = fields_of(hparams_of(registry(self.kind).get(self.name)))
        kind = inspect.Parameter.KEYWORD_ONLY
        return inspect.Signature(
            [
                inspect.Parameter(
                    field, kind, default=known.get("default", inspect.Parameter.empty), annotation=words(known["type"])
                )
                for field, known in fields.items()
                if field.isidentifier()
            ]
        )

    @property
    def __doc__(self) -> str:  # type: ignore[override]  # of this component, not of the class
        with reading(current(Project.find().open())):
            return registry(self.kind).get(self.name).summary

    def __repr__(self) -> str:
        return f"{KINDS[self.kind]}.{self.name}"


@dataclass(frozen=True)
class Makers:
    """Every component of a kind as an attribute; a name that is no identifier is an item: `layers["my.relu"]`."""

    kind: str

    def __getattr__(self, name: str) -> Maker:
        if name.startswith("__"):
            raise AttributeError(name)
        try:
            return self[name]
        except UnknownName as error:
            raise AttributeError(str(error)) from None

    def __getitem__(self, name: str) -> Maker:
        known = self._names()
        if name not in known:
            raise UnknownName(self.kind, name, known)
        return Maker(self.kind, name)

    def __dir__(self) -> Sequence[str]:
        return [name for name in self._names() if name.isidentifier()]

    def _names(self) -> tuple[str, ...]:
        with reading(current(Project.find().open())):
            return registry(self.kind).lookups()

    def __repr__(self) -> str:
        return KINDS[self.kind]


models: Final = Makers("model")
losses: Final = Makers("loss")
metrics: Final = Makers("metric")
data: Final = Makers("data")
optimizers: Final = Makers("optimizer")
schedulers: Final = Makers("scheduler")
callbacks: Final = Makers("callback")
loggers: Final = Makers("logger")
layers: Final = Makers("layer")
launchers: Final = Makers("launcher")
sweepers: Final = Makers("sweeper")
samplers: Final = Makers("sampler")
pruners: Final = Makers("pruner")
