"""The forms in which operators void and amend. What is wrong is said by the rules of events."""

from typing import Any

import msgspec
from django import forms
from django.conf import settings
from django.http import HttpRequest
from unfold.forms import BaseDialogForm
from unfold.widgets import UnfoldAdminTextareaWidget, UnfoldAdminTextInputWidget

from billing_site.foundation import clock
from billing_site.foundation.empty_fields import NamedFields
from billing_site.foundation.errors import Refused
from billing_site.foundation.money import plain
from meters.corrections.amending import CHANGES, Amendment
from meters.corrections.correcting import read_amendment
from meters.corrections.models import MAX_REASON
from meters.events.bodies import Malformed
from meters.events.decoding import Limits
from meters.events.exact_json import to_text
from meters.models import Event

OLDER = "ask somebody who may upload old events"
REASON_HELP = "For whoever asks later; it is kept with your name."


def limits_of(request: HttpRequest) -> Limits:
    """How old an event this user may correct."""
    old = request.user.has_perm("meters.backfill_events")  # type: ignore[union-attr]
    return Limits(1, settings.INGEST_FUTURE, None if old else settings.INGEST_PAST, OLDER)


class VoidForm(NamedFields, BaseDialogForm):
    reason = forms.CharField(max_length=MAX_REASON, widget=UnfoldAdminTextInputWidget, help_text=REASON_HELP)


class AmendForm(NamedFields, BaseDialogForm):
    """What stands in it is what the event has; `amendment` is what was changed."""

    timestamp = forms.CharField(widget=UnfoldAdminTextInputWidget, help_text="With an offset; Z is UTC.")
    value = forms.CharField(required=False, widget=UnfoldAdminTextInputWidget, help_text="The event's own quantity.")
    properties = forms.CharField(
        widget=UnfoldAdminTextareaWidget(attrs={"rows": 10, "spellcheck": "false"}), help_text="All of them, as JSON."
    )
    reason = forms.CharField(max_length=MAX_REASON, widget=UnfoldAdminTextInputWidget, help_text=REASON_HELP)
    amendment: Amendment

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        event = Event.objects.filter(pk=self.object_id).first()
        if event is not None:
            properties = msgspec.json.format(to_text(event.properties).encode(), indent=2).decode()
            self.initial |= {
                "timestamp": event.timestamp.isoformat().replace("+00:00", "Z"),
                "value": "" if event.value is None else plain(event.value),
                "properties": properties,
            }

    def clean_value(self) -> str:
        typed = str(self.cleaned_data["value"])
        if self.initial.get("value") and not typed:
            raise forms.ValidationError("A value cannot be taken away: void the event, and send another without it.")
        return typed

    def clean(self) -> dict[str, Any]:
        given: dict[str, Any] = super().clean() or self.cleaned_data
        if not self.errors:
            try:
                self.amendment = read_amendment(self._body(given), clock.now(), limits_of(self.request))
            except Malformed as error:
                self.add_error("properties", str(error))
            except Refused as refused:
                for fault in refused.faults:
                    field = fault.field.partition(".")[0]
                    self.add_error(field if field in self.fields else "properties", fault.message)
        return given

    def _body(self, given: dict[str, Any]) -> bytes:
        """What was changed, as the API takes it; the properties as they were typed, digit by digit."""
        body: dict[str, Any] = {"reason": given["reason"]}
        for name in CHANGES:
            typed = given[name].replace("\r\n", "\n").strip()
            if typed and typed != str(self.initial.get(name, "")).strip():
                body[name] = msgspec.Raw(_json(typed)) if name == "properties" else typed
        return msgspec.json.encode(body)


def _json(text: str) -> bytes:
    """The text, when it is one JSON value. Raises Malformed."""
    try:
        return bytes(msgspec.json.decode(text.encode(), type=msgspec.Raw))
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        raise Malformed("This is no JSON object: look for a missing quotation mark, comma or brace.") from None
