"""Tests of stopping a run by a signal."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from hydrantic.checkpoints import AtomicCheckpointIO, read_checkpoint
from hydrantic.errors import Interrupted
from hydrantic.exact import Exact
from hydrantic.interrupts import StopSignals
from tests.tiny import LIGHTNING_WARNINGS, Tiny, batches, names, quiet_trainer

pytestmark = [pytest.mark.filterwarnings(each) for each in LIGHTNING_WARNINGS]

ROOT = Path(__file__).parent.parent

RUN = """
import signal, sys, time
from pathlib import Path
from hydrantic.checkpoints import AtomicCheckpointIO
from hydrantic.exact import Exact
from hydrantic.interrupts import Interrupted, StopSignals
from tests.tiny import Tiny, batches, quiet_trainer

phase, where = sys.argv[1], Path(sys.argv[2])

class Slow(Tiny):
    def pause(self, stage):
        if stage == phase:
            print("ready", flush=True)
            time.sleep(0.05)

    def training_step(self, batch, batch_idx):
        self.pause("training")
        return super().training_step(batch, batch_idx)

    def validation_step(self, batch, batch_idx):
        self.pause("validation")
        return super().validation_step(batch, batch_idx)

    def test_step(self, batch, batch_idx):
        self.pause("test")
        return super().test_step(batch, batch_idx)

try:
    with StopSignals(where / "last.ckpt") as stops:
        if phase == "imports":
            print("ready", flush=True)
            time.sleep(60)
        trainer = quiet_trainer(max_epochs=1 if phase == "test" else 1000, callbacks=[stops],
                                plugins=[AtomicCheckpointIO()])
        Exact.into(trainer)
        trainer.fit(Slow(), batches(100), batches(20))
        trainer.test(Slow(), batches(100), verbose=False)
except Interrupted as stop:
    print("stopped", flush=True)
    sys.exit(stop.exit_code)
