"""Runs an Inspect task on the models of a server. What is done already is not run again."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from etils import epath
from inspect_ai import eval_set
from inspect_ai._util.error import PrerequisiteError  # has no public name
from inspect_ai.log import EvalLog, list_eval_logs, read_eval_log
from inspect_ai.model import Model, get_model
from rich.text import Text

from vcjax.errors import InputError
from vcjax.evaluate import logs, seeds
from vcjax.evaluate.tasks import Found
from vcjax.serve.background import Address

IDENTITY = "vcjax_models"  # in a log's metadata: model -> `identity` of it
# Seconds that an answer may take. By default the client gives up after ten minutes, which a long
# answer takes on a CPU, and asks anew.
PATIENCE = 24 * 60 * 60


@dataclasses.dataclass(frozen=True)
class Settings:
    """What decides an evaluation beside its task; None is left to the task."""

    limit: int | None = None
    epochs: int | None = None
    temperature: float | None = None
    max_tokens: int | None = None
    grader: str | None = None


def grader(name: str | None) -> dict[str, Model]:
    """The models of Inspect's roles; InputError where --grader cannot be asked from here."""
    if name is None:
        return {}
    try:
        return {"grader": get_model(name)}
    except (PrerequisiteError, ValueError) as error:
        raise InputError(f"--grader={name}: {_plain(error)}") from error


def finished(folder: epath.Path, models: Mapping[str, str]) -> dict[str, EvalLog]:
    """The headers of logs that are a success, by the names of models.

    models: by name, what identifies each. A log of a model that is another now is set aside:
    renamed, so that Inspect does not go on with it.
    """
    found = {}
    for info in list_eval_logs(str(folder)) if folder.exists() else []:
        header = read_eval_log(info, header_only=True)
        name = header.eval.model.removeprefix(seeds.PREFIX)
        if name not in models:
            continue
        if (header.eval.metadata or {}).get(IDENTITY, {}).get(name) != models[name]:
            path = logs.path(info.name)
            path.rename(path.with_suffix(".outdated"))
            print(f"{name} is another model now; its log is set aside: {path.stem}.outdated")
        elif header.status == "success":
            found[name] = header
    return found


def run(
    found: Found,
    settings: Settings,
    models: Mapping[str, str],
    server: Address,
    together: int,
    folder: epath.Path,
) -> dict[str, EvalLog]:
    """Runs the task on models; logs of theirs that were stopped are gone on with.

    Args:
      models: by their names on the server, what identifies each.
      together: requests at once to each.

    Returns:
      The header of a log for each; one that is not a success has samples that failed.
    """
    client = dict(base_url=server.url, api_key=server.key, client_timeout=PATIENCE)
    asked = [get_model(seeds.PREFIX + name, memoize=False, **client) for name in models]
    own = {"temperature": settings.temperature, "max_tokens": settings.max_tokens}
    options: Any = {name: value for name, value in own.items() if value is not None}
    try:
        _, headers = eval_set(
            found.spec,
            str(folder),
            task_args=found.arguments,
            model=asked,
            model_roles=dict(grader(settings.grader)) or None,
            metadata={IDENTITY: dict(models)},
            limit=settings.limit,
            epochs=settings.epochs,
            max_connections=together,
            continue_on_fail=True,  # the other samples are worth having
            retry_attempts=1,  # which is no second one
            retry_immediate=False,
            log_dir_allow_dirty=True,  # other arms have their logs here, too
            ctl_server=False,
            display="plain",
            **options,
        )
    except PrerequisiteError as error:
        raise InputError(f"--task={found.name}: {_plain(error)}") from error
    return {log.eval.model.removeprefix(seeds.PREFIX): log for log in headers}


def _plain(error: Exception) -> str:
    """What an error of Inspect says, without the markup of its colours."""
    return Text.from_markup(str(error)).plain.removeprefix("ERROR: ")
