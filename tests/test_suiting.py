"""Which differences between data and the data that a model was trained on matter, and how they are told."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from hydrantic.errors import UsageError
from hydrantic.opening import open_run
from hydrantic.run import Run
from hydrantic.suiting import is_other, refuse_unlike
from tests.trained import fit_table

pytestmark = pytest.mark.usefixtures("scratch")


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A run that has learnt a table."""
    return fit_table(tmp_path_factory.mktemp("table"))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"feature_names": ("width", "height")}, "inputs in another order: width, height"),
        (
            {"feature_names": ("height", "breadth")},
            "inputs that are missing: width\n  inputs that are unknown: breadth",
        ),
        ({"class_names": ("a", "c")}, "classes that are missing: b\n  classes that are unknown: c"),
        ({"in_features": 3}, "3 input values, not 2"),
        ({"task": "regression"}, "its task is regression, not binary"),
    ],
)
def test_a_difference_that_matters_is_named(table: Run, changes: dict[str, Any], message: str) -> None:
    opened = open_run(table.path)
    facts = replace(opened.facts, input_shape=None, in_features=2, task="binary", num_classes=2, target_names=None)
    facts = replace(facts, feature_names=("height", "width"), class_names=("a", "b"), out_features=2)
    with pytest.raises(UsageError) as caught:
        refuse_unlike(replace(opened, facts=facts), replace(facts, **changes))
    assert message in str(caught.value)
    named = replace(opened, facts=facts, overrides=("data.path=other.csv",))
    refuse_unlike(named, replace(facts, train_size=0, class_counts=(0, 1), fingerprint="x"))


def test_only_data_that_states_another_fingerprint_is_known_to_be_other(table: Run) -> None:
    opened = open_run(table.path)
    assert is_other(opened, replace(opened.facts, fingerprint="x"))
    assert not is_other(opened, opened.facts)
    assert not is_other(opened, replace(opened.facts, fingerprint=None))