"""


def test_an_error_on_the_way_of_an_interrupt_is_the_interrupt() -> None:
    def tidy_up() -> None:
        try:
            signal.raise_signal(signal.SIGINT)
        finally:
            raise RuntimeError("tidying up met what was half done")

    def train() -> None:
        try:
            tidy_up()
        except RuntimeError as error:
            raise ValueError("training failed") from error

    with pytest.raises(Interrupted), StopSignals(told=None):
        train()


def interrupted(phase: str, where: Path, signals: Sequence[signal.Signals]) -> tuple[int, str]:
    """The exit code and the output of a run that is sent signals in a phase."""
    environment = os.environ | {"PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "ignore"}
    command = [sys.executable, "-c", RUN, phase, str(where)]
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        assert process.stdout is not None
        while "ready" not in process.stdout.readline():
            pass
        for each in signals:
            process.send_signal(each)
            time.sleep(0.01)
        text = process.stdout.read()
    return process.returncode, text


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_in_training_stops_after_the_batch_and_saves(
    tmp_path: Path, number: signal.Signals, code: int
) -> None:
    assert interrupted("training", tmp_path, [number])[0] == code
    assert names(tmp_path) == ["last.ckpt"]
    assert 0 < read_checkpoint(tmp_path / "last.ckpt")["global_step"] < 100


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_in_validation_stops_and_saves(tmp_path: Path, number: signal.Signals, code: int) -> None:
    assert interrupted("validation", tmp_path, [number])[0] == code
    assert read_checkpoint(tmp_path / "last.ckpt")["global_step"] == 100


def test_a_signal_in_a_test_stops_and_does_not_touch_the_last_checkpoint(tmp_path: Path) -> None:
    assert interrupted("test", tmp_path, [signal.SIGTERM])[0] == 143
    assert names(tmp_path) == []


def test_a_signal_during_imports_stops_at_once(tmp_path: Path) -> None:
    started = time.monotonic()
    assert interrupted("imports", tmp_path, [signal.SIGINT])[0] == 130
    assert time.monotonic() - started < 30


def test_a_person_is_told_what_happens_and_how_to_stop_at_once(tmp_path: Path) -> None:
    assert (
        "SIGINT: stopping after this batch; once more to stop at once"
        in interrupted("training", tmp_path, [signal.SIGINT])[1]
    )


def test_a_second_signal_stops_at_once_without_saving(tmp_path: Path) -> None:
    code, text = interrupted("training", tmp_path, [signal.SIGINT, signal.SIGINT])
    assert code == 130
    assert "stopped" in text
    assert names(tmp_path) == []


class SignalAt(Tiny):
    """Sends its own process a signal in a batch."""

    def __init__(self, stage: str, batch: int, *numbers: signal.Signals) -> None:
        super().__init__()
        self.when = stage, batch
        self.numbers = numbers or (signal.SIGTERM,)

    def training_step(self, batch, batch_idx):  # type: ignore[no-untyped-def]
        self._signal("training", batch_idx)
        return super().training_step(batch, batch_idx)

    def validation_step(self, batch, batch_idx):  # type: ignore[no-untyped-def]
        self._signal("validation", batch_idx)
        return super().validation_step(batch, batch_idx)

    def _signal(self, stage: str, batch: int) -> None:
        if (stage, batch) == self.when:
            for number in self.numbers:
                os.kill(os.getpid(), number)


def fit_until_stopped(last: Path, model: Tiny) -> None:
    with StopSignals(last) as stops:
        trainer = quiet_trainer(max_epochs=3, callbacks=[stops], plugins=[AtomicCheckpointIO()])
        Exact.into(trainer)
        trainer.fit(model, batches(), batches())


@pytest.mark.filterwarnings("ignore:.*ended before the epoch ended.*:Warning")
@pytest.mark.parametrize(("stage", "batch"), [("training", 1), ("training", 3), ("validation", 1), ("validation", 3)])
def test_training_continues_from_where_a_signal_stopped_it(tmp_path: Path, stage: str, batch: int) -> None:
    last = tmp_path / "last.ckpt"
    with pytest.raises(Interrupted):
        fit_until_stopped(last, SignalAt(stage, batch))
    resumed = quiet_trainer(max_epochs=3, plugins=[AtomicCheckpointIO()])
    Exact.into(resumed)
    resumed.fit(Tiny(), batches(), batches(), ckpt_path=last)
    assert (resumed.global_step, resumed.current_epoch) == (12, 3)


def test_a_scheduler_and_a_wrapper_that_both_send_a_signal_do_not_lose_the_state(tmp_path: Path) -> None:
    sent = SignalAt("training", 1, signal.SIGUSR1, signal.SIGTERM, signal.SIGTERM, signal.SIGTERM)
    with pytest.raises(Interrupted, match="SIGUSR1"):
        fit_until_stopped(tmp_path / "last.ckpt", sent)
    assert read_checkpoint(tmp_path / "last.ckpt")["global_step"] == 2


def test_a_person_in_a_hurry_stops_what_a_scheduler_has_told_to_stop(tmp_path: Path) -> None:
    with pytest.raises(Interrupted, match="SIGINT"):
        fit_until_stopped(tmp_path / "last.ckpt", SignalAt("training", 1, signal.SIGTERM, signal.SIGINT))
    assert names(tmp_path) == []


def test_what_is_only_noted_ends_nothing() -> None:
    stops, before = StopSignals(), signal.getsignal(signal.SIGTERM)
    with stops.only_noting(signal.SIGTERM, signal.SIGINT):
        os.kill(os.getpid(), signal.SIGTERM)
        os.kill(os.getpid(), signal.SIGINT)
    assert stops.received == signal.SIGTERM
    assert signal.getsignal(signal.SIGTERM) == before


class SignalAtEnd(Tiny):
    """Sends its own process a signal when no batch follows that could answer it."""

    def on_train_end(self) -> None:
        os.kill(os.getpid(), signal.SIGINT)


def test_a_signal_after_the_last_batch_is_not_lost(tmp_path: Path) -> None:
    with pytest.raises(Interrupted, match="SIGINT"):
        fit_until_stopped(tmp_path / "last.ckpt", SignalAtEnd())


def test_a_signal_that_has_ended_another_process_first_stops_this_one_too() -> None:
    lost = RuntimeError("[../gloo/transport/tcp/pair.cc:547] Connection closed by peer")
    stops = StopSignals()
    with pytest.raises(RuntimeError, match="closed by peer"), stops:
        raise lost
    stops.received = signal.SIGTERM
    with pytest.raises(Interrupted), stops:
        raise lost


def test_the_handlers_are_restored(tmp_path: Path) -> None:
    before = [signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)]
    with StopSignals(tmp_path / "last.ckpt") as stops:
        quiet_trainer(max_epochs=1, callbacks=[stops]).fit(Tiny(), batches(), batches())
        assert signal.getsignal(signal.SIGINT) not in before
    assert [signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)] == before


def test_no_component_can_swallow_an_interruption() -> None:
    assert not issubclass(Interrupted, Exception | KeyboardInterrupt | SystemExit)
