"""Going on with a study: after a full disk, with a blueprint that was edited, and past what cannot run."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pytest

from hydrantic.errors import RunFailed, UsageError
from hydrantic.sweeping.ledger import Ledger, read_ledger
from hydrantic.sweeping.resumption import resume
from hydrantic.sweeping.sweep import sweep
from tests.projects import DIGITS, write

pytestmark = [pytest.mark.usefixtures("scratch")]

SEARCH = """
sweep:
  name: optuna
  n_trials: 2
  n_jobs: 1
  sampler: {name: random, seed: 1}
  params: {optimizer.lr: "interval(0.001, 0.01)"}
hydra: {launcher: {processes: 1}}
"""


@pytest.fixture
def blueprint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A blueprint that searches, in a project to stand in."""
    pytest.importorskip("optuna")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    return write(tmp_path / "blueprints" / "digits.yaml", DIGITS + SEARCH)


def stopped(blueprint: Path, monkeypatch: pytest.MonkeyPatch, number: int, state: str) -> Path:
    """The directory of a sweep whose disk is full when a job comes into a state."""
    whole = Ledger.note_all

    def full(ledger: Ledger, notes: Iterable[Mapping[str, Any]]) -> None:
        found = list(notes)
        if any((each["job"], each["state"]) == (number, state) for each in found):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        whole(ledger, found)

    with monkeypatch.context() as patched:
        patched.setattr(Ledger, "note_all", full)
        with pytest.raises(RunFailed, match="No space left on device"):
            sweep(blueprint)
    (directory,) = Path("runs/digits").resolve().glob("sweep-*")
    return directory


def states(directory: Path) -> list[str]:
    return [job.state for job in read_ledger(directory).jobs]


def test_a_study_whose_disk_was_full_goes_on_whatever_is_commented(
    blueprint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    directory = stopped(blueprint, monkeypatch, 1, "planned")
    assert states(directory) == ["finished"]
    assert (directory / "1" / "job.json").is_file()
    assert read_ledger(directory).to_come == 1
    write(blueprint, f"# touched\n{blueprint.read_text()}")
    assert [job.state for job in resume(directory)] == ["finished", "finished"]


def test_a_study_of_another_blueprint_proposes_nothing_but_runs_what_is_written(
    blueprint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    directory = stopped(blueprint, monkeypatch, 0, "running")
    assert states(directory) == ["planned"]
    write(blueprint, blueprint.read_text().replace("loss: cross_entropy", "loss: focal"))
    with pytest.raises(UsageError, match=r"no further trials were proposed: blueprints/digits\.yaml has changed"):
        resume(directory)
    assert states(directory) == ["finished"]
    blueprint.unlink()
    with pytest.raises(UsageError, match="no further trials were proposed"):
        resume(directory)


def test_what_a_study_proposed_and_cannot_run_keeps_its_reason(
    blueprint: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    searched = 'params: {model.dropout: "interval(0, 3000)"}'
    write(blueprint, blueprint.read_text().replace('params: {optimizer.lr: "interval(0.001, 0.01)"}', searched))
    done = sweep(blueprint, skip_invalid=True)
    told = [f"job {job.number} failed: {job.overrides[0]}\n  {job.record.error}" for job in done]
    assert all(job.record.error.endswith(f"{job.overrides[0]}: must be less than 1") for job in done)
    said = capsys.readouterr().err
    assert all(each in said for each in told)
    assert str(Path("runs")) not in said
    again = resume(done.path, retry=True)
    assert [job.record for job in again] == [job.record for job in done]
    assert "job 0 cannot run and is left as it is: model.dropout=" in capsys.readouterr().err
