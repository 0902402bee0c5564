"""Exported models say what the model says, in the runtimes that they are made for."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy
import onnx
import onnxruntime
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file
from torch import Tensor

import hydrantic
from hydrantic.errors import UsageError
from hydrantic.exporting import export_described, formats
from hydrantic.exporting.formats import ExportFailed
from hydrantic.fitting import fit
from hydrantic.opening import open_run
from hydrantic.run import Run
from tests.projects import DIGITS, project, write

TABLE = "width,height,colour,wet,kind\n" + "".join(
    f"{'' if i % 7 == 0 else i % 3 + i / 100},{i % 5},{['red', 'green', ''][i % 3]},{str(i % 2 == 0).lower()},"
    f"{['cat', 'dog', 'emu'][i % 3]}\n"
    for i in range(60)
)
SHORT = "model: {name: mlp, hidden_dims: [8]}\nloggers: {}\ntrainer: {max_epochs: 1}\n"


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A run on a table with missing values, which its preprocessing replaces and standardizes."""
    folder = tmp_path_factory.mktemp("table")
    write(folder / "t.csv", TABLE)
    data = f"data: {{name: csv, path: {folder}/t.csv, target: kind, missing: mean, standardize: true}}\n"
    return fit(write(folder / "table.yaml", data + "loss: cross_entropy\n" + SHORT), runs=folder / "runs")


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A network with convolutions, normalization and dropout, on images that are not preprocessed."""
    folder = tmp_path_factory.mktemp("digits")
    text = DIGITS.replace("model: mlp", "model: {name: cnn, dropout: 0.5}")
    return fit(write(folder / "digits.yaml", text), ["data.split=[200, 50, 50]"], runs=folder / "runs")


def raw(rows: int) -> Tensor:
    """Rows of the table's encoded columns, some of whose values are missing."""
    values = torch.rand(rows, 5, generator=torch.Generator().manual_seed(rows)) * 4
    values[0, 0] = torch.nan
    return values


def answered(run: Run, inputs: Tensor) -> Tensor:
    """What the model itself says to raw inputs."""
    opened = open_run(run.path)
    with torch.inference_mode():
        outputs: Tensor = opened.model(opened.data.preprocessing(inputs))  # type: ignore[operator]
    return outputs


def alone(code: str, *words: str | Path) -> Any:
    """What a program prints as JSON that has torch, but not hydrantic."""
    command = [sys.executable, "-W", "ignore", "-c", code, *map(str, words)]
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd="/", env=environment)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


# -- the formats ------------------------------------------------------------------------------------------------------


def test_an_onnx_model_runs_in_onnxruntime_with_its_preprocessing(table: Run, tmp_path: Path) -> None:
    file = hydrantic.export(table, "onnx", tmp_path / "m.onnx")
    session = onnxruntime.InferenceSession(file)
    assert [(each.name, each.shape, each.type) for each in session.get_inputs()] == [
        ("input", ["batch", 5], "tensor(float)")
    ]
    for rows in (1, 3, 50):
        [found] = session.run(["output"], {"input": raw(rows).numpy()})
        numpy.testing.assert_allclose(found, answered(table, raw(rows)).numpy(), rtol=1e-4, atol=1e-5)


def test_an_onnx_model_is_one_valid_file_that_says_what_it_is(table: Run, tmp_path: Path) -> None:
    model = onnx.load(hydrantic.export(table, "onnx", tmp_path / "m.onnx"))
    onnx.checker.check_model(model, full_check=True)
    said = {each.key: each.value for each in model.metadata_props}
    assert said["task"] == "multiclass"
    assert json.loads(said["class_names"]) == ["cat", "dog", "emu"]
    metadata = json.loads(said["hydrantic"])
    assert metadata["feature_names"] == ["width", "height", "colour=green", "colour=red", "wet"]
    assert metadata["blueprint"]["model"]["hidden_dims"] == [8]
    assert metadata["inputs"] == {"input": ["batch", 5]}
    assert [path.name for path in tmp_path.iterdir()] == ["m.onnx"]


