"""`check --deep`: one batch through a plan without weights, and what a training step will need."""

from __future__ import annotations

import json
import subprocess
import sys
from contextlib import chdir
from pathlib import Path

import pytest
import torch

from hydrantic.build import draft
from hydrantic.checking import prepare
from hydrantic.plan import Plan
from hydrantic.project import Project
from hydrantic.tracing import trace
from hydrantic.tracing.footprint import SavedForBackward, TensorShape
from hydrantic.tracing.telling import in_units, tell
from tests.projects import planned
from tests.traced import DIGITS, refused, traced

pytestmark = pytest.mark.usefixtures("scratch")

FOLDER = Path(__file__).parent.parent / "blueprints"
FILES = sorted(FOLDER.glob("*.yaml"))


def shipped(name: str, *overrides: str) -> Plan:
    return prepare(FOLDER / f"{name}.yaml", overrides, project=Project(FOLDER.parent))


@pytest.mark.parametrize("name", [file.stem for file in FILES])
def test_what_a_shipped_blueprint_is_said_to_need_is_what_a_real_step_needs(name: str) -> None:
    plan = shipped(name, "loggers={}")
    found = trace(plan)
    drafted = draft(plan)
    model, batch = drafted.model, next(iter(drafted.data.train_dataloader()))
    with SavedForBackward() as kept:
        loss = model.training_step(batch, 0)
    assert isinstance(loss, torch.Tensor)
    loss.backward()
    optimizer = model.configure_optimizers()
    optimizer = optimizer["optimizer"] if isinstance(optimizer, dict) else optimizer
    assert isinstance(optimizer, torch.optim.Optimizer)
    optimizer.step()
    parameters = list(model.parameters())
    state = [each for of_one in optimizer.state.values() for each in of_one.values()]
    assert found.not_traced == ()
    assert found.parameters == found.trainable == sum(each.numel() for each in parameters)
    assert found.gradient_bytes == sum(each.grad.nbytes for each in parameters if each.grad is not None)
    assert found.optimizer_bytes == sum(each.nbytes for each in state)
    assert found.activation_bytes == kept.bytes_beside(parameters, model.buffers(), batch)
    assert found.batch_bytes == sum(each.nbytes for each in batch)
    assert (found.inputs.shape, found.targets.shape) == tuple(each.shape for each in batch)
    assert found.outputs.shape == model(batch[0]).shape


def test_a_model_too_large_for_any_machine_is_traced(tmp_path: Path) -> None:
    layer = "{name: linear, in_features: 2000000, out_features: 1000000}"
    layers = f"[flatten, {{name: linear, in_features: 64, out_features: 2000000}}, {layer}]"
    last = "{name: linear, in_features: 1000000, out_features: 10}"
    found = traced(tmp_path, f"{DIGITS}model: {{name: stack, layers: {layers[:-1]}, {last}]}}\n")
    assert found.parameters == 2_000_141_000_010
    assert found.optimizer_bytes is not None
    assert found.optimizer_bytes > 16e12


def test_parts_that_are_frozen_have_no_gradients(tmp_path: Path) -> None:
    shelf = """
@register_model("frozen")
class Frozen(nn.Module):
    def __init__(self, in_features: int, out_features: int) -> None:
        super().__init__()
        self.body = nn.Linear(in_features, 8).requires_grad_(False)
        self.head = nn.Linear(8, out_features)

    def forward(self, inputs):
        return self.head(self.body(inputs.flatten(1)))
"""
    found = traced(tmp_path, DIGITS + "model: frozen\noptimizer: {name: sgd, lr: 1, momentum: 0.9}\n", shelf=shelf)
    assert (found.parameters, found.trainable) == (520 + 90, 90)
    assert found.gradient_bytes == found.optimizer_bytes == 360
    assert found.parameters_by_module == {"body": 520, "head": 90}
    assert "model       frozen, 610 parameters, 520 of them frozen" in tell(found)


