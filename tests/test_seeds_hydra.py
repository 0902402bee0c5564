"""What the projects that this one learns from do with Hydra, from a blueprint: groups, experiments, sweeps, studies."""

from __future__ import annotations

from pathlib import Path

import pytest

from hydrantic.checking import check
from hydrantic.cli.main import main
from hydrantic.errors import BlueprintError
from hydrantic.project import Project
from hydrantic.rundir import runs_root
from hydrantic.sweeping.drafts import Draft, Order, drafted
from hydrantic.sweeping.sweep import sweep
from hydrantic.sweeping.view import View
from tests.projects import write

pytestmark = pytest.mark.usefixtures("scratch")


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project with group folders as the annotated example has them."""
    folder = tmp_path / "blueprints"
    write(folder / "main.yaml", """\
        defaults:
          - data: digits
          - model: mlp
          - _self_

        loss: cross_entropy
        metrics: {accuracy: }
        optimizer: {name: adamw, lr: 5e-3, weight_decay: 0.0}
        objective: {metric: validation/accuracy, mode: max}
        trainer: {max_epochs: 1}
        loggers: {}
        """)  # fmt: skip
    write(folder / "data" / "digits_few.yaml", "defaults:\n  - digits\n\nsplit: [300, 100, 100]\n")
    write(folder / "data" / "digits_few_small.yaml", "defaults:\n  - digits_few\n\nbatch_size: 16\n")
    write(folder / "experiment" / "good_run.yaml", """\
        # @package _global_
        ---
        defaults:
          - override /model: linear
          - override /data: digits_few_small

        seed: 1

        data:
          shuffle: false

        optimizer:
          lr: 0.001
          weight_decay: 0.001
        """)  # fmt: skip
    write(folder / "experiment" / "images" / "cnn.yaml", "# @package _global_\ndefaults:\n  - override /model: cnn\n")
    write(folder / "hydra" / "launcher" / "slurm" / "kyiv.yaml", """\
        defaults:
          - slurm

        partition: gpu
        timeout_min: 120
        gpus_per_node: 1
        cpus_per_task: 4
        array_parallelism: 8
        """)  # fmt: skip
    write(folder / "hydra" / "sweeper" / "mlp_params.yaml", """\
        defaults:
          - optuna

        sampler:
          warn_independent_sampling: true

        study_name: mlp_params
        n_trials: 3
        n_jobs: 2
        direction:
          - maximize

        params:
          optimizer.lr: tag(log, interval(1.e-5, 1.e-3))
          data.batch_size: range(16, 64, 16)
          model.dropout: choice(0.0, 0.1)
        """)  # fmt: skip
    monkeypatch.chdir(tmp_path)
    return tmp_path


BLUEPRINT = Path("blueprints/main.yaml")


def draft(*overrides: str) -> Draft:
    return drafted(Order(BLUEPRINT, overrides, Project.find().open(), runs_root(None, None)))


def test_help_shows_the_groups_and_the_config(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["fit", str(BLUEPRINT), "model=cnn", "--help"]) == 0
    said = capsys.readouterr().out
    assert "== Configuration groups ==" in said
    assert "\nexperiment: good_run\n" in said
    assert "\nexperiment/images: cnn\n" in said
    assert "digits_few, digits_few_small" in said
    assert "kernel_size: 3" in said.partition("== Config ==")[2]


def test_an_option_builds_on_another(place: Path) -> None:
    plan = check(BLUEPRINT, ["data=digits_few_small", "data.batch_size=8"])
    assert (plan.data.hparams["split"], plan.data.hparams["batch_size"]) == ((300, 100, 100), 8)


def test_a_field_that_the_other_component_lacks_is_refused_with_those_it_has(place: Path) -> None:
    with pytest.raises(BlueprintError, match=r"cnn has no field 'hidden_dims'; it has .*kernel_size"):
        check(BLUEPRINT, ["model=cnn", "model.hidden_dims=[10]"])


def test_an_experiment_changes_several_sections_and_can_be_changed_further(place: Path) -> None:
    plan = check(BLUEPRINT, ["+experiment=good_run", "model.bias=false"])
    assert plan.model.name == "linear"
    assert plan.model.hparams["bias"] is False
    assert plan.data.hparams["batch_size"] == 16
    assert plan.data.hparams["shuffle"] is False
    assert plan.blueprint.seed == 1
    assert check(BLUEPRINT, ["+experiment=images/cnn"]).model.name == "cnn"


def test_a_multirun_has_a_job_for_each_combination(place: Path) -> None:
    with View() as view:
        jobs = draft("seed=42,43", "model.hidden_dims=[10]", "trainer.max_epochs=1,2,3").jobs(view)
    assert len(jobs) == 6
    assert jobs[0].overrides == ("seed=42", "trainer.max_epochs=1")


def test_a_machine_has_its_own_settings_of_a_launcher(place: Path) -> None:
    launcher = draft(
        "seed=42,43", "hydra/launcher=slurm/kyiv", "hydra.launcher.cpus_per_task=2"
    ).settings.hydra.launcher
    assert launcher.name == "slurm"
    assert launcher.hparams["partition"] == "gpu"
    assert launcher.hparams["cpus_per_task"] == 2


def test_a_search_written_for_hydras_sweeper_runs(place: Path) -> None:
    done = sweep(BLUEPRINT, ["hydra/sweeper=mlp_params", "hydra.launcher.processes=1"])
    assert [job.state for job in done] == ["finished"] * 3
    assert done.record.objective == ("validation/accuracy", "max")
    for job in done:
        assert 1e-5 <= job.params["optimizer.lr"] <= 1e-3
        assert job.params["data.batch_size"] in {16, 32, 48}
        assert job.params["model.dropout"] in {0.0, 0.1}
    assert done.best is not None
    assert done.best.value == max(job.value or 0.0 for job in done)
    assert (done.path / "best.yaml").is_file()


def test_a_direction_against_the_objective_is_refused(place: Path) -> None:
    with pytest.raises(BlueprintError, match=r"mlp_params.yaml:11:"):
        sweep(BLUEPRINT, ["hydra/sweeper=mlp_params", "objective.metric=validation/loss", "objective.mode=min"])
