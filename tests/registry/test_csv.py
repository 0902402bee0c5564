"""Tables from CSV files: what columns become, and what a file that does not fit is told."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest
import torch
from hydrantic.registry.data.csv import Csv

from hydrantic import InvalidField
from tests.registry import make_tabular

PLANTS = "height,species,flowers,thrives\n" + "".join(
    f"{10 + 0.5 * row},{('fern', 'ivy', 'basil')[row % 3]},{('true', 'False')[row % 2]},{('yes', 'no')[row % 4 // 2]}\n"
    for row in range(40)
)
CURVE = "x,y\n" + "".join(f"{row},{row * 1.5}\n" for row in range(40))


class Table:
    """Writes a file and reads it with a data module."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "table.csv"

    def __call__(self, content: str | bytes, target: Any = "y", **fields: Any) -> Csv:
        self.path.write_bytes(content.encode() if isinstance(content, str) else content)
        return Csv({"path": str(self.path), "target": target, **fields})


@pytest.fixture
def table(tmp_path: Path) -> Table:
    return Table(tmp_path)


# What columns become


def test_numbers_stay_text_is_one_hot_and_truth_is_0_or_1(table: Table) -> None:
    samples = table(PLANTS, "thrives").load()

    assert samples.feature_names == ("height", "species=basil", "species=fern", "species=ivy", "flowers")
    assert samples.inputs[:2].tolist() == [[10.0, 0, 1, 0, 1], [10.5, 0, 0, 1, 0]]


def test_one_hot_values_are_not_standardized(table: Table) -> None:
    inputs = table(PLANTS, "thrives").samples.inputs

    assert set(inputs[:, 1:4].unique().tolist()) == {0.0, 1.0}
    assert inputs[:, 0].abs().max() < 3


def test_text_targets_are_classes_in_alphabetical_order(table: Table) -> None:
    samples = table(PLANTS, "thrives").load()

    assert (samples.task, samples.class_names) == ("binary", ("no", "yes"))
    assert samples.targets[:4].tolist() == [1, 1, 0, 0]


def test_other_columns_may_be_chosen_as_features(table: Table) -> None:
    assert table(PLANTS, "thrives", features=["flowers", "height"]).load().feature_names == ("flowers", "height")


def test_a_float_target_is_a_regression_and_few_whole_numbers_are_classes(table: Table) -> None:
    assert table(CURVE).load().task == "regression"
    samples = table("x,y\n" + "".join(f"{row},{(10, 9, 2)[row % 3]}\n" for row in range(30))).load()
    assert (samples.task, samples.class_names) == ("multiclass", ("2", "9", "10"))


def test_the_task_can_be_said(table: Table) -> None:
    content = "x,y\n" + "".join(f"{row},{row % 3}\n" for row in range(30))

    samples = table(content, task="regression").load()
    assert (samples.task, samples.targets[:3].tolist()) == ("regression", [[0.0], [1.0], [2.0]])
    with pytest.raises(InvalidField, match="task: column 'thrives' is text, which is classified"):
        table(PLANTS, "thrives", task="regression").facts()


def test_truth_values_are_a_binary_target(table: Table) -> None:
    samples = table(PLANTS, "flowers").load()

    assert (samples.task, samples.class_names, samples.targets[:2].tolist()) == ("binary", ("false", "true"), [1, 0])


def test_several_targets_are_a_regression_or_labels(table: Table) -> None:
    content = "x,a,b,c\n" + "".join(f"{row},{row % 2},{row % 3 == 0:d},{row * 0.1}\n" for row in range(30))

    labels = table(content, ["a", "b"]).facts()
    assert (labels.task, labels.num_labels, labels.target_names) == ("multilabel", 2, ("a", "b"))
    numbers = table(content, ["a", "c"]).facts()
    assert (numbers.task, numbers.out_features) == ("regression", 2)


def test_numbers_that_are_listed_as_categorical_are_one_hot(table: Table) -> None:
    content = "code,y\n" + "".join(f"{row % 3},{row * 0.5}\n" for row in range(30))

    assert table(content, categorical=["code"]).load().feature_names == ("code=0", "code=1", "code=2")


def test_the_id_names_the_rows_and_is_no_input(table: Table) -> None:
    content = "key,x,y\n" + "".join(f"k{row},{row},{row * 0.5}\n" for row in range(30))
    samples = table(content, id="key").load()

    assert samples.feature_names == ("x",)
    assert samples.ids is not None
    assert samples.ids[:2] == ("k0", "k1")


@pytest.mark.parametrize(
    "content",
    [
        "x;y\n1;2.5\n2;3.5\n",
        "x ; y\r\n 1;2.5\r\n\r\n2 ;3.5\r\n",
        "\ufeffx;y\n1;2.5\n2;3.5\n\n",
        '"x";"y"\n"1";2.5\n2;3.5',
    ],
)
def test_separators_blanks_quotes_and_byte_order_marks_are_understood(table: Table, content: str) -> None:
    samples = table(content, separator=";", standardize=False).load()

    assert (samples.inputs.tolist(), samples.targets.tolist()) == ([[1.0], [2.0]], [[2.5], [3.5]])


