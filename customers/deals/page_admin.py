"""The pages on which an operator negotiates a term of a subscription or redeems a coupon, and ends either."""

import json
from collections.abc import Callable, Mapping
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse

from billing_site.foundation import clock
from billing_site.foundation.errors import Refused
from billing_site.foundation.money import show
from billing_site.foundation.periods import local_date
from catalog.charges.priceable import priceable
from catalog.charges.row_checks import words
from catalog.coupons.words import takes_off
from customers.deals import overriding, previewing, price_warnings, redeeming, standard
from customers.deals.checks import charge_of
from customers.deals.days import span
from customers.deals.forms import EndTermForm, NegotiateForm, RedeemForm
from customers.models import Override, Redemption, Subscription
from customers.rating.negotiated import What
from customers.rating.rated import RatedLine

PAGE = "admin/customers/subscription/deal.html"


def urls() -> list[URLPattern]:
    """Below the admin's address of subscriptions."""
    pages: list[tuple[str, Callable[..., HttpResponse], str]] = [
        ("<int:number>/negotiate/", negotiate, "negotiate"),
        ("<int:number>/terms/<int:term>/end/", end_term, "end_term"),
        ("<int:number>/redeem/", redeem, "redeem"),
        ("<int:number>/coupons/<int:redemption>/end/", end_redemption, "end_redemption"),
    ]
    return [
        path(address, admin.site.admin_view(page), name=f"customers_subscription_{name}")
        for address, page, name in pages
    ]


def context_of(request: HttpRequest, subscription: Subscription) -> dict[str, Any]:
    """What the page of a subscription shows of its deals, to who may see them."""
    user = request.user
    shown: dict[str, Any] = {"may_negotiate": user.has_perm("customers.add_override")}
    shown |= {"may_end": user.has_perm("customers.change_override")}
    shown |= {"may_redeem": user.has_perm("customers.add_redemption")}
    shown |= {"may_end_coupon": user.has_perm("customers.change_redemption")}
    if user.has_perm("customers.view_override") or shown["may_negotiate"]:
        found = standard.table(subscription)
        shown |= {"terms": found, "groups": [_group(*each, found) for each in standard.groups(found.rows)]}
    if user.has_perm("customers.view_redemption") or shown["may_redeem"]:
        shown["redemptions"] = [_redeemed(each) for each in _redemptions(subscription)]
    return shown


def _group(name: str, rows: list[standard.TermRow], found: standard.Table) -> dict[str, Any]:
    code = rows[0].charge
    usage = any(row.what == What.PRICE for row in rows)
    shown = [{"row": row, "match": json.dumps(dict(row.match), ensure_ascii=False)} for row in rows]
    differs = any(row.agreed for row in rows)
    hidden = found.hidden.get(code, 0) if usage else 0
    return {"name": name, "rows": shown, "code": code, "hidden": hidden, "usage": usage, "open": differs}


def _redemptions(subscription: Subscription) -> Any:
    return Redemption.objects.filter(subscription=subscription).select_related("coupon", "subscription")


def _redeemed(redemption: Redemption) -> dict[str, Any]:
    zone, until = redemption.subscription.timezone, redemption.until_at
    first = local_date(redemption.first_at, zone)
    withdrawn = until is not None and until <= redemption.first_at
    days = f"from the invoice of {first} on" if until is None else f"invoices of {first} to before"
    days += "" if until is None else f" {local_date(until, zone)}"
    over = until is not None and until <= clock.now()
    return {
        "redemption": redemption,
        "takes_off": takes_off(redemption.coupon),
        "invoices": "none: taken back" if withdrawn else days,
        "open": not withdrawn and not over,
    }


def negotiate(request: HttpRequest, number: int) -> HttpResponse:
    subscription = _found(request, number, "customers.add_override")
    what, charge, match = _asked(request.GET)
    of = charge_of(subscription, charge) if charge else None
    if charge and of is None:
        raise Http404
    dimensions = priceable(of.meter).dimensions if of is not None and of.meter is not None else ()
    price = None
    if what == What.PRICE and of is not None and match is not None:
        price = standard.standard_price(subscription, of, match)
    form = NegotiateForm(request.POST or None, subscription, what, charge, match, dimensions, price)
    name = of.name if of is not None else "All lines" if what == What.DISCOUNT else "All usage"
    row = f", {words(match)}" if what == What.PRICE and match is not None else ""
    context = {
        "about": f"{name}: {what.label.lower()}{row}",
        "standard": standard.standard_text(subscription, what, charge, match or {}),
        "verb": "Negotiate",
    }
    return _answer(
        request,
        subscription,
        form,
        lambda: overriding.override(subscription, form.wanted()),
        "It is negotiated. The next draft has it.",
        context,
        lambda: price_warnings.warnings(subscription, form.wanted()),
    )


