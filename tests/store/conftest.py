"""Object storage for the tests of stores."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.store.s3 import bucket


@pytest.fixture(scope="module")
def environment() -> Iterator[dict[str, str]]:
    with bucket() as settings:
        yield settings


@pytest.fixture
def uri(environment: dict[str, str], monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> str:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    return f"s3://bucket/{request.node.name}"
