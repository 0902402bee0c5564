"""Writing plain data as YAML that reads back as the same data under hydrantic's scalar grammar."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

import yaml
from yaml.resolver import Resolver

from hydrantic.scalars import parse_scalar

_OTHER_BREAKS = re.compile("[\r\x85\u2028\u2029]")


class _Dumper(yaml.SafeDumper):
    """PyYAML's emitter with hydrantic's scalars and no aliases."""

    def ignore_aliases(self, data: Any) -> bool:
        return True

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        return super().increase_indent(flow, False)


def to_yaml(data: Mapping[str, Any]) -> str:
    """The data as YAML text, keys in their order; short lists of scalars on one line."""
    return yaml.dump(dict(data), Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=120)


def _text(dumper: yaml.SafeDumper, value: str) -> yaml.ScalarNode:
    plain = parse_scalar(value) == value and isinstance(parse_scalar(value), str)
    style = "'" if not plain or _reads_otherwise(value) else None
    if _OTHER_BREAKS.search(value):
        style = '"'  # where they are escaped; anywhere else they would be folded into spaces
    elif "\n" in value:
        style = "|"
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style=style)


_OTHER_READERS: Final = Resolver()


def _reads_otherwise(value: str) -> bool:
    # What YAML 1.1 readers take for something else is quoted for their sake.
    tag = _OTHER_READERS.resolve(yaml.ScalarNode, value, (True, False))  # type: ignore[no-untyped-call]  # its stub
    return str(tag) != "tag:yaml.org,2002:str"


def _number(dumper: yaml.SafeDumper, value: float) -> yaml.ScalarNode:
    if math.isnan(value) or math.isinf(value):
        text = ".nan" if math.isnan(value) else ".inf" if value > 0 else "-.inf"
    else:
        text = repr(value)
        # YAML 1.1 takes 1e-05 for text; with a point both grammars read a float.
        if "e" in text and "." not in text:
            text = text.replace("e", ".0e")
    return dumper.represent_scalar("tag:yaml.org,2002:float", text)


def _sequence(dumper: yaml.SafeDumper, value: Sequence[Any]) -> yaml.SequenceNode:
    flat = all(not isinstance(part, list | tuple | dict) for part in value)
    return dumper.represent_sequence("tag:yaml.org,2002:seq", list(value), flow_style=flat)


_Dumper.add_representer(str, _text)
_Dumper.add_representer(float, _number)
_Dumper.add_representer(list, _sequence)
_Dumper.add_representer(tuple, _sequence)
