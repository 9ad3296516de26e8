"""Uploads of exported folders to the Hugging Face hub; HF_TOKEN, or a login, opens it."""

from collections.abc import Sequence
from pathlib import Path

import huggingface_hub
from huggingface_hub.errors import HFValidationError, RepositoryNotFoundError
from huggingface_hub.utils import validate_repo_id

from vcjax.errors import InputError, first_line

OF_A_NEW_ONE = {".gitattributes"}  # files that the hub puts into a repository


def check(repositories: Sequence[str]) -> None:
    """Raises InputError where the folders could not be uploaded to new or empty repositories of
    these names; to be called before they are written."""
    for repository in repositories:
        _check_name(repository)
    if huggingface_hub.get_token() is None:
        raise InputError("--push: no token; set HF_TOKEN to one that may write")
    api = huggingface_hub.HfApi()
    for repository in repositories:
        try:
            held = {file.rfilename for file in api.model_info(repository).siblings or ()}
        except RepositoryNotFoundError:
            continue
        except Exception as error:  # many types: no network, another's repository
            raise InputError(f"--push={repository}: {first_line(error)}") from None
        if held - OF_A_NEW_ONE:
            raise InputError(
                f"--push={repository}: it exists and holds {len(held)} files; give another name, "
                "or delete it"
            )


def upload(folder: Path, repository: str) -> str:
    """Makes a private repository of the folder's files, in one commit; returns its address."""
    api = huggingface_hub.HfApi()
    try:
        url = api.create_repo(repository, private=True, exist_ok=True)
        api.upload_folder(
            repo_id=repository, folder_path=folder, commit_message="Exported by vcjax"
        )
    except Exception as error:
        raise InputError(
            f"--push={repository}: {first_line(error)}. The folder is written; upload it by: "
            f"hf upload {repository} {folder}"
        ) from None
    return str(url)


def _check_name(repository: str) -> None:
    try:
        validate_repo_id(repository)
        is_whole = repository.count("/") == 1
    except HFValidationError:
        is_whole = False
    if not is_whole:
        raise InputError(
            f"--push: {repository!r} cannot name a repository; expected organisation/name, of "
            "letters, digits, '-', '_' and '.', at most 96"
        )
