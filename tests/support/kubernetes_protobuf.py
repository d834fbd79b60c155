"""Secrets as Kubernetes' binary encoding has them, in which Helm sends the releases that it keeps."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from typing import Any

MAGIC = b"k8s\x00"


def secret(data: bytes) -> dict[str, Any]:
    """A Secret of the API's generated.proto: its name, labels, data and type."""
    (raw,) = (value for number, value in _fields(data.removeprefix(MAGIC)) if number == 2)
    body: dict[str, Any] = {"apiVersion": "v1", "kind": "Secret", "data": {}}
    for number, value in _fields(raw):
        if number == 1:
            body["metadata"] = _metadata(value)
        elif number == 2:
            key, content = _entry(value)
            body["data"][key] = base64.b64encode(content).decode()
        elif number == 3:
            body["type"] = value.decode()
    return body


def _metadata(data: bytes) -> dict[str, Any]:
    metadata: dict[str, Any] = {"labels": {}}
    for number, value in _fields(data):
        if number == 1:
            metadata["name"] = value.decode()
        elif number == 11:
            key, content = _entry(value)
            metadata["labels"][key] = content.decode()
    return metadata


def _entry(data: bytes) -> tuple[str, bytes]:
    """Of a map."""
    entry = dict(_fields(data))
    return entry.get(1, b"").decode(), entry.get(2, b"")


def _fields(data: bytes) -> Iterator[tuple[int, bytes]]:
    """The fields of a message that are bytes, by number."""
    at = 0
    while at < len(data):
        tag, at = _varint(data, at)
        length, at = _varint(data, at)
        if tag & 7 == 2:
            yield tag >> 3, data[at : at + length]
            at += length


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return value, at
