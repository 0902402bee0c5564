"""The stock data modules except for CSV files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hydrantic.registry.data import shipped
from sklearn import datasets

from hydrantic import InvalidField
from hydrantic.components import choose


def data(name: str, **fields: Any) -> Any:
    return choose("data", {"name": name, **fields}).build()


@pytest.mark.parametrize("name", ["iris", "wine", "breast_cancer"])
def test_tables_hold_scikit_learns_numbers(name: str) -> None:
    theirs, ours = getattr(datasets, f"load_{name}")(), data(name).load()

    assert torch.equal(ours.inputs, torch.from_numpy(theirs.data).float())
    assert torch.equal(ours.targets, torch.from_numpy(theirs.target))
    assert ours.feature_names == tuple(theirs.feature_names)
    assert ours.class_names == tuple(theirs.target_names)


def test_digits_are_scikit_learns_images_between_0_and_1() -> None:
    theirs, ours = datasets.load_digits(), data("digits").load()

    assert torch.equal(ours.inputs[:, 0] * 16, torch.from_numpy(theirs.images).float())
    assert torch.equal(ours.targets, torch.from_numpy(theirs.target))
    assert (ours.inputs.min(), ours.inputs.max()) == (0, 1)


def test_diabetes_holds_scikit_learns_unscaled_numbers() -> None:
    theirs, ours = datasets.load_diabetes(scaled=False), data("diabetes").load()

    assert torch.equal(ours.inputs, torch.from_numpy(theirs.data).float())
    assert torch.equal(ours.targets[:, 0], torch.from_numpy(theirs.target).float())
    assert ours.feature_names == tuple(theirs.feature_names)


@pytest.mark.parametrize("name", ["digits", "iris", "wine", "breast_cancer", "diabetes"])
def test_where_scikit_learn_keeps_its_files_elsewhere_it_is_asked(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from_files = data(name).load()
    monkeypatch.setattr(shipped, "shipped_file", lambda _: None)
    from_sklearn = data(name).load()

    assert torch.equal(from_files.inputs, from_sklearn.inputs)
    assert torch.equal(from_files.targets, from_sklearn.targets)


@pytest.mark.parametrize(
    ("name", "task", "shape", "out_features"),
    [
        ("digits", "multiclass", (1, 8, 8), 10),
        ("iris", "multiclass", (4,), 3),
        ("wine", "multiclass", (13,), 3),
        ("breast_cancer", "binary", (30,), 2),
        ("diabetes", "regression", (10,), 1),
        ("function", "regression", (1,), 1),
    ],
)
def test_facts_of_the_stock_data(name: str, task: str, shape: tuple[int, ...], out_features: int) -> None:
    facts = data(name).facts()

    assert (facts.task, facts.input_shape, facts.out_features) == (task, shape, out_features)
    assert facts.in_features == int(np.prod(shape))


# Functions


def test_a_function_is_sampled_evenly_on_its_domain() -> None:
    samples = data("function", function="cos", domain=[0, 3.0], steps=4).load()

    assert samples.inputs.flatten().tolist() == [0, 1, 2, 3]
    torch.testing.assert_close(samples.targets, torch.cos(samples.inputs))


def test_a_function_may_have_fields_of_its_own() -> None:
    samples = data("function", function={"name": "sin", "frequency": 2.0}, steps=10).load()

    torch.testing.assert_close(samples.targets, torch.sin(2 * samples.inputs))


def test_noise_is_the_same_each_time() -> None:
    one, other = (data("function", noise=0.1).load().targets for _ in range(2))

    assert torch.equal(one, other)
    assert (one - data("function").load().targets).std().item() == pytest.approx(0.1, rel=0.1)


def test_a_domain_that_falls_is_refused() -> None:
    with pytest.raises(ValueError, match="domain"):
        data("function", domain=[1.0, 1.0])


@pytest.mark.parametrize("function", ["flatten", {"name": "threshold", "threshold": 0.0, "value": ".inf"}])
def test_what_is_no_function_of_one_number_is_refused(function: Any) -> None:
    if isinstance(function, dict):
        function["value"] = float("inf")
    else:
        function = {"name": "linear", "in_features": 1, "out_features": 2}
    with pytest.raises(InvalidField, match="function"):
        data("function", function=function).facts()


# Tensors from files


def npz(path: Path, **arrays: Any) -> str:
    np.savez(path / "data.npz", **arrays)
    return str(path / "data.npz")


def test_an_npz_file_is_read(tmp_path: Path) -> None:
    samples = data("tensors", path=npz(tmp_path, inputs=np.eye(6), targets=np.array([0, 1, 2, 0, 1, 2]))).load()

    assert samples.task == "multiclass"
    assert torch.equal(samples.inputs, torch.eye(6))
    assert samples.targets.dtype == torch.int64


def test_a_pt_file_is_read_under_the_names_that_the_blueprint_gives(tmp_path: Path) -> None:
    torch.save({"x": torch.zeros(5, 1, 4, 4), "y": torch.arange(5.0)}, tmp_path / "data.pt")
    samples = data("tensors", path=str(tmp_path / "data.pt"), inputs="x", targets="y").load()

    assert (samples.task, samples.inputs.shape, samples.targets.shape) == ("regression", (5, 1, 4, 4), (5, 1))


def test_two_classes_are_binary_and_labels_may_be_asked_for(tmp_path: Path) -> None:
    path = npz(tmp_path, inputs=np.zeros((4, 2)), targets=np.array([0, 1, 1, 0]), labels=np.eye(4, dtype=int))

    assert data("tensors", path=path).load().task == "binary"
    samples = data("tensors", path=path, targets="labels", task="multilabel").load()
    assert (samples.targets.shape, samples.targets.dtype) == ((4, 4), torch.float32)


@pytest.mark.parametrize(
    ("arrays", "fields", "message"),
    [
        ({"targets": [0, 1]}, {}, "inputs: data.npz has no tensor 'inputs'; it has targets"),
        ({"inputs": [[1.0], [2.0]], "targets": [0]}, {}, "targets: inputs .2, 1. and targets .1,. do not pair"),
        ({"inputs": [[np.nan], [2.0]], "targets": [0, 1]}, {}, "inputs: some values are NaN"),
        ({"inputs": [[1.0], [2.0]], "targets": [0.5, 1]}, {"task": "multiclass"}, "targets: classes must be whole"),
        ({"inputs": [[1.0], [2.0]], "targets": [0, 2]}, {"task": "binary"}, "targets: binary classes must be 0 and 1"),
        ({"inputs": np.zeros((0, 2)), "targets": []}, {}, "path: .* holds no samples"),
    ],
)
def test_tensors_that_do_not_fit_are_refused(
    tmp_path: Path, arrays: dict[str, Any], fields: dict[str, Any], message: str
) -> None:
    with pytest.raises(InvalidField, match=message):
        data("tensors", path=npz(tmp_path, **arrays), **fields).facts()


class Bomb:
    def __reduce__(self) -> Any:
        return (Path.touch, (Path("exploded"),))


def test_a_file_that_holds_code_is_refused_and_not_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    torch.save({"inputs": Bomb(), "targets": torch.zeros(3)}, "data.pt")
    np.savez("data.npz", inputs=np.array([Bomb()], dtype=object), targets=np.zeros(1))

    with pytest.raises(InvalidField, match="more than tensors"):
        data("tensors", path="data.pt").facts()
    with pytest.raises(InvalidField, match="cannot be read"):
        data("tensors", path="data.npz").facts()
    assert not Path("exploded").exists()


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("data.txt", b"1", "neither .npz nor .pt"),
        ("data.npz", b"no archive", "cannot be read"),
        ("data.npz", b"", "cannot be read"),
        ("data.pt", b"no archive", "path: .*data.pt"),
        ("data.pt", b"", "cannot be read"),
    ],
)
def test_a_damaged_file_is_refused(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InvalidField, match=message):
        data("tensors", path=str(tmp_path / name)).facts()


def test_a_missing_file_is_refused() -> None:
    with pytest.raises(ValueError, match="there is no file"):
        data("tensors", path="nowhere.npz").facts()
