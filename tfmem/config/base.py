"""The base of all settings, which are frozen, strict and finite, and types of their values."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, PrivateAttr

Positive = Annotated[int, Field(gt=0)]
NotNegative = Annotated[int, Field(ge=0)]
Share = Annotated[float, Field(ge=0, lt=1)]
Widths = Annotated[tuple[Positive, ...], Field(strict=False, min_length=1)]
ClassList = Annotated[tuple[NotNegative | str, ...], Field(strict=False, min_length=2)]
Threshold = Annotated[float, Field(ge=-1, le=1)]
S = TypeVar("S", bound="Settings")


class UndeclaredError(LookupError):
    """A setting was read by someone who has not declared to depend on it."""


class Settings(BaseModel):
    """One section of the settings."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)

    def __hash__(self) -> int:
        """By all values, some of which (a user's arguments) are dictionaries."""
        return hash(self.model_dump_json())

    def __repr_args__(self) -> Iterator[tuple[str, Any]]:
        """The settings that differ from their defaults."""
        fields = type(self).model_fields
        for name, value in self.__dict__.items():
            known = fields.get(name)
            if known is None or value != known.get_default(call_default_factory=True):
                yield name, value

    _reader: str = PrivateAttr("")  # who was given a part of the settings

    def only(self: S, keys: Iterable[str], reader: str) -> S:
        """The same settings, of which but some can be read.

        What is left out is not there, rather than at its default: reading it is an error.

        Args:
          keys: of what stays; `experiments.audit` keeps one section of `experiments`.
          reader: who declared them; errors name it.

        Raises:
          UndeclaredError: if there is no such section here.
        """
        below: dict[str, list[str]] = {}
        for key in keys:
            name, _, rest = key.partition(".")
            below.setdefault(name, []).append(rest)
        return self._changed(
            {
                name: getattr(self, name)
                if "" in parts
                else getattr(self, name).only(parts, reader)
                for name, parts in below.items()
            },
            reader,
        )

    def has(self, name: str) -> bool:
        """Whether a section is there, which it is unless it was left out."""
        return name in self.__dict__

    def without(self: S, keys: Iterable[str], reader: str) -> S:
        """The same settings, of which some can not be read.

        Args:
          keys: of what is left out, such as `training.trials`.
          reader: who declared that it does not depend on them; errors name it.
        """
        kept = {**self.__dict__, **(self.__pydantic_extra__ or {})}
        for key in keys:
            name, _, rest = key.partition(".")
            if rest:
                kept[name] = kept[name].without([rest], reader)
            else:
                del kept[name]
        return self._changed(kept, reader)

    def _changed(self: S, values: dict[str, Any], reader: str) -> S:
        """A copy with these values and no others."""
        copied, fields = self.model_copy(), type(self).model_fields
        copied.__dict__.clear()
        copied.__dict__.update({name: values[name] for name in fields if name in values})
        if copied.__pydantic_extra__ is not None:
            extra = {name: value for name, value in values.items() if name not in fields}
            object.__setattr__(copied, "__pydantic_extra__", extra)
        copied._reader = reader
        return copied

    if not TYPE_CHECKING:  # type checkers would take it for leave to read anything

        def __getattr__(self, name: str) -> Any:
            """Called for what is not there."""
            if name in type(self).model_fields:
                there = ", ".join(self.__dict__) or "nothing"
                raise UndeclaredError(
                    f"{self._reader or 'settings'}: {name} is not among the settings that it "
                    f"declares to depend on ({there})"
                )
            return super().__getattr__(name)
