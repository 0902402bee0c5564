"""Conditions on runs."""

from __future__ import annotations

import math
from typing import Any

import pytest

from hydrantic.errors import UsageError
from hydrantic.where import parsed


@pytest.mark.parametrize(
    ("text", "name", "sign", "wanted"),
    [
        ("optimizer.lr>1e-3", "optimizer.lr", ">", 0.001),
        ("optimizer.lr >= 1e-3", "optimizer.lr", ">=", 0.001),
        ("model.name=cnn", "model.name", "=", "cnn"),
        ("model==cnn", "model", "=", "cnn"),
        ("validation/loss<0.3", "validation/loss", "<", 0.3),
        ("name!~^m.*p$", "name", "!~", "^m.*p$"),
        ("early_stopping=null", "early_stopping", "=", None),
        ("vars.mode='1'", "vars.mode", "=", "1"),
        ("vars.flag!=true", "vars.flag", "!=", True),
        ("vars.url=http://x?a=b", "vars.url", "=", "http://x?a=b"),
    ],
)
def test_a_condition_is_a_name_a_sign_and_a_value(text: str, name: str, sign: str, wanted: Any) -> None:
    found = parsed(text)
    assert (found.name, found.sign, found.wanted) == (name, sign, wanted)


@pytest.mark.parametrize("text", ["optimizer.lr", "", "=1", ">1", "a b c"])
def test_what_is_no_condition_is_refused_with_the_quotes_that_a_shell_needs(text: str) -> None:
    with pytest.raises(UsageError, match=r"--where 'optimizer.lr>1e-3'"):
        parsed(text)


def test_a_comparison_needs_a_value() -> None:
    with pytest.raises(UsageError, match="no value after >"):
        parsed("optimizer.lr>")


def test_a_wrong_regular_expression_is_refused() -> None:
    with pytest.raises(UsageError, match="no regular expression"):
        parsed("name~(")


def test_a_number_with_too_many_digits_is_refused() -> None:
    with pytest.raises(UsageError, match="--where"):
        parsed(f"seed={'1' * 5000}")


@pytest.mark.parametrize(
    ("text", "value", "holds"),
    [
        ("a>1", 2, True),
        ("a>1", 1, False),
        ("a>=1", 1.0, True),
        ("a<1", math.nan, False),
        ("a<1", None, False),
        ("a<1", "text", False),
        ("a<2", True, False),
        ("a=1", 1.0, True),
        ("a=1", True, False),
        ("a=true", True, True),
        ("a=nan", math.nan, True),
        ("a=null", None, True),
        ("a=null", 0, False),
        ("a!=1", None, True),
        ("a=cnn", {"name": "cnn", "pooling": 2}, True),
        ("a=[64, 32]", [64, 32], True),
        ("a=[64,32]", [64, 32], True),
        ("a=[64]", [64, 32], False),
        ("a~ml", "mlp", True),
        ("a~^l", "mlp", False),
        ("a!~ml", "mlp", False),
        ("a!~ml", None, True),
        ("a>=2026-11-21", "2026-11-21 12:00:00", True),
    ],
)
def test_a_condition_holds_of_a_value(text: str, value: Any, holds: bool) -> None:
    assert parsed(text).holds(value) is holds
