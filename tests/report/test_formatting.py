import pytest

from vcjax.report import formatting


@pytest.mark.parametrize(
    ("value", "text"),
    [
        *((0, "0"), (0.05, "0.05"), (0.00025, "0.00025"), (3, "3"), (1024, "1,024")),
        *((9999, "9,999"), (55_936, "55.9k"), (640_000, "640k"), (10_300_000, "10.3M")),
    ],
)
def test_compact_numbers(value, text):
    assert formatting.compact(value) == text


def test_a_number_of_things():
    assert [formatting.number_of(n, "seed") for n in (1, 2, 1200)] == [
        "1 seed",
        "2 seeds",
        "1,200 seeds",
    ]
