"""A server in a thread of this process, for clients in the same process."""

import contextlib
import secrets
import socket
import threading
from collections.abc import Iterator, Mapping
from typing import NamedTuple

import uvicorn

from vcjax.serve.app import make_app
from vcjax.serve.worker import Worker
from vcjax.training.loaded_model import LoadedModel
from vcjax.training.samplers import Speaker

MOST = 2**20  # answers that may be awaited: its one client knows what it asks for


class Address(NamedTuple):
    """Where a server is, and the key that it wants."""

    url: str
    key: str


@contextlib.contextmanager
def serving(loaded: LoadedModel, speakers: Mapping[str, Speaker]) -> Iterator[Address]:
    """Serves these models inside, on this machine alone and with a key that nobody else has.

    Where a step of sampling fails, clients are told, and the error is raised at the end.
    """
    failures: list[BaseException] = []
    samplers = {id(speaker.sampler): speaker.sampler for speaker in speakers.values()}
    worker = Worker(samplers.values(), loaded.mesh, MOST, failures.append)
    key = secrets.token_urlsafe()
    app = make_app(speakers, worker, key)
    server = uvicorn.Server(uvicorn.Config(app, log_level="warning", timeout_graceful_shutdown=1))
    with socket.create_server(("127.0.0.1", 0)) as listening, worker.running():
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
        thread.start()
        try:
            yield Address(f"http://127.0.0.1:{listening.getsockname()[1]}/v1", key)
        finally:
            server.should_exit = True
            thread.join()
    if failures:
        raise failures[0]
