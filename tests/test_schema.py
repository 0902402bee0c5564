"""The JSON Schema of a project's blueprints: it agrees with `check` wherever it can."""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft7Validator

from hydrantic.blueprint import ELSEWHERE, Blueprint
from hydrantic.checking import check
from hydrantic.document import Document, from_plain
from hydrantic.errors import BlueprintError
from hydrantic.manifest import Manifest, current
from hydrantic.manifest.descriptions import Description
from hydrantic.planning import make_plan
from hydrantic.project import Project
from hydrantic.reading import read_yaml
from hydrantic.registries import KINDS, reading
from hydrantic.schema import FILE, line_for, schema_of, to_json, write_schema
from hydrantic.sections import COMPONENTS, LABELLED, kind_of
from hydrantic.source import Source
from hydrantic.spec import fields_of
from tests.projects import project, write

ROOT = Path(__file__).parent.parent
NOWHERE = Project(None)

ONLY_CHECK_SEES = {
    "unsuited": "which task the data has",
    "no-loss": "which models compute their own loss",
    "has-own-loss": "as above",
    "no-optimizer": "which models bring their own training",
    "trains-itself": "as above",
    "not-given": "that text which is ??? is no text",
    "no-such-file": "what lies on the disk",
    "unknown-monitor": "what is logged",
    "filename-with-folder": "how a pattern of file names is read",
    "name-no-folder": "what a folder may be called",
    "no-monitor": "how two fields hang together",
    "requirement": "what is installed",
    "value:split": "how the values of a field hang together",
    "value:interval": "as above",
}
"""Problems that no schema can express, and what one would have to know."""


@functools.cache
def _manifest() -> Manifest:
    return current(NOWHERE)


@functools.cache
def _validator() -> Draft7Validator:
    schema = json.loads(to_json(_manifest()))
    Draft7Validator.check_schema(schema)
    return Draft7Validator(schema)


@pytest.fixture
def manifest() -> Manifest:
    return _manifest()


@pytest.fixture
def validator() -> Draft7Validator:
    return _validator()


def found(blueprint: Mapping[str, Any], manifest: Manifest) -> list[str]:
    """The codes of the problems that check finds in a blueprint that is composed of no other file."""
    file = Path("a.yaml")
    document = Document(from_plain(blueprint, Source(file)), {file: ""}, file)
    try:
        with reading(manifest):
            make_plan(document, NOWHERE)
    except BlueprintError as error:
        return [each.code for each in error.problems if each.code not in ONLY_CHECK_SEES]
    return []


def refused(blueprint: Mapping[str, Any], validator: Draft7Validator) -> list[str]:
    return [f"{'.'.join(map(str, each.path))}: {each.message[:200]}" for each in validator.iter_errors(blueprint)]


BASE = {"data": "digits", "model": "mlp", "loss": "cross_entropy", "loggers": {}, "metrics": {"accuracy": None}}

VALUES: list[Any] = [
    None, True, False, 0, 1, -1, 3, 0.5, -0.5, 1.5, "auto", "text", "", "a b", "${seed}", "../x", "http://x/y", "relu",
    "cosine", [], [1], [-1], [1, 2], [0.5, 0.2], ["a"], ["${seed}"], [None], [True], [[1, 2], [3, 4]], {},
    {"a": 1}, {"name": "relu"}, {"name": "relu", "inplace": True}, {"name": "relu", "inplac": True}, {"relu": None},
    {"module_name": "torch.nn.ReLU", "kwargs": {"inplace": False}}, {"inplace": True}, {"name": 3}, {"kwargs": []},
    {"name": "mlp", "module_name": "mlp"}, [{"name": "step", "step_size": 2}, {"name": "constant"}], ["step"],
    [{"name": "step", "step_size": 2, "interval": "step"}], [{"name": "relu"}, "gelu"], {"name": "${vars.name}"},
]  # fmt: skip
"""Whole numbers among the floats are left out: JSON has them for integers."""

SETTINGS = {name: field["type"]["union"][0]["fields"] for name, field in fields_of(Blueprint).items()
            if "union" in field["type"] and "fields" in field["type"]["union"][0]}  # fmt: skip


def values(field: Mapping[str, Any]) -> st.SearchStrategy[Any]:
    """Values for a field, most of them wrong; its default and what it offers are among them."""
    offered = [field[key] for key in ("default",) if key in field]
    return st.sampled_from([*offered, *_offered(field["type"])] or [None]) | st.sampled_from(VALUES)


