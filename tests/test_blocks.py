from __future__ import annotations

import inspect
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch

from hydrantic.blocks import callbacks, data, layers, losses, metrics, models, schedulers
from hydrantic.components import choose, plain_value
from hydrantic.errors import BlueprintError


def test_a_call_is_a_block_of_what_was_given() -> None:
    assert models.mlp(hidden_dims=(64, 32), dropout=0.1) == {"name": "mlp", "hidden_dims": [64, 32], "dropout": 0.1}
    assert losses.cross_entropy() == {"name": "cross_entropy"}


def test_blocks_nest() -> None:
    block = models.mlp(activation=layers.leaky_relu(negative_slope=0.2))
    assert block["activation"] == {"name": "leaky_relu", "negative_slope": 0.2}


def test_a_block_may_say_what_it_reads() -> None:
    assert losses.mse(input="restored", target="inputs")["input"] == "restored"
    assert schedulers.plateau(monitor="validation/loss")["monitor"] == "validation/loss"


def test_all_that_is_wrong_is_said_with_what_was_meant() -> None:
    with pytest.raises(BlueprintError) as caught:
        models.mlp(hiden_dims=(64,), dropout=2)
    assert [each.path for each in caught.value.problems] == [("hiden_dims",), ("dropout",)]
    assert "did you mean 'hidden_dims'?" in str(caught.value)
    assert "models.mlp(...)" in str(caught.value)


def test_an_unknown_name_is_no_attribute() -> None:
    with pytest.raises(AttributeError, match="no model is called 'mpl'; did you mean 'mlp'"):
        _ = models.mpl
    assert not hasattr(data, "nothing_like_it")


def test_names_that_are_no_identifiers_are_items() -> None:
    assert callbacks["lightning.pytorch.callbacks.Timer"](duration="00:01:00:00")["duration"] == "00:01:00:00"


def test_a_notebook_can_complete_and_explain() -> None:
    assert {"mlp", "cnn", "linear"} <= set(dir(models))
    parameters = inspect.signature(models.mlp).parameters
    assert parameters["dropout"].default == 0.0
    assert "at least 0" in str(parameters["dropout"].annotation)
    assert "Fully connected" in str(models.mlp.__doc__)
    assert repr(metrics.accuracy) == "metrics.accuracy"
    assert repr(metrics) == "metrics"


def test_makers_can_be_sent_to_another_process() -> None:
    assert pickle.loads(pickle.dumps(models.mlp)) == models.mlp


def test_values_of_python_become_plain_data() -> None:
    assert plain_value({"a": (1, 2), "b": Path("x") / "y"}) == {"a": [1, 2], "b": "x/y"}
    assert plain_value(np.float64(0.5)) == 0.5
    assert plain_value(torch.tensor([1, 2])) == [1, 2]
    assert plain_value(choose("layer", "relu"))["name"] == "relu"
