"""The forms in which operators negotiate terms and redeem coupons. What is wrong is said by the checks of the verbs."""

from collections.abc import Iterable, Mapping
from datetime import date
from decimal import Decimal
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from unfold.widgets import (
    UnfoldAdminSelectWidget,
    UnfoldAdminTextareaWidget,
    UnfoldAdminTextInputWidget,
    UnfoldBooleanWidget,
)

from billing_site.foundation.errors import Fault
from billing_site.foundation.money import plain
from catalog.coupons.issuing import as_code
from catalog.forms import PriceField, WholeField
from catalog.models import Coupon
from catalog.pricing.price import USED, Model, Price
from catalog.pricing.tiers import Tier
from customers.deals import checks, redeeming
from customers.deals.days import Wanted, earliest
from customers.models import Subscription
from customers.rating.negotiated import What

_FIGURE = PriceField()
FIGURES = ("unit_price", "size", "free", "percent", "fixed", "free_events")
COLUMNS = ("up_to", "unit_price", "flat_price", "package")
TIERS_HELP = (
    "A tier on each line: up to; price of one unit; flat fee; size of a package. What is not needed is left empty; the"
    " last tier begins with a semicolon, for it has no upper bound. For example “1000; 0.02” and below it “; 0.01; 5”."
)


class DayWidget(UnfoldAdminTextInputWidget):
    """The browser's own calendar."""

    input_type = "date"

    def format_value(self, value: Any) -> Any:
        return value.isoformat() if isinstance(value, date) else value


class NegotiateForm(forms.Form):
    """One term: the fields that it has, then from when until when, and why."""

    starts_on = forms.DateField(label="From", widget=DayWidget)
    ends_on = forms.DateField(
        label="Until, not included",
        required=False,
        widget=DayWidget,
        help_text="The day after the last. Empty: until somebody ends it.",
    )
    reason = forms.CharField(
        widget=UnfoldAdminTextInputWidget,
        max_length=checks.MAX_REASON,
        help_text="For whoever asks later; the invoice names it.",
    )

    def __init__(
        self,
        data: Mapping[str, str] | None,
        subscription: Subscription,
        what: What,
        charge: str,
        match: Mapping[str, str] | None,
        dimensions: Iterable[str],
        standard: Price | None,
    ) -> None:
        self.subscription, self.what, self.charge, self.match = subscription, what, charge, match
        self.dimensions = list(dimensions)
        first = earliest(subscription, what, charge)
        super().__init__(data, initial={"starts_on": first, **_initial(standard)}, label_suffix="")
        self.fields["starts_on"].help_text = f"A day of {subscription.timezone}, {first} or later."
        own = self._own_fields()
        self.fields = {**own, **self.fields}

    def _own_fields(self) -> dict[str, forms.Field]:
        if self.what == What.PRICE:
            values = {} if self.match is not None else {f"value_{name}": _value_field(name) for name in self.dimensions}
            return {**values, **_price_fields(), **({} if self.dimensions else _at_zero_field())}
        if self.what == What.INCLUDED:
            return {"quantity": PriceField(label="Included", help_text="Units of a full period that cost nothing.")}
        if self.what == What.DISCOUNT:
            fields: dict[str, forms.Field] = {
                "percent": PriceField(required=False, label="Percentage off", help_text="10 is 10 %.")
            }
            if self.charge:
                help_text = "In a full period, in place of a percentage; prorated for a part of one."
                fields["amount"] = PriceField(required=False, label="Amount off", help_text=help_text)
            return fields
        none = "Empty: no cap at all." if self.what == What.CAP else "Of a full period."
        return {"amount": PriceField(required=self.what != What.CAP, label=self.what.label, help_text=none)}

    def clean(self) -> dict[str, Any]:
        given = super().clean() or self.cleaned_data
        if not self.errors:
            for fault in checks.faults(self.subscription, self.wanted()):
                self._show(fault)
        return given

    def wanted(self) -> Wanted:
        """Once the fields themselves are good."""
        given = self.cleaned_data
        return Wanted(
            what=self.what,
            charge=self.charge,
            match=self._match(given),
            price=_price(given) if self.what == What.PRICE else None,
            quantity=given.get("quantity"),
            amount=given.get("amount"),
            percent=given.get("percent") if self.what == What.DISCOUNT else None,
            starts_on=given["starts_on"],
            ends_on=given["ends_on"],
            reason=given["reason"],
        )

    def _match(self, given: Mapping[str, Any]) -> dict[str, str]:
        if self.match is not None:
            return dict(self.match)
        values = {name: str(given.get(f"value_{name}", "")).strip() for name in self.dimensions}
        return {name: value for name, value in values.items() if value not in ("", "*")}

    def _show(self, fault: Fault) -> None:
        place = fault.field.removeprefix("price.").split(".")[0]
        field = place if place in self.fields else None
        self.add_error(field, ValidationError(fault.message, code=fault.code))


