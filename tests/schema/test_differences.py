"""What differs between two configs: by its key, where it may change a result."""

from vcjax.schema.differences import differences


def test_differences_name_the_leaf_and_skip_what_changes_no_result():
    old = {"seeds": 1, "log_every": 5, "stages": {"why": {"lr": 1e-4}}, "mesh": {"fsdp": 1}}
    new = {"seeds": 1, "log_every": 1, "stages": {"why": {"lr": 2e-4}}, "mesh": {"fsdp": 8}}
    new["profile"] = "3"  # which vcjax knows of only since
    new["curves"] = {"people": {"series": {"of": {"total": 16.0}}}}
    assert differences(old, new) == ["config.stages.why.lr: 0.0001 -> 0.0002"]


def test_another_path_of_the_model_is_no_difference():
    """Whether its files differ is seen from their hash."""
    assert differences({"model": "a.gguf"}, {"model": "b/a.gguf"}) == []


def test_a_stages_key_that_an_older_run_did_not_know_is_no_difference():
    """Its rows and fingerprint say whether it changes anything."""
    old = {"stages": {"why": {"lr": 1e-4}}, "contrasts": {}}
    new = {"stages": {"why": {"lr": 1e-4, "linked": True}}, "contrasts": {"total": {"a": 1}}}
    assert differences(old, new) == [
        "config.contrasts: {} -> None",
        "config.contrasts.total.a: None -> 1",
    ]
