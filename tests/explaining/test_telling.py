"""An explanation in words: the texts of everything that a value can be."""

from __future__ import annotations

from pathlib import Path

import pytest

from hydrantic.explaining.telling import tell
from tests.projects import project
from tests.test_explaining import explained, here  # noqa: F401 -- the project in which a person stands

pytestmark = pytest.mark.usefixtures("scratch")


def test_a_value_tells_everything_that_it_replaced() -> None:
    assert (
        tell(explained("data.batch_size", "+experiment=quick", "data.batch_size=8"))
        == """\
data.batch_size: 8

set by      command line: data.batch_size=8
instead of  16   blueprints/experiment/quick.yaml:2:20
            32   blueprints/a.yaml:5:15
            64   blueprints/data/small.yaml:2:13
            128  blueprints/data/base.yaml:2:13
type        integer, greater than 0
default     64
meaning     Number of samples in a batch, over all processes that train together."""
    )


def test_a_value_in_a_file_is_shown_there() -> None:
    assert (
        tell(explained("optimizer.lr"))
        == """\
optimizer.lr: 0.01

set by      blueprints/a.yaml:23:7
   23 |   lr: 0.01
      |       ^^^^
instead of  0.1  blueprints/a.yaml:7:20
type        number, greater than 0
default     0.001
meaning     learning rate (default: 1e-3). A tensor LR is not yet supported for all our
            implementations. Please use a float LR if you are not also specifying fused=True or
            capturable=True."""
    )


def test_a_value_of_an_option_tells_who_chose_the_option() -> None:
    assert (
        tell(explained("data.name"))
        == """\
data.name: digits

set by      blueprints/data/base.yaml:1:7
    1 | name: digits
      |       ^^^^^^
chosen by   blueprints/data/small.yaml:1:12
            blueprints/a.yaml:2:5
type        name of a registered data module
meaning     Which data module it is."""
    )


def test_a_value_that_nobody_set_tells_how_to_set_it() -> None:
    assert (
        tell(explained("model.dropout"))
        == """\
model.dropout: 0.0

set by      nobody; it is the default of mlp
type        number, at least 0, less than 1
meaning     Probability with which each hidden value is set to 0 in training.
to set it   `model.dropout=...` on the command line, or below `model:`"""
    )


def test_a_value_that_was_removed_tells_by_what() -> None:
    assert (
        tell(explained("data.batch_size", "~data.batch_size"))
        == """\
data.batch_size: 64

set by      nobody; it is the default of digits
instead of  (removed)  command line: ~data.batch_size
            32         blueprints/a.yaml:5:15
            64         blueprints/data/small.yaml:2:13
            128        blueprints/data/base.yaml:2:13
type        integer, greater than 0
meaning     Number of samples in a batch, over all processes that train together.
to set it   `data.batch_size=...` on the command line, or below `data:`"""
    )


def test_a_value_for_the_data_to_supply_says_so() -> None:
    assert (
        tell(explained("model.in_features"))
        == """\
model.in_features: auto

set by      the data, when a run starts
type        integer or auto
meaning     Number of values in one input.
to set it   `model.in_features=...` on the command line, or below `model:`"""
    )
    assert "supplied by the data, when a run starts\n" in tell(explained("model.in_features", "model.in_features=auto"))


def test_an_interpolation_tells_what_it_refers_to_and_what_that_does() -> None:
    assert (
        tell(explained("scheduler.T_max"))
        == """\
scheduler.T_max: 5

set by      blueprints/a.yaml:24:34
   24 | scheduler: {name: cosine, T_max: "${vars.epochs}"}
      |                                  ^^^^^^^^^^^^^^^^
refers to   vars.epochs: 5, set by blueprints/a.yaml:8:11 as ${.more}
            vars.more: 5, set by blueprints/a.yaml:9:9
type        integer, greater than 0
meaning     Maximum number of iterations."""
    )


