"""The tables that the scikit-learn package ships, read without importing scikit-learn (1.3 s)."""

from __future__ import annotations

import gzip
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import PositiveInt

from hydrantic import InMemoryDataHparams, Samples

Table = NDArray[np.float64]


class TableHparams(InMemoryDataHparams):
    """How the rows of a small table are split, scaled and batched."""

    batch_size: PositiveInt = 32
    """Number of samples in a batch."""
    standardize: bool = True
    """Whether each input value is shifted and scaled to mean 0 and standard deviation 1 over the training part."""


def shipped_file(name: str) -> Path | None:
    """Where the installed scikit-learn keeps the data file called `name`, or None if it does not."""
    # find_spec imports no top-level package, only finds it.
    spec = find_spec("sklearn")
    folders = spec.submodule_search_locations if spec is not None else None
    path = Path(folders[0], "datasets", "data", name) if folders else None
    return path if path is not None and path.is_file() else None


def read_table(path: Path, *, delimiter: str | None = ",", header: int = 0) -> Table:
    """The numbers of a text file, gzipped or not, below `header` lines."""
    content = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    return np.loadtxt(content.decode("utf-8").splitlines(), delimiter=delimiter, skiprows=header, ndmin=2)


def load_labelled(name: str) -> tuple[Table, NDArray[np.int64]]:
    """Inputs `(samples, features)` and classes `(samples,)` of a shipped table: iris, wine_data, breast_cancer, digits.

    Its last column is the class. Another release of scikit-learn may keep its files elsewhere; then it is asked itself.
    """
    if (path := shipped_file(f"{name}.csv.gz")) is not None:
        table = read_table(path)
    elif (path := shipped_file(f"{name}.csv")) is not None:
        table = read_table(path, header=1)
    else:
        bunch: Any = _from_sklearn(name.removesuffix("_data"))
        return bunch.data, bunch.target
    return table[:, :-1], table[:, -1].astype(np.int64)


def load_diabetes() -> tuple[Table, Table]:
    """Inputs `(442, 10)` in their own units and targets `(442, 1)` of the diabetes study."""
    inputs, targets = shipped_file("diabetes_data_raw.csv.gz"), shipped_file("diabetes_target.csv.gz")
    if inputs is not None and targets is not None:
        return read_table(inputs, delimiter=None), read_table(targets, delimiter=None)
    bunch: Any = _from_sklearn("diabetes", scaled=False)
    return bunch.data, bunch.target.reshape(-1, 1)


def labelled_samples(name: str, class_names: tuple[str, ...], feature_names: tuple[str, ...]) -> Samples:
    """A shipped table as samples for classification."""
    inputs, classes = load_labelled(name)
    return Samples(
        inputs=torch.from_numpy(inputs).float(),
        targets=torch.from_numpy(classes),
        task="binary" if len(class_names) == 2 else "multiclass",
        class_names=class_names,
        feature_names=feature_names,
    )


def _from_sklearn(name: str, **options: Any) -> Any:
    from sklearn import datasets

    return getattr(datasets, f"load_{name}")(**options)