class TiersField(forms.CharField):
    """Tiers as lines of figures with semicolons between."""

    widget = UnfoldAdminTextareaWidget

    def prepare_value(self, value: Any) -> Any:
        if not isinstance(value, tuple):
            return value
        return "\n".join(
            "; ".join("" if each is None else plain(each) for each in _columns(tier)).rstrip("; ") for tier in value
        )

    def to_python(self, value: Any) -> Any:
        lines = [line for line in str(value or "").splitlines() if line.strip()]
        return tuple(_tier(line, number) for number, line in enumerate(lines, start=1))


def _columns(tier: Tier) -> list[Decimal | None]:
    flat = tier.flat_price if tier.flat_price or tier.package is not None else None
    return [tier.up_to, tier.unit_price, flat, tier.package]


def _tier(line: str, number: int) -> Tier:
    texts = [text.strip() for text in line.split(";")]
    if len(texts) > len(COLUMNS):
        raise ValidationError(f"Tier {number}, “{line}”, has more than {len(COLUMNS)} figures: {', '.join(COLUMNS)}.")
    try:
        figures = {name: _FIGURE.to_python(text) for name, text in zip(COLUMNS, texts, strict=False) if text}
    except ValidationError as error:
        raise ValidationError(f"Tier {number}: {error.messages[0]} Between figures stands “;”.") from None
    return Tier(figures.pop("up_to", None), **figures)


def _price_fields() -> dict[str, forms.Field]:
    return {
        "model": forms.ChoiceField(
            label="How it is priced",
            choices=[(each.value, each.label) for each in Model],
            widget=UnfoldAdminSelectWidget,
        ),
        "unit_price": PriceField(required=False, label="Price", help_text="Of one unit, one package, or flat."),
        "size": PriceField(required=False, label="Size of a package"),
        "free": PriceField(required=False, label="Free units", help_text="Of each period, in this row."),
        "percent": PriceField(required=False, label="Percent", help_text="Of the quantity; or the margin on cost."),
        "fixed": PriceField(required=False, label="Fixed fee of each event"),
        "free_events": WholeField(required=False, min_value=0, label="Free events", widget=UnfoldAdminTextInputWidget),
        "tiers": TiersField(required=False, help_text=TIERS_HELP),
    }


def _at_zero_field() -> dict[str, forms.Field]:
    """Of tiers, where there is one row for all usage: only there a fee can be due without any."""
    return {
        "flat_at_zero": forms.BooleanField(
            required=False,
            initial=True,
            label="The first tier's flat fee is due without usage, too",
            widget=UnfoldBooleanWidget,
        )
    }


def _value_field(dimension: str) -> forms.Field:
    return forms.CharField(
        required=False,
        initial="*",
        label=dimension,
        max_length=255,
        widget=UnfoldAdminTextInputWidget,
        help_text="A value as events have it, or * for any.",
    )


def _initial(price: Price | None) -> dict[str, Any]:
    if price is None:
        return {}
    figures = {name: getattr(price, name) for name in FIGURES if name in price.used()}
    return {"model": price.model.value, "tiers": price.tiers, "flat_at_zero": price.flat_at_zero, **figures}


def _price(given: Mapping[str, Any]) -> Price:
    """Of the fields those that the model uses; what stands in the others was not seen."""
    model = Model(given["model"])
    read = {name: given[name] for name in FIGURES if name in USED[model] and given.get(name) is not None}
    tiers = given["tiers"] if "tiers" in USED[model] else ()
    at_zero = given.get("flat_at_zero", True) if "flat_at_zero" in USED[model] else True
    return Price(model=model, tiers=tiers, flat_at_zero=at_zero, **read)


class EndTermForm(forms.Form):
    ends_on = forms.DateField(
        label="Until, not included",
        widget=DayWidget,
        help_text="The day after the last on which it holds. The day on which it begins: it never holds.",
    )


class RedeemForm(forms.Form):
    code = forms.CharField(
        label="Coupon",
        max_length=60,
        widget=UnfoldAdminTextInputWidget({"list": "coupons", "autocomplete": "off"}),
        help_text="Its code, in any letters.",
    )
    first_invoice_on = forms.DateField(
        label="First invoice due on or after",
        required=False,
        widget=DayWidget,
        help_text="Empty: the next invoice. The day of a draft: that draft, too.",
    )

    def __init__(self, data: Mapping[str, str] | None, subscription: Subscription) -> None:
        self.subscription = subscription
        super().__init__(data, label_suffix="")

    def offered(self) -> list[Coupon]:
        """Some that could be redeemed, for the list beside the field."""
        currency = self.subscription.customer.currency
        return list(Coupon.objects.filter(active=True, currency__in=["", currency]).order_by("code")[:100])

    def clean(self) -> dict[str, Any]:
        given = super().clean() or self.cleaned_data
        if not self.errors:
            for fault in redeeming.check(self.subscription, given["code"], given["first_invoice_on"]):
                field = fault.field if fault.field in self.fields else None
                self.add_error(field, ValidationError(fault.message, code=fault.code))
        return given

    def clean_code(self) -> str:
        return as_code(self.cleaned_data["code"])