def test_a_component_is_described_with_its_fields(tmp_path: Path) -> None:
    project(
        tmp_path,
        tiny="""
        from torch import nn
        from hydrantic import register_model

        @register_model("tiny")
        class Tiny(nn.Module):
            \"\"\"A network with one layer.

            Args:
                width: how wide it is.
                names: what its outputs are called.
            \"\"\"

            def __init__(self, in_features: int, width: int = 3, names: list[str] | None = None):
                super().__init__()
        """,
    )
    assert (
        tell(explained("model", "model=tiny", "model.width=4", "model.names=[a]", "model.names.0=${loss.name}"))
        == """\
model: tiny

set by      command line: model=tiny
instead of  mlp  blueprints/a.yaml:13:9
component   model tiny of project, registry/tiny.py:5
            A network with one layer.
meaning     The model or network.

name         tiny             command line: model=tiny
in_features  auto             the data
width        4                command line: model.width=4
names        [cross_entropy]  command line: model.names=[a]"""
    )


def test_a_component_inside_a_component_is_one_too() -> None:
    text = tell(explained("model.activation", "model.activation={name: leaky_relu, negative_slope: 0.5}"))
    assert text.startswith("model.activation: leaky_relu\n\nset by      command line: model.activation={name: leaky")
    assert "instead of  relu  blueprints/a.yaml:15:15\ncomponent   layer leaky_relu of hydrantic," in text
    assert text.endswith(
        "name            leaky_relu  command line: model.activation={name: leaky_relu, negative_slope: 0.5}\n"
        "negative_slope  0.5         command line: model.activation={name: leaky_relu, negative_slope: 0.5}\n"
        "inplace         false       default of leaky_relu"
    )
    assert "activation     {name: leaky_relu, negative_slope: 0.5}" in tell(
        explained("model", "model.activation={name: leaky_relu, negative_slope: 0.5}")
    )


def test_a_section_of_settings_is_a_table() -> None:
    assert (
        tell(explained("early_stopping", "early_stopping.patience=7"))
        == """\
early_stopping:

set by      command line: early_stopping.patience=7
default     null
meaning     When training stops early; never by default.

monitor               validation/loss  default of early_stopping
patience              7                command line: early_stopping.patience=7
mode                  min              default of early_stopping
min_delta             0.0              default of early_stopping
check_finite          true             default of early_stopping
stopping_threshold    null             default of early_stopping
divergence_threshold  null             default of early_stopping"""
    )


def test_a_field_of_a_section_that_is_null_says_that_it_has_no_effect() -> None:
    assert (
        tell(explained("early_stopping.patience"))
        == """\
early_stopping.patience: 3

set by      nobody; it is the default of early_stopping
type        integer, at least 0
meaning     How many validations without an improvement are tolerated.
note        early_stopping is null, so this has no effect until something in it is set
to set it   `early_stopping.patience=...` on the command line, or below `early_stopping:`"""
    )


def test_labels_are_a_table() -> None:
    assert (
        tell(explained("metrics"))
        == """\
metrics:

set by      blueprints/a.yaml:17:1
   17 | metrics:
      | ^^^^^^^
default     {}
meaning     Metrics by label; the label is the metric's name unless the block says otherwise.

accuracy  accuracy                    blueprints/a.yaml:18:3
top3      {name: accuracy, top_k: 3}  blueprints/a.yaml:19:16"""
    )


def test_an_interpolation_may_refer_to_a_default() -> None:
    text = tell(explained("scheduler.T_max", "scheduler.T_max=${trainer.max_epochs}"))
    assert "refers to   trainer.max_epochs: 10, default of trainer\n" in text


def test_a_list_tells_which_element_came_from_elsewhere() -> None:
    assert (
        tell(explained("model.hidden_dims", "model.hidden_dims.0=8"))
        == """\
model.hidden_dims: [8, 64]

set by      blueprints/a.yaml:14:16
   14 |   hidden_dims: [64, 64]
      |                ^^^^^^^^
type        list of integers, greater than 0
default     [128, 128]
meaning     Width of each hidden layer, input side first.

0  8   command line: model.hidden_dims.0=8
1  64  blueprints/a.yaml:14:21"""
    )


@pytest.mark.parametrize("key", ["model.hidden_dims.1", "model.hidden_dims[1]"])
def test_an_element_of_a_list_has_a_place_of_its_own(key: str) -> None:
    assert (
        tell(explained(key))
        == """\
model.hidden_dims.1: 64

set by      blueprints/a.yaml:14:21
   14 |   hidden_dims: [64, 64]
      |                     ^^
type        integer, greater than 0"""
    )
