"""What can go wrong with the embedded servers."""


class ServerError(Exception):
    """An embedded server cannot start. The message says why and what to do."""
