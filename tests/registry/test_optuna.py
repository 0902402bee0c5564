"""Optuna's studies: what is proposed and told, where it is stored, how it goes on, and how a job is given up."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import textwrap
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.trial import TrialState

from hydrantic import Choice, InvalidField, Proposal, Range, Space, UsageError
from hydrantic.components import choose
from hydrantic.errors import Pruned
from hydrantic.registries import registry
from tests.tiny import LIGHTNING_WARNINGS, Tiny, batches, quiet_trainer

pytestmark = [
    *(pytest.mark.filterwarnings(each) for each in LIGHTNING_WARNINGS),
    pytest.mark.filterwarnings("ignore:The `srun` command is available:Warning"),  # where Slurm is installed
]

ROOT = Path(__file__).parent.parent.parent
LOSS = ("validation/loss", "min")
SPACE: Space = {
    "optimizer.lr": Range(1e-5, 1e-1, log=True),
    "model.depth": Range(1, 3, integer=True),
    "model.dropout": Range(0.0, 0.5, step=0.1),
    "model.activation": Choice(("relu", "{name: leaky_relu}")),
}
SEEDED = {"sampler": {"seed": 3}, "n_jobs": 1}

Opened = Any
"""A study, with what the tests look at."""


@pytest.fixture
def sweep(tmp_path: Path) -> Path:
    return tmp_path / "runs" / "digits" / "sweep-1"


@pytest.fixture
def study(sweep: Path) -> Iterator[Any]:
    """Opens studies that are closed after the test."""
    found: list[Any] = []

    def opened(
        *,
        space: Space = SPACE,
        objective: tuple[str, str] = LOSS,
        folder: Path = sweep,
        under_way: Any = (),
        **fields: Any,
    ) -> Opened:
        made = choose("sweeper", {"name": "optuna", **fields}).build().study(space, objective, folder, under_way)
        found.append(made)
        return made

    yield opened
    for each in found:
        each.close()


def values(proposal: Proposal) -> dict[str, str]:
    return dict(each.split("=", 1) for each in proposal.overrides)  # type: ignore[misc]  # two parts each


def searched(study: Opened, count: int) -> list[dict[str, str]]:
    """The values of so many trials, each told a loss that follows from them."""
    found = []
    for _ in range(count):
        proposal = study.ask()
        found.append(values(proposal))
        study.tell(proposal.number, "finished", loss(found[-1]))
    return found


def loss(found: dict[str, str]) -> float:
    return float(found["optimizer.lr"]) + int(found["model.depth"]) / 10


def states(study: Opened) -> list[str]:
    return [each.state.name for each in study.study.get_trials()]


# -- what is proposed -------------------------------------------------------------------------------------------------


def test_a_trial_is_overrides_that_say_exactly_what_the_study_noted(study: Any) -> None:
    opened = study(n_trials=8)
    for proposal in iter(opened.ask, None):
        noted = opened.study.get_trials()[proposal.number].params
        assert list(noted) == list(SPACE)
        told = values(proposal)
        assert float(told["optimizer.lr"]) == noted["optimizer.lr"]
        assert told["model.depth"] == str(noted["model.depth"])
        assert told["model.dropout"] in {"0.0", "0.1", "0.2", "0.3", "0.4", "0.5"}
        assert told["model.activation"] == noted["model.activation"]
    assert len(opened.study.get_trials()) == 8


def test_with_a_seed_the_same_values_are_proposed_one_after_the_other(study: Any, tmp_path: Path) -> None:
    first, second = (study(folder=tmp_path / name, **SEEDED) for name in "ab")
    assert searched(first, 14) == searched(second, 14)


def test_a_study_learns(study: Any) -> None:
    opened = study(
        space={"optimizer.lr": Range(0.0, 1.0), "model.depth": Range(1, 3, integer=True)}, n_trials=40, **SEEDED
    )
    found = [loss(each) for each in searched(opened, 40)]
    assert sum(found[25:]) / 15 < sum(found[:10]) / 10


def test_trials_that_run_at_a_time_differ(study: Any) -> None:
    opened = study(n_jobs=4, n_trials=4)
    assert (opened.parallel, opened.total) == (4, 4)
    assert len({each.overrides for each in iter(opened.ask, None)}) == 4


@pytest.fixture
def log() -> Iterator[list[str]]:
    """What Optuna logs."""
    said: list[str] = []
    handler = logging.Handler()
    handler.emit = lambda record: said.append(record.getMessage())  # type: ignore[method-assign]  # as good as a class
    logging.getLogger("optuna").addHandler(handler)
    yield said
    logging.getLogger("optuna").removeHandler(handler)


@pytest.mark.parametrize("name", ["tpe", "cmaes", "random", "gp", "qmc"])
def test_every_sampler_searches_a_mixed_space_without_a_word(study: Any, name: str, log: list[str]) -> None:
    before = optuna.logging.get_verbosity(), list(warnings.filters)
    startup = {} if name in {"random", "qmc"} else {"n_startup_trials": 2}
    found = searched(study(sampler={"name": name, "seed": 1, **startup}), 5)
    assert all(each.keys() == SPACE.keys() for each in found)
    assert log == []
    assert (optuna.logging.get_verbosity(), list(warnings.filters)) == before


def test_a_sampler_warns_where_the_blueprint_asks_for_it(study: Any, log: list[str]) -> None:
    searched(study(sampler={"name": "cmaes", "warn_independent_sampling": True}), 4)
    assert "is sampled independently" in log[0]


def test_every_sampler_and_pruner_of_the_shelf_can_be_built() -> None:
    needed = {"patient": {"patience": 2, "pruner": "median"}, "threshold": {"upper": 3.0}}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        for kind, made in (("sampler", optuna.samplers.BaseSampler), ("pruner", optuna.pruners.BasePruner)):
            for name in registry(kind).names():
                assert isinstance(choose(kind, {"name": name, **needed.get(name, {})}).build(), made)


@pytest.mark.parametrize(
    ("kind", "block", "message"),
    [
        ("pruner", {"name": "threshold"}, "lower: needs a number here or for `upper`"),
        ("pruner", {"name": "threshold", "lower": 2.0, "upper": 1.0}, "lower: must not be greater than `upper`"),
        ("pruner", {"name": "hyperband", "min_resource": 4, "max_resource": 2}, "max_resource: must be at least"),
        ("pruner", {"name": "hyperband", "bootstrap_count": 2}, "bootstrap_count: needs a number for `max_resource`"),
        (
            "pruner",
            {"name": "successive_halving", "bootstrap_count": 2},
            "bootstrap_count: needs a number for `min_res",
        ),
        ("sampler", {"name": "tpe", "group": True, "multivariate": False}, "group: needs `multivariate: true`"),
    ],
)
def test_what_optuna_would_refuse_is_refused_at_its_field(kind: str, block: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidField, match=message):
        choose(kind, block).build()


def test_a_pruner_that_refuses_its_fields_is_told_of_at_the_sweeper(study: Any) -> None:
    with pytest.raises(InvalidField, match="pruner: lower needs a number"):
        study(pruner="threshold")


@pytest.mark.parametrize(
    ("space", "message"),
    [
        ({}, "nothing is searched"),
        ({"a": Choice(())}, "a: there is no value"),
        ({"a": Range(2, 1)}, "a: the range from 2 to 1 holds no value"),
        ({"a": Range(0, 1, log=True)}, "a: a logarithmic range must begin above 0, not at 0"),
        ({"a": Range(1, 2, log=True, step=0.5)}, "a: a logarithmic range cannot have steps"),
    ],
)
def test_a_space_that_cannot_be_searched_is_refused(study: Any, sweep: Path, space: Space, message: str) -> None:
    with pytest.raises(InvalidField, match=message):
        study(space=space)
    assert not sweep.exists()


def test_steps_end_where_the_range_does(study: Any) -> None:
    space: Space = {"a": Range(0.0, 1.0, step=0.3), "b": Range(1, 10, integer=True, step=4)}
    opened = study(space=space, n_trials=30)
    found = [values(each) for each in iter(opened.ask, None)]
    assert {each["a"] for each in found} == {"0.0", "0.3", "0.6", "0.9"}
    assert {each["b"] for each in found} == {"1", "5", "9"}


def test_a_study_is_told_how_its_trials_ended(study: Any) -> None:
    opened = study(n_trials=5)
    for outcome, value in (
        ("finished", 0.5),
        ("finished", float("nan")),
        ("finished", None),
        ("pruned", None),
        ("failed", None),
    ):
        opened.tell(opened.ask().number, outcome, value)
    assert opened.ask() is None
    assert states(opened) == ["COMPLETE", "FAIL", "FAIL", "PRUNED", "FAIL"]
    assert opened.study.best_value == 0.5


def test_a_trial_that_was_told_stays_as_it_is(study: Any) -> None:
    opened = study()
    number = opened.ask().number
    opened.tell(number, "finished", 0.5)
    opened.tell(number, "failed", None)
    assert states(opened) == ["COMPLETE"]


# -- going on ---------------------------------------------------------------------------------------------------------


def test_a_sweep_that_goes_on_counts_what_ended_and_lets_what_was_lost_fail(study: Any) -> None:
    killed = study(n_trials=5)
    searched(killed, 2)
    killed.tell(killed.ask().number, "failed", None)
    killed.ask()
    resumed = study(n_trials=5)
    assert states(resumed) == ["COMPLETE", "COMPLETE", "FAIL", "FAIL"]
    assert len(list(iter(resumed.ask, None))) == 2


@pytest.mark.parametrize("at", ["ask", "_suggest"])
def test_whenever_a_sweep_is_killed_its_trials_are_known_as_its_own(
    study: Any, monkeypatch: pytest.MonkeyPatch, at: str
) -> None:
    def killed(*arguments: Any, **further: Any) -> None:
        raise KeyboardInterrupt

    owner = optuna.Study if at == "ask" else optuna.Trial
    opened = study(n_trials=2)
    with monkeypatch.context() as patch:
        patch.setattr(owner, at, killed)
        with pytest.raises(KeyboardInterrupt):
            opened.ask()
    resumed = study(n_trials=2)
    assert len(list(iter(resumed.ask, None))) == 2
    assert states(resumed).count("RUNNING") == 2


def test_trials_that_are_under_way_go_on(study: Any) -> None:
    killed = study(n_trials=3)
    numbers = [killed.ask().number for _ in range(2)]
    resumed = study(n_trials=3, under_way=numbers[:1])
    assert states(resumed) == ["RUNNING", "FAIL"]
    resumed.tell(numbers[0], "finished", 1.0)
    assert states(resumed) == ["COMPLETE", "FAIL"]
    assert len(list(iter(resumed.ask, None))) == 2


def test_a_study_that_goes_on_with_its_seed_does_not_begin_again(study: Any) -> None:
    first = searched(study(**SEEDED), 3)
    assert searched(study(**SEEDED), 3)[0] not in first


def test_sweeps_that_share_a_study_learn_from_each_other_and_leave_each_others_trials_alone(
    study: Any, sweep: Path
) -> None:
    shared = {"storage": "shared.journal", "study_name": "digits", "n_trials": 2}
    other = study(folder=sweep.with_name("sweep-2"), **shared)
    other.ask()
    opened = study(**shared)
    assert states(opened) == ["RUNNING"]  # the other machine's goes on
    assert [each.number for each in iter(opened.ask, None)] == [1, 2]
    assert other.ask().number == 3
    assert other.ask() is None
    assert (sweep.parent / "shared.journal").exists()


def test_each_sweep_has_a_study_of_its_own_where_none_is_named(study: Any, sweep: Path) -> None:
    searched(study(storage="shared.journal"), 1)
    assert states(study(storage="shared.journal", folder=sweep.with_name("sweep-2"))) == []


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({**SPACE, "seed": Choice(("1", "2"))}, "seed is new"),
        ({key: each for key, each in SPACE.items() if key != "model.depth"}, r"model\.depth is gone"),
        (
            {**SPACE, "optimizer.lr": Range(1e-4, 1e-1, log=True)},
            r"optimizer\.lr was numbers from 1e-05 to 0\.1, logarithmic and is numbers from 0\.0001 to 0\.1, log",
        ),
        (
            {**SPACE, "model.activation": Choice(("relu", "tanh"))},
            r"model\.activation was choice\(relu, \{name: leaky_relu\}\) and is choice\(relu, tanh\)",
        ),
        (
            {**SPACE, "model.depth": Range(1, 5, integer=True, step=2)},
            r"model\.depth was integers from 1 to 3 and is integers from 1 to 5 in steps of 2",
        ),
    ],
)
def test_a_study_whose_space_changed_is_refused_with_what_changed(study: Any, changed: Space, message: str) -> None:
    searched(study(), 1)
    with pytest.raises(InvalidField, match=f"searched another space: {message}.*; choose another study_name") as caught:
        study(space=changed)
    assert caught.value.field == "params"


def test_a_study_that_optimised_something_else_is_refused(study: Any) -> None:
    study(study_name="digits")
    with pytest.raises(
        InvalidField, match="'digits' minimizes validation/loss, not maximizes validation/accuracy"
    ) as caught:
        study(study_name="digits", objective=("validation/accuracy", "max"))
    assert caught.value.field == "study_name"
    with pytest.raises(InvalidField, match="'digits' minimizes validation/loss, not minimizes validation/mae"):
        study(study_name="digits", objective=("validation/mae", "min"))


# -- the direction ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("direction", [None, "maximize", ["maximize"]])
def test_the_direction_is_that_of_the_objective(study: Any, direction: Any) -> None:
    opened = study(objective=("validation/accuracy", "max"), direction=direction)
    assert opened.study.direction.name == "MAXIMIZE"


def test_a_direction_that_contradicts_the_objective_is_refused_with_what_to_write(study: Any) -> None:
    with pytest.raises(
        InvalidField, match=r"of validation/loss; .*: \{metric: validation/accuracy, mode: max\}`"
    ) as caught:
        study(direction=["maximize"])
    assert caught.value.field == "direction"
    assert "what `checkpoint` monitors, by default the minimum of validation/loss" in caught.value.message
    with pytest.raises(InvalidField, match=r"of validation/accuracy; .*: \{metric: validation/loss, mode: min\}`"):
        study(direction="minimize", objective=("validation/accuracy", "max"))


@pytest.mark.parametrize("direction", [["maximize", "minimize"], []])
def test_a_sweep_has_one_direction(study: Any, direction: list[str]) -> None:
    with pytest.raises(InvalidField, match="one objective, so one direction"):
        study(direction=direction)


# -- storages ---------------------------------------------------------------------------------------------------------


def test_a_study_is_kept_in_a_journal_of_the_sweep(study: Any, sweep: Path) -> None:
    searched(study(), 1)
    assert (sweep / "study.journal").exists()


@pytest.mark.parametrize("storage", ["studies/a.journal", "a.log", "sqlite:///studies/a.db"])
def test_files_lie_below_the_folder_of_the_blueprints_runs(study: Any, sweep: Path, storage: str) -> None:
    searched(study(storage=storage, study_name="a"), 2)
    assert (sweep.parent / storage.removeprefix("sqlite:///")).exists()
    assert states(study(storage=storage, study_name="a")) == ["COMPLETE", "COMPLETE"]


@pytest.mark.parametrize(
    ("storage", "message"),
    [
        ("/etc/a.journal", "must lie below the folder of the blueprint's runs"),
        ("../a.journal", "must lie below"),
        ("~/a.log", "must lie below"),
        ("sqlite:////etc/a.db", "must lie below"),
        ("sqlite:///../a.db", "must lie below"),
        ("sqlite:///file:a.db?mode=ro&uri=true", "must be FILE.journal"),
        ("mysql://user@host/db?read_default_file=/etc/passwd", "must be FILE.journal"),
        ("postgresql+evil://user@host/db", "must be FILE.journal"),
        ("https://host/a.journal", "must be FILE.journal"),
        ("postgresql://me:${oc.env:HOME}@host/db", "must be FILE.journal"),  # as `\\${...}` would have it
    ],
)
def test_a_study_is_stored_nowhere_else(study: Any, storage: str, message: str) -> None:
    with pytest.raises(InvalidField, match=message) as caught:
        study(storage=storage)
    assert caught.value.field == "storage"


@pytest.mark.parametrize("storage", ["redis://host/0", "a.db", "sqlite://", "mongodb://host/a.b"])
def test_another_kind_of_storage_is_refused_before_anything_is_built(storage: str) -> None:
    with pytest.raises(ValueError, match=r"storage: .*must have the form|must be FILE"):
        choose("sweeper", {"name": "optuna", "storage": storage}).build().study(SPACE, LOSS, Path("a"))


def test_a_password_belongs_into_the_environment(study: Any) -> None:
    with pytest.raises(
        InvalidField, match=r"a password does not belong in a blueprint: write \$\{oc.env:NAME\}"
    ) as caught:
        study(storage="postgresql://user:s3cr3t-of-nobody@localhost/db")
    assert "s3cr3t" not in str(caught.value)


@pytest.mark.parametrize(
    ("variable", "value", "url", "kept"),
    [
        ("STUDY", "postgresql://me:s3cr3t@db.invalid/x", "postgresql://me:s3cr3t@db.invalid/x", "${oc.env:STUDY}"),
        ("STUDY", "mysql://me@db.invalid/x", "mysql://me@db.invalid/x", "${oc.env:STUDY}"),
        (
            "PASSWORD_OF_IT",
            "s3cr3t",
            "postgresql://me:s3cr3t@db.invalid/x",
            "postgresql://me:${oc.env:PASSWORD_OF_IT}@db.invalid/x",
        ),
    ],
)
def test_a_record_holds_the_reference_and_not_what_the_environment_holds(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str, url: str, kept: str
) -> None:
    from hydrantic.registry.sweepers.storages import Place

    monkeypatch.setenv(variable, value)
    place = Place.of(url, Path("runs/a/sweep"))
    assert place.storage == str(place) == kept
    assert place.address(os.environ) == url
    with pytest.raises(UsageError, match=f"needs the environment variable {variable}, which is not set"):
        place.address({})


def test_a_database_without_its_driver_is_told_with_the_remedy(study: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    for driver in ("psycopg", "psycopg2"):
        monkeypatch.setitem(sys.modules, driver, None)
    monkeypatch.setenv("PASSWORD_OF_IT", "s3cr3t")
    with pytest.raises(UsageError, match="pip install psycopg2-binary") as caught:
        study(storage="postgresql://me:s3cr3t@127.0.0.1:1/x")
    assert "s3cr3t" not in str(caught.value)


def test_a_storage_that_cannot_be_used_is_told_in_a_line(study: Any, sweep: Path) -> None:
    sweep.parent.mkdir(parents=True)
    (sweep.parent / "a.db").write_text("this is no database, whatever its name says\n" * 20)
    with pytest.raises(UsageError, match=r"the study in sqlite:///a\.db cannot be used: .*not a database"):
        study(storage="sqlite:///a.db")
    (sweep.parent / "b.log").write_text("some other log\nand more of it\n")
    with pytest.raises(UsageError, match=r"the study in b\.log cannot be used"):
        study(storage="b.log")


def test_a_line_that_a_kill_tore_is_taken_out_of_the_journal(study: Any, sweep: Path) -> None:
    searched(study(), 2)
    with (sweep / "study.journal").open("a") as journal:
        journal.write('{"op_code":4,"worker_')
    resumed = study()
    searched(resumed, 1)
    assert states(study()) == ["COMPLETE"] * 3


def test_a_journal_that_has_become_unreadable_stops_the_study_in_words(study: Any, sweep: Path) -> None:
    opened = study()
    with (sweep / "study.journal").open("a") as journal:
        journal.write("no line of a journal\n" * 2)
    with pytest.raises(UsageError, match=r"study\.journal cannot be used: JSONDecodeError: Expecting value"):
        opened.ask()


def test_without_optuna_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "optuna", None)
    sweeper = choose("sweeper", "optuna").build()
    with pytest.raises(UsageError, match=r"pip install 'hydrantic\[optuna\]'"):
        sweeper.study(SPACE, LOSS, Path("a"))


SHARING = """
    import sys
    from pathlib import Path

    from hydrantic import Range
    from hydrantic.components import choose

    folder, storage = Path(sys.argv[1]), sys.argv[2]
    fields = {"storage": storage, "study_name": "shared", "n_trials": 5, "sampler": "random"}
    study = choose("sweeper", {"name": "optuna", **fields}).build().study({"x": Range(0, 1)}, ("loss", "min"), folder)
    print("ready", flush=True)
    sys.stdin.readline()
    for trial in iter(study.ask, None):
        study.tell(trial.number, "finished", float(trial.overrides[0].partition("=")[2]))
    study.close()
