"""Random changes of a model's file: of its bytes, and of the fields of its protocol buffers."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from random import Random
from typing import Any

import onnx
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

INTEGERS = (0, 1, -1, 2, 3, 7, 16, 255, 1 << 16, (1 << 31) - 1, -(1 << 31), 1 << 40, 1 << 62, -(1 << 63))
FLOATS = (0.0, -0.0, 1.0, -1.0, 0.5, 1e-45, 3e38, float("inf"), float("-inf"), float("nan"))
NAMES = ("", "x", "y", "class", "a.b", "'\"", "\n", "\0", "../x", "{}", "%s", "é", "a" * 10_000)

OF_BYTES, CLEARED = 0.15, 0.1
"""Shares of the changes."""

Place = tuple[Any, FieldDescriptor]
"""A message, and one of its fields that is set."""


def changed(data: bytes, random: Random) -> bytes:
    """The file with one to three changes, most of them in fields: what is no protocol buffer ends at once."""
    for _ in range(random.choice((1, 1, 1, 2, 3))):
        data = _with_other_bytes(data, random) if random.random() < OF_BYTES else _with_another_field(data, random)
    return data


def _with_other_bytes(data: bytes, random: Random) -> bytes:
    at, length = random.randrange(len(data) + 1), random.choice((1, 1, 2, 4, 8, 64))
    before, after, there = data[:at], data[at:], data[max(at - length, 0) : at]
    others = before, before + random.randbytes(length) + after[length:], before + after[length:], before + there + after
    return random.choice(others)


def _with_another_field(data: bytes, random: Random) -> bytes:
    model = onnx.ModelProto()
    try:
        model.ParseFromString(data)
    except Exception:  # noqa: BLE001 - an earlier change of bytes; protobuf's errors differ by implementation
        return data
    places = list(_places(model))
    if places:
        message, field = random.choice(places)
        with contextlib.suppress(UnicodeDecodeError):  # an earlier change left text that is none
            _change(message, field, random, [value for one, f in places for value in _texts(one, f)])
    return bytes(model.SerializeToString())


def _places(message: Message) -> Iterator[Place]:
    for field, value in message.ListFields():
        yield message, field
        if field.type == FieldDescriptor.TYPE_MESSAGE:
            for part in value if field.is_repeated else [value]:
                yield from _places(part)


def _texts(message: Message, field: FieldDescriptor) -> list[str]:
    if field.type != FieldDescriptor.TYPE_STRING:
        return []
    value = getattr(message, field.name)
    return list(value) if field.is_repeated else [value]


def _change(message: Message, field: FieldDescriptor, random: Random, texts: list[str]) -> None:
    holds_messages = field.type == FieldDescriptor.TYPE_MESSAGE
    if field.is_repeated:
        values = getattr(message, field.name)
        at = random.randrange(len(values))
        others = [[*values[:at], *values[at + 1 :]], [*values, values[at]], [*values[at:], *values[:at]]]
        if not holds_messages:
            others += 3 * [[*values[:at], _another(values[at], field, random, texts), *values[at + 1 :]]]
        chosen = random.choice(others)
        del values[:]
        values.extend(chosen)
    elif holds_messages or random.random() < CLEARED:
        message.ClearField(field.name)
    else:
        setattr(message, field.name, _another(getattr(message, field.name), field, random, texts))


def _another(value: Any, field: FieldDescriptor, random: Random, texts: list[str]) -> Any:  # noqa: ANN401
    if field.type == FieldDescriptor.TYPE_STRING:
        return random.choice([*NAMES, *texts, *texts])
    if field.type == FieldDescriptor.TYPE_BYTES:
        return _with_other_bytes(value, random)
    if field.type in {FieldDescriptor.TYPE_FLOAT, FieldDescriptor.TYPE_DOUBLE}:
        return random.choice(FLOATS)
    if field.enum_type is not None:
        return random.choice(field.enum_type.values).number
    number = random.choice([*INTEGERS, value + 1, value - 1, 2 * value, -value, random.randrange(26)])
    bits = 32 if field.type == FieldDescriptor.TYPE_INT32 else 64
    signed = field.type in {FieldDescriptor.TYPE_INT32, FieldDescriptor.TYPE_INT64}
    wrapped = number % (1 << bits)
    return wrapped - (1 << bits) if signed and wrapped >> (bits - 1) else wrapped
