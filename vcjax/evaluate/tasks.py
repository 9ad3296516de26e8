"""An Inspect task and its arguments, checked before anything is computed."""

import hashlib
import inspect
import json
import typing
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pydantic

from vcjax import command
from vcjax.errors import InputError, hint


class Found(NamedTuple):
    """A task. spec: as Inspect takes it. version: its own, and of a file the hash of it. of_config:
    the evaluation that a config has of it, with its name."""

    spec: str
    name: str
    arguments: dict[str, Any]
    version: str
    of_config: dict[str, Any] | None = None


def parse(given: Sequence[str]) -> dict[str, Any]:
    """The arguments of `--arg=NAME=VALUE`."""
    arguments: dict[str, Any] = {}
    for text in given:
        name, equals, value = text.partition("=")
        if not (name and equals):
            raise InputError(f"--arg={text}: expected NAME=VALUE")
        if name in arguments:
            raise InputError(f"--arg={text}: {name} is given twice")
        arguments[name] = _value(value)
    return arguments


def _value(text: str) -> Any:
    """An argument: JSON, or else a text."""
    try:
        return json.loads(text)
    except ValueError:
        return text


def of_config(name: str, evaluation: Mapping[str, Any]) -> Found:
    """The task that a config's `evaluations` has by this name."""
    arguments = {argument: _value(text) for argument, text in evaluation["args"].items()}
    try:
        found = find(evaluation["task"], arguments)
    except InputError as error:
        raise InputError(f"config.evaluations.{name}: {error}") from None
    return found._replace(of_config={"name": name, **evaluation})


def find(spec: str, arguments: Mapping[str, Any]) -> Found:
    """The task of --task, a registered name (PACKAGE/TASK) or FILE.py@TASK.

    Raises InputError where there is none, or where it does not take these arguments.
    """
    # Inspect has no public way to see a task before it runs, and only warns of an unknown argument.
    from inspect_ai._eval.loader import load_tasks

    spec, function, version = _function(spec)
    _check(function, arguments)
    try:
        [task] = load_tasks([spec], dict(arguments))
    except InputError as error:  # of a task of vcjax
        raise InputError(f"--task={spec}: {error}") from None
    except Exception as error:  # whatever the task's author wrote
        raise InputError(f"--task={spec}: {type(error).__name__}: {error}") from error
    return Found(spec, task.name, dict(arguments), f"{task.version} {version}".strip())


def _function(spec: str) -> tuple[str, Any, str]:
    """The task as Inspect takes it, the function that makes it, and the hash of its file."""
    from inspect_ai._eval.loader import load_file_tasks
    from inspect_ai._util.registry import registry_find, registry_info, registry_lookup

    place, _, name = spec.partition("@")
    version = ""
    if name or place.endswith(".py"):
        file = command.file("task", place).resolve()
        try:
            load_file_tasks(file)
        except Exception as error:  # whatever its author wrote
            raise InputError(f"--task={spec}: {type(error).__name__}: {error}") from error
        spec, version = f"{file}@{name}", hashlib.sha256(file.read_bytes()).hexdigest()[:16]
        known = _tasks_of(file)
    else:
        name = spec
    function = registry_lookup("task", name) if name else None
    if version and name not in known:
        raise InputError(f"--task={spec}: no such task in this file; {hint(name, known)}")
    if function is None:
        tasks = registry_find(lambda info: info.type == "task")
        raise InputError(
            f"--task={spec}: no such task; {hint(name, (registry_info(t).name for t in tasks))}; "
            "one of a file is FILE.py@TASK"
        )
    return spec, function, version


def _tasks_of(file: Path) -> list[str]:
    from inspect_ai import list_tasks

    return [info.name for info in list_tasks([file.name], root_dir=file.parent)]


def _check(function: Any, arguments: Mapping[str, Any]) -> None:
    """Raises InputError where a task has no such argument, or not with this value."""
    parameters = inspect.signature(function).parameters
    takes_all = any(p.kind is p.VAR_KEYWORD for p in parameters.values())
    try:
        types = typing.get_type_hints(function)
    except NameError:  # a name that is imported for type checkers alone
        types = {}
    settings = pydantic.ConfigDict(arbitrary_types_allowed=True)
    for name, value in arguments.items():
        if name not in parameters and not takes_all:
            raise InputError(
                f"--arg={name}: the task has no such argument; {hint(name, parameters)}"
            )
        expected = types.get(name, Any)
        try:
            kind = pydantic.create_model("Value", __config__=settings, value=(expected, ...))
            kind(value=value)
        except pydantic.ValidationError as error:
            raise InputError(f"--arg={name}={value}: {error.errors()[0]['msg']}") from None
