"""Reads search logs of version 1: a first record with the search's identity, then an Arrow record batch for each event.

Each record has a kind, its length and a CRC-32 before its content.
"""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Iterator
from typing import Any

from raysweep.errors import RaysweepError

MAGIC = b"raysweep log of a search, 1\n"
HEAD = struct.Struct("<BII")


def is_old(content: bytes) -> bool:
    """Whether this is a log of version 1."""
    return content.startswith(MAGIC)


def parse_old(content: bytes, name: str) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """The identity of the search and its events as rows; a last record that was not finished is ignored.

    Raises:
        RaysweepError: the log is damaged.
    """
    import pyarrow as pa

    records = list(_records(content))
    end = len(MAGIC) + sum(HEAD.size + len(record) for record in records)
    rest = content[end:]
    if not records or (len(rest) >= HEAD.size and HEAD.size + HEAD.unpack_from(rest)[1] < len(rest)):
        raise RaysweepError(f"{name} is damaged at byte {end:,} of {len(content):,}: restore a copy.")
    schema = pa.ipc.read_schema(pa.BufferReader(records[0]))
    batches = (pa.ipc.read_record_batch(pa.BufferReader(record), schema) for record in records[1:])
    rows = (row for batch in batches for row in batch.to_pylist())
    events = [{name: value for name, value in row.items() if value is not None} for row in rows]
    return json.loads(schema.metadata[b"search"]), events


def _records(content: bytes) -> Iterator[bytes]:
    at = len(MAGIC)
    while at + HEAD.size <= len(content):
        kind, length, checksum = HEAD.unpack_from(content, at)
        record = content[at + HEAD.size : at + HEAD.size + length]
        if len(record) < length or zlib.crc32(record, kind) != checksum:
            return
        yield record
        at += HEAD.size + length