def test_a_path_with_wildcards_is_one_file(tmp_path: Path) -> None:
    path = tmp_path / "a[1]*.csv"
    path.write_text(CURVE)

    assert len(Csv({"path": str(path), "target": "y"}).load()) == 40


# Missing values


def with_gaps(gaps: dict[int, str]) -> str:
    return "x,c,y\n" + "".join(gaps.get(row, f"{row},{'ab'[row % 2]},{row * 0.5}") + "\n" for row in range(20))


def test_missing_values_are_an_error_that_names_column_count_and_lines(table: Table) -> None:
    content = with_gaps({row: f"NA,a,{row}" for row in (2, 5, 7, 9)})

    with pytest.raises(InvalidField, match=r"missing: column 'x' has 4 missing values \(lines 4, 7 and 9, \.\.\.\)"):
        table(content).facts()


def test_lines_count_quoted_line_breaks_and_blank_lines(table: Table) -> None:
    with pytest.raises(InvalidField, match=r"column 'x' has a missing value \(line 6\)"):
        table('x,c,y\n1,"two\nlines",0.5\n\n2,b,1.5\n,c,2.5\n').facts()


def test_rows_with_missing_values_can_be_dropped(table: Table) -> None:
    samples = table(with_gaps({3: ",a,1.5", 5: "5,,2.5", 7: "7,a,"}), missing="drop").load()

    assert len(samples) == 17
    assert not samples.inputs.isnan().any()


def test_missing_numbers_become_the_training_mean_and_missing_categories_none(table: Table) -> None:
    data = table(with_gaps({3: ",a,1.5", 5: "5,,2.5"}), missing="mean", standardize=False)
    raw, (train, *_) = data.load().inputs, data.indices

    assert data.samples.inputs[3, 0] == pytest.approx(raw[train, 0].nanmean().item())
    assert data.samples.inputs[5].tolist() == [5, 0, 0]


@pytest.mark.parametrize("missing", ["error", "mean"])
def test_a_missing_target_is_never_made_up(table: Table, missing: str) -> None:
    with pytest.raises(InvalidField, match=r"target: column 'y' has a missing value \(line 9\)"):
        table(with_gaps({7: "7,a,"}), missing=missing).facts()


def test_what_stands_for_a_missing_value_can_be_said(table: Table) -> None:
    samples = table(with_gaps({3: "?,a,1.5"}), missing="drop", missing_values=["?"]).load()

    assert len(samples) == 19


def test_dropping_every_row_is_refused(table: Table) -> None:
    with pytest.raises(InvalidField, match="missing: every row has a missing value"):
        table("a,b,y\n1,,2\n,1,3\n", missing="drop").facts()


# Files that do not fit


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", r"path: .*table.csv is empty"),
        (b"\n\n", r"path: .*table.csv has no header"),
        (b"x,y\n", r"path: .*table.csv has a header and no rows"),
        (b"x,y\n\n\n", r"path: .*table.csv has a header and no rows"),
        (b"x,y\n1,2\n1,2,3\n", r"path: .*table.csv: line 3 has 3 values, but the header has 2 columns"),
        (b"x,y\n1,2\n1\n3,4\n", r"path: .*table.csv: line 3 has 1 value, but the header has 2 columns"),
        (b"x,y\n1,2\n\xff,2\n", r"path: .*table.csv is not in UTF-8 \(line 3\)"),
        ("é,y\n1,2\n".encode("latin-1"), r"path: .*table.csv is not in UTF-8 \(line 1\)"),
        (b"x,x,y\n1,2,3\n", r"path: .*table.csv has 2 columns called 'x'"),
        (b"x,,y\n1,2,3\n", r"path: .*table.csv has a column without a name, number 2"),
        (b'x,y\n"1,2\n3,4\n', r"path: .*table.csv"),
        (b"x,Y\n1,2\n", r"target: table.csv has no column 'y'; there is x, Y"),
        (b"x;y\n1;2\n", r"target: table.csv has no column 'y'; its values seem to be separated by ';'"),
        (b"x,yy\n1,2\n", r"target: table.csv has no column 'y'; did you mean 'yy'\?"),
        (b"x,y\n1,5\n2,5\n", r"target: column 'y' has the same value in every row"),
        (b"y\n1.5\n2.5\n", r"features: must name at least one column"),
        (b"x,y\n,1.5\n,2.5\n", r"missing: column 'x' has 2 missing values"),
        (
            b"x,y\n1,1.5\ntwo,2.5\nthree,3.5\n",
            r"features: column 'x' holds numbers, but also 'two' \(line 3 and 1 more\)",
        ),
        (b"x,y\n1,1.5\ninf,2.5\n", r"features: column 'x' holds numbers, but also 'inf' \(line 3\)"),
        (b"x,y\n2024-01-31,1.5\n2024-02-01,2.5\n", r"features: column 'x' holds dates such as 2024-01-31"),
        (b"x,y\n31.1.2024,1.5\n1.2.2024,2.5\n", r"features: column 'x' holds dates"),
    ],
)
def test_a_file_that_does_not_fit_is_refused_with_the_way_out(table: Table, content: bytes, message: str) -> None:
    with pytest.raises(InvalidField, match=message):
        table(content).facts()


