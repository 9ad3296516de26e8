"""Who judges: what of config.judge fits together, and that no key can get into a config."""

import designs
import pytest

from vcjax.config import experiment, resolve
from vcjax.errors import InputError

ENDPOINT = dict(by="endpoint", url="https://host.example:8443/v1", model="m", key="JUDGE_KEY")


def resolved(folder, **judge):
    return resolve(designs.two_arms(judge=judge), folder).judge


def test_the_untouched_model_judges_unless_said_otherwise(tmp_path):
    assert resolved(tmp_path).by == "base"
    assert resolved(tmp_path, by="none").by == "none"
    judge = resolved(tmp_path, **ENDPOINT, most_failed=1)
    assert (judge.requests, judge.max_tokens, judge.most_failed) == (8, 1024, 1.0)
    assert resolved(tmp_path, by="endpoint", url="http://127.0.0.1:8000", model="m").key == ""


@pytest.mark.parametrize(
    ("judge", "message"),
    [
        (dict(by="gpt"), ".by: 'gpt' is not one of none, base, phrases, endpoint"),
        (dict(by="base", model="m"), ".model: only an endpoint has one; leave it out"),
        (dict(by="phrases", key="K"), ".key: only an endpoint has one; leave it out"),
        (ENDPOINT | dict(url=""), ".url: it is empty; an endpoint needs it"),
        (ENDPOINT | dict(model=" "), ".model: it is empty; an endpoint needs it"),
        (ENDPOINT | dict(requests=0), ".requests: 0; it must be 1 or more"),
        (ENDPOINT | dict(max_tokens=0.5), ".max_tokens: 0.5 is a decimal number; expected a whole"),
        (ENDPOINT | dict(most_failed=10), ".most_failed: 10.0; it is a share, 0 <= x <= 1"),
    ],
)
def test_what_does_not_fit_is_refused(judge, message, tmp_path):
    with pytest.raises(InputError) as error:
        resolved(tmp_path, **judge)
    assert str(error.value).startswith(f"config.judge{message}")


def test_an_unknown_key_names_the_nearest():
    with pytest.raises(InputError, match=r"unknown config key judge\.uri; did you mean judge\.url"):
        experiment(judge=dict(uri="x"))


@pytest.mark.parametrize(
    "url", ["host/v1", "ftp://host", "https://", "https://h:port", "http://a b"]
)
def test_what_is_no_url(url, tmp_path):
    with pytest.raises(InputError, match=r"^config\.judge\.url: it is no URL; give one as https:"):
        resolved(tmp_path, **ENDPOINT | dict(url=url))


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("key", "sk-proj-abc123"),
        ("key", "abcdef0123456789"),
        ("key", "A" * 65),
        ("url", "https://me:abc123@host/v1"),
        ("url", "https://host/v1?api-key=abc123"),
        ("url", "https://host/v1#abc123"),
    ],
)
def test_a_secret_is_refused_and_not_repeated(key, value, tmp_path):
    with pytest.raises(InputError) as error:
        resolved(tmp_path, **ENDPOINT | {key: value})
    assert str(error.value).startswith(f"config.judge.{key}: it ")
    assert "abc" not in str(error.value) and "A" * 65 not in str(error.value)
