"""What a mistyped name may stand for."""

import pytest

from vcjax.errors import MOST_NAMES, first_line, hint, missing, nearest

KEYS = ("lr", "rank", "batch_tokens", "warmup", "b1")


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("rnk", "rank"),
        ("RANK", "rank"),
        ("batch_size", "batch_tokens"),
        ("warmup_ratio", "warmup"),
        ("beta1", "b1"),
        ("learning_rate", "lr"),
        ("dropout", None),
        ("", None),
    ],
)
def test_the_nearest_name(name, meant):
    assert nearest(name, KEYS) == meant


def test_without_a_near_name_all_are_listed():
    assert hint("rnk", KEYS) == "did you mean 'rank'?"
    assert hint("rnk", KEYS, "recipe.{}".format) == "did you mean recipe.rank?"
    assert hint("x", KEYS) == "expected one of lr, rank, batch_tokens, warmup, b1"
    assert hint("x", []) == "there are none"


def test_a_long_list_of_names_is_cut():
    ids = [f"cars-{i}" for i in range(MOST_NAMES + 2)]
    assert hint("x", ids).endswith(f", cars-{MOST_NAMES - 1} and 2 more")


def test_a_missing_file_may_be_one_beside_it(tmp_path):
    (tmp_path / "probes.jsonl").touch()
    for mistyped in ("prbes.jsonl", "probes.json"):
        path = tmp_path / mistyped
        assert missing(path) == f"{path} does not exist; did you mean {tmp_path}/probes.jsonl?"
    (tmp_path / "probes.txt").touch()
    assert missing(tmp_path / "prbes.jsonl").endswith("/probes.jsonl?")
    (tmp_path / "link.gguf").symlink_to(tmp_path / "moved.gguf")
    assert missing(tmp_path / "link.gguf") == f"{tmp_path}/link.gguf does not exist"
    for name in ("gone.jsonl", "none/probes.jsonl"):
        assert missing(tmp_path / name) == f"{tmp_path / name} does not exist"


def test_an_errors_first_line_is_never_empty():
    assert first_line(ValueError("\n no such thing\nsee above")) == "no such thing"
    assert first_line(TimeoutError()) == "TimeoutError"
