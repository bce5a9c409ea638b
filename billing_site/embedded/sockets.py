"""Where a unix socket can live: its whole path has to fit into about a hundred bytes."""

import hashlib
import os
import stat
from pathlib import Path

from billing_site.embedded.errors import ServerError

LONGEST_PATH = 100  # the smallest limit of the systems we know is 104, with the closing zero byte
_SHORT_ROOT = Path("/tmp")  # noqa: S108 - the folder in it is checked to be ours; TMPDIR may be long, and differ by shell


def socket_folder(data: Path, name: str) -> Path:
    """`data` itself when a socket called `name` fits there, else a short folder whose name follows from `data`."""
    if len(os.fsencode(data / name)) <= LONGEST_PATH:
        return data
    digest = hashlib.sha256(os.fsencode(data)).hexdigest()[:16]
    return _SHORT_ROOT / f"tallybook-{digest}"


def make_private(folder: Path, user_id: int) -> None:
    """Make `folder` for the eyes of `user_id` only. Raises `ServerError` when somebody else was there first."""
    folder.mkdir(mode=0o700, exist_ok=True)
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid not in (os.geteuid(), user_id):
        raise ServerError(
            f"{folder} belongs to another user, so no socket is put there. Remove it, or shorten TALLYBOOK_STATE."
        )
    if found.st_uid != user_id:
        os.chown(folder, user_id, -1)
    folder.chmod(0o700)