ALONE = """
import json, sys, torch

x = torch.load(sys.argv[1])
models = torch.export.load(sys.argv[2]).module(), torch.jit.load(sys.argv[3])
outputs = [model(x).tolist() for model in models]
print(json.dumps(["hydrantic" in sys.modules, outputs, [len(each(x[:1])) for each in models]]))
"""


def test_the_formats_of_torch_run_in_a_process_without_hydrantic(table: Run, tmp_path: Path) -> None:
    files = [hydrantic.export(table, form, tmp_path / form) for form in ("torch_export", "torchscript")]
    torch.save(raw(5), tmp_path / "inputs.pt")
    is_loaded, outputs, ones = alone(ALONE, tmp_path / "inputs.pt", *files)
    assert (is_loaded, ones) == (False, [1, 1])
    for each in outputs:
        torch.testing.assert_close(torch.tensor(each), answered(table, raw(5)))


def test_the_formats_of_torch_carry_metadata(table: Run, tmp_path: Path) -> None:
    extra = {"hydrantic.json": ""}
    torch.export.load(hydrantic.export(table, "torch_export", tmp_path / "m.pt2"), extra_files=extra)
    assert json.loads(extra["hydrantic.json"])["class_names"] == ["cat", "dog", "emu"]
    assert table.checkpoint is not None
    assert json.loads(extra["hydrantic.json"])["checkpoint"] == table.checkpoint.name


def test_safetensors_hold_the_weights_of_the_model_and_no_others(table: Run, tmp_path: Path) -> None:
    file = hydrantic.export(table, "safetensors", tmp_path / "m.safetensors")
    fresh = open_run(table.path).model
    expected = {name: value.clone() for name, value in fresh.state_dict().items()}
    for parameter in fresh.parameters():
        parameter.data.zero_()
    assert fresh.load_state_dict(load_file(file)) == ([], [])
    assert all(torch.equal(value, expected[name]) for name, value in fresh.state_dict().items())
    with safe_open(file, "pt") as opened:
        said = json.loads(opened.metadata()["hydrantic"])
    assert said["task"] == "multiclass"
    assert said["preprocessing"]["means"] == pytest.approx(open_run(table.path).data.preprocessing.means.tolist())


@pytest.mark.parametrize("form", ["onnx", "torch_export", "torchscript"])
def test_dropout_and_normalization_are_as_in_evaluation(digits: Run, tmp_path: Path, form: str) -> None:
    done = export_described(digits, form, tmp_path / "m")
    assert (done.inputs, done.outputs) == ({"input": ("batch", 1, 8, 8)}, {"output": ("batch", 10)})
    assert done.difference < 1e-4
    assert done.size == (tmp_path / "m").stat().st_size


@pytest.mark.parametrize("precision", ["64-true", "bf16-true"])
def test_whatever_it_was_trained_in_a_graph_takes_float32_and_weights_stay_as_they_are(
    here: Path, precision: str
) -> None:
    run = fit(write(here / "a.yaml", f"data: iris\nloss: cross_entropy\n{SHORT}"), [f"trainer.precision={precision}"])
    program = torch.export.load(hydrantic.export(run, "torch_export", here / "m.pt2")).module()
    assert program(torch.rand(5, 4)).dtype == torch.float32
    weights = load_file(hydrantic.export(run, "safetensors", here / "m.safetensors"))
    kept = open_run(run.path).state["state_dict"]
    assert {name: each.dtype for name, each in weights.items()} == {name: each.dtype for name, each in kept.items()}
    assert all(torch.equal(each, kept[name]) for name, each in weights.items())


