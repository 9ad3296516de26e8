"""A run that lies in its workdir: what it was, what it trained on, whose model it took."""

from collections.abc import Iterable
from typing import Any

from etils import epath

import vcjax
from vcjax.data import rows
from vcjax.data.formats import Demonstration, Document
from vcjax.errors import InputError
from vcjax.training import stage
from vcjax.weights import pretrained
from vcjax.weights.pretrained import Pretrained


def trained_by(run: dict[str, Any]) -> str:
    """The version of vcjax."""
    return run["versions"]["vcjax"]


def check_trained(workdir: epath.Path, run: dict[str, Any], fingerprints: Iterable[str]) -> None:
    """Raises InputError where one of these stages of the plan is not trained to its end."""
    stages = run["plan"]["stages"]
    missing = [
        f"{stages[f]['name']}, seed {stages[f]['seed']}"
        for f in fingerprints
        if not stage.is_done(workdir, f)
    ]
    if missing:
        raise InputError(f"{workdir}: not trained yet: {'; '.join(missing)}; run vcjax.main first")


def records(workdir: epath.Path, run: dict[str, Any]) -> list[Document | Demonstration]:
    """All that its stages trained on."""
    stages = run["plan"]["stages"].values()
    folders = {stage["rows_id"] for stage in stages if stage["kind"] != "adapter"}
    return [r for name in sorted(folders) for r in rows.read_records(workdir / "rows" / name)]


def find_model(workdir: epath.Path, run: dict[str, Any]) -> Pretrained:
    """The model of the run; InputError where its files or vcjax are not those that trained."""
    if trained_by(run) != vcjax.__version__:
        raise InputError(
            f"{workdir}: it was trained by vcjax {trained_by(run)}, this is {vcjax.__version__}; "
            "use that version"
        )
    found = pretrained.find(run["config"]["model"], run["config"]["chat_template"])
    if found.identity != run["model"]["sha256"]:
        raise InputError(
            f"{workdir}: it was trained on another file of {found.name}, and what it trained "
            "belongs to that; give the model its file back"
        )
    return found
