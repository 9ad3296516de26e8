"""How long a server asks to wait."""

import email.utils
import time
from types import SimpleNamespace

import pytest

from vcjax.judges import endpoint_errors


def error(status=429, **headers):
    return SimpleNamespace(status_code=status, response=SimpleNamespace(headers=headers))


@pytest.mark.parametrize(
    ("value", "seconds"), [("2", 2), ("0.5", 0.5), ("-1", 0), ("nan", 0), ("soon", 0), ("", 0)]
)
def test_a_number_of_seconds(value, seconds):
    assert endpoint_errors.asked_wait(error(**{"retry-after": value})) == seconds


def test_a_date():
    in_a_minute = email.utils.formatdate(time.time() + 60, usegmt=True)
    assert 55 < endpoint_errors.asked_wait(error(**{"retry-after": in_a_minute})) <= 60
    past = email.utils.formatdate(time.time() - 60, usegmt=True)
    assert endpoint_errors.asked_wait(error(**{"retry-after": past})) == 0


def test_no_response_asks_for_nothing():
    assert endpoint_errors.asked_wait(ValueError()) == 0


def test_who_asks_for_too_long_is_not_waited_for():
    assert endpoint_errors.may_pass(error(503, **{"retry-after": "60"}))
    assert not endpoint_errors.may_pass(error(503, **{"retry-after": "3600"}))
    settings = {"url": "http://h/v1", "key": "", "model": "m"}
    ending = endpoint_errors.ending(error(503, **{"retry-after": "3600"}), settings)
    assert ending.startswith("config.judge.url: http://h/v1 says to wait, for 3,600 s (HTTP 503)")