def test_parameters_that_wait_for_their_first_input_are_counted(tmp_path: Path) -> None:
    shelf = """
@register_model("lazy")
class Lazy(nn.Module):
    def __init__(self, out_features: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Flatten(), nn.LazyLinear(8), nn.LazyLinear(out_features))

    def forward(self, inputs):
        return self.layers(inputs)
"""
    assert traced(tmp_path, DIGITS + "model: lazy\n", shelf=shelf).parameters == 520 + 90


def test_a_loss_may_have_parameters(tmp_path: Path) -> None:
    shelf = """
@register_loss("tempered")
class Tempered(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.temperature = nn.Parameter(torch.ones(1))

    def forward(self, outputs, targets):
        return nn.functional.cross_entropy(outputs / self.temperature, targets)
"""
    found = traced(tmp_path, "data: digits\nloss: tempered\nmodel: linear\nloggers: {}\n", shelf=shelf)
    assert found.parameters == 651
    assert found.parameters_by_module["loss"] == 1


@pytest.mark.parametrize(
    ("optimizer", "times"),
    [
        ("adam", 2), ("{name: adam, fused: true}", 2), ("{name: adamw, capturable: true}", 2), ("{name: sgd}", 0),
        ("{name: sgd, momentum: 0.9}", 1), ("{name: adagrad}", 1), ("{name: rmsprop}", 1), ("{name: lbfgs}", None),
    ],
)  # fmt: skip
def test_the_optimizers_memory_is_estimated(tmp_path: Path, optimizer: str, times: int | None) -> None:
    found = traced(tmp_path, f"{DIGITS}model: mlp\noptimizer: {optimizer}\n")
    if times is None:
        assert found.optimizer_bytes is None
        assert "optimizer      unknown" in tell(found)
        assert "at least" in tell(found)
    else:
        assert found.optimizer_bytes is not None
        assert round(found.optimizer_bytes / found.parameter_bytes, 2) == times


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (
            "data: digits\nmodel: {name: mlp, in_features: 32}\nloss: cross_entropy\n",
            (
                "a.yaml:2:33: model.in_features: is 32, but the data 'digits' says 64; leave the field out, and the "
                "data supplies it"
            ),
        ),
        (
            "data: diabetes\nmodel: cnn\nloss: mse\n",
            "a.yaml:2:8: model.input_shape: cnn needs images (channels, height, width), but an input has (10,)",
        ),
        (
            "data: digits\nmodel: mlp\nloss: cross_entropy\noptimizer: {name: adam, betas: [2, 3]}\n",
            "a.yaml:4:12: optimizer: the optimizer 'adam' cannot be built: Invalid beta parameter at index 0: 2.0",
        ),
    ],
)
def test_what_is_refused_before_training_is_refused_here(tmp_path: Path, text: str, problem: str) -> None:
    assert refused(tmp_path, text) == [problem]


NORMALIZED = "model: {name: mlp, hidden_dims: [8], normalization: batch}\nloss: cross_entropy\nloggers: {}\n"
UNEVEN = "data: {name: digits, batch_size: 479, split: [1438, 179, 180]}\n"


def test_a_last_batch_that_fails_is_told_with_its_size(tmp_path: Path) -> None:
    assert refused(tmp_path, UNEVEN + NORMALIZED) == [
        (
            "a.yaml:1:34: data.batch_size: the last batch of an epoch has 1 sample (1438 in batches of 479), and the "
            "model 'mlp': its BatchNorm1d 'layers.2' fails on (1, 8): Expected more than 1 value per channel when "
            "training, got input size torch.Size([1, 8]); data.drop_last=true leaves it out"
        )
    ]


@pytest.mark.parametrize(
    "override",
    [
        "data.drop_last=true", "trainer.limit_train_batches=2", "trainer.max_steps=2", "trainer.fast_dev_run=true",
        "model.normalization=null", "data.batch_size=478",
    ],
)  # fmt: skip
def test_a_last_batch_that_never_comes_or_does_not_fail_is_no_problem(tmp_path: Path, override: str) -> None:
    found = traced(tmp_path, UNEVEN + NORMALIZED, override)
    assert found.layers[1].outputs.shape[0] > 400


