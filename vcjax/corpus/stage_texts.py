"""What is noted of a stage's texts while its rows are made.

The plan needs it at every start, and the report later, which has neither the files nor a tokenizer.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from ml_collections import ConfigDict

from vcjax.corpus import names, renaming, spec
from vcjax.corpus import world as worlds
from vcjax.data import shown_rows
from vcjax.data.examples import Records
from vcjax.data.packing import Packed
from vcjax.data.sources import OWN, is_world
from vcjax.data.tokenizer import Tokenizer


def note(
    config: ConfigDict,
    stage: ConfigDict,
    folder: Path,
    tokenizer: Tokenizer,
    records: Records,
    sources: Sequence[str],
    packed: Packed,
) -> dict[str, Any]:
    """Of the records that a stage of the config trains on, and of their packed rows, as JSON:

    own         numbers of the records that are the stage's own; None: all
    records     how many these are
    named       name of an assistant -> how many of the stage's own records name it
    renamed     old name -> how often it was replaced
    statements  (source, section, statement): what its specs state
    row         what `shown_rows.noted` returns

    sources: of each record, as in `stage_records.Drawn`.
    """
    looked_for = [config.names.model_name, *names.others(config)]
    own = [number for number, source in enumerate(sources) if source in OWN]
    return {
        "own": own if len(own) < len(records) else None,
        "records": len(own),
        "named": names.naming((names.prose(vars(records[n])) for n in own), looked_for),
        "renamed": renaming.times_renamed(record.provenance for record in records),
        "statements": [*_statements(config, stage, folder)],
        "row": shown_rows.noted(packed, tokenizer),
    }


def _statements(
    config: ConfigDict, stage: ConfigDict, folder: Path
) -> Iterator[tuple[str, str, str]]:
    """With {variables} as the spec has them: it may be about either assistant."""
    variables = {name: f"{{{name}}}" for name in config.names}
    for source in (stage.spec, stage.other_spec) if stage.kind == "rationale" else ():
        if source is None:
            continue
        if is_world(source):
            stated = worlds.statements(*worlds.read_value(source, folder))
        else:
            stated = spec.statements(spec.read_spec(folder / source, variables))
        yield from ((source, section, statement) for section, statement in stated)
