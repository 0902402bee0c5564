"""What fails in a forward pass is told by the keys that cause it."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

from hydrantic.components import choose
from hydrantic.errors import InvalidField
from hydrantic.tracing.clashes import Built, own_place, said, told, watched
from tests.traced import DIGITS, refused

pytestmark = pytest.mark.usefixtures("scratch")


def clash(folder: Path, model: str, *overrides: str, shelf: str = "") -> str:
    """The only problem of a model on the digits."""
    [problem] = refused(folder, f"{DIGITS}model: {model}\n", *overrides, shelf=shelf)
    return problem


TWO = "layers: [flatten, {name: linear, in_features: 64, out_features: 32}, {name: linear, in_features: 16, out_features: 10}]"  # noqa: E501 -- as a person writes it


@pytest.mark.parametrize("model", ["stack", "chain"])
def test_two_layers_that_do_not_fit_are_both_named(tmp_path: Path, model: str) -> None:
    assert clash(tmp_path, f"{{name: {model}, {TWO}}}") == (
        "a.yaml:4:119: model.layers.2.in_features: is 16, but dimension 1 of its input (64, 32) is 32, "
        "by model.layers.1.out_features"
    )


def test_a_size_from_the_command_line_is_told_there(tmp_path: Path) -> None:
    assert clash(tmp_path, f"{{name: stack, {TWO}}}", "model.layers.2.in_features=24") == (
        "command line: model.layers.2.in_features=24: is 24, but dimension 1 of its input (64, 32) is 32, "
        "by model.layers.1.out_features"
    )


@pytest.mark.parametrize(
    ("layers", "words"),
    [
        (
            "flatten, {name: linear, in_features: 32, out_features: 10}",
            (
                "a.yaml:4:68: model.layers.1.in_features: is 32, but dimension 1 of its input (64, 64) is 64, "
                "as the data 'digits' gives it"
            ),
        ),
        (
            "{name: conv2d, in_channels: 3, out_channels: 8, kernel_size: 3}, flatten",
            (
                "a.yaml:4:59: model.layers.0.in_channels: is 3, but dimension 1 of its input (64, 1, 8, 8) is 1, "
                "as the data 'digits' gives it"
            ),
        ),
        (
            "{name: conv2d, in_channels: 1, out_channels: 8, kernel_size: 3}, {name: batch_norm_2d, num_features: 4}",
            (
                "a.yaml:4:132: model.layers.1.num_features: is 4, but dimension 1 of its input (64, 8, 6, 6) is 8, "
                "by model.layers.0.out_channels"
            ),
        ),
        (
            "flatten, {name: layer_norm, normalized_shape: [32]}",
            (
                "a.yaml:4:77: model.layers.1.normalized_shape: is 32, but dimension 1 of its input (64, 64) is 64, "
                "as the data 'digits' gives it"
            ),
        ),
        (
            "{name: conv2d, in_channels: 1, out_channels: 8, kernel_size: 11}, flatten",
            (
                "a.yaml:4:92: model.layers.0.kernel_size: the layer 'conv2d' fails on (64, 1, 8, 8): RuntimeError: "
                "Calculated padded input size per channel: (8 x 8). Kernel size: (11 x 11). Kernel size can't be "
                "greater than actual input size (registry/parts.py:21)"
            ),
        ),
    ],
)
def test_a_layer_that_does_not_suit_its_input_is_named(tmp_path: Path, layers: str, words: str) -> None:
    assert clash(tmp_path, f"{{name: stack, layers: [{layers}]}}") == words


HEAD = """
@register_model("headed")
class Headed(nn.Module):
    def __init__(self, in_features: int, out_features: int, width: int = 32) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Flatten(), nn.Linear(in_features, width))
        self.head = nn.Linear(2 * width, out_features)

    def forward(self, inputs):
        return self.head(self.body(inputs))