def test_an_empty_column_is_refused(table: Table) -> None:
    with pytest.raises(InvalidField, match="features: column 'x' has no values at all"):
        table("x,z,y\n,1,1.5\n,2,2.5\n", missing="mean").facts()


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidField, match="path: there is no file"):
        Csv({"path": str(tmp_path / "nothing.csv"), "target": "y"}).facts()


def test_text_of_too_many_kinds_is_refused(table: Table) -> None:
    content = "name,y\n" + "".join(f"n{row},{row * 0.5}\n" for row in range(60))

    with pytest.raises(
        InvalidField, match="column 'name' is text with 60 different values, more than max_categories=50"
    ):
        table(content).facts()
    assert table(content, max_categories=60).facts().in_features == 60


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"features": ["x", "z"]}, "features: table.csv has no column 'z'"),
        ({"features": ["x", "y"]}, "features: column 'y' is the target"),
        ({"features": ["x", "x"]}, "features: must name at least one column, and each once"),
        ({"features": []}, "features: must name at least one column"),
        ({"id": "z"}, "id: table.csv has no column 'z'"),
        ({"categorical": ["z"]}, "categorical: table.csv has no column 'z'"),
        ({"target": ["y", "y"]}, "target: must name at least one column, and each once"),
        ({"target": []}, "target: must name at least one column"),
    ],
)
def test_columns_that_are_not_there_are_refused(table: Table, fields: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidField, match=message):
        table(CURVE, **fields).facts()


@pytest.mark.parametrize("separator", ["", ",,"])
def test_a_separator_is_one_character(table: Table, separator: str) -> None:
    with pytest.raises(ValueError, match="separator"):
        table(CURVE, separator=separator)


# Checkpoints


def reloaded(state: Any) -> Any:
    file = io.BytesIO()
    torch.save(state, file)
    file.seek(0)
    return torch.load(file, weights_only=True)


def test_a_later_file_is_encoded_as_the_training_file_was(table: Table) -> None:
    trained = table(PLANTS, "thrives")
    expected, state = trained.samples, reloaded(trained.state_dict())
    later = table("thrives,flowers,species,height\nno,true,ivy,10\nyes,true,ivy,11\n", "thrives")
    later.load_state_dict(state)

    assert later.facts().feature_names == expected.feature_names
    assert later.samples.targets.tolist() == [0, 1]
    torch.testing.assert_close(later.samples.inputs[0, 0], expected.inputs[0, 0])
    assert later.samples.inputs[0, 1:4].tolist() == [0, 0, 1]


def test_a_file_without_targets_can_be_predicted(table: Table) -> None:
    state = reloaded(table(PLANTS, "thrives").state_dict())
    later = table("height,species,flowers\n10,ivy,true\n12,fern,false\n", "thrives")
    later.load_state_dict(state)

    assert [len(inputs) for inputs, _ in later.predict_dataloader()] == [2]
    assert later.samples.targets.tolist() == [-1, -1]


def test_a_category_that_training_did_not_have_is_refused(table: Table) -> None:
    state = reloaded(table(PLANTS, "thrives").state_dict())
    later = table("height,species,flowers,thrives\n10,oak,true,no\n", "thrives")
    later.load_state_dict(state)

    with pytest.raises(InvalidField, match="path: column 'species' holds 'oak', which was not in the training data"):
        later.facts()


def test_the_shipped_table_is_what_its_generator_writes() -> None:
    assert make_tabular.TABLE.read_text("utf-8") == make_tabular.table()


def test_a_number_beyond_what_the_network_computes_with_is_refused(table: Table) -> None:
    rows = "".join(f"{i},{i % 2}\n" for i in range(20))
    with pytest.raises(InvalidField, match=r"column 'x' holds numbers too large for 32-bit floats \(line 22\)"):
        table(f"x,y\n{rows}1e300,1\n").facts()


def test_a_wide_table_keeps_every_column(table: Table) -> None:
    header = ",".join(f"x{i}" for i in range(2000))
    rows = "".join(",".join(["1", "2"] * 1000) + f",{i % 2}\n" for i in range(10))
    assert table(f"{header},y\n{rows}").facts().in_features == 2000
