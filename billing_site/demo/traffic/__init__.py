"""An hour of real LLM traffic as usage events. See README.md beside this file for its source and licence."""

import csv
import gzip
from collections.abc import Iterator
from importlib.resources import files

MODELS = {"conv": "model-a", "code": "model-b"}


def events(customer: str) -> Iterator[dict[str, object]]:
    """One event per request, in the order of the files; its reference is the same each time."""
    for service, model in MODELS.items():
        packed = files(__package__).joinpath(f"{service}.csv.gz").read_bytes()
        rows = csv.DictReader(gzip.decompress(packed).decode().splitlines())
        for number, row in enumerate(rows, start=1):
            yield {
                "reference": f"{service}-{number:05d}",
                "type": "llm.request",
                "customer": customer,
                # Seven decimals in the trace; the seventh is always 0 or beyond what a timestamp keeps.
                "timestamp": row["TIMESTAMP"].replace(" ", "T")[:26] + "Z",
                "properties": {
                    "model": model,
                    "service": service,
                    "input_tokens": int(row["ContextTokens"]),
                    "output_tokens": int(row["GeneratedTokens"]),
                },
            }