def redeem(request: HttpRequest, number: int) -> HttpResponse:
    subscription = _found(request, number, "customers.add_redemption")
    form = RedeemForm(request.POST or None, subscription)
    context = {"about": "Redeem a coupon", "verb": "Redeem", "offered": form.offered()}
    return _answer(
        request,
        subscription,
        form,
        lambda: redeeming.redeem(
            subscription, form.cleaned_data["code"], first_invoice_on=form.cleaned_data["first_invoice_on"]
        ),
        "The coupon is redeemed. The next draft has it.",
        context,
    )


def end_term(request: HttpRequest, number: int, term: int) -> HttpResponse:
    subscription = _found(request, number, "customers.change_override")
    override = get_object_or_404(Override.objects.select_related("subscription"), pk=term, subscription=subscription)
    form = EndTermForm(request.POST or None, label_suffix="")
    context = {
        "about": f"End what holds {span(override, subscription.timezone)}: “{override.reason}”",
        "verb": "End it",
    }
    return _answer(
        request,
        subscription,
        form,
        lambda: overriding.end_override(override, form.cleaned_data["ends_on"]),
        "It ends then.",
        context,
    )


def end_redemption(request: HttpRequest, number: int, redemption: int) -> HttpResponse:
    subscription = _found(request, number, "customers.change_redemption")
    row = get_object_or_404(_redemptions(subscription), pk=redemption)
    about = f"Let “{row.coupon}” take off nothing more? Drafts lose it, finalized invoices keep it."
    form = forms.Form(request.POST if request.method == "POST" else None)
    context = {"about": about, "verb": "End it"}
    return _answer(
        request,
        subscription,
        form,
        lambda: redeeming.end_redemption(row),
        "The coupon takes off nothing more.",
        context,
    )


def _found(request: HttpRequest, number: int, permission: str) -> Subscription:
    if not request.user.has_perm(permission):
        raise PermissionDenied
    return get_object_or_404(Subscription.objects.select_related("customer", "version__plan"), pk=number)


def _asked(query: Mapping[str, str]) -> tuple[What, str, dict[str, str] | None]:
    """Which term the link was for. A price without a row is for one whose values are to be written."""
    try:
        what = What(query.get("what", ""))
        match = json.loads(query["row"]) if "row" in query else None
    except ValueError:
        raise Http404 from None
    if match is not None and not (
        isinstance(match, dict) and all(isinstance(value, str) and "\0" not in value for value in match.values())
    ):
        raise Http404
    return what, query.get("charge", ""), match


def _answer(
    request: HttpRequest,
    subscription: Subscription,
    form: forms.Form,
    do: Callable[[], object],
    said: str,
    context: dict[str, Any],
    warn: Callable[[], list[str]] = list,
) -> HttpResponse:
    """Show the form; asked for by POST: what would come of it, or do it and go back to the subscription.

    What `warn` tells is shown before anything is done: it is done once somebody has ticked that very text.
    """
    back = reverse("admin:customers_subscription_change", args=[subscription.pk])
    preview: previewing.Comparison | None = None
    previewed = request.method == "POST" and "preview" in request.POST
    if request.method == "POST" and form.is_valid():
        warnings = warn()
        told = _one_line(warnings)
        unread = bool(warnings) and _one_line([request.POST.get("despite", "")]) != told
        context = {**context, "warnings": warnings, "despite": told, "unread": unread and not previewed}
        try:
            if not (previewed or unread):
                do()
                messages.success(request, said)
                return HttpResponseRedirect(f"{back}#terms")
            preview, previewed = previewing.preview(subscription, do), True
        except Refused as refused:
            for fault in refused.faults:
                messages.error(request, fault.message)
            previewed = False
    shown = {**admin.site.each_context(request), "title": f"{context['about']}", "form": form, "back": back}
    shown |= {"subscription": subscription, "opts": Subscription._meta, "original": subscription}
    shown |= {"previewed": previewed and form.is_valid(), **context}
    if preview is not None:
        shown["preview"] = _shown(preview, subscription)
    return TemplateResponse(request, PAGE, shown)


def _one_line(texts: list[str]) -> str:
    """As a form sends it back: a browser rewrites what ends a line."""
    return " ".join(" ".join(texts).split())


def _shown(preview: previewing.Comparison, subscription: Subscription) -> dict[str, Any]:
    currency, zone = subscription.customer.currency, subscription.timezone
    before, after = preview.totals
    return {
        "before": show(before, currency),
        "after": show(after, currency),
        "difference": show(after - before, currency),
        "lines": [
            {"description": line.description, "days": _days(line, zone), "amount": show(line.amount, currency)}
            for line in preview.after
        ],
        "problems": preview.problems,
    }


def _days(line: RatedLine, timezone: str) -> str:
    return f"{local_date(line.service.start, timezone)} to {local_date(line.service.end, timezone)}"