def test_a_checkpoint_alone_is_enough(table: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert table.checkpoint is not None
    alone = tmp_path / "somewhere.ckpt"
    alone.write_bytes(table.checkpoint.read_bytes())
    monkeypatch.chdir(tmp_path)
    file = hydrantic.export("somewhere.ckpt", "torch_export")
    assert file == Path("somewhere.pt2")
    module = torch.export.load(file).module()
    torch.testing.assert_close(module(raw(4)), answered(table, raw(4)))


# -- models of all kinds ----------------------------------------------------------------------------------------------

SHELF = """
    import torch
    from lightning.pytorch import LightningDataModule
    from torch import nn
    from torch.utils.data import DataLoader
    from hydrantic import Facts, register_data, register_model

    class Dictionaries(torch.utils.data.Dataset):
        def __len__(self):
            return 12

        def __getitem__(self, index):
            return {"left": torch.rand(3), "right": torch.rand(2), "label": torch.tensor(index % 2)}

    @register_data("pairs")
    class Pairs(LightningDataModule):
        def __init__(self, readable: bool = True) -> None:
            super().__init__()
            self.readable = readable

        def train_dataloader(self):
            if not self.readable:
                raise OSError("the tape is lost")
            return DataLoader(Dictionaries(), batch_size=4)

        val_dataloader = train_dataloader

    @register_model("two_headed")
    class TwoHeaded(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.left, self.right = nn.Linear(3, 2), nn.Linear(2, 1)

        def forward(self, left, right):
            return {"logits": self.left(left), "more": self.right(right)}

    class Small(nn.Module):
        def __init__(self, in_features: int, out_features: int) -> None:
            super().__init__()
            self.layer = nn.Linear(in_features, out_features)

    @register_model("branching")
    class Branching(Small):
        def forward(self, x):
            outputs = self.layer(x.flatten(1))
            return outputs if outputs.sum() > 0 else -outputs

    @register_model("counting")
    class Counting(Small):
        def forward(self, x):
            return self.layer(x.flatten(1)) * (1 if len(x) > 4 else 2)

    @register_model("noisy")
    class Noisy(Small):
        def forward(self, x):
            return self.layer(x.flatten(1)) + torch.rand(1)

    @register_model("remembering")
    class Remembering(Small):
        def get_extra_state(self):
            return {"seen": 3}

        def set_extra_state(self, state):
            pass

        def forward(self, x):
            return self.layer(x.flatten(1))

    @register_model("tied")
    class Tied(nn.Module):
        def __init__(self, in_features: int, out_features: int) -> None:
            super().__init__()
            self.first, self.second = nn.Linear(in_features, in_features), nn.Linear(in_features, in_features)
            self.second.weight = self.first.weight
            self.last = nn.Linear(in_features, out_features)

        def forward(self, x):
            return self.last(self.second(self.first(x.flatten(1)).relu()))
"""


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, scratch: None) -> Path:
    """A person's folder, in which they stand: a project with a shelf."""
    monkeypatch.chdir(tmp_path)
    project(tmp_path, parts=SHELF)
    return tmp_path


def of_digits(model: str) -> Run:
    return fit(write(Path("a.yaml"), DIGITS.replace("mlp", model)), ["data.split=[100, 50, 50]"])


TWO_HEADS = """
    data: pairs
    model: two_headed
    loss: {name: cross_entropy, input: logits, target: label}
    loggers: {}
    trainer: {max_epochs: 1}
"""


def test_several_inputs_and_outputs_have_their_names(here: Path) -> None:
    done = export_described(fit(write(here / "a.yaml", TWO_HEADS), test=False), "onnx")
    session = onnxruntime.InferenceSession(done.file)
    assert [each.name for each in session.get_inputs()] == ["left", "right"]
    assert [each.name for each in session.get_outputs()] == ["logits", "more"]
    assert done.outputs == {"logits": ("batch", 2), "more": ("batch", 1)}


def test_inputs_that_nothing_tells_are_asked_for(here: Path) -> None:
    run = fit(write(here / "a.yaml", TWO_HEADS), test=False)
    write(here / "registry" / "parts.py", SHELF.replace("readable: bool = True", "readable: bool = False"))
    [checkpoint] = run.path.glob("checkpoints/last.ckpt")
    state = torch.load(checkpoint, weights_only=True)
    state["hydrantic"]["blueprint"]["data"]["readable"] = False
    torch.save(state, here / "b.ckpt")
    with pytest.raises(UsageError, match=r"states no input_shape.*no example_input_array.*the tape is lost"):
        hydrantic.export(here / "b.ckpt")


@pytest.mark.parametrize("form", ["onnx", "torch_export", "torchscript"])
def test_a_model_that_decides_by_its_values_is_refused_with_the_reason(here: Path, form: str) -> None:
    run = of_digits("branching")
    before = sorted(run.path.iterdir())
    with pytest.raises(ExportFailed, match=r"torch cannot export this model: .*data-dependent") as caught:
        hydrantic.export(run, form)
    assert "\n" not in str(caught.value)
    assert sorted(run.path.iterdir()) == before