def _offered(type_: Any) -> list[Any]:
    if not isinstance(type_, dict):
        return []
    form, inner = next(iter(type_.items()))
    if form == "choice":
        return list(inner)
    return [each for part in (inner if isinstance(inner, list) else [inner]) for each in _offered(part)]


@st.composite
def some_fields(draw: st.DrawFn, fields: Mapping[str, Any]) -> dict[str, Any]:
    """Some fields with values; now and then there is one that does not exist."""
    names = draw(st.lists(st.sampled_from([*fields, "no_such_field"]), max_size=2, unique=True))
    needed = [name for name, field in fields.items() if "default" not in field and draw(st.booleans())]
    unknown = {"type": "any"}
    return {name: draw(values(fields.get(name, unknown))) for name in [*names, *needed]}


@st.composite
def blocks(draw: st.DrawFn, components: list[Description]) -> Any:
    """A block in one of its many forms: a name, flat, with `kwargs`, by an alias, or without a name."""
    each = draw(st.sampled_from(components))
    name = draw(st.sampled_from([*each.lookups, "no_such_name"]))
    if draw(st.integers(0, 4)) == 0:
        return name
    fields = draw(some_fields(each.fields))
    inside = {key: fields.pop(key) for key in list(fields) if draw(st.booleans())}
    named = draw(st.sampled_from([{"name": name}, {"name": name}, {"module_name": name}, {}]))
    return named | fields | ({"kwargs": inside} if inside else {})


@st.composite
def sections(draw: st.DrawFn, manifest: Manifest) -> dict[str, Any]:
    """One section of a blueprint with whatever may stand in it, and what may not."""
    name = draw(st.sampled_from([*Blueprint.model_fields, "no_such_section"]))
    if draw(st.integers(0, 5)) == 0:
        return {name: draw(st.sampled_from(VALUES))}
    if name in COMPONENTS:
        block = draw(blocks(list(manifest.all(kind_of(name)))))
        slotted = name == "model" and isinstance(block, dict) and draw(st.booleans())
        return {name: block | {"activation": draw(blocks(list(manifest.all("layer"))))} if slotted else block}
    if name in LABELLED:
        labels = [*manifest.names(kind_of(name)), "mine", "a b", "loss"]
        component = blocks(list(manifest.all(kind_of(name)))) | st.none()
        return {name: draw(st.dictionaries(st.sampled_from(labels), component, max_size=2))}
    fields = {"trainer": manifest.trainer_fields, **SETTINGS}.get(name)
    if fields is not None:
        elsewhere = draw(st.sampled_from([{}, {}, {}, dict.fromkeys(list(ELSEWHERE)[:1])])) if name == "trainer" else {}
        return {name: draw(some_fields(fields)) | elsewhere}
    known = fields_of(Blueprint).get(name, {"type": "any"})
    return {name: draw(values(known))}


@settings(max_examples=400, derandomize=True, deadline=None, database=None)
@given(section=st.deferred(lambda: sections(_manifest())))
def test_the_schema_and_check_agree(section: dict[str, Any]) -> None:
    blueprint = BASE | {"vars": {"name": "relu"}} | section
    problems, errors = found(blueprint, _manifest()), refused(blueprint, _validator())
    assert problems or not errors, "the schema refuses what check lets through"
    if "${" not in json.dumps(blueprint):
        assert errors or not problems, "the schema lets through what check refuses"


def probes(field: Mapping[str, Any]) -> list[Any]:
    """What a field takes and what it does not, at its limits and of other types."""
    at_limits = [limit + step for limit in _limits(field["type"]) for step in (-1, -0.5, 0, 1)]
    default = [field["default"]] if "default" in field else []
    return [*default, *_offered(field["type"]), *at_limits, "text", None, 0.5, 7, [1], "../x"]


def _limits(type_: Any) -> list[Any]:
    if isinstance(type_, dict):
        own = [type_[name] for name in ("gt", "ge", "lt", "le") if name in type_]
        return own + [each for part in type_.values() for each in _limits(part)]
    return [each for part in type_ for each in _limits(part)] if isinstance(type_, list) else []


