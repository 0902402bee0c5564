"""A complete blueprint beside which each value's origin stands."""

from __future__ import annotations

from pathlib import Path

import pytest

from hydrantic.checking import check
from hydrantic.explaining.origins import settings_of
from hydrantic.project import Project
from hydrantic.reading import parse_yaml
from hydrantic.showing import records, to_json, with_origins
from tests.projects import write

pytestmark = pytest.mark.usefixtures("scratch")

TEXT = """\
description: |
  Two
  lines
seed: 7
data: {name: digits, batch_size: 32}
model: {name: mlp, hidden_dims: [8, "${vars.width}"], activation: {name: leaky_relu, negative_slope: 0.2}}
loss: cross_entropy
metrics: {accuracy: }
scheduler: {name: cosine, T_max: "${trainer.max_epochs}"}
checkpoint: null
loggers: {}
vars: {width: 16, "a key": {"b # c": "text # no comment"}}
"""

OVERRIDES = ("model.hidden_dims.0=4", "optimizer=sgd", "trainer.max_epochs=3")


def shown(folder: Path, *overrides: str) -> tuple[str, dict[str, object], dict[str, dict[str, object]]]:
    plan = check(write(folder / "a.yaml", TEXT), overrides, project=Project(None))
    values, settings = plan.resolved(), settings_of(plan, Project(None))
    return with_origins(values, settings), values, records(values, settings)


def test_each_line_says_where_its_value_came_from(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    text, _, _ = shown(tmp_path, *OVERRIDES)
    before, trainer, after = text.partition("trainer:\n")
    assert (
        before + after[after.index("objective:") :]
        == """\
name: a                                 # file name
description: |                          # a.yaml:1
  Two
  lines
requires: []                            # default
seed: 7                                 # a.yaml:4
matmul_precision: null                  # default
data:
  name: digits                          # a.yaml:5
  batch_size: 32                        # a.yaml:5
  split: [0.8, 0.1, 0.1]                # default
  split_seed: 42                        # default
  stratify: true                        # default
  shuffle: true                         # default
  drop_last: false                      # default
  standardize: false                    # default
model:
  name: mlp                             # a.yaml:6
  in_features: auto                     # data
  out_features: auto                    # data
  hidden_dims: [4, 16]                  # a.yaml:6, [0] command line, [1] ${vars.width}
  activation:
    name: leaky_relu                    # a.yaml:6
    negative_slope: 0.2                 # a.yaml:6
    inplace: false                      # default
  dropout: 0.0                          # default
  normalization: null                   # default
loss:
  name: cross_entropy                   # a.yaml:7
  label_smoothing: 0.0                  # default
  weight: null                          # default
  class_counts: auto                    # data
metrics:
  accuracy:
    name: accuracy                      # a.yaml:8
    top_k: 1                            # default
    average: micro                      # default
    task: auto                          # data
    num_classes: auto                   # data
    num_labels: auto                    # data
optimizer:
  name: sgd                             # command line
  lr: 0.001                             # default
  momentum: 0.0                         # default
  dampening: 0.0                        # default
  weight_decay: 0.0                     # default
  nesterov: false                       # default
  maximize: false                       # default
  foreach: null                         # default
  differentiable: false                 # default
  fused: null                           # default
scheduler:
  name: cosine                          # a.yaml:9
  T_max: 3                              # a.yaml:9: ${trainer.max_epochs}
  eta_min: 0.0                          # default
  interval: epoch                       # default
  frequency: 1                          # default
  monitor: validation/loss              # default
checkpoint: null                        # a.yaml:10
early_stopping: null                    # default
callbacks: {}                           # default
loggers: {}                             # a.yaml:11
objective: null                         # default
vars:
  width: 16                             # a.yaml:12
  a key:
    'b # c': 'text # no comment'        # a.yaml:12
"""
    )
    assert trainer
    assert f"{'  max_epochs: 3':<38}  # command line\n" in after
    assert f"{'  max_steps: -1':<38}  # default\n" in after


def test_the_comments_change_nothing(tmp_path: Path) -> None:
    text, values, _ = shown(tmp_path, *OVERRIDES)
    assert parse_yaml(text, Path("shown.yaml")).plain() == values


def test_records_hold_every_value_with_its_origin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    _, _, found = shown(tmp_path, *OVERRIDES)
    assert found["seed"] == {"value": 7, "origin": "file", "file": "a.yaml", "line": 4, "column": 7}
    assert found["trainer.max_epochs"] == {
        "value": 3, "origin": "command line", "override": "trainer.max_epochs=3",
    }  # fmt: skip
    assert found["scheduler.T_max"] == {
        "value": 3, "origin": "file", "file": "a.yaml", "line": 9, "column": 34, "written": "${trainer.max_epochs}",
    }  # fmt: skip
    assert found["model.in_features"] == {"value": "auto", "origin": "data"}
    assert found["model.dropout"] == {"value": 0.0, "origin": "default", "of": "mlp"}
    assert found["name"] == {"value": "a", "origin": "file name"}
    assert found["checkpoint"] == {"value": None, "origin": "file", "file": "a.yaml", "line": 10, "column": 13}


def test_json_is_strict() -> None:
    assert to_json({"a": [float("inf"), 1.5], "ü": float("nan")}) == (
        '{\n  "a": [\n    "inf",\n    1.5\n  ],\n  "ü": "nan"\n}'
    )
