"""Writing plain data as YAML that reads back as the same data under hydrantic's scalar grammar."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import yaml
from yaml.resolver import Resolver

from hydrantic.scalars import parse_scalar
from hydrantic.source import KeyPath
from hydrantic.texts import cut

_COMMENTS_AT: Final = 48
"""The column that comments are lined up at, as far as the longest line before it reaches; longer lines push theirs."""

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


def to_commented_yaml(data: Mapping[str, Any], comments: Mapping[KeyPath, str]) -> str:
    """The data as YAML text, with a comment at the end of the line of each scalar and each list of scalars.

    Arguments:
        data: what is written.
        comments: a comment for each path that shall have one.
    """
    text = to_yaml(data)
    lines = text.removesuffix("\n").split("\n")
    root = yaml.compose(text, Loader=_LOADER)
    assert root is not None  # the text is that of a mapping
    said = {line: comments[path] for path, line in _ends(root, ()) if path in comments}
    column = max((len(lines[line]) for line in said if len(lines[line]) <= _COMMENTS_AT), default=0)
    for line, comment in said.items():
        lines[line] = f"{lines[line]:<{column}}  # {_on_one_line(comment)}"
    return "\n".join(lines) + "\n"


def to_inline_yaml(value: Any) -> str:
    """The value on one line, as it could stand in a blueprint or an override."""
    text = yaml.dump(_OnOneLine([value]), Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=math.inf)
    return text.strip().removeprefix("[").removesuffix("]")


def shortened(value: Any, width: int = 40) -> str:
    """The value on one line, cut where it is too long for a table or a message."""
    return cut(to_inline_yaml(value), width)


class _OnOneLine(list[Any]):
    """A list that is written on one line with everything in it."""


_LOADER: Final = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def _ends(node: yaml.Node, path: KeyPath) -> Iterator[tuple[KeyPath, int]]:
    """Each value that stands on lines of its own, and the line where a comment on it belongs."""
    if isinstance(node, yaml.MappingNode) and node.value and not node.flow_style:
        for key, value in node.value:
            yield from _ends(value, (*path, key.value))
    elif isinstance(node, yaml.SequenceNode) and not node.flow_style:
        for index, value in enumerate(node.value):
            yield from _ends(value, (*path, index))
    else:  # inside a block of text a comment would be text
        yield path, node.start_mark.line if getattr(node, "style", None) == "|" else node.end_mark.line


def _on_one_line(text: str) -> str:
    return "".join(sign if sign.isprintable() else "?" for sign in " ".join(text.split()))


def _text(dumper: yaml.SafeDumper, value: str) -> yaml.ScalarNode:
    style = "'" if not _reads_as_itself(value) or _reads_otherwise(value) else None
    if _OTHER_BREAKS.search(value):
        style = '"'  # where they are escaped; anywhere else they would be folded into spaces
    elif "\n" in value:
        style = "|"
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style=style)


def _reads_as_itself(value: str) -> bool:
    try:
        return isinstance(parse_scalar(value), str)
    except ValueError:  # more digits than a number may have
        return False


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
_Dumper.add_representer(_OnOneLine, lambda d, v: d.represent_sequence("tag:yaml.org,2002:seq", v, flow_style=True))
