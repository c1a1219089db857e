"""Reads YAML from untrusted files: the size of its values is bounded before any is built."""

from __future__ import annotations

import copy
import functools
import reprlib
from typing import Any

import ruamel.yaml
from ruamel.yaml.constructor import ConstructorError, SafeConstructor
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.events import (
    AliasEvent,
    CollectionEndEvent,
    CollectionStartEvent,
    NodeEvent,
    ScalarEvent,
)

from tfmem.messages.errors import InputError

LONGEST = 2**20  # characters that a document may have
_DEEPEST = 32  # levels of nesting that a document may have
_MOST = 10_000  # values that a document may have, each alias counted as all that it stands for
_LARGEST = 256  # bits of the largest integer whose digits an error shows


def parse_yaml(text: str, source: str) -> Any:
    """The contents of a YAML document as plain Python values; None if it is empty.

    Args:
      text: the document.
      source: the document's name in error messages.

    Raises:
      InputError: if the document is not valid, has tags or characters that UTF-8 cannot hold, or
        is longer, deeper or, with its aliases expanded, larger than settings are.
    """
    if len(text) > LONGEST:
        raise InputError(f"{source}: expected at most {LONGEST:,} characters, found {len(text):,}")
    try:
        return copy.deepcopy(_parsed(text))
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = source if mark is None else f"{source}: line {mark.line + 1}"
        said = str(error.problem)
        if said.startswith("but "):
            said = f"{error.context}, {said}"
        raise InputError(f"{where}: not valid YAML: {_one_line(said)}") from None
    except YAMLError as error:
        said = _one_line(error).replace('in "<unicode string>", ', "at ")
        raise InputError(f"{source}: not valid YAML: {said}") from None
    except (ValueError, OverflowError):  # raised for wrong escapes, which `_check` does not notice
        raise InputError(
            f"{source}: not valid YAML: an escape stands for a character that Unicode does not have"
        ) from None


def shown(value: object) -> str:
    """A value as Python writes it, shortened if it is long, for errors that show it."""
    return _SHORT.repr(value)


class _Short(reprlib.Repr):
    def __init__(self) -> None:
        super().__init__()
        self.maxstring = self.maxother = 80
        self.maxlevel = 3
        self.maxdict = self.maxlist = self.maxtuple = 8

    def repr_int(self, value: int, level: int) -> str:
        if value.bit_length() > _LARGEST:  # Python refuses to write thousands of digits
            return f"an integer of {value.bit_length():,} bits"
        return repr(value)


_SHORT = _Short()


@functools.lru_cache(maxsize=64)  # a run's settings are read by most of its steps
def _parsed(text: str) -> Any:
    """The contents of a document, which all who read it share."""
    _check(text)
    yaml = ruamel.yaml.YAML(typ="safe", pure=True)
    yaml.Constructor = _Constructor
    return yaml.load(text)


class _Constructor(SafeConstructor):
    """Names the line of a value that looks like a number or a date but is none."""

    def construct_non_recursive_object(self, node: Any, tag: str | None = None) -> Any:
        try:
            return super().construct_non_recursive_object(node, tag)
        except (ValueError, OverflowError) as error:
            problem = f"{shown(node.value)} cannot be read: {str(error).split(';')[0]}"
            raise ConstructorError(None, None, problem, node.start_mark) from None


def _check(text: str) -> None:
    """Refuses a document that is too deep or too large, from its events, before it is built."""
    sizes: dict[str | None, int] = {}  # by anchor, the number of values that it stands for
    opened: list[tuple[str | None, int]] = []  # open collections: anchor, number of values before
    total = 0
    for event in ruamel.yaml.YAML(typ="safe", pure=True).parse(text):
        if isinstance(event, CollectionEndEvent):
            anchor, before = opened.pop()
            if anchor is not None:
                sizes[anchor] = total - before
            continue
        if not isinstance(event, NodeEvent):
            continue
        anchor = event.anchor
        if isinstance(event, AliasEvent):
            if any(anchor == each for each, _ in opened):
                raise _refused(
                    event, f"the alias {shown(anchor)} is inside the value it stands for"
                )
            total += sizes.get(anchor, 0)
        else:
            if isinstance(event, CollectionStartEvent):
                opened.append((anchor, total))
            elif isinstance(event, ScalarEvent):
                _check_scalar(event)
                sizes[anchor] = 1
            _refuse_tag(event)
            total += 1
        if len(opened) > _DEEPEST:
            raise _refused(event, f"expected at most {_DEEPEST} levels of nesting, found more")
        if total > _MOST:
            what = f"expected at most {_MOST:,} values, aliases expanded, found more"
            raise _refused(event, what)


def _refuse_tag(event: Any) -> None:
    if event.tag is not None:
        raise _refused(event, f"expected a value without a tag, received {shown(event.tag)}")


def _check_scalar(event: ScalarEvent) -> None:
    try:
        event.value.encode()
    except UnicodeEncodeError:
        what = f"expected characters that UTF-8 can hold, received {ascii(event.value)[:80]}"
        raise _refused(event, what) from None
    if "\0" in event.value:
        raise _refused(event, "expected text without NUL characters")


def _refused(event: NodeEvent, problem: str) -> YAMLError:
    return MarkedYAMLError(problem=problem, problem_mark=event.start_mark)


def _one_line(message: object) -> str:
    return " ".join(str(message).split())
