"""What serializers of the API read with: nothing is dropped without a word; what is wrong is shown, with its mend."""

import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, cast

from rest_framework import serializers

from billing_site.foundation.shapes import written


class StrictSerializer(serializers.Serializer[Any]):
    """A name that is no field, or one that is only read, is refused: it would else be dropped without a word.

    What is wrong with the other fields is told in the same answer.
    """

    default_error_messages = {"invalid": "Send a JSON object, in braces; this is of the type {datatype}."}

    def to_internal_value(self, data: Any) -> Any:
        faults = self._misplaced(data) if isinstance(data, Mapping) else {}
        try:
            values = super().to_internal_value(data)
        except serializers.ValidationError as error:
            if not faults:
                raise
            raise serializers.ValidationError({**faults, **cast("dict[str, Any]", error.detail)}) from None
        if faults:
            raise serializers.ValidationError(faults)
        return values

    def _misplaced(self, data: Mapping[Any, Any]) -> dict[str, list[serializers.ErrorDetail]]:
        written = [name for name, field in self.fields.items() if not field.read_only]
        known = ", ".join(written)
        faults = {}
        for name in (str(name) for name in data if name not in written):
            if name in self.fields:
                message, code = "It is only read; leave it out.", "field_read_only"
            else:
                message, code = f"There is no such field; the fields are {known}.", "field_unknown"
            faults[name] = [serializers.ErrorDetail(message, code)]
        return faults


class Shown:
    """Mix into a field: what cannot be read is shown, with what to send instead (`mend`). The codes stay DRF's."""

    mend: str

    def to_internal_value(self, data: Any) -> Any:
        try:
            return super().to_internal_value(data)  # type: ignore[misc]
        except serializers.ValidationError as error:
            code = getattr(error.detail[0], "code", "invalid") if isinstance(error.detail, list) else "invalid"
            sent = written(data) if isinstance(data, float) else json.dumps(data, ensure_ascii=False)
            message = f"{sent[:60]} cannot be read here: {self.mend}."
            raise serializers.ValidationError(message, code=code) from None


class Whole(Shown, serializers.IntegerField):
    mend = "send a whole number, for example 2"


class YesNo(Shown, serializers.BooleanField):
    mend = "send true or false"


class Day(Shown, serializers.DateField):
    mend = 'send a date in quotes, for example "2026-03-01"'


class Text(serializers.CharField):
    """Text kept as it came, blanks included. What it may hold is checked by the verb, which says how to mend it."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**{"trim_whitespace": False, "allow_blank": True, **kwargs})

    def to_internal_value(self, data: Any) -> str:
        if not isinstance(data, str):
            raise serializers.ValidationError(self._no_text(data), code="text_invalid")
        return str(super().to_internal_value(data))

    @staticmethod
    def _no_text(data: Any) -> str:
        """A number is shown as it has to be sent."""
        if isinstance(data, int | float) and not isinstance(data, bool):
            return f'This is not a text; put it in quotes: "{written(data)[:60]}".'
        return "This is not a text; put it in quotes."


class Exact(Text):
    """A number as a text of decimals, so that no reader makes a float of it."""

    default_error_messages = {"blank": 'Write a number in quotes, for example "0.0000025".'}
    _NUMBER = re.compile(r"-?\d{1,30}(\.\d{1,30})?", re.ASCII)

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**{"allow_blank": False, **kwargs})

    def to_internal_value(self, data: Any) -> Any:
        text = super().to_internal_value(data)
        if self._NUMBER.fullmatch(text) is None:
            message = f'“{text[:60]}” is no number here: write its decimals in quotes, for example "0.0000025".'
            raise serializers.ValidationError(message, code="number_invalid")
        return Decimal(text)


class Instant(Shown, serializers.DateTimeField):
    """An instant, in UTC. One without an offset is refused: nobody could know whose clock it is of."""

    mend = "send an instant with an offset, for example 2026-03-01T12:00:00Z"

    def to_internal_value(self, data: Any) -> Any:
        value = super().to_internal_value(data)
        if not isinstance(data, str) or not re.search(r"([Zz]|[+-]\d\d:\d\d)$", data):
            raise serializers.ValidationError(f"“{data}” names no offset: {self.mend}.", code="offset_missing")
        return value.astimezone(UTC)

    def enforce_timezone(self, value: datetime) -> datetime:
        """Years 1 and 9999 have instants that are in no year of another timezone."""
        try:
            return super().enforce_timezone(value)
        except OverflowError:
            self.fail("overflow")
