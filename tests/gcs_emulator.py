"""Google Cloud Storage on this machine, as a process: gcp-storage-emulator, and generations.

The emulator numbers what is written but does not check the conditions that clients set (a write
only if nobody wrote since), and a download does not say which generation it is. Orbax needs both.
"""

import sys
from http import HTTPStatus

from gcp_storage_emulator import server
from gcp_storage_emulator.__main__ import main
from gcp_storage_emulator.exceptions import NotFound


def with_generations(handler):
    def handled(request, response, storage, *args, **kwargs):
        body = request.data  # read even where it is not wanted, else the client meets a reset
        bucket, name = request.params.get("bucket_name"), request.params.get("object_id")
        name = name or request.query.get("name", [None])[0]
        if name is None and isinstance(body, dict):
            name = body.get("meta", body).get("name")
        now = generation(storage, bucket, name)
        if request.query.get("ifGenerationMatch", [now])[0] != now:
            response.status = HTTPStatus.PRECONDITION_FAILED
        elif request.query.get("ifGenerationNotMatch", [None])[0] == now:
            response.status = HTTPStatus.NOT_MODIFIED
        else:
            handler(request, response, storage, *args, **kwargs)
            response["x-goog-generation"] = generation(storage, bucket, name)

    return handled


def generation(storage, bucket, name) -> str:
    """That of an object; "0": there is none."""
    try:
        return storage.get_file_obj(bucket, name)["generation"] if bucket and name else "0"
    except NotFound:
        return "0"


if __name__ == "__main__":
    for _, methods in server.HANDLERS:
        methods.update({method: with_generations(h) for method, h in methods.items()})
    sys.exit(main())
