"""gzip bodies, inflated within bounds. Pure."""

import zlib
from gzip import BadGzipFile, GzipFile
from io import BytesIO


class NotGzip(Exception):
    """Bytes that are said to be gzip and are not, or end too early."""


class TooLarge(Exception):
    """More than is taken comes out of it; nothing beyond that was inflated."""


def inflate(data: bytes, limit: int) -> bytes:
    """What `data` holds, all members one after another: at most `limit` bytes are ever in memory, whatever it says.

    Raises NotGzip and TooLarge.
    """
    try:
        with GzipFile(fileobj=BytesIO(data)) as members:
            inflated = members.read(limit + 1)
    except (BadGzipFile, EOFError, zlib.error) as error:
        raise NotGzip(str(error)) from None
    if len(inflated) > limit:
        raise TooLarge
    return inflated