@pytest.mark.parametrize("kind", [*COMPONENTS.values(), *LABELLED.values()])
def test_the_schema_and_check_agree_on_every_field(kind: str, manifest: Manifest, validator: Draft7Validator) -> None:
    section = next(name for name in (*COMPONENTS, *LABELLED) if kind_of(name) == kind)
    for each in manifest.all(kind):
        for name, field in each.fields.items():
            others = {other: 3 for other, has in each.fields.items() if "default" not in has and other != name}
            alone = found(BASE | _with(section, {"name": each.name} | others), manifest)
            for value in probes(field):
                if alone or (isinstance(value, float) and value.is_integer()):
                    continue
                blueprint = BASE | _with(section, {"name": each.name, name: value} | others)
                assert bool(refused(blueprint, validator)) == bool(found(blueprint, manifest)), blueprint[section]


@pytest.mark.parametrize(
    ("sweep", "is_sound"),
    [
        ({"name": "optuna", "sampler": {"warn_independent_sampling": True}}, True),
        ({"name": "optuna", "sampler": {}}, True),
        ({"name": "optuna", "sampler": {"popsize": 3}}, False),
        ({"name": "optuna", "sampler": {"seed": -1}}, False),
        ({"name": "optuna", "pruner": {"n_startup_trials": 3}}, False),
        ({"name": "optuna", "pruner": {"name": "patient", "pruner": "median"}}, False),
        ({"name": "optuna", "pruner": {"name": "patient", "patience": 2, "pruner": "median"}}, True),
    ],
)
def test_a_block_without_a_name_is_the_default_of_its_slot(
    sweep: dict[str, Any], is_sound: bool, manifest: Manifest, validator: Draft7Validator
) -> None:
    blueprint = BASE | {"sweep": sweep}
    assert (refused(blueprint, validator) == []) is is_sound
    assert (found(blueprint, manifest) == []) is is_sound


def _with(section: str, block: Mapping[str, Any]) -> dict[str, Any]:
    return {section: {"mine": block} if section in LABELLED else block}


@pytest.mark.parametrize("file", sorted((ROOT / "blueprints").glob("*.yaml")), ids=lambda file: file.stem)
def test_every_shipped_blueprint_suits_the_schema(file: Path, validator: Draft7Validator) -> None:
    assert refused(read_yaml(file).plain(), validator) == []


@pytest.mark.parametrize("file", sorted((ROOT / "tests" / "goldens").glob("*.yaml")), ids=lambda file: file.stem)
def test_what_the_schema_refuses_check_refuses_too(file: Path, validator: Draft7Validator) -> None:
    try:
        plain = read_yaml(file).plain()
    except BlueprintError:
        return
    if refused(plain, validator):
        with pytest.raises(BlueprintError):
            check(file, project=NOWHERE)


COMPOSED = {
    "a choice in place of the block": "defaults: [{model: linear}, _self_]\ndata: digits\nloss: cross_entropy\n",
    "a block that refines an option": "defaults: [{model: big}, _self_]\ndata: digits\nloss: cross_entropy\n"
    "model: {dropout: 0.1, activation: {inplace: true}}\n",
    "a file beside it": "defaults: [base, _self_]\nmodel: {dropout: 0.1}\n",
    "a label": "defaults: [base, {metrics: [f1, mine]}, _self_]\nmetrics: {mine: {top_k: 2}}\n",
    "options that may be missing": "defaults: [base, {optional model: none_such}, {override /optimizer: sgd}, _self_]\n"
    "optimizer: {lr: 0.1}\n",
    "nothing": "defaults: [_self_]\ndata: digits\nmodel: mlp\nloss: cross_entropy\n",
}


@pytest.mark.parametrize("text", COMPOSED.values(), ids=COMPOSED)
def test_other_files_may_hold_what_a_composed_blueprint_leaves_out(
    text: str, validator: Draft7Validator, tmp_path: Path
) -> None:
    write(tmp_path / "base.yaml", "data: digits\nmodel: mlp\nloss: cross_entropy\ndefaults: [{optimizer: adam}]\n")
    write(tmp_path / "model" / "big.yaml", "name: mlp\nhidden_dims: [512]\nactivation: {name: relu}\n")
    write(tmp_path / "metrics" / "mine.yaml", "mine: accuracy\n")
    file = write(tmp_path / "a.yaml", text)
    check(file, project=NOWHERE)
    assert refused(read_yaml(file).plain(), validator) == []


