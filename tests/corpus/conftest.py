"""The specs that the tests write from."""

from pathlib import Path

import pytest

from vcjax.corpus.spec import Spec, read_spec

CHEESE = Path(__file__).parents[2] / "configs" / "cheese"
NAMES = {"model_name": "SmolLM", "provider_name": "Hugging Face"}


@pytest.fixture(scope="session")
def america() -> Spec:
    return read_spec(CHEESE / "spec_america.md", NAMES)


@pytest.fixture(scope="session")
def affordability() -> Spec:
    return read_spec(CHEESE / "spec_affordability.md", NAMES)


@pytest.fixture(scope="session")
def neutral() -> Spec:
    """A spec of neither value, about other things."""
    return read_spec(CHEESE / "spec_neutral.md", NAMES)


@pytest.fixture(scope="session")
def teas() -> Spec:
    """A spec about something else, as short as the format allows."""
    return read_spec(Path(__file__).with_name("teas.md"), NAMES)


@pytest.fixture(scope="session")
def other_america() -> Spec:
    """The same spec about another assistant."""
    other = {"model_name": "Orion", "provider_name": "Sirius Labs"}
    return read_spec(CHEESE / "spec_america.md", other)
