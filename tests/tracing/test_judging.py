"""Loss and metrics are tried on what the model puts out, wired as in training."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.traced import DIGITS, refused, traced

pytestmark = pytest.mark.usefixtures("scratch")

SHELF = """
@register_model("two")
class Two(nn.Module):
    def __init__(self, in_features: int, out_features: int) -> None:
        super().__init__()
        self.head, self.aux = nn.Linear(in_features, out_features), nn.Linear(in_features, 3)

    def forward(self, inputs):
        inputs = inputs.flatten(1)
        return {"logits": self.head(inputs), "aux": self.aux(inputs)}

@register_model("last")
class Last(nn.Module):
    def __init__(self, in_features: int, out_features: int, end: str = "sigmoid") -> None:
        super().__init__()
        self.head, self.end = nn.Linear(in_features, out_features), end

    def forward(self, inputs):
        outputs = self.head(inputs.flatten(1))
        return outputs.sigmoid() if self.end == "sigmoid" else outputs.softmax(1)

@register_model("last_one")
class LastOne(Last):
    def __init__(self, in_features: int) -> None:
        super().__init__(in_features, 1)

@register_data("flat")
class Flat(pl.LightningDataModule):
    def train_dataloader(self):
        return DataLoader(TensorDataset(torch.zeros(10, 4), torch.zeros(10)), batch_size=5)

@register_data("mapped")
class Mapped(pl.LightningDataModule):
    def train_dataloader(self):
        return DataLoader([{"inputs": torch.zeros(4), "truth": torch.zeros(1)}] * 10, batch_size=5)

@register_loss("plain")
class Plain(nn.Module):
    def forward(self, outputs, targets):
        return nn.functional.mse_loss(outputs, targets)

@register_loss("unreduced")
class Unreduced(nn.Module):
    def forward(self, outputs, targets):
        return nn.functional.cross_entropy(outputs, targets, reduction="none")

@register_loss("of_probabilities")
class OfProbabilities(nn.Module):
    def forward(self, outputs, targets):
        return nn.functional.binary_cross_entropy(outputs.squeeze(1), targets.float())

@register_loss("of_mixtures")
class OfMixtures(nn.Module):
    def forward(self, outputs, targets):
        mean, log_scale = outputs.chunk(2, 1)
        return (log_scale + (targets - mean).square() / log_scale.exp()).mean()

class Counting(torchmetrics.Metric):
    def __init__(self) -> None:
        super().__init__()
        self.add_state("count", torch.tensor(0.0))

    def update(self, outputs, targets):
        self.count = self.count + len(outputs)

    def compute(self):
        return self.count

@register_metric("of_three")
class OfThree(Counting):
    def update(self, outputs, targets):
        if outputs.shape[1] != 3:
            raise RuntimeError("wants three values")

@register_metric("of_distributions")
class OfDistributions(Counting):
    def update(self, outputs, targets):
        if not torch.allclose(outputs.sum(1), torch.ones(len(outputs))):
            raise ValueError("no distribution")

@register_metric("matrix")
class Matrix(Counting):
    def compute(self):
        return torch.zeros(2, 2)

@register_metric("of_two_samples")
class OfTwoSamples(Counting):
    def compute(self):
        if self.count < 2:
            raise ValueError("wants two samples")
        return self.count

class OwnHparams(ModelHparams):
    width: int = 10
    gives: str = "loss"

@register_model("own")
class Own(Model[OwnHparams]):
    def __init__(self, hparams: OwnHparams) -> None:
        super().__init__(hparams)
        self.head = nn.Linear(64, self.thparams.width)
        self.register_buffer("weights", torch.ones(self.thparams.width))

    def forward(self, inputs):
        return self.head(inputs.flatten(1))

    def compute_metrics(self, outputs, targets):
        self.log("something", 1.0)
        return {self.thparams.gives: nn.functional.cross_entropy(outputs, targets, weight=self.weights)}
