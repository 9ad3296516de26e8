"""Fixtures of tests with a stand-in for an endpoint."""

import pytest
from judge_endpoint import StandIn

from vcjax.judges import endpoint
from vcjax.schema.keys import Judge


@pytest.fixture
def stand_in():
    with StandIn().running() as server:
        yield server


@pytest.fixture
def settings(stand_in):
    """config.judge with the stand-in."""
    return Judge(by="endpoint", url=stand_in.url, model="gpt-x", requests=2).model_dump()


@pytest.fixture(autouse=True)
def impatient(monkeypatch):
    """Three attempts, milliseconds apart."""
    monkeypatch.setattr(endpoint, "ATTEMPTS", 3)
    monkeypatch.setattr(endpoint, "FIRST_WAIT", 0.001)