def test_a_model_that_depends_on_the_size_of_the_batch_is_refused(here: Path) -> None:
    with pytest.raises(ExportFailed, match="what it does depends on the size of the batch"):
        hydrantic.export(of_digits("counting"), "torch_export")


@pytest.mark.parametrize("form", ["onnx", "torch_export", "torchscript"])
def test_a_model_whose_outputs_differ_leaves_nothing_behind(here: Path, form: str) -> None:
    run = of_digits("noisy")
    before = sorted(run.path.iterdir())
    with pytest.raises(ExportFailed, match=r"differ from the model's by up to 0\.\d+ for a batch of \d, .*nothing was"):
        hydrantic.export(run, form)
    assert sorted(run.path.iterdir()) == before


def test_weights_that_layers_share_can_be_exported(here: Path) -> None:
    run = of_digits("tied")
    weights = load_file(hydrantic.export(run, "safetensors"))
    assert torch.equal(weights["network.first.weight"], weights["network.second.weight"])


def test_a_model_that_keeps_more_than_tensors_has_no_safetensors(here: Path) -> None:
    run = of_digits("remembering")
    with pytest.raises(ExportFailed, match=r"keeps network\._extra_state, which is no tensor; safetensors cannot hold"):
        hydrantic.export(run, "safetensors")
    assert not list(run.path.glob("*.safetensors"))
    assert hydrantic.export(run, "torch_export").is_file()


def test_numbers_of_a_blueprint_that_json_does_not_have_are_told_in_words(here: Path) -> None:
    stopping = "early_stopping: {monitor: validation/loss, divergence_threshold: .inf}\n"
    run = fit(write(here / "a.yaml", f"data: iris\nloss: cross_entropy\n{SHORT}{stopping}"))
    with safe_open(hydrantic.export(run, "safetensors"), "pt") as opened:
        said = json.loads(opened.metadata()["hydrantic"])
    assert said["blueprint"]["early_stopping"]["divergence_threshold"] == "Infinity"


# -- what bad input gets ----------------------------------------------------------------------------------------------


def test_an_unknown_format_is_answered_with_the_nearest(table: Run) -> None:
    with pytest.raises(UsageError, match=r"there is no format 'onxx'; did you mean 'onnx'?"):
        hydrantic.export(table, "onxx")


def test_a_missing_distribution_is_told_with_how_to_get_it(table: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(formats, "find_spec", lambda name: None if name == "onnxruntime" else "there")
    with pytest.raises(UsageError, match=r"needs onnxruntime: pip install 'hydrantic\[export\]'"):
        hydrantic.export(table, "onnx")


def test_a_file_that_is_there_is_replaced_only_by_force(table: Run, tmp_path: Path) -> None:
    file = write(tmp_path / "m.pt2", "precious")
    with pytest.raises(UsageError, match=r"m.pt2 is there already; --force replaces it"):
        hydrantic.export(table, "torch_export", file)
    assert file.read_text() == "precious"
    assert hydrantic.export(table, "torch_export", file, force=True) == file
    torch.export.load(file)


def test_a_place_that_cannot_be_is_refused(table: Run, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"there is no folder .*nowhere"):
        hydrantic.export(table, "onnx", tmp_path / "nowhere" / "m.onnx")
    with pytest.raises(UsageError, match="is a folder; name a file in it"):
        hydrantic.export(table, "onnx", tmp_path)


def test_a_full_disk_leaves_the_old_file(table: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = write(tmp_path / "m.pt2", "precious")

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(ExportFailed, match=r"m.pt2 cannot be written: No space left on device"):
        hydrantic.export(table, "torch_export", file, force=True)
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("m.pt2", "precious")]


def test_a_run_that_is_none_is_told(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="there is no run"):
        hydrantic.export(tmp_path / "none")


def test_exporting_prints_and_warns_nothing(table: Run, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    for form in formats.FORMATS:
        hydrantic.export(table, form, tmp_path / form)
    assert capfd.readouterr() == ("", "")