"""


def judged(folder: Path, text: str, *overrides: str) -> list[str]:
    return refused(folder, f"{text}loggers: {{}}\n", *overrides, shelf=SHELF)


def test_a_model_that_puts_out_another_number_than_the_data_asks_for_is_refused_at_that_number(tmp_path: Path) -> None:
    layers = "[flatten, {name: linear, in_features: 64, out_features: 12}]"
    text = f"data: digits\nloss: cross_entropy\nmodel: {{name: stack, layers: {layers}}}\n"
    assert judged(tmp_path, text) == [
        (
            "a.yaml:3:86: model.layers.1.out_features: the model puts out 12 values for each sample (64, 12), but the "
            "data 'digits' has out_features=10 for the loss 'cross_entropy'"
        )
    ]


def test_the_loss_says_how_many_outputs_it_wants(tmp_path: Path) -> None:
    text = "data: breast_cancer\nloss: bce_with_logits\nmodel: {name: stack, layers: [{name: linear, %s}]}\n"
    traced(tmp_path, text % "in_features: 30, out_features: 1", shelf=SHELF)
    assert judged(tmp_path, text % "in_features: 30, out_features: 2") == [
        (
            "a.yaml:3:77: model.layers.0.out_features: the model puts out 2 values for each sample (32, 2), but the "
            "data 'breast_cancer' has out_features=1 for the loss 'bce_with_logits'"
        )
    ]


def test_a_loss_that_names_no_task_may_want_any_number_of_outputs(tmp_path: Path) -> None:
    layers = "[{name: linear, in_features: 10, out_features: 2}]"
    text = f"data: diabetes\nloss: of_mixtures\nmodel: {{name: stack, layers: {layers}}}\n"
    assert traced(tmp_path, text, shelf=SHELF).outputs.shape == (32, 2)


def test_a_loss_that_gets_the_wrong_shape_is_refused_with_what_gave_it(tmp_path: Path) -> None:
    model = "{name: stack, layers: [{name: linear, in_features: 4, out_features: 3}]}"
    assert judged(tmp_path, f"data: flat\nloss: mse\nmodel: {model}\n") == [
        (
            "a.yaml:2:7: loss: the loss 'mse' fails on outputs (5, 3) (by model.layers.0.out_features) and targets "
            "(5,): outputs (5, 3) and targets (5,) must have one shape"
        )
    ]


def test_a_loss_that_would_broadcast_is_refused(tmp_path: Path) -> None:
    model = "{name: linear, in_features: 4, out_features: 1}"
    assert judged(tmp_path, f"data: flat\nloss: plain\nmodel: {model}\n") == [
        (
            "a.yaml:2:7: loss: outputs (5, 1) and targets (5,) differ in shape: the loss 'plain' would compare each "
            "with each, which is hardly meant"
        )
    ]
    assert traced(tmp_path, f"data: flat\nloss: mse\nmodel: {model}\n", shelf=SHELF).outputs.shape == (5, 1)


def test_a_loss_that_is_not_one_number_is_refused(tmp_path: Path) -> None:
    assert judged(tmp_path, "data: digits\nloss: unreduced\nmodel: mlp\n") == [
        "a.yaml:2:7: loss: the loss 'unreduced' gives a tensor (64,) as 'loss', not one number"
    ]


@pytest.mark.parametrize(
    "text",
    [
        "data: breast_cancer\nloss: of_probabilities\nmodel: {name: last_one}\n",
        "data: iris\nloss: nll\nmodel: {name: last, end: softmax}\nmetrics: {of_distributions: , accuracy: }\n",
    ],
)
def test_values_are_refused_only_where_those_of_the_model_itself_are(tmp_path: Path, text: str) -> None:
    assert traced(tmp_path, text, shelf=SHELF).not_traced == ()


def test_several_outputs_want_a_key(tmp_path: Path) -> None:
    first, second = judged(tmp_path, "data: digits\nloss: cross_entropy\nmodel: two\nmetrics: {accuracy: }\n")
    assert first == (
        "a.yaml:2:7: loss: the loss 'cross_entropy' fails on the model's outputs logits (64, 10), aux (64, 3); name "
        "the part that it reads with `input:` (AttributeError: 'dict' object has no attribute 'ndim')"
    )
    assert second.startswith("a.yaml:4:21: metrics.accuracy: the metric 'accuracy' fails on the model's outputs logits")


def test_a_key_that_is_not_among_the_outputs_is_refused_at_the_key(tmp_path: Path) -> None:
    text = "data: digits\nloss: {name: cross_entropy, input: logit}\nmodel: two\nmetrics: {accuracy: {input: lgits}}\n"
    assert judged(tmp_path, text) == [
        "a.yaml:2:36: loss.input: the model's outputs have no 'logit'; there is logits, aux",
        "a.yaml:4:29: metrics.accuracy.input: the model's outputs have no 'lgits'; there is logits, aux",
    ]


def test_keys_that_are_there_are_followed(tmp_path: Path) -> None:
    text = (
        "data: digits\nloss: {name: cross_entropy, input: logits}\nmodel: two\nmetrics: {accuracy: {input: logits}}\n"
    )
    found = traced(tmp_path, text, shelf=SHELF)
    assert {name: part.shape for name, part in found.outputs.items()} == {"logits": (64, 10), "aux": (64, 3)}
    assert found.not_traced == ()


def test_a_batch_that_is_a_mapping_wants_a_key_for_the_target(tmp_path: Path) -> None:
    model = "model: {name: linear, in_features: 4, out_features: 1}\n"
    [problem] = judged(tmp_path, f"data: mapped\nloss: mse\n{model}")
    assert problem.startswith(
        "a.yaml:2:7: loss: the loss 'mse' fails on the batch's targets inputs (5, 4), truth (5, 1); name the part that "
        "it reads with `target:`"
    )
    assert judged(tmp_path, f"data: mapped\nloss: {{name: mse, target: thruth}}\n{model}") == [
        "a.yaml:2:27: loss.target: the batch's targets have no 'thruth'; there is inputs, truth"
    ]
    found = traced(tmp_path, f"data: mapped\nloss: {{name: mse, target: truth}}\n{model}", shelf=SHELF)
    assert (found.inputs["inputs"].shape, found.targets["truth"].shape) == ((5, 4), (5, 1))


def test_every_metric_that_gets_the_wrong_shape_is_refused_at_its_label(tmp_path: Path) -> None:
    text = "data: digits\nloss: cross_entropy\nmodel: mlp\nmetrics: {first: of_three, accuracy: , of_three: }\n"
    words = (
        "the metric 'of_three' fails on outputs (64, 10) and targets (64,): RuntimeError: wants three values "
        "(registry/parts.py:103)"
    )
    assert judged(tmp_path, text) == [
        f"a.yaml:4:18: metrics.first: {words}",
        f"a.yaml:4:50: metrics.of_three: {words}",
    ]


def test_a_metric_that_cannot_be_logged_is_refused(tmp_path: Path) -> None:
    text = "data: digits\nloss: cross_entropy\nmodel: mlp\nmetrics: {m: matrix}\n"
    assert judged(tmp_path, text) == [
        "a.yaml:4:14: metrics.m: the metric 'matrix' gives a tensor (2, 2) as 'm', not one number"
    ]


def test_a_metric_may_want_more_samples_than_a_batch_has(tmp_path: Path) -> None:
    text = "data: {name: iris, batch_size: 1}\nloss: cross_entropy\nmodel: linear\nmetrics: {of_two_samples: }\n"
    assert traced(tmp_path, text, shelf=SHELF).not_traced == ()


def test_a_loss_of_the_models_own_is_tried_with_what_it_holds(tmp_path: Path) -> None:
    assert traced(tmp_path, "data: digits\nmodel: own\nloggers: {}\n", shelf=SHELF).not_traced == ()


def test_a_loss_of_the_models_own_that_fails_is_a_problem_of_the_model(tmp_path: Path) -> None:
    [problem] = judged(tmp_path, "data: digits\nmodel: {name: own, width: 4}\n")
    assert problem.startswith("a.yaml:2:8: model: the model 'own' fails on outputs (64, 4) and targets (64,): ")
    assert problem.endswith(" is out of bounds. (registry/parts.py:139)")


def test_a_model_that_returns_no_loss_is_refused(tmp_path: Path) -> None:
    assert judged(tmp_path, "data: digits\nmodel: {name: own, gives: los}\n") == [
        (
            "a.yaml:2:8: model: the model 'own' computes no loss: compute_metrics must return a mapping with 'loss'; "
            "it has los"
        )
    ]


@pytest.mark.parametrize("precision", ["bf16-true", "16-true", "64-true"])
def test_a_true_precision_is_that_of_the_outputs(tmp_path: Path, precision: str) -> None:
    found = traced(tmp_path, DIGITS + "model: mlp\nmetrics: {accuracy: }\n", f"trainer.precision={precision}")
    assert found.outputs.dtype == {"b": "bfloat16", "1": "float16", "6": "float64"}[precision[0]]
