"""A run as a person holds it: where it is, its blueprint and metrics, the trained model and what that predicts."""

from __future__ import annotations

import html
import tempfile
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydrantic.errors import UsageError
from hydrantic.finding import RECORD, Found, find_run
from hydrantic.rundir import RunRecord
from hydrantic.source import display
from hydrantic.texts import aligned

if TYPE_CHECKING:
    import polars
    from lightning.pytorch import LightningModule
    from matplotlib.figure import Figure

    from hydrantic.checking import Overrides
    from hydrantic.evaluating import Stage
    from hydrantic.opening import Opened, Which
    from hydrantic.plan import Plan
    from hydrantic.predictions import Split


def load(run: str | Path, *, project: str | Path | None = None, weights: Which = "best") -> Run:
    """A run from its directory, or from a checkpoint alone; each of its parts is read when it is asked for.

    Arguments:
        run: a run's directory, a checkpoint file, or a folder of runs, which means the latest of them.
        project: whose components may be used; by default the project that holds the working directory.
        weights: which of the run's checkpoints its model has, `best` or `last`.

    Raises:
        UsageError: there is no such run.
    """
    return Run(find_run(run), project=project, weights=weights)


class Run:
    """A run: its directory, and whatever it holds.

    `fit` returns the run that it has made, `load` one that was made before, in whatever state it is.

    Arguments:
        found: the run, or a checkpoint that has left its run's directory; or that directory.
        plan: the plan that was run, where it is at hand.
        metrics: the last value of every logged name, likewise.
        seconds: how long the run took, likewise.
        model: the trained model, likewise.
        project: whose components may be used.
        weights: which of the run's checkpoints is meant.
    """

    def __init__(
        self,
        found: Found | Path,
        plan: Plan | None = None,
        metrics: Mapping[str, float] | None = None,
        seconds: float | None = None,
        model: LightningModule | None = None,
        *,
        project: str | Path | None = None,
        weights: Which = "best",
    ) -> None:
        self._found = Found(found) if isinstance(found, Path) else found
        self._project = project
        self._weights: Which = weights
        self._metrics = metrics
        self._seconds = seconds
        vars(self).update({name: value for name, value in (("plan", plan), ("model", model)) if value is not None})

    @property
    def path(self) -> Path:
        """The run's directory; of a checkpoint that has left it, the checkpoint."""
        return self._found.directory or self.source

    @property
    def source(self) -> Path:
        """What opens it again: the checkpoint that was named, or the run's directory."""
        found = self._found.named or self._found.directory
        assert found is not None  # one of them was found
        return found

    @property
    def name(self) -> str:
        """The blueprint's name."""
        return str(self.blueprint["name"])

    @property
    def record(self) -> Mapping[str, Any]:
        """The fields of `run.json` as they are now; none of a checkpoint that has left its run's directory.

        Raises:
            UsageError: it is broken.
        """
        directory = self._found.directory
        return {} if directory is None else RunRecord.read(directory / RECORD).fields

    @property
    def status(self) -> str:
        """How the run stands: `finished`, `running`, `failed`, `interrupted`, `pruned`; `unknown` if unrecorded."""
        return str(self.record.get("status", "unknown"))

    @property
    def metrics(self) -> Mapping[str, float]:
        """The last value of every logged name, once the run has ended; those of the test are the best checkpoint's."""
        if self._metrics is not None:
            return self._metrics
        return {name: float(value) for name, value in (self.record.get("metrics") or {}).items()}

    @property
    def seconds(self) -> float | None:
        """How long the run took, from its first moment; None where that is not known."""
        said = self.record.get("seconds") if self._seconds is None else self._seconds
        return None if said is None else float(said)

    @property
    def history(self) -> polars.DataFrame:
        """The metrics as they were logged, a row per step: `step`, `epoch`, and a column per logged name."""
        import polars

        file = self.path / "metrics.csv"
        text = file.read_text("utf-8", errors="replace") if file.is_file() else ""
        complete = text[: text.rfind("\n") + 1] or "step,epoch\n"  # a run that is being written may be amid a row
        frame = polars.read_csv(complete.encode(), infer_schema=False)
        whole = {"step", "epoch"}
        return frame.with_columns(
            polars.col(name).cast(polars.Int64 if name in whole else polars.Float64, strict=False)
            for name in frame.columns
        )

    @cached_property
    def blueprint(self) -> Mapping[str, Any]:
        """The complete blueprint of the run as plain values, every default written out."""
        if "plan" in vars(self):
            return self.plan.resolved()
        if isinstance(said := self._found.recorded.get("blueprint"), dict):
            return said
        return self._of_file() if self._found.named is None else self.opened.blueprint

    def _of_file(self) -> Mapping[str, Any]:
        from hydrantic.reading import read_document

        plain: Mapping[str, Any] = read_document(self.path / "blueprint.yaml").plain()
        return plain

    @cached_property
    def opened(self) -> Opened:
        """The run with its model and data module, as `hydrantic.opening.open_run` opens it.

        Raises:
            UsageError: the run kept no weights.
            CheckpointError: the checkpoint is damaged, or of another model.
            BlueprintError: its blueprint cannot be built here, such as for a component that is missing.
        """
        return self._open()

    def reopened(self) -> Opened:
        """As `opened`, with a model and a data module of its own, for whoever changes them."""
        return self._open()

    def _open(self, overrides: Overrides = ()) -> Opened:
        from hydrantic.imports import import_lightning

        import_lightning()
        from hydrantic.opening import open_run

        return open_run(self.source, overrides, project=self._project, weights=self._weights)

    @cached_property
    def plan(self) -> Plan:
        """The plan that was run, completed by the data's facts."""
        return self.opened.plan

    @cached_property
    def model(self) -> LightningModule:
        """The model in evaluation mode, with the weights of the best checkpoint.

        Of a run that `fit` has just made and that kept no checkpoint, it has those of the last step.

        Raises:
            UsageError: the run kept no weights.
        """
        return self.opened.model

    @property
    def checkpoint(self) -> Path | None:
        """The checkpoint of these weights, or None where none was kept."""
        try:
            return self._found.best if self._weights == "best" else self._found.last
        except UsageError:
            return None

    def test(self, overrides: Overrides = ()) -> dict[str, float]:
        """The metrics of the test data, or of other data: `run.test({"data.path": "new.csv"})`.

        Raises:
            HydranticError: see `hydrantic.evaluating.evaluate`.
        """
        return self._evaluated("test", overrides)

    def validate(self, overrides: Overrides = ()) -> dict[str, float]:
        """The metrics of the validation data, or of other data; otherwise as `test`.

        Raises:
            HydranticError: see `hydrantic.evaluating.evaluate`.
        """
        return self._evaluated("validation", overrides)

    def _evaluated(self, stage: Stage, overrides: Overrides) -> dict[str, float]:
        opened = self._open(overrides)
        from hydrantic.evaluating import evaluate

        return dict(evaluate(opened, stage).metrics)

    def predict(self, data: Any = None, *, split: Split = "all") -> Any:
        """What the model says about data.

        Arguments:
            data: by default the run's own. Overrides (`{"data.path": "new.csv"}`, or a list as on the command line), or
                a polars or pandas DataFrame in place of the table that `data.path` names, give a table of predictions;
                `hydrantic.predictions.predict` tells its columns. A tensor or array of raw inputs `(samples, ...)` is
                preprocessed as in training, and gives the model's outputs.
            split: which samples of the run's own data.

        Raises:
            HydranticError: see `hydrantic.predictions.predict`, and `ask` there.
        """
        if data is None or isinstance(data, str | Mapping) or _are_texts(data):
            return self._predicted(() if data is None else data, split)
        if hasattr(data, "columns"):
            return self._predicted_frame(data)
        opened = self.opened
        from hydrantic.predictions import ask

        return ask(opened, data)

    def _predicted(self, overrides: Overrides, split: Split) -> polars.DataFrame:
        opened = self._open(overrides)
        from hydrantic.predictions import predict

        return predict(opened, split)

    def _predicted_frame(self, frame: Any) -> polars.DataFrame:
        fields = self.plan.data.hparams
        if "path" not in fields:
            raise UsageError(f"'{self.plan.data.name}' reads no table: give a tensor or an array of inputs")
        with tempfile.TemporaryDirectory(prefix="hydrantic-") as folder:
            file = Path(folder) / "table.csv"
            if hasattr(frame, "write_csv"):
                frame.write_csv(file)
            else:
                frame.to_csv(file, index=False)
            overrides = {"data.path": str(file)} | ({"data.separator": ","} if "separator" in fields else {})
            return self._predicted(overrides, "all")

    def plot(self) -> Figure:
        """The curves of everything logged as a figure; it needs `hydrantic[plot]`.

        Raises:
            UsageError: matplotlib is not installed, or there is nothing to draw.
        """
        from hydrantic.curves import figure

        if self._found.directory is None:
            raise UsageError(f"{self._found.label} is a checkpoint alone: the metrics are in its run's directory")
        return figure([self._found.directory])

    def summary(self) -> str:
        """What a person wants to know of a run that has just ended."""
        lines = [f"  {line}" for line in aligned([(name, f"{value:.4g}") for name, value in self._shown().items()])]
        took = "" if self.seconds is None else f" in {self.seconds:.1f} s"
        state = "done" if self.status == "finished" else self.status
        return "\n".join([f"{self.name}: {state}{took}", *lines, f"run: {display(self.path)}"])

    def _shown(self) -> Mapping[str, float]:
        tested = {name: value for name, value in self.metrics.items() if name.startswith("test/")}
        return tested or {n: v for n, v in self.metrics.items() if n.startswith("validation/")} or self.metrics

    def __repr__(self) -> str:
        return f"<run {display(self.path)}>"

    def _repr_html_(self) -> str:
        """The same as a notebook shows it."""
        rows = "".join(
            f"<tr><td>{html.escape(name)}</td><td>{value:.4g}</td></tr>" for name, value in self._shown().items()
        )
        name = self._found.recorded.get("name") or self._found.label
        status = self._found.recorded.get("status") or ""
        head = f"<b>{html.escape(str(name))}</b> {html.escape(str(status))}"
        return f"<div>{head}<table>{rows}</table><code>{html.escape(display(self.path))}</code></div>"


def _are_texts(data: Any) -> bool:
    return isinstance(data, list | tuple) and all(isinstance(each, str) for each in data)