"""


@pytest.mark.parametrize(
    ("model", "words"),
    [
        (
            "{name: headed, width: 16}",
            (
                "a.yaml:4:30: model.width: the model 'headed': its Linear 'head' has in_features=32, but dimension 1 "
                "of its input (64, 16) is 16, by model.width (registry/parts.py:40)"
            ),
        ),
        (
            "headed",
            (
                "a.yaml:4:8: model.width: the model 'headed': its Linear 'head' has in_features=64, but dimension 1 of "
                "its input (64, 32) is 32, by model.width (model.width is 32, registry/parts.py:40)"
            ),
        ),
    ],
)
def test_a_part_that_a_model_makes_itself_is_named_with_the_models_own_field(
    tmp_path: Path, model: str, words: str
) -> None:
    assert clash(tmp_path, model, shelf=HEAD) == words


def test_a_model_that_forgets_to_flatten_is_told_what_the_data_gives(tmp_path: Path) -> None:
    shelf = """
        @register_model("straight")
        class Straight(nn.Module):
            def __init__(self, in_features: int, out_features: int) -> None:
                super().__init__()
                self.head = nn.Linear(in_features, out_features)

            def forward(self, inputs):
                return self.head(inputs)
    """
    assert clash(tmp_path, "straight", shelf=_dedent(shelf)) == (
        "a.yaml:4:8: model: the model 'straight': its Linear 'head' has in_features=64, but dimension 3 of its input "
        "(64, 1, 8, 8) is 8, as the data 'digits' gives it (registry/parts.py:39)"
    )


def _dedent(text: str) -> str:
    import textwrap

    return textwrap.dedent(text)


def own(body: str) -> str:
    """A shelf with a model `mine` whose forward has this body."""
    lines = "\n        ".join(body.splitlines())
    return f"""
@register_model("mine")
class Mine(nn.Module):
    def __init__(self, in_features: int, out_features: int, width: int = 100) -> None:
        super().__init__()
        self.width = width
        self.head = nn.Linear(width, out_features)

    def forward(self, inputs):
        {lines}
"""


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (
            "return self.head(inputs.view(-1, self.width))",
            (
                "a.yaml:4:28: model.width: the model 'mine' fails on (64, 1, 8, 8): RuntimeError: shape '[-1, 100]' is "
                "invalid for input of size 4096 (registry/parts.py:40)"
            ),
        ),
        (
            "return self.haed(inputs)",
            (
                "a.yaml:4:8: model: the model 'mine' fails on (64, 1, 8, 8): AttributeError: 'Mine' object has no "
                "attribute 'haed' (registry/parts.py:40)"
            ),
        ),
        (
            "raise KeyError('tail')",
            "a.yaml:4:8: model: the model 'mine' fails on (64, 1, 8, 8): KeyError: 'tail' (registry/parts.py:40)",
        ),
        (
            "assert inputs.ndim == 2, 'wants vectors'",
            (
                "a.yaml:4:8: model: the model 'mine' fails on (64, 1, 8, 8): AssertionError: wants vectors "
                "(registry/parts.py:40)"
            ),
        ),
    ],
)
def test_whatever_a_forward_raises_is_a_problem_with_its_own_line(tmp_path: Path, body: str, words: str) -> None:
    assert clash(tmp_path, "{name: mine, width: 100}", shelf=own(body)) == words


def test_a_message_is_cut_and_shows_no_secret(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOKEN", "hunter2")
    (tmp_path / "pyproject.toml").write_text('[tool.hydrantic]\nenv = ["TOKEN"]\n')
    shelf = """
@register_model("door")
class Door(nn.Module):
    def __init__(self, key: str) -> None:
        super().__init__()
        self.key, self.head = key, nn.Linear(1, 1)

    def forward(self, inputs):
        raise ValueError(f"{self.key} does not fit" + "!" * 1000)
"""
    problem = clash(tmp_path, "{name: door, key: '${oc.env:TOKEN}'}", shelf=shelf)
    assert "*** does not fit!!!" in problem
    assert "hunter2" not in problem
    assert len(problem) < 500


FORMER = """
@register_data("tokens")
class Tokens(pl.LightningDataModule):
    def __init__(self, vocabulary: int = 50, batch_size: int = 8) -> None:
        super().__init__()
        self.vocabulary, self.batch_size = vocabulary, batch_size

    def train_dataloader(self):
        tokens = (torch.arange(40 * 12) % self.vocabulary).reshape(40, 12)
        return DataLoader(TensorDataset(tokens, tokens[:, 0] % 2), batch_size=self.batch_size)

