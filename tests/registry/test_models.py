"""The stock models: shapes, sizes and the layers that they choose."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from hydrantic import InvalidField
from hydrantic.components import choose


def model(name: str, **fields: Any) -> Any:
    return choose("model", {"name": name, **fields}).build()


@pytest.mark.parametrize("shape", [(64,), (1, 8, 8), (4, 16)])
@pytest.mark.parametrize("name", ["linear", "mlp", "universal_function"])
def test_flat_models_take_inputs_of_any_shape(name: str, shape: tuple[int, ...]) -> None:
    made = model(name, in_features=64, out_features=3)

    assert made(torch.zeros(5, *shape)).shape == (5, 3)


@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 9, 13)])
def test_a_cnn_takes_images_of_any_size(shape: tuple[int, int, int]) -> None:
    made = model("cnn", input_shape=list(shape), out_features=3)

    assert made(torch.zeros(5, *shape)).shape == (5, 3)


def test_a_cnn_may_keep_the_size_of_its_images() -> None:
    made = model("cnn", input_shape=[1, 4, 4], out_features=2, channels=[3, 5, 7], pooling=1, kernel_size=5)

    assert made.layers[-1].in_features == 7 * 4 * 4
    assert made(torch.zeros(2, 1, 4, 4)).shape == (2, 2)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"input_shape": [64]}, r"input_shape: cnn needs images .channels, height, width., but an input has .64,."),
        ({"input_shape": [1, 8, 8], "kernel_size": 4}, "kernel_size: must be odd"),
        (
            {"input_shape": [1, 8, 8], "channels": [4, 4, 4, 4]},
            "pooling: 4 blocks with pooling 2 need images of at least 16",
        ),
    ],
)
def test_a_cnn_says_what_it_needs(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidField, match=message):
        model("cnn", out_features=2, **fields)


def test_an_mlp_has_the_layers_that_its_fields_name() -> None:
    made = model(
        "mlp", in_features=4, out_features=2, hidden_dims=[8, 6], dropout=0.5, normalization="batch",
        activation={"name": "leaky_relu", "negative_slope": 0.2},
    )  # fmt: skip
    kinds = [type(layer) for layer in made.layers]

    hidden = [nn.Linear, nn.BatchNorm1d, nn.LeakyReLU, nn.Dropout]
    assert kinds == [nn.Flatten, *hidden, *hidden, nn.Linear]
    assert made.layers[3].negative_slope == 0.2
    assert made.layers[3] is not made.layers[7]


def test_an_mlp_without_hidden_layers_is_linear() -> None:
    made = model("mlp", in_features=4, out_features=2, hidden_dims=[])

    assert [type(layer) for layer in made.layers] == [nn.Flatten, nn.Linear]


def test_layer_normalization_is_the_other_choice() -> None:
    made = model("mlp", in_features=4, out_features=2, hidden_dims=[8], normalization="layer")

    assert made.layers[2].normalized_shape == (8,)


def test_a_universal_function_is_a_sum_of_sigmoids() -> None:
    made = model("universal_function", in_features=1, out_features=1, num_neurons=3)
    inner, outer = made.layers[1], made.layers[3]
    x = torch.linspace(-3, 3, 7).reshape(-1, 1)
    expected = sum(
        v * torch.sigmoid(w * x + b) for v, w, b in zip(outer.weight[0], inner.weight[:, 0], inner.bias, strict=True)
    )

    torch.testing.assert_close(made(x), expected)
    assert outer.bias is None


@pytest.mark.parametrize(
    ("name", "fields"),
    [
        ("mlp", {"hidden_dims": [0]}),
        ("mlp", {"dropout": 1.0}),
        ("mlp", {"activation": "rellu"}),
        ("mlp", {"normalization": "group"}),
        ("cnn", {"channels": []}),
        ("universal_function", {"num_neurons": 0}),
        ("linear", {"width": 3}),
    ],
)
def test_wrong_fields_are_refused_before_anything_is_built(name: str, fields: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(fields))):
        choose("model", {"name": name, **fields})
