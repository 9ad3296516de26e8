"""The licences that the texts of a run state.

A record's own `license` field comes first. Else that of its data set, where the hub puts it: in the
YAML head of README.md or LICENSES.md, or in dataset_info.json.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path

import huggingface_hub
import yaml

from vcjax.data import hub
from vcjax.data.formats import Demonstration, Document
from vcjax.workdir.files import read_json

NOT_STATED = "not stated"


def stated(path: Path, records: Sequence[Document | Demonstration]) -> list[str | None]:
    """The licences that the records read from the path state; None among them if one states none.

    Records that were written for a spec were read from no path.
    """
    given = {
        record.provenance.get("license") or record.provenance.get("licence")
        for record in records
        if record.where.startswith((f"{path}:", f"{path}/"))
    }
    return sorted(given, key=str)


def listed(path: Path, of_records: Iterable[str | None]) -> str:
    """All licences of a path. of_records: as `stated`; where one states none, its file's counts."""
    beside = _beside(path)
    return ", ".join(sorted({licence or beside for licence in of_records} or {beside}))


def of_card(path: Path) -> str | None:
    """The `license` in the YAML head of a card; None where there is no such file, head or field."""
    try:
        licence = (huggingface_hub.metadata_load(path) or {}).get("license")
    except (OSError, yaml.YAMLError, ValueError):  # a card that is none
        return None
    return ", ".join(map(str, licence)) if isinstance(licence, list) else licence and str(licence)


def _beside(path: Path) -> str:
    """The licence of the data set's folder; on the hub, its files often lie in a data/ inside."""
    folder = path if path.is_dir() else path.parent
    above = [folder.parent] if folder.name == "data" else []
    for place in filter(None, (folder, *above, hub.root(folder))):
        for card in ("README.md", "LICENSES.md"):
            if licence := of_card(place / card):
                return licence
        facts = read_json(place / "dataset_info.json", default={})
        if isinstance(facts, dict) and facts.get("license"):
            return str(facts["license"])
    return NOT_STATED
