"""What the fields of Hparams mean, from the texts below them or from the docstring they were derived from.

pydantic could collect the texts when a class is made, but reading every class's source would cost each start dearly.
"""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Any

from pydantic import BaseModel

DERIVED_FROM = "__derived_from__"
"""Attribute of Hparams that were derived from a signature: the class or function."""


def meanings_of(hparams: type[BaseModel]) -> dict[str, str]:
    """The meaning of each field that has one."""
    found: dict[str, str] = {}
    for base in reversed(hparams.__mro__):
        if (component := vars(base).get(DERIVED_FROM)) is not None:
            found |= docstring_meanings(component)
        elif issubclass(base, BaseModel) and base is not BaseModel:
            found |= dict(_texts_below(base))
    described = {name: info.description for name, info in hparams.model_fields.items() if info.description}
    return {name: text for name, text in {**found, **described}.items() if name in hparams.model_fields}


def _texts_below(hparams: type[BaseModel]) -> Iterator[tuple[str, str]]:
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(hparams)))
    except (OSError, TypeError, SyntaxError):  # made in a session without a source
        return
    body = getattr(tree.body[0], "body", [])
    for field, below in pairwise(body):
        if not (isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name)):
            continue
        if isinstance(below, ast.Expr) and isinstance(below.value, ast.Constant) and isinstance(below.value.value, str):
            yield field.target.id, inspect.cleandoc(below.value.value)


def docstring_meanings(component: Callable[..., Any]) -> dict[str, str]:
    """The meanings of a class's or function's arguments, from its docstring in any of the usual styles."""
    from docstring_parser import ParseError, parse

    found: dict[str, str] = {}
    for text in (inspect.getdoc(component), inspect.getdoc(getattr(component, "__init__", None))):
        if not text:
            continue
        try:
            parsed = parse(text)
        except ParseError:
            continue
        for each in parsed.params:
            found.setdefault(each.arg_name, " ".join((each.description or "").split()))
    return found
