"""A server of others that has a run's models under the names ARM-SEED."""

import json
import os
import urllib.error
import urllib.request
from collections.abc import Iterable
from typing import NamedTuple

from vcjax.errors import InputError
from vcjax.record import Record
from vcjax.serve.background import Address
from vcjax.serve.models import KEY

SECONDS = 30  # to list its models


class OtherServer(NamedTuple):
    """is_vcjax: it is vcjax.serve, and gives the texts that this process would."""

    address: Address
    is_vcjax: bool


def find(url: str, names: Iterable[str], record: Record) -> OtherServer:
    """The server at url; InputError where it does not answer, or lacks one of the models."""
    address = Address(url.rstrip("/"), os.environ.get(KEY) or "none")
    owners = _owners(address)
    names = [*names]
    if lacking := [name for name in names if name not in owners]:
        raise InputError(
            f"--url={url}: it lacks {', '.join(lacking)} and has {', '.join(owners) or 'nothing'}; "
            "serve each model as ARM-SEED, or choose --arms and --seeds"
        )
    is_vcjax = {owners[name] for name in names} == {"vcjax"}
    prompted = [name for name in names if name.split("-")[0] in record.system]
    if prompted and not is_vcjax:
        raise InputError(
            f"--url={url}: {', '.join(prompted)} read a system prompt that only vcjax's server "
            "gives; choose other --arms"
        )
    return OtherServer(address, is_vcjax)


def _owners(address: Address) -> dict[str, str]:
    """The server's models and who it says has made them."""
    headers = {"Authorization": f"Bearer {address.key}"}
    try:
        request = urllib.request.Request(f"{address.url}/models", headers=headers)
        with urllib.request.urlopen(request, timeout=SECONDS) as reply:
            listed = json.load(reply)["data"]
        return {model["id"]: str(model.get("owned_by")) for model in listed}
    except urllib.error.HTTPError as error:
        key = f"; its key goes into {KEY}" if error.code in (401, 403) else ""
        raise InputError(f"--url={address.url}: {error.code} {error.reason}{key}") from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"--url={address.url}: no server of OpenAI's protocol answers there ({error})"
        ) from None
