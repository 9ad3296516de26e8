"""The floors of the house: an import never runs back up, and no room is crowded."""

import ast
import statistics
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "vcjax"

# From the ground. A module may import from its own floor's room, and from floors below.
FLOORS = (
    ("errors",),
    ("workdir", "sharding"),
    ("data", "models"),
    ("schema", "generation", "tasks"),
    ("corpus", "config", "command"),
    ("probes", "plan"),
    ("record",),
    ("report",),
    ("weights",),
    ("training", "judges"),
    ("asking", "stage_inputs"),
    ("experiment", "export", "topology"),
    ("main", "probe", "judge", "aot", "serve"),
    ("evaluate",),
)
FLOOR = {room: number for number, rooms in enumerate(FLOORS) for room in rooms}
FILES = sorted(PACKAGE.rglob("*.py"))


def room(module):
    """ "vcjax.data.rows" -> "data"; "" for what is in vcjax/__init__.py."""
    return module.split(".")[1] if "." in module else ""


def module_of(path):
    return ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts)


def imported(path):
    """The modules of vcjax that a file imports, wherever in it."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {name.name for name in node.names}
        elif isinstance(node, ast.ImportFrom):
            found |= {f"{node.module}.{name.name}" for name in node.names}
    return {module for module in found if module.partition(".")[0] == "vcjax"}


@pytest.mark.parametrize("path", FILES, ids=module_of)
def test_no_import_runs_back_up(path):
    here = room(module_of(path))
    if here == "__init__":
        assert not imported(path)
        return
    for module in imported(path):
        there = room(module)
        if there in FLOOR and there != here:
            assert FLOOR[there] < FLOOR[here], f"{module_of(path)} imports {module}"


def test_every_room_has_a_floor():
    rooms = {room(module_of(path)) for path in FILES} - {"__init__"}
    assert rooms == FLOOR.keys()


def test_a_newcomer_can_take_it_in():
    """At most 14 modules at the top, no file above 400 lines, half of them below 150."""
    assert len(list(PACKAGE.glob("*.py"))) <= 14
    lengths = [len(path.read_text().splitlines()) for path in FILES if path.name != "__init__.py"]
    assert max(lengths) <= 400
    assert statistics.median(lengths) < 150