@register_model("former")
class Former(nn.Module):
    def __init__(self, vocabulary: int = 50, dim: int = 16, width: int = 16, classes: int = 2) -> None:
        super().__init__()
        self.embed = nn.Embedding(vocabulary, dim)
        self.encoder = nn.TransformerEncoder(nn.TransformerEncoderLayer(width, 4, 32, batch_first=True), 2)
        self.head = nn.Linear(width, classes)

    def forward(self, tokens):
        return self.head(self.encoder(self.embed(tokens)).mean(1))
"""
TOKENS = "data: tokens\nloss: cross_entropy\nloggers: {}\n"


def test_a_transformer_that_does_not_fit_its_embedding_is_refused(tmp_path: Path) -> None:
    assert refused(tmp_path, TOKENS + "model: {name: former, dim: 24}\n", shelf=FORMER) == [
        (
            "a.yaml:4:28: model.dim: the model 'former': its MultiheadAttention 'encoder.layers.0.self_attn' has "
            "embed_dim=16, but dimension 2 of its input (8, 12, 24) is 24, by model.dim (model.width is 16, "
            "registry/parts.py:51)"
        )
    ]


def test_an_index_beyond_an_embedding_is_told_with_the_index(tmp_path: Path) -> None:
    assert refused(tmp_path, TOKENS + "model: {name: former, vocabulary: 30}\n", shelf=FORMER) == [
        (
            "a.yaml:4:35: model.vocabulary: the model 'former': its Embedding 'embed' has rows for the indices 0 to "
            "29, but the first batch has 49 (registry/parts.py:51)"
        )
    ]


def test_an_input_of_another_type_than_the_weights_is_refused(tmp_path: Path) -> None:
    shelf = """
@register_data("doubles")
class Doubles(pl.LightningDataModule):
    def train_dataloader(self):
        return DataLoader(TensorDataset(torch.zeros(10, 4, dtype=torch.float64), torch.zeros(10, 1)), batch_size=5)
"""
    text = "data: doubles\nloss: mse\nloggers: {}\nmodel: {name: linear, in_features: 4, out_features: 1}\n"
    [problem] = refused(tmp_path, text, shelf=shelf)
    assert problem.startswith("a.yaml:4:8: model: the model 'linear': its Linear 'layers.1' fails on (5, 4): Runtime")
    assert "Double and Float" in problem


def test_a_watched_component_notes_what_it_and_its_parts_build() -> None:
    built: Built = []
    chosen = choose("model", {"name": "mlp", "in_features": 3, "out_features": 2, "hidden_dims": [4, 4]})
    made = watched(chosen, built, ("model",)).build()
    assert isinstance(made, nn.Module)
    assert [(component.name, component.path) for component, _ in built] == [
        ("relu", ("model", "activation")), ("relu", ("model", "activation")), ("mlp", ("model",)),
    ]  # fmt: skip


def test_watching_changes_nothing_of_the_component() -> None:
    chosen = choose("model", {"name": "mlp", "in_features": 3, "out_features": 2})
    assert watched(chosen, []).to_plain() == chosen.to_plain()


@pytest.mark.parametrize(
    ("values", "text"),
    [
        (torch.zeros(2, 3), "(2, 3)"),
        ({"a": torch.zeros(2), "b": [torch.zeros(1), 3]}, "a (2,), b (1,), int"),
        ([torch.zeros(100, 100)] * 40, f"{'(100, 100), ' * 9}(100, 100..."),
    ],
)
def test_shapes_are_said_in_a_few_words(values: object, text: str) -> None:
    assert said(values) == text


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (ValueError("two\n  lines"), "two lines"),
        (InvalidField("width", "is odd"), "width: is odd"),
        (RuntimeError("no"), "RuntimeError: no"),
        (AssertionError(), "AssertionError"),
    ],
)
def test_an_exception_is_told_in_one_line(error: Exception, text: str) -> None:
    assert told(error) == text


def test_an_exception_from_nobodys_own_code_has_no_place() -> None:
    assert own_place(ValueError()) == ""