VALUES = """
@register_model("by_value")
class ByValue(nn.Module):
    def __init__(self, in_features: int, out_features: int, width: int = 8) -> None:
        super().__init__()
        self.body, self.head = nn.Linear(in_features, width), nn.Linear(width, out_features)

    def forward(self, inputs):
        if inputs.mean().item() > 1e9:
            inputs = 2 * inputs
        return self.head(self.body(inputs.flatten(1)))
"""


def test_a_small_model_that_depends_on_values_is_run_for_real(tmp_path: Path) -> None:
    found = traced(tmp_path, DIGITS + "model: by_value\n", shelf=VALUES)
    assert (found.outputs, found.not_traced) == (TensorShape((64, 10), "float32"), ())


def test_a_large_model_that_depends_on_values_is_said_to_be_beyond_tracing(tmp_path: Path) -> None:
    found = traced(tmp_path, DIGITS + "model: {name: by_value, width: 1000000}\n", shelf=VALUES)
    assert found.parameters == 75_000_010
    assert (found.outputs, found.activation_bytes) == (None, None)
    reason = (
        "the forward pass, which depends on values (RuntimeError: Tensor.item() cannot be called on meta tensors at "
        "registry/parts.py:39)"
    )
    assert found.not_traced == (reason,)
    assert tell(found).endswith(f"\n\n  not traced: {reason}")


def test_a_large_model_that_does_not_fit_is_refused_all_the_same(tmp_path: Path) -> None:
    layers = "[flatten, {name: linear, in_features: 64, out_features: 4000000}, {name: linear, %s}]"
    text = DIGITS + f"model: {{name: stack, layers: {layers % 'in_features: 3000000, out_features: 10'}}}\n"
    assert refused(tmp_path, text) == [
        (
            "a.yaml:4:124: model.layers.2.in_features: is 3000000, but dimension 1 of its input (64, 4000000) is "
            "4000000, by model.layers.1.out_features"
        )
    ]


OWN = """
class Own(pl.LightningModule):
    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Linear(64, 10)

    def training_step(self, batch, index):
        return nn.functional.cross_entropy(self.head(batch[0].flatten(1)), batch[1])

    def configure_optimizers(self):
        return {"optimizer": torch.optim.Adam(self.parameters())}

@register_model("silent")
class Silent(Own):
    pass

@register_model("open")
class Open(Own):
    def forward(self, inputs):
        return self.head(inputs.flatten(1))

@register_model("asking")
class Asking(Own):
    def setup(self, stage):
        self.size = self.trainer.world_size
"""


def test_a_model_with_its_own_training_is_traced_as_far_as_its_forward_goes(tmp_path: Path) -> None:
    found = traced(tmp_path, "data: digits\nmodel: open\nloggers: {}\n", shelf=OWN)
    assert (found.parameters, found.optimizer_bytes) == (650, 5208)
    assert found.outputs.shape == (64, 10)
    assert found.not_traced == ("loss and metrics of 'open', a LightningModule with its own training",)


@pytest.mark.parametrize(
    ("model", "reason"),
    [
        ("silent", "the model 'silent', which trains in its own way (NotImplementedError: "),
        ("asking", "the model, whose setup fails without a Trainer (RuntimeError: Asking is not attached to a"),
    ],
)
def test_what_only_a_training_can_tell_is_no_error(tmp_path: Path, model: str, reason: str) -> None:
    found = traced(tmp_path, f"data: digits\nmodel: {model}\nloggers: {{}}\n", shelf=OWN)
    assert found.parameters == 650
    assert found.not_traced[0].startswith(reason)