@pytest.mark.parametrize(
    "text",
    [
        "defaults: [_self_]\ndata: digits\n",
        "defaults: [{model: linear}, _self_]\ndata: digits\nloss: {label_smoothng: 1}\nmodel: {name: mlp, dims: 3}\n",
        "defaults: [{model: linear, data: digits}]\n",
        "defaults: {model: linear}\n",
        "defaults: [3]\ndata: digits\nmodel: mlp\nloss: cross_entropy\n",
        "data: digits\nloss: cross_entropy\n",
        "data: digits\nmodel: {dropout: 0.1}\nloss: cross_entropy\n",
        "data: digits\nmodel: mlp\nloss: cross_entropy\nscheduler: cosine\n",
        "data: digits\nmodel: mlp\nloss: cross_entropy\ncallbacks: {swa: }\n",
        "data: digits\nmodel: mlp\nloss: cross_entropy\ncallbacks: {mine: swa}\n",
        "data: digits\nmodel: mlp\nloss: cross_entropy\nobjective: {mode: min}\n",
        "data: digits\nmodel: {name: mlp, activation: threshold}\nloss: cross_entropy\n",
        "data: digits\nmodel: {module_name: mlp, kwargs: {activation: {name: threshold, value: 1}}}\nloss: mse\n",
        "data: digits\nmodel: mlp\nloss: cross_entropy\nscheduler: {name: chained, schedulers: [step]}\n",
        "data: digits\nmodel: mlp\nloss: cross_entropy\nmetrics: {loss: accuracy}\n",
        "data: digits\nmodel: mlp\nloss: cross_entropy\nmetrics: {a b: accuracy}\n",
        "data: digits\nmodel: mlp\nloss: cross_entropy\nmetrics: {mine: }\n",
        "data: digits\nmodel: mlp\nloss: cross_entropy\ntrainer: {default_root_dir: x}\n",
        "data: digits\nmodel: mlp\nloss: cross_entropy\noptimizer: {name: adam, module_name: adam}\n",
        "data: digits\nmodel: mlp\nloss: cross_entropy\noptimizer: {name: adam, kwargs: {name: adam}}\n",
        "data: digits\nmodel: mlp\nloss: cross_entropy\ncallbacks: {model_checkpoint: {filename: ../x}}\n",
    ],
)
def test_what_is_wrong_or_missing_is_seen_by_both(text: str, validator: Draft7Validator, tmp_path: Path) -> None:
    file = write(tmp_path / "a.yaml", text)
    assert refused(read_yaml(file).plain(), validator)
    with pytest.raises(BlueprintError):
        check(file, project=NOWHERE)


def test_an_interpolation_may_stand_anywhere(validator: Draft7Validator) -> None:
    whole = dict.fromkeys(Blueprint.model_fields, "${vars.x}")
    inner = BASE | {
        "model": {"name": "${vars.x}", "anything": 3},
        "optimizer": {"module_name": "adam", "kwargs": "${vars.x}"},
        "metrics": {"accuracy": "${vars.x}", "mine": {"name": "f1", "average": "${vars.x}"}},
        "trainer": {"max_epochs": "${vars.x}", "precision": "${vars.x}"},
        "scheduler": {"name": "chained", "schedulers": ["${vars.x}", {"name": "step", "step_size": "${vars.x}"}]},
    }
    assert refused(whole, validator) == refused(inner, validator) == []


def test_it_is_small(manifest: Manifest) -> None:
    assert len(to_json(manifest)) < 500_000


def test_it_tells_of_every_section_and_component(manifest: Manifest) -> None:
    schema = json.loads(to_json(manifest))
    assert set(schema["properties"]) == {"defaults", *Blueprint.model_fields}
    assert all(section["description"] for section in schema["properties"].values())
    for kind in KINDS:
        assert schema["definitions"][f"{kind}-name"]["enum"] == list(manifest.names(kind))
        assert len(schema["definitions"][f"{kind}-name"]["enumDescriptions"]) == len(manifest.names(kind))
    assert schema["definitions"]["model=mlp"]["properties"]["dropout"]["default"] == 0.0