"""


@pytest.mark.parametrize("storage", ["shared.journal", "sqlite:///shared.db"])
def test_two_processes_share_one_study(study: Any, sweep: Path, storage: str) -> None:
    study(storage=storage, study_name="shared", space={"x": Range(0, 1)}, objective=("loss", "min"))
    folders = [str(sweep.with_name(f"sweep-{machine}")) for machine in "ab"]
    command = [sys.executable, "-c", textwrap.dedent(SHARING)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path])}
    workers = [
        subprocess.Popen(
            [*command, folder, storage], env=environment, cwd=ROOT, text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )
        for folder in folders
    ]  # fmt: skip
    for each in workers:
        assert each.stdout is not None
        assert each.stdout.readline() == "ready\n", each.stderr.read() if each.stderr else ""
    ended = [each.communicate("go\n", timeout=120) for each in workers]
    assert [each.returncode for each in workers] == [0, 0], ended
    assert ended == [("", ""), ("", "")]
    seen = study(storage=storage, study_name="shared", space={"x": Range(0, 1)}, objective=("loss", "min"))
    assert states(seen) == ["COMPLETE"] * 10
    assert [each.number for each in seen.study.get_trials()] == list(range(10))


# -- pruning ----------------------------------------------------------------------------------------------------------


def reporter(proposal: Proposal) -> Any:
    assert proposal.report is not None
    sweeper = registry("sweeper").get(proposal.report["sweeper"]).component
    return sweeper.reporter(proposal.report)


def test_without_a_pruner_a_job_reports_nothing(study: Any) -> None:
    assert study().ask().report is None


@pytest.mark.parametrize("storage", [None, "sqlite:///a.db"])
def test_a_job_reports_each_validation_and_is_stopped_where_the_pruner_says_so(study: Any, storage: str | None) -> None:
    opened = study(storage=storage, pruner={"name": "threshold", "lower": 1e6, "n_warmup_steps": 2})
    proposal = opened.ask()
    trainer = quiet_trainer(max_epochs=6, callbacks=[reporter(proposal)], num_sanity_val_steps=2)
    with pytest.raises(Pruned, match="the study gave it up after epoch 2, with validation/loss 0"):
        trainer.fit(Tiny(), batches(), batches())
    assert sorted(opened.study.get_trials()[0].intermediate_values) == [0, 1, 2]
    opened.tell(proposal.number, "pruned", None)
    assert states(opened) == ["PRUNED"]


@pytest.mark.parametrize(
    "pruner", ["median", "percentile", "hyperband", "successive_halving", {"name": "patient", "patience": 9}]
)
def test_a_job_that_keeps_up_trains_to_its_end(study: Any, pruner: Any) -> None:
    opened = study(pruner=pruner)
    trainer = quiet_trainer(max_epochs=2, callbacks=[reporter(opened.ask())])
    trainer.fit(Tiny(), batches(), batches())
    assert sorted(opened.study.get_trials()[0].intermediate_values) == [0, 1]


def test_a_job_that_goes_on_from_a_checkpoint_reports_an_epoch_once(study: Any) -> None:
    opened = study(pruner="median")
    proposal = opened.ask()
    for epochs in (2, 3):
        quiet_trainer(max_epochs=epochs, callbacks=[reporter(proposal)]).fit(Tiny(), batches(), batches())
    assert sorted(opened.study.get_trials()[0].intermediate_values) == [0, 1, 2]


def test_what_is_not_measured_is_not_reported(study: Any) -> None:
    opened = study(pruner="median", objective=("validation/accuracy", "max"))
    quiet_trainer(max_epochs=1, callbacks=[reporter(opened.ask())]).fit(Tiny(), batches(), batches())
    assert opened.study.get_trials()[0].intermediate_values == {}


def test_a_storage_that_fails_does_not_fail_the_training(study: Any, sweep: Path) -> None:
    opened = study(pruner="median")
    callback = reporter(opened.ask())
    (sweep / "study.journal").write_text("broken\nbroken\n")
    with pytest.warns(UserWarning, match="the study is not told of this trial any more") as caught:
        quiet_trainer(max_epochs=3, callbacks=[callback]).fit(Tiny(), batches(), batches())
    assert len([each for each in caught if "not told" in str(each.message)]) == 1


def test_a_pruner_for_what_only_the_test_tells_is_refused(study: Any) -> None:
    with pytest.raises(InvalidField, match="pruner: prunes nothing: test/loss is not known before"):
        study(pruner="median", objective=("test/loss", "min"))


def test_hopeless_trials_are_pruned_in_a_study_of_several(study: Any) -> None:
    opened = study(pruner={"name": "median", "n_startup_trials": 1}, n_trials=3)
    for value in (0.1, 9.0):
        proposal = opened.ask()
        trial = optuna.trial.Trial(opened.study, proposal.number)
        trial.report(value, 0)
        outcome = "pruned" if trial.should_prune() else "finished"
        opened.tell(proposal.number, outcome, value)
    assert states(opened) == ["COMPLETE", "PRUNED"]


def test_a_trial_is_running_until_it_is_told(study: Any) -> None:
    opened = study()
    opened.ask()
    assert opened.study.get_trials()[0].state == TrialState.RUNNING
