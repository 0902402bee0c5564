"""Tests of the progress bar."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch.utils.data import DataLoader, IterableDataset

from hydrantic.progress import Progress
from tests.tiny import LIGHTNING_WARNINGS, Tiny, batches, quiet_trainer

pytestmark = [pytest.mark.filterwarnings(each) for each in LIGHTNING_WARNINGS]


class Terminal(io.StringIO):
    """A terminal that keeps what is drawn on it."""

    def isatty(self) -> bool:
        return True


class Endless(IterableDataset[tuple[torch.Tensor, torch.Tensor]]):
    """Samples without a known number."""

    def __iter__(self) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        for _ in range(6):
            yield torch.ones(2), torch.ones(1)


def fit(stream: io.StringIO, *, seconds: float = 0.0, loader: Any = None, **arguments: Any) -> str:
    progress = Progress(stream, seconds=seconds)
    trainer = quiet_trainer(enable_progress_bar=True, callbacks=[progress], **arguments)
    trainer.fit(Tiny(), batches() if loader is None else loader, batches())
    return stream.getvalue()


def last_drawn(text: str) -> str:
    return [part for part in text.replace("\n", "\r").split("\r") if "epoch" in part][-1]


def test_a_terminal_shows_epoch_steps_and_validation_metrics() -> None:
    line = last_drawn(fit(Terminal(), max_epochs=3))
    assert "epoch 3/3" in line
    assert "12/12" in line
    assert "validation loss" in line


def test_a_terminal_shows_one_line_for_the_whole_fit() -> None:
    text = fit(Terminal(), max_epochs=5)
    assert text.count("\n") == 1
    assert text.endswith("\n")


def test_the_line_is_redrawn_by_time_and_not_by_step() -> None:
    few, many = (fit(Terminal(), max_epochs=1, loader=batches(count)) for count in (2, 200))
    assert many.count("epoch") <= few.count("epoch") + 40


def test_a_pipe_gets_one_plain_line_per_epoch() -> None:
    lines = fit(io.StringIO(), max_epochs=3).splitlines()
    assert [line.split("  ")[0] for line in lines] == ["epoch 1/3", "epoch 2/3", "epoch 3/3"]
    assert all("validation loss" in line and "\r" not in line for line in lines)


def test_a_pipe_gets_no_more_than_a_line_every_few_seconds_and_the_last() -> None:
    lines = fit(io.StringIO(), max_epochs=5, seconds=60).splitlines()
    assert len(lines) == 1
    assert lines[0].startswith("epoch 5/5  20 steps")


@pytest.mark.parametrize("stream", [Terminal(), io.StringIO()])
def test_training_by_steps_without_a_number_of_epochs_is_shown(stream: io.StringIO) -> None:
    text = fit(stream, max_epochs=-1, max_steps=6)
    assert "epoch 2" in text
    assert "epoch 2/" not in text


@pytest.mark.parametrize("stream", [Terminal(), io.StringIO()])
def test_a_loader_of_unknown_length_is_shown(stream: io.StringIO) -> None:
    assert "epoch 2/2" in fit(stream, max_epochs=2, loader=DataLoader(Endless(), batch_size=2))


def test_no_tensor_is_read_while_steps_run(monkeypatch: pytest.MonkeyPatch) -> None:
    progress = Progress(Terminal())
    monkeypatch.setattr(torch.Tensor, "item", lambda _: pytest.fail("a tensor was read"))
    for _ in range(1000):
        progress.on_train_batch_end(None)  # type: ignore[arg-type]  # it does not look at the trainer
    assert progress._done == 1000


def test_a_test_shows_a_line_that_is_gone_afterwards() -> None:
    stream = Terminal()
    trainer = quiet_trainer(enable_progress_bar=True, callbacks=[Progress(stream)])
    trainer.test(Tiny(), batches(), verbose=False)
    assert "testing" in stream.getvalue()
    *_, blank, end = stream.getvalue().split("\r")
    assert (blank.strip(), end) == ("", "")


def test_a_disabled_bar_shows_nothing() -> None:
    stream = Terminal()
    progress = Progress(stream)
    progress.disable()
    quiet_trainer(enable_progress_bar=True, max_epochs=1, callbacks=[progress]).fit(Tiny(), batches(), batches())
    assert stream.getvalue() == ""


def test_a_failing_fit_leaves_the_terminal_on_a_new_line() -> None:
    class Failing(Tiny):
        def on_train_epoch_end(self) -> None:
            raise ZeroDivisionError

    stream = Terminal()
    trainer = quiet_trainer(enable_progress_bar=True, max_epochs=1, callbacks=[Progress(stream)])
    with pytest.raises(ZeroDivisionError):
        trainer.fit(Failing(), batches(), batches())
    assert stream.getvalue().endswith("\n")
