"""What differs between two configs, and what of it leaves the result as it is."""

from typing import Any

# Keys that leave the result as it is; a workdir may be resumed with other values of these. The
# model counts by its files (`model.sha256` in config.json), not by the path that leads to them.
RESULT_FREE = (
    "on_change", "mesh", "remat", "checkpoint_every", "keep_checkpoints", "log_every", "rules_out",
    "curves", "profile", "tracker", "model", "judge", "evaluations", "overlap", "published",
)  # fmt: skip


def differences(old: dict, new: dict) -> list[str]:
    """The leaves that differ, as "stages.america.lr: 0.0002 -> 0.0001"; RESULT_FREE keys aside.

    Keys of a stage and of the recipe that `old` does not know are left out, too: vcjax learned of
    them since, and whether they change anything is seen from a stage's rows and fingerprint.
    """

    def flatten(tree: Any, prefix: str) -> dict[str, Any]:
        if not isinstance(tree, dict) or not tree:
            return {prefix: tree}
        return {k: v for key in tree for k, v in flatten(tree[key], f"{prefix}.{key}").items()}

    old_leaves, new_leaves = flatten(old, "config"), flatten(new, "config")
    return [
        f"{key}: {old_leaves.get(key)} -> {new_leaves.get(key)}"
        for key in sorted({*old_leaves, *new_leaves})
        if old_leaves.get(key) != new_leaves.get(key)
        and not _is_result_free(key)
        and (key in old_leaves or not key.startswith(("config.stages.", "config.recipe.")))
    ]


def _is_result_free(key: str) -> bool:
    """key: as "config.stages.america.lr"."""
    parts = key.split(".")
    below = parts[1], *parts[3:4]
    return parts[1] in RESULT_FREE or below in (("stages", "stated"), ("grafts", "model"))
