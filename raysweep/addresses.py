"""Addresses of results stores: a folder or a URI, without credentials, and names of files below it."""

from __future__ import annotations

import re

from raysweep.errors import RaysweepError

SCHEMES = ("abfs", "abfss", "file", "gcs", "gs", "hdfs", "http", "https", "s3", "viewfs")
"""Words that nobody means as the name of a folder if a colon follows."""
ENVIRONMENT = "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, GOOGLE_APPLICATION_CREDENTIALS, or a profile"
NAME = re.compile(r"[0-9A-Za-z_][0-9A-Za-z_.+=-]*")
"""The form of trial ids, digests, names of searches, and of files that have no other name."""
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*):/*(.*)", re.DOTALL)
_PASSWORD = re.compile(r"(?<=://)[^\s/@]*:(?!\d+(?:/|$))[^\s@]*@")
_SECRET = re.compile(r"([?&][^\s=&#]*(?:key|secret|token|password|credential|sig)[^\s=&#]*=)[^\s&#]*", re.IGNORECASE)


def is_uri(address: str) -> bool:
    """Whether an address is a URI, as opposed to a folder."""
    return "://" in address


def redacted(text: str) -> str:
    """The text with the credentials of every URI in it replaced by `***`."""
    return _SECRET.sub(r"\1***", _PASSWORD.sub("***@", text))


def check_address(address: str) -> str:
    """The address as it is, if it can be that of a store.

    Raises:
        RaysweepError: empty, with credentials, or a URI in a form that would be taken for a folder.
    """
    if not address or "\0" in address:
        raise RaysweepError(f"{address!r} is no address of a results store: use a folder, or s3://BUCKET/FOLDER.")
    if (shown := redacted(address)) != address:
        raise RaysweepError(
            f"the address {shown} holds credentials, which would be written to results, reports and logs: leave them "
            f"out, and set {ENVIRONMENT}."
        )
    found = _SCHEME.fullmatch(address)
    if found and (scheme := found[1].lower()) in SCHEMES and not address.startswith(f"{scheme}://"):
        form = f"{scheme}://{'/' * (scheme == 'file')}{found[2]}"
        raise RaysweepError(
            f"{address!r} is neither a folder nor a URI: use {form}, or ./{address} for a folder of that name."
        )
    return address


def check_local(path: str) -> str:
    """A path as it is, if it is not a URI, of which `pathlib` makes a folder such as `s3:`.

    Raises:
        RaysweepError: a URI.
    """
    found = _SCHEME.fullmatch(path)
    if found and found[1].lower() in SCHEMES:
        raise RaysweepError(
            f"{redacted(path)!r} is a URI, but this must be a path on this machine. Copy it afterwards."
        )
    return path


def check_name(name: str) -> str:
    """The name of a file below an address as it is, if it cannot lead elsewhere.

    Raises:
        RaysweepError: an absolute or empty name, or one with `..` or NUL.
    """
    if not {"", ".", ".."}.isdisjoint(re.split(r"[/\\]", name)) or "\0" in name:
        raise RaysweepError(f"{name!r} is no name of a file in a results store: it could lead outside of it.")
    return name
