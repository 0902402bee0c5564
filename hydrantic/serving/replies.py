"""What a server says about each row: class and probabilities, labels, numbers, or the model's outputs as they are."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import isfinite
from typing import Any, TypeAlias

import torch
from lightning.pytorch import LightningDataModule, LightningModule
from pydantic import BaseModel, Field
from torch import Tensor

from hydrantic.answers import Answers, answering, answers
from hydrantic.errors import UsageError
from hydrantic.facts import Facts
from hydrantic.portable import preprocessing_of

Reply: TypeAlias = dict[str, Any]


class ClassReply(BaseModel):
    """The class of a row."""

    prediction: str = Field(description="Name of the most probable class.")
    probabilities: dict[str, float | None] = Field(description="Probability of each class.")


class LabelsReply(BaseModel):
    """The labels of a row."""

    prediction: list[str] = Field(description="Names of the labels whose probability is above one half.")
    probabilities: dict[str, float | None] = Field(description="Probability of each label.")


class NumbersReply(BaseModel):
    """The predicted numbers of a row."""

    prediction: dict[str, float | None] = Field(description="Each predicted number by its name.")


class OutputsReply(BaseModel):
    """The model's outputs for a row, of which nothing says what they mean."""

    outputs: dict[str, Any] = Field(description="Each output by its name.")


class Predictor:
    """A trained model that replies to raw inputs.

    Arguments:
        model: in evaluation mode.
        data: its data module, with the fitted state.
        facts: what the data states.
        device: where the model computes.
    """

    def __init__(
        self, model: LightningModule, data: LightningDataModule, facts: Facts, device: torch.device | None = None
    ) -> None:
        self._device = device or torch.device("cpu")
        self._preprocessing = preprocessing_of(data)
        self._model = model.float().to(self._device)  # rows are float32, whatever it was trained in
        self._facts = facts
        self._key = answering(model)
        self._reads_answers = True

    def outputs(self, inputs: Tensor) -> Any:
        """The model's outputs, on its device, for inputs `(rows, ...)` before preprocessing."""
        with torch.inference_mode():
            return self._model(self._preprocessing(inputs).to(self._device))

    def rehearse(self, inputs: Tensor) -> type[BaseModel]:
        """Find out, by inputs of any value, what is replied to each row.

        Raises:
            UsageError: the model does not take such inputs.
        """
        try:
            outputs = self.outputs(inputs)
        except Exception as error:  # the model's own code
            message = f"{type(error).__name__}: {error}"
            raise UsageError(f"the model does not take inputs of the shape that its data states: {message}") from error
        try:
            found = answers(outputs, self._facts, self._key)
        except UsageError:
            self._reads_answers = False
            return OutputsReply
        if found.probabilities is None:
            return NumbersReply
        return ClassReply if found.classes is not None else LabelsReply

    def __call__(self, inputs: Tensor) -> list[Reply]:
        """A reply for each of the inputs `(rows, ...)`."""
        outputs = self.outputs(inputs)
        if not self._reads_answers:
            return _raw(outputs, len(inputs))
        found = answers(outputs, self._facts, self._key)
        return _TELL[found.probabilities is None, found.classes is None](found)


def _classes(found: Answers) -> list[Reply]:
    assert found.probabilities is not None and found.classes is not None  # noqa: PT018 -- as the table below says
    shares = found.probabilities.tolist()
    return [
        {"prediction": name, "probabilities": _by_name(found.names, each)}
        for name, each in zip(found.classes, shares, strict=True)
    ]


def _labels(found: Answers) -> list[Reply]:
    assert found.probabilities is not None  # as the table below says
    rows = zip(found.values.tolist(), found.probabilities.tolist(), strict=True)
    return [
        {
            "prediction": [name for name, is_set in zip(found.names, labels, strict=True) if is_set],
            "probabilities": _by_name(found.names, shares),
        }
        for labels, shares in rows
    ]


def _numbers(found: Answers) -> list[Reply]:
    return [{"prediction": _by_name(found.names, each)} for each in found.values.tolist()]


_TELL: dict[tuple[bool, bool], Callable[[Answers], list[Reply]]] = {
    (False, False): _classes,
    (False, True): _labels,
    (True, True): _numbers,
}
"""How answers are told, by whether they have no probabilities, and no classes."""


def _by_name(names: tuple[str, ...], values: list[Any]) -> dict[str, Any]:
    return dict(zip(names, map(_plain, values), strict=True))


def _plain(value: Any) -> Any:
    """The value as JSON can say it, which has neither NaN nor infinity."""
    if isinstance(value, list):
        return [_plain(each) for each in value]
    return None if isinstance(value, float) and not isfinite(value) else value


def _raw(outputs: Any, rows: int) -> list[Reply]:
    named = outputs if isinstance(outputs, Mapping) else {"output": outputs}
    lists = {str(name): value.tolist() for name, value in named.items() if isinstance(value, Tensor)}
    return [{"outputs": {name: _plain(values[row]) for name, values in lists.items()}} for row in range(rows)]