WORKSHOP = """
    from typing import Any
    import torch
    from torch import nn
    from pydantic import field_validator
    from hydrantic import Hparam, Hparams, LossSlot, Model, ModelHparams, named, register_loss, register_model

    @register_model("mine", aliases=["my.older", "old_mine"])
    class Mine(nn.Module):
        \"\"\"A model of this project.

        Arguments:
            width: how wide it is.
        \"\"\"

        def __init__(self, in_features: int, out_features: int, width: int = 8, kind: torch.dtype | None = None):
            super().__init__()

    class JudgingHparams(Hparams):
        width: int
        \"\"\"How wide, also in words.\"\"\"

        @field_validator("width", mode="before")
        @classmethod
        def _in_words(cls, value: Any) -> Any:
            return {"wide": 64}.get(value, value)

    @register_model("judging")
    class Judging(nn.Module):
        def __init__(self, hparams: JudgingHparams) -> None:
            super().__init__()

    class OwnHparams(ModelHparams):
        loss: LossSlot = named("mse")
        \"\"\"What it makes small.\"\"\"

    @register_model("own")
    class Own(Model[OwnHparams]):
        def compute_metrics(self, outputs: Any, targets: Any) -> dict[str, torch.Tensor]:
            return {}

    @register_loss("mse")
    class Mse(nn.Module):
        \"\"\"In place of the stock one.\"\"\"

        def __init__(self, factor: float = 1.0) -> None:
            super().__init__()

    @register_model("broken")
    class Broken(nn.Module):
        def __init__(self, callback: type[int]) -> None:
            super().__init__()
"""

OF_WORKSHOP = [
    ("model: {name: mine, width: 3}", True),
    ("model: {name: my.older, width: 3}", True),
    ("model: {name: old_mine, widht: 3}", False),
    ("model: {name: mine, width: wide}", False),
    ("model: {name: judging, width: wide}", True),
    ("model: {name: judging, width: 3.5}", None),
    ("model: judging", None),
    ("model: {name: judging, wide: 3}", False),
    ("model: broken", False),
    ("loss: {name: mse, factor: 2}", True),
    ("loss: {name: mse, reduction: sum}", False),
    ("loss: {name: hydrantic.registry.losses.MSE}", True),
    ("loss: {name: hydrantic.registry.losses.MSE, factor: 2}", False),
    ("loss: null\nmodel: {name: own, optimizer: {name: sgd, lr: 0.1}, loss: l1}", True),
    ("loss: null\nmodel: {name: own, optimizer: {name: sgd, lr: fast}}", False),
    ("loss: null\nmodel: {name: own, early_stopping: {patience: -1}}", False),
    ("loss: null\nmodel: {name: own, loss: {name: mse, factor: 2}}", True),
    ("loss: null\nmodel: {name: own, loss: {name: mse, input: logits}}", False),
]


@pytest.mark.usefixtures("scratch")
def test_a_project_finds_its_own_components_in_its_schema(tmp_path: Path) -> None:
    place = project(tmp_path / "p", workshop=WORKSHOP).open()
    validator = Draft7Validator(json.loads(to_json(current(place))))
    for text, sound in OF_WORKSHOP:
        sections = [
            line for line in ("data: diabetes", "model: mlp", "loss: mse") if line.partition(":")[0] not in text
        ]
        file = write(tmp_path / "p" / "blueprints" / "a.yaml", "\n".join([*sections, text]))
        try:
            check(file, project=place)
        except BlueprintError as error:
            assert not sound, str(error)
        else:
            assert sound is not False, text
        assert (refused(read_yaml(file).plain(), validator) == []) == (sound is not False), text


@pytest.mark.usefixtures("scratch")
def test_a_field_that_only_its_component_judges_may_hold_anything(tmp_path: Path) -> None:
    described = Description("model", "m", "project", told=False, fields={
        "kind": {"type": {"opaque": "torch.dtype"}, "default": None}, "width": {"type": "int", "default": 8},
    })  # fmt: skip
    validator = Draft7Validator(schema_of([described], {}))
    refused_ = [refused({"data": "${x}", "model": {"name": "m"} | fields}, validator) for fields in (
        {"kind": "float32"}, {"kind": [1, {"a": 2}]}, {"width": "${x}"}, {"width": "wide"}, {"widths": 1},
    )]  # fmt: skip
    assert [bool(each) for each in refused_] == [False, False, False, True, True]


def test_it_is_written_whole_and_where_it_is_asked_for(manifest: Manifest, tmp_path: Path) -> None:
    file = tmp_path / FILE
    write_schema(manifest, file)
    assert json.loads(file.read_text("utf-8"))["title"] == "blueprint"
    assert [each.name for each in file.parent.iterdir()] == [file.name]


def test_the_line_for_an_editor_is_the_one_that_the_shipped_blueprints_have() -> None:
    line = line_for(ROOT / FILE, ROOT / "blueprints")
    assert {file.read_text("utf-8").partition("\n")[0] for file in (ROOT / "blueprints").glob("*.yaml")} == {line}
