from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import yaml

from hydrantic.cli.main import main
from hydrantic.errors import BlueprintError, InvalidJobs, UsageError
from hydrantic.rundir import RunRecord
from hydrantic.sweeping.ledger import read_ledger
from hydrantic.sweeping.results import Sweep
from hydrantic.sweeping.resumption import resume
from hydrantic.sweeping.sweep import sweep
from tests.projects import DIGITS, write

ROOT = Path(__file__).parent.parent.parent
pytestmark = [pytest.mark.usefixtures("scratch")]


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project to stand in, with a blueprint that trains within a tenth of a second."""
    write(tmp_path / "blueprints" / "digits.yaml", DIGITS)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    return tmp_path


def swept(*overrides: str, **options: bool) -> Sweep:
    return sweep("blueprints/digits.yaml", overrides, **options)


def command(*words: str) -> list[str]:
    return [sys.executable, "-m", "hydrantic", *words]


@contextmanager
def begun(*words: str) -> Iterator[subprocess.Popen[str]]:
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    pipe = subprocess.PIPE
    with subprocess.Popen(command(*words), env=environment, stdout=pipe, stderr=pipe, text=True) as running:
        try:
            yield running
        finally:
            running.kill()


def the_sweep(place: Path) -> Path:
    (found,) = place.glob("runs/digits/sweep-*")
    return found


def states(directory: Path) -> list[str]:
    return [job.state for job in read_ledger(directory).jobs]


# what is run


def test_every_combination_is_a_run_of_its_own(place: Path) -> None:
    done = swept("optimizer.lr=1e-3,1e-2", "seed=1,2")
    assert [job.overrides for job in done] == [
        ("optimizer.lr=0.001", "seed=1"),
        ("optimizer.lr=0.001", "seed=2"),
        ("optimizer.lr=0.01", "seed=1"),
        ("optimizer.lr=0.01", "seed=2"),
    ]
    assert done.exit_code == 0
    for job in done:
        record = RunRecord.read(job.path / "run.json").fields
        assert record["status"] == "finished"
        assert job.value == record["best_metrics"]["validation/loss"]
        assert job.metrics == record["metrics"]
        assert job.params == {"optimizer.lr": job.params["optimizer.lr"], "seed": record["seed"]}
        blueprint = yaml.safe_load((job.path / "blueprint.yaml").read_text())
        assert blueprint["optimizer"]["lr"] == job.params["optimizer.lr"]


def test_components_are_swept_with_the_fields_that_each_has(place: Path) -> None:
    done = swept("model=mlp,linear", "trainer.max_epochs=1")
    assert [yaml.safe_load((job.path / "blueprint.yaml").read_text())["model"]["name"] for job in done] == [
        "mlp", "linear",
    ]  # fmt: skip


def test_the_blueprint_itself_may_say_what_is_swept(place: Path) -> None:
    write(place / "blueprints" / "digits.yaml", DIGITS + "sweep: {name: grid, params: {seed: 'range(1, 3)'}}\n")
    assert [job.overrides for job in swept()] == [("seed=1",), ("seed=2",)]
    assert [job.overrides for job in swept("seed=7,8")] == [("seed=7",), ("seed=8",)]


def test_lists_of_equal_length_go_together(place: Path) -> None:
    section = "sweep: {name: zip, params: {model.hidden_dims: [[8], [16]], data.batch_size: [32, 64]}}\n"
    write(place / "blueprints" / "digits.yaml", DIGITS + section)
    assert [job.params for job in swept()] == [
        {"model.hidden_dims": [8], "data.batch_size": 32},
        {"model.hidden_dims": [16], "data.batch_size": 64},
    ]


def test_the_best_blueprint_can_be_fitted(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    done = swept("optimizer.lr=1e-5,1e-2")
    assert done.best is not None
    assert done.best.params == {"optimizer.lr": 0.01}
    best = done.path / "best.yaml"
    assert yaml.safe_load(best.read_text())["optimizer"]["lr"] == 0.01
    assert main(["check", str(best)]) == 0


def test_a_repeated_fit_of_a_jobs_blueprint_gives_the_same_numbers(place: Path) -> None:
    from hydrantic.fitting import fit

    (job,) = swept("seed=choice(3)")
    again = fit(job.path / "blueprint.yaml")
    assert dict(again.metrics) == pytest.approx(dict(job.metrics), rel=1e-6)


# what cannot be run


def test_an_invalid_combination_is_told_before_anything_is_written(place: Path) -> None:
    with pytest.raises(InvalidJobs) as caught:
        swept("model=mlp,linear", "model.hidden_dims=[8],[16]")
    assert "2 of 4 jobs cannot run, so none was started (--skip-invalid leaves them out" in str(caught.value)
    assert "linear has no field 'hidden_dims'" in str(caught.value)
    assert not (place / "runs").exists()


def test_invalid_combinations_can_be_left_out(place: Path) -> None:
    done = swept("model=mlp,linear", "model.hidden_dims=[8],[16]", skip_invalid=True)
    assert [job.overrides[0] for job in done] == ["model=mlp", "model=mlp"]
    assert [job.number for job in done] == [0, 1]


def test_what_is_wrong_with_all_jobs_is_told_once(place: Path) -> None:
    with pytest.raises(BlueprintError) as caught:
        swept("seed=1,2", "los=mse")
    assert [each.code for each in caught.value.problems] == ["unknown-field"]
    with pytest.raises(InvalidJobs) as told:
        swept("optimiser.lr=range(0,40)")
    assert str(told.value).count("did you mean 'optimizer'?") == 1
    assert "and 37 further jobs" in str(told.value)
    assert not (place / "runs").exists()


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ((), "nothing is swept"),
        (("seed=1",), "nothing is swept"),
        (("seed=range(3,3)",), "seed=range(3,3)"),
        (("hydra/launcher=slrm", "seed=1,2"), "did you mean 'slurm'"),
        (("sweep=gird", "seed=1,2"), "did you mean 'grid'"),
        (("model.width=1,2",), "mlp has no field 'width'"),
        (("optimizer.lr=interval(0,1)",), "random"),
    ],
)
def test_a_sweep_that_cannot_be_is_refused(place: Path, overrides: tuple[str, ...], message: str) -> None:
    with pytest.raises((BlueprintError, UsageError, InvalidJobs)) as caught:
        swept(*overrides)
    assert message in str(caught.value)
    assert not (place / "runs").exists()


def test_nothing_is_left_of_a_sweep_whose_launcher_cannot_be_used(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(UsageError, match="Slurm"):
        swept("seed=1,2", "hydra/launcher=slurm")
    assert not list(place.glob("runs/*"))


def test_lists_of_unequal_length_are_refused_at_their_place(place: Path) -> None:
    section = "sweep: {name: zip, params: {seed: [1, 2], data.batch_size: [32]}}\n"
    write(place / "blueprints" / "digits.yaml", DIGITS + section)
    with pytest.raises(BlueprintError, match=r"digits.yaml:7:"):
        swept()


# jobs that fail


def test_a_failing_job_does_not_stop_the_others(place: Path, capfd: pytest.CaptureFixture[str]) -> None:
    done = swept("optimizer.lr=1e-3,1e30", "seed=1,2")
    assert [job.state for job in done] == ["finished", "finished", "failed", "failed"]
    assert done.exit_code == 1
    assert "Diverged" in done[2].record.error
    assert "failed" in capfd.readouterr().err
    assert done.best is not None
    assert done.best.number in {0, 1}


def test_failed_jobs_can_be_tried_again(place: Path) -> None:
    write(
        place / "registry" / "fragile.py",
        """
        from pathlib import Path

        from torch import nn

        from hydrantic import register_model


        @register_model("fragile")
        class Fragile(nn.Module):
            def __init__(self, in_features: int, out_features: int):
                super().__init__()
                if not Path("mended").exists():
                    raise RuntimeError("broken on purpose")
                self.layers = nn.Sequential(nn.Flatten(), nn.Linear(in_features, out_features))

            def forward(self, x):
                return self.layers(x)
        """,
    )
    write(place / "registry" / "__init__.py", "")
    done = swept("model=fragile,mlp")
    assert [job.state for job in done] == ["failed", "finished"]
    finished = (done[1].path / "run.json").read_bytes()
    (place / "mended").touch()
    assert [job.state for job in resume(done.path)] == ["failed", "finished"]
    again = resume(done.path, retry=True)
    assert [job.state for job in again] == ["finished", "finished"]
    assert [job.record.attempt for job in again] == [2, 1]
    assert (done[1].path / "run.json").read_bytes() == finished


# a sweep that is stopped

LONG = DIGITS.replace("max_epochs: 1", "max_epochs: 4000")


def _wait_for(condition: object, seconds: float = 60.0) -> None:
    end = time.monotonic() + seconds
    while not condition():  # type: ignore[operator]  # a function without arguments
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.05)


def _is_training(place: Path) -> bool:
    return any(file.read_text().count("\n") > 3 for file in place.glob("runs/*/sweep-*/*/metrics.csv"))


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_stopped_sweep_saves_its_jobs_and_can_be_resumed(place: Path, number: signal.Signals, code: int) -> None:
    write(place / "blueprints" / "digits.yaml", LONG)
    with begun("fit", "blueprints/digits.yaml", "-m", "seed=1,2,3", "hydra.launcher.processes=1") as running:
        _wait_for(lambda: _is_training(place))
        running.send_signal(number)
        _, errors = running.communicate(timeout=60)
    assert running.returncode == code, errors
    assert "hydrantic sweep resume" in errors
    directory = the_sweep(place)
    assert states(directory) == ["interrupted", "planned", "planned"]
    assert (directory / "0" / "checkpoints" / "last.ckpt").is_file()


def test_a_killed_sweep_leaves_no_process_and_goes_on_where_it_was(place: Path) -> None:
    write(place / "blueprints" / "digits.yaml", DIGITS.replace("max_epochs: 1", "max_epochs: ${vars.epochs}"))
    epochs = "+vars.epochs=1,120"
    with begun("fit", "blueprints/digits.yaml", "-m", epochs, "hydra.launcher.processes=1"):
        _wait_for(lambda: _is_training(place))
        directory = the_sweep(place)
        first = (directory / "0" / "run.json").read_bytes()
        pid = int(read_ledger(directory).jobs[1].ticket)
    _wait_for(lambda: not Path(f"/proc/{pid}").exists())
    again = resume(directory)
    assert [job.state for job in again] == ["finished", "finished"]
    assert (directory / "0" / "run.json").read_bytes() == first
    record = RunRecord.read(directory / "1" / "run.json").fields
    assert record["attempt"] == 2
    assert record["resumed_from_step"] > 0


def test_a_running_sweep_is_not_run_twice(place: Path) -> None:
    from hydrantic.sweeping.ledger import Ledger

    done = swept("seed=1,2")
    with Ledger(done.path), pytest.raises(UsageError, match="running"):
        resume(done.path)


def test_changing_the_blueprint_does_not_change_a_sweep_that_was_planned(place: Path) -> None:
    done = swept("seed=1,2")
    ledger = done.path / "ledger.jsonl"
    kept = [line for line in ledger.read_text().splitlines() if json.loads(line).get("state", "planned") == "planned"]
    for job in done:
        (job.path / "run.json").unlink()
    ledger.write_text("\n".join(kept) + "\n")
    write(place / "blueprints" / "digits.yaml", "nonsense: true\n")
    assert [job.state for job in resume(done.path)] == ["finished", "finished"]


# where it is kept


def test_a_sweep_may_be_kept_where_a_person_says(place: Path) -> None:
    done = swept("seed=1,2", "hydra.sweep.dir=here/${now:%Y}", "hydra.sweep.subdir=s_${hydra.job.num}")
    assert done.path == place / "here" / time.strftime("%Y")
    assert [job.path.name for job in done] == ["s_0", "s_1"]
    with pytest.raises(UsageError, match="holds a sweep already"):
        swept("seed=1,2", "hydra.sweep.dir=here/${now:%Y}")


def test_a_file_keeps_its_sweep_below_the_runs(place: Path) -> None:
    write(place / "blueprints" / "digits.yaml", DIGITS + "hydra: {sweep: {dir: '../elsewhere'}}\n")
    with pytest.raises(BlueprintError, match="leads out of the folder of all runs"):
        swept("seed=1,2")
    write(place / "blueprints" / "digits.yaml", DIGITS + "hydra: {sweep: {dir: 'mine'}}\n")
    assert swept("seed=1,2").path == place / "runs" / "mine"


def test_jobs_that_would_share_a_folder_are_refused(place: Path) -> None:
    with pytest.raises(UsageError, match="two jobs would share the folder"):
        swept("seed=1,2", "hydra.sweep.subdir=same")
    assert not list(place.glob("runs/digits/*"))


def test_folders_with_spaces_and_umlauts_are_fine(place: Path) -> None:
    done = sweep("blueprints/digits.yaml", ("seed=1,2",), runs=place / "Läufe mit Abstand")
    assert done.exit_code == 0


# on the command line


def test_the_command_tells_what_came_of_it(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["fit", "blueprints/digits.yaml", "-m", "optimizer.lr=1e-5,1e-2", "--no-test"]) == 0
    said = capsys.readouterr()
    assert "2 jobs in " in said.err
    assert "digits: job 1 is the best, validation/loss" in said.out
    assert "sweep: runs/digits/sweep-" in said.out
    assert "test/loss" not in read_ledger(the_sweep(place)).jobs[0].metrics


def test_the_exit_code_tells_that_a_job_failed(place: Path) -> None:
    assert main(["fit", "blueprints/digits.yaml", "--multirun", "optimizer.lr=1e-3,1e30"]) == 1
    assert main(["fit", "blueprints/digits.yaml", "-m", "model.width=1,2"]) == 2


def test_the_manager_stays_light(place: Path) -> None:
    program = textwrap.dedent("""
        import sys
        from hydrantic.sweeping.sweep import sweep
        done = sweep("blueprints/digits.yaml", ["seed=1,2"])
        heavy = ("torch", "lightning", "wandb", "sklearn", "matplotlib", "optuna")
        print([name for name in heavy if name in sys.modules])
    """)
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    found = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True)
    assert found.stdout.splitlines()[-1] == "[]"
