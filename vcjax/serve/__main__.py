"""Serves a run's models by OpenAI's protocol: python -m vcjax.serve --workdir=DIR

Each arm and seed is a model, ARM-SEED; `base` is the model before training. --arms and --seeds
choose among them. It listens on this machine alone, at http://127.0.0.1:8000/v1; with another
--host it wants a key in VCJAX_API_KEY, which clients have to send.
"""

import contextlib
import os
import socket
import sys
import traceback
from collections.abc import Iterator
from typing import TYPE_CHECKING

import uvicorn
from absl import flags
from etils import epath

from vcjax import command
from vcjax.errors import InputError
from vcjax.serve import models
from vcjax.workdir import storage

if TYPE_CHECKING:
    from vcjax.training.loaded_model import LoadedModel
    from vcjax.training.samplers import Speaker

STOP_SECONDS = 2  # for those who wait for an answer when the server is stopped
LOCAL = ("127.0.0.1", "localhost", "::1")

flags.DEFINE_string("workdir", None, "Folder of a run.")
ARMS = flags.DEFINE_list("arms", None, "Arms to serve, A,B; by default all.")
SEEDS = flags.DEFINE_list("seeds", ["0"], "Seeds to serve, 0,1.")
HOST = flags.DEFINE_string("host", LOCAL[0], "Address to listen on.")
PORT = flags.DEFINE_integer("port", 8000, "Port to listen on.", lower_bound=0, upper_bound=65535)
SLOTS = flags.DEFINE_integer("slots", 8, "Answers at once of each model.", lower_bound=1)
LENGTH = flags.DEFINE_integer(
    "length", None, "Tokens of a prompt and its answer, at most.", lower_bound=2
)
QUEUE = flags.DEFINE_integer(
    "queue",
    1024,
    "Answers that may be awaited at once; more clients are told to come back.",
    lower_bound=1,
)


def main() -> None:
    workdir = storage.workdir(flags.FLAGS.workdir)
    key = os.environ.get(models.KEY) or None
    if HOST.value not in LOCAL and not key:
        raise InputError(
            f"--host={HOST.value}: others could use it; set a key in {models.KEY}, or leave out "
            "--host"
        )
    # These import JAX: --help and errors in flags need not wait for it.
    from vcjax.serve.app import make_app
    from vcjax.serve.worker import Worker

    with _listen(HOST.value, PORT.value) as listening:
        loaded, speakers = _load(workdir)

        def failed(error: BaseException) -> None:
            traceback.print_exception(error)
            server.should_exit = True

        samplers = {id(speaker.sampler): speaker.sampler for speaker in speakers.values()}
        worker = Worker(samplers.values(), loaded.mesh, QUEUE.value, failed)
        app = make_app(speakers, worker, key)
        settings = uvicorn.Config(app, log_level="warning", timeout_graceful_shutdown=STOP_SECONDS)
        server = uvicorn.Server(settings)
        host = f"[{HOST.value}]" if ":" in HOST.value else HOST.value
        with worker.running():
            print(f"models: {', '.join(speakers)}")
            print(f"serving at http://{host}:{listening.getsockname()[1]}/v1; Ctrl-C stops it")
            server.run(sockets=[listening])
    if worker.failed:
        sys.exit(1)


def _load(workdir: epath.Path) -> tuple["LoadedModel", dict[str, "Speaker"]]:
    """The run's model, and those that the flags choose by their names."""
    from vcjax.report.reading import read_ordered

    record = read_ordered(workdir)
    arms = record.plan.arms
    named = models.chosen(arms, ARMS.value, SEEDS.value, record.config["seeds"])
    plain = record.untouched()
    untouched = None if plain is None else (plain, 0)
    wanted = list(dict.fromkeys([*([untouched] if untouched else []), *named]))
    loaded, speakers = models.load(workdir, record, wanted, SLOTS.value, LENGTH.value)
    by_name = {f"{arm}-{seed}": speakers[arm, seed] for arm, seed in named}
    return loaded, ({"base": speakers[untouched]} if untouched else {}) | by_name


@contextlib.contextmanager
def _listen(host: str, port: int) -> Iterator[socket.socket]:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listening = socket.create_server((host, port), family=family)
    except OSError as error:
        raise InputError(f"--host={host} --port={port}: {error.strerror or error}") from None
    with listening:
        yield listening


if __name__ == "__main__":
    command.run(main, required=["workdir"])
