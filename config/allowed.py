"""The allowed values of a setting as a phrase, derived from its model."""

from collections.abc import Sequence
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Literal, Union, get_args, get_origin

import annotated_types
from pydantic import AfterValidator, BaseModel
from pydantic.fields import FieldInfo

from coldframe.config.counts import CountFrom


def allowed(field: FieldInfo) -> str:
    """Return the allowed values of a field as a phrase, such as "a number from 0.05 up to 5"."""
    counts = [str(own) for own in field.metadata if isinstance(own, CountFrom)]
    return counts[0] if counts else _described(field.annotation, field.metadata)


def _described(annotation: object, metadata: Sequence[object]) -> str:
    if get_origin(annotation) is Annotated:
        annotation, *inner = get_args(annotation)
        return _described(annotation, [*inner, *metadata])
    if get_origin(annotation) in (Union, UnionType):
        (wanted,) = (each for each in get_args(annotation) if each is not NoneType)
        return _described(wanted, metadata)
    if get_origin(annotation) is Literal:
        *most, last = (f'"{choice}"' for choice in get_args(annotation))
        return f"{', '.join(most)} or {last}"
    if get_origin(annotation) is tuple:
        return _described_list(get_args(annotation), metadata)
    if get_origin(annotation) is dict:
        return "tables"
    return _described_single(annotation, metadata)


def _described_list(elements: tuple[object, ...], metadata: Sequence[object]) -> str:
    if elements[-1] is not Ellipsis:
        return f"two numbers [low, high], each {_described(elements[0], [])}"
    if _is_table(elements[0]):
        return "one or more tables"
    if get_origin(get_args(elements[0])[0]) is tuple:
        return 'a list of commands, each a list of strings in quotes: [["program", "argument"]]'
    if get_args(elements[0])[0] is float:
        return f"a list of numbers, each {_described(elements[0], [])}"
    if any(isinstance(each, AfterValidator) for each in metadata):
        return "a list of different strings in quotes"
    return 'a command, a list of strings in quotes: ["program", "argument"]'


def _described_single(annotation: object, metadata: Sequence[object]) -> str:
    if annotation is bool:
        return "true or false"
    if annotation is int:
        return f"a whole number {_described_range(metadata)}"
    if annotation is float:
        return f"a number {_described_range(metadata)}"
    if annotation is Path:
        return "a path in quotes that starts with / or ~"
    if _is_table(annotation):
        return "a table"
    return f"a string in quotes, 1 to {_longest(metadata)} characters"


def _longest(metadata: Sequence[object]) -> int:
    parts = (part for each in metadata for part in (each.metadata if isinstance(each, FieldInfo) else [each]))
    return next((bound.max_length for bound in parts if isinstance(bound, annotated_types.MaxLen)), 63)


def _described_range(metadata: Sequence[object]) -> str:
    """Return the bounds as a phrase; every number in the configuration has both bounds."""
    low = high = ""
    for bound in (part for each in metadata for part in (each.metadata if isinstance(each, FieldInfo) else [each])):
        if isinstance(bound, annotated_types.Ge):
            low = f"from {bound.ge}"
        if isinstance(bound, annotated_types.Gt):
            low = f"above {bound.gt}"
        if isinstance(bound, annotated_types.Le):
            high = f"up to {bound.le}"
        if isinstance(bound, annotated_types.Lt):
            high = f"and below {bound.lt}"
    return f"{low} {high}"


def _is_table(annotation: object) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)
