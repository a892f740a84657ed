"""How the values of a parameter node wrapper are checked and kept in ``vtkMRMLScriptedModuleNode``'s parameters."""

from __future__ import annotations

import enum
import pathlib
import typing
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import slicer_core

__all__ = ["Choice", "Default", "Exclude", "Maximum", "Minimum", "NotNone", "Validator", "WithinRange"]


class Validator:
    """An annotation that refuses values."""

    def validate(self, value: Any) -> None:
        raise NotImplementedError


class NotNone(Validator):
    def validate(self, value: Any) -> None:
        if value is None:
            raise ValueError("Value must not be None")


@dataclass
class WithinRange(Validator):
    minimum: float
    maximum: float

    def validate(self, value: Any) -> None:
        if not self.minimum <= value <= self.maximum:
            raise ValueError(f"Value must be within range [{self.minimum}, {self.maximum}], is {value}")


@dataclass
class Minimum(Validator):
    minimum: float

    def validate(self, value: Any) -> None:
        if value < self.minimum:
            raise ValueError(f"Value must be at least {self.minimum}, is {value}")


@dataclass
class Maximum(Validator):
    maximum: float

    def validate(self, value: Any) -> None:
        if value > self.maximum:
            raise ValueError(f"Value must be at most {self.maximum}, is {value}")


@dataclass
class Choice(Validator):
    choices: Sequence[Any]

    def validate(self, value: Any) -> None:
        if value not in self.choices:
            raise ValueError(f"Value is {value}, but must be in one of the following: {self.choices}")


@dataclass
class Exclude(Validator):
    excludedValues: Sequence[Any]

    def validate(self, value: Any) -> None:
        if value in self.excludedValues:
            raise ValueError(f"Value is {value}, but must not be an excluded value: {self.excludedValues}")


@dataclass
class Default:
    """An annotation with the value a parameter starts with."""

    value: Any


def split(annotated: Any) -> tuple[Any, tuple[Any, ...]]:
    """Return a type and its annotations."""
    kind, *annotations = typing.get_args(Annotated[annotated, None])
    return kind, tuple(annotations[:-1])


def is_node(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, slicer_core.vtkMRMLNode)


def node_types(datatype: Any) -> tuple[str, ...]:
    """Return the node classes of a node type or a Union of them and None; empty for anything else."""
    kind, _ = split(datatype)
    kinds = typing.get_args(kind) if typing.get_origin(kind) is typing.Union else (kind,)
    if not all(is_node(each) or each is type(None) for each in kinds):
        return ()
    return tuple(each.__name__ for each in kinds if is_node(each))


class Value:
    """Keeps one value under one name."""

    def __init__(self, kind: Any, validators: Sequence[Validator] = ()) -> None:
        self.kind, self.validators = kind, tuple(validators)

    def default(self) -> Any:
        if is_node(self.kind) or self.kind is type(None):
            return None
        return next(iter(self.kind)) if issubclass(self.kind, enum.Enum) else self.kind()

    def check(self, value: Any) -> None:
        allowed = (int, float) if self.kind is float else self.kind
        if value is None and not (is_node(self.kind) or self.kind is type(None)):
            raise ValueError("Value must not be None")
        if value is not None and not isinstance(value, allowed):
            raise TypeError(f"Value must be of type '{allowed}', is type '{type(value)}' value '{value}'")
        for validator in self.validators:
            validator.validate(value)

    def fits(self, value: Any) -> bool:
        return value is None if self.kind is type(None) else isinstance(value, self.kind)

    def has(self, node: Any, name: str) -> bool:
        return bool(node.HasParameter(name))

    def write(self, node: Any, name: str, value: Any) -> None:
        self.check(value)
        if is_node(self.kind):
            node.SetParameter(name, "")
            node.SetNodeReferenceID(name, value.GetID() if value is not None else None)
        else:
            node.SetParameter(name, value.name if isinstance(value, enum.Enum) else str(value))

    def read(self, node: Any, name: str) -> Any:
        if is_node(self.kind):
            return node.GetNodeReference(name)
        text = node.GetParameter(name)
        if self.kind is type(None):
            return None
        if self.kind is bool:
            return text == "True"
        return self.kind[text] if issubclass(self.kind, enum.Enum) else self.kind(text)

    def remove(self, node: Any, name: str) -> None:
        node.UnsetParameter(name)
        if is_node(self.kind):
            node.RemoveNodeReferenceIDs(name)


class Either:
    """Keeps a value of one of several types; each under a name of its own."""

    def __init__(self, values: Sequence[Value], validators: Sequence[Validator]) -> None:
        self.values, self.validators = list(values), tuple(validators)

    def default(self) -> Any:
        return None if len(self.values) == 2 and self.values[1].kind is type(None) else self.values[0].default()

    def has(self, node: Any, name: str) -> bool:
        return any(value.has(node, f"{name}_{index}") for index, value in enumerate(self.values))

    def write(self, node: Any, name: str, value: Any) -> None:
        for validator in self.validators:
            validator.validate(value)
        fitting = [index for index, each in enumerate(self.values) if each.fits(value)]
        if not fitting:
            raise TypeError(f"Unable to write value '{value}' of type '{type(value)}'")
        self.values[fitting[0]].check(value)
        was_modifying = node.StartModify()
        self.remove(node, name)
        self.values[fitting[0]].write(node, f"{name}_{fitting[0]}", value)
        node.EndModify(was_modifying)

    def read(self, node: Any, name: str) -> Any:
        for index, value in enumerate(self.values):
            if value.has(node, f"{name}_{index}"):
                return value.read(node, f"{name}_{index}")
        raise KeyError(f"Unable to find value for name: {name}")

    def remove(self, node: Any, name: str) -> None:
        for index, value in enumerate(self.values):
            value.remove(node, f"{name}_{index}")


def serializer(kind: Any, validators: Sequence[Validator] = ()) -> Value | Either:
    """Return what keeps values of a type, or refuse the type."""
    if typing.get_origin(kind) is typing.Union:
        parts = [split(part) for part in typing.get_args(kind)]
        made = [Value(part, [a for a in notes if isinstance(a, Validator)]) for part, notes in parts if _plain(part)]
        if len(made) == len(parts):
            return Either(made, validators)
    elif _plain(kind):
        return Value(kind, validators)
    if typing.get_origin(kind) in (list, tuple, dict):
        raise NotImplementedError(f"Slicer keeps {kind}, this stand-in does not; keep a str (JSON) or extend it")
    raise TypeError(f"Unable to create serializer for type: {kind} (of unions only typing.Union and typing.Optional)")


def _plain(kind: Any) -> bool:
    simple = (int, float, str, bool, type(None), pathlib.Path, pathlib.PurePath)
    return kind in simple or is_node(kind) or (isinstance(kind, type) and issubclass(kind, enum.Enum))