def test_a_model_with_a_step_of_its_own_is_traced_as_far_as_its_forward_goes(tmp_path: Path) -> None:
    shelf = """
@register_model("stepping")
class Stepping(Model[ModelHparams]):
    def __init__(self, hparams: ModelHparams) -> None:
        super().__init__(hparams)
        self.head = nn.Linear(64, 10)

    def forward(self, inputs):
        return self.head(inputs.flatten(1))

    def compute_metrics(self, outputs, targets):
        return {"loss": outputs.mean()}

    def training_step(self, batch, index):
        return self(batch[0]).mean()
"""
    found = traced(tmp_path, "data: digits\nmodel: stepping\nloggers: {}\n", shelf=shelf)
    assert found.not_traced == ("loss and metrics of 'stepping', which has its own training_step",)
    assert found.outputs.shape == (64, 10)


def test_a_transformer_on_integers_is_traced(tmp_path: Path) -> None:
    from tests.tracing.test_clashes import FORMER, TOKENS

    found = traced(tmp_path, TOKENS + "model: former\nmetrics: {}\n", shelf=FORMER)
    assert (found.inputs, found.outputs) == (TensorShape((8, 12), "int64"), TensorShape((8, 2), "float32"))
    assert [each.name for each in found.layers] == ["embed", "encoder", "head"]
    assert found.not_traced == ()


def test_a_trace_is_said_in_a_few_aligned_lines() -> None:
    assert tell(trace(shipped("linear"))) == (
        "  data        digits, 1,438 training samples\n"
        "  inputs      (64, 1, 8, 8) float32\n"
        "  targets     (64,) int64\n"
        "  outputs     (64, 10) float32\n"
        "\n"
        "  model       linear, 650 parameters\n"
        "    layers.0  Flatten  (64, 64)    0\n"
        "    layers.1  Linear   (64, 10)  650\n"
        "\n"
        "  memory of a training step (estimate)\n"
        "    parameters    2.5 KiB\n"
        "    gradients     2.5 KiB\n"
        "    optimizer     5.1 KiB  adamw\n"
        "    activations   2.5 KiB\n"
        "    batch        16.5 KiB\n"
        "    total        29.2 KiB"
    )


def test_many_layers_are_cut_short(tmp_path: Path) -> None:
    layers = ", ".join(["flatten", *["relu"] * 30, "{name: linear, in_features: 64, out_features: 10}"])
    text = tell(traced(tmp_path, f"{DIGITS}model: {{name: stack, layers: [{layers}]}}\n"))
    assert "    and 16 more\n" in text


def test_a_mixed_precision_is_said_to_keep_less() -> None:
    assert "in float32; bf16-mixed keeps less" in tell(trace(shipped("linear", "trainer.precision=bf16-mixed")))


def test_the_plain_form_is_json() -> None:
    plain = json.loads(json.dumps(trace(shipped("linear")).to_plain()))
    assert plain["inputs"] == {"shape": [64, 1, 8, 8], "dtype": "float32"}
    assert plain["bytes"] == {
        "parameters": 2600, "gradients": 2600, "optimizer": 5208, "activations": 2564, "batch": 16896, "total": 29868,
    }  # fmt: skip
    assert plain["layers"][1] == {
        "name": "layers.1", "type": "Linear", "parameters": 650, "outputs": {"shape": [64, 10], "dtype": "float32"},
    }  # fmt: skip


@pytest.mark.parametrize(
    ("size", "text"), [(0, "0 B"), (1023, "1023 B"), (1536, "1.5 KiB"), (5 << 20, "5.0 MiB"), (3 << 42, "12.0 TiB")]
)
def test_sizes_are_said_in_units(size: int, text: str) -> None:
    assert in_units(size) == text


def test_the_facts_complete_the_plan(tmp_path: Path) -> None:
    found = trace(planned(tmp_path, DIGITS + "model: mlp\n"))
    assert found.plan.model.hparams["in_features"] == found.facts.in_features == 64


def test_the_compiler_is_not_imported_for_tracing(tmp_path: Path) -> None:
    script = (
        f"import sys\nfrom hydrantic.checking import prepare\nplan = prepare({str(FOLDER / 'cnn.yaml')!r})\n"
        "from hydrantic.tracing import trace\ntrace(plan)\nprint(type(sys.modules['torch._dynamo']).__name__)"
    )
    with chdir(FOLDER.parent):
        done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "_LateCompiler", done.stderr
