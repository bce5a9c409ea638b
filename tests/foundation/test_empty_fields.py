"""What forms say of what was left empty, by kind of field and wherever a form comes from."""

import re
from typing import Any

import pytest
from django import forms
from django.contrib.admin import site
from django.contrib.auth.models import User
from django.contrib.postgres.forms import SimpleArrayField
from django.test import Client, RequestFactory

from billing_site.foundation.admin_base import ReadOnlyAdmin
from billing_site.foundation.empty_fields import NamedFields, name_fields

STOCK = "This field is required."


class Asked(NamedFields, forms.Form):
    name = forms.CharField(label="“token_type”")
    usage_date = forms.DateField()
    kind = forms.ChoiceField(choices=[("a", "A")])
    scopes = forms.MultipleChoiceField(choices=[("a", "A")])
    grace = forms.DurationField()
    places = forms.IntegerField()
    price = forms.DecimalField()
    agreed = forms.BooleanField()
    names = SimpleArrayField(forms.CharField())
    file = forms.FileField(error_messages={"required": "Choose a file."})


def test_each_kind_of_field_says_which_it_is_and_what_to_do() -> None:
    assert {name: errors[0] for name, errors in Asked({}).errors.items()} == {
        "name": "“Token_type” is empty: write it.",
        "usage_date": "“Usage date” is empty: choose a day.",
        "kind": "“Kind” is empty: choose one.",
        "scopes": "“Scopes” is empty: tick at least one.",
        "grace": "“Grace” is empty: write hours:minutes:seconds, for example 01:00:00.",
        "places": "“Places” is empty: write a number.",
        "price": "“Price” is empty: write a number.",
        "agreed": "“Agreed” is empty: tick it.",
        "names": "“Names” is empty: write one, or several with commas between them.",
        "file": "Choose a file.",
    }


@pytest.mark.parametrize(
    ("field", "typed", "said"),
    [
        (SimpleArrayField(forms.CharField()), "a,,b", "Place 2: nothing is there. Take away a comma"),
        (SimpleArrayField(forms.DecimalField()), "5, x", "Place 2: that is no number. Write it in digits"),
    ],
)
def test_the_place_in_a_list_is_told(field: forms.Field, typed: str, said: str) -> None:
    name_fields({"names": field})
    with pytest.raises(forms.ValidationError) as refused:
        field.clean(typed)
    assert refused.value.messages[0].startswith(said)


@pytest.mark.django_db
def test_no_page_of_the_admin_has_the_stock_words(rf: RequestFactory, admin_user: User) -> None:
    """Every form that somebody may fill in, those of its parts included."""
    request = rf.get("/")
    request.user = admin_user
    found = []
    for model, page in site._registry.items():
        if not page.has_add_permission(request) or isinstance(page, ReadOnlyAdmin):
            continue
        forms_of = [page.get_form(request)]
        if model.__name__ != "Charge":  # its rows are of a charge that is there
            forms_of += [formset.form for formset, _ in page.get_formsets_with_inlines(request)]
        named = [(model.__name__, name, field) for form in forms_of for name, field in form.base_fields.items()]
        found += [(place, name) for place, name, field in named if field.error_messages["required"] == STOCK]
    assert found == []


@pytest.mark.parametrize("path", ["/admin/calls/?first=&last=", "/admin/attribution/?property=&first=&last="])
def test_pages_over_events_name_the_day_that_is_missing(admin_client: Client, path: str) -> None:
    said: Any = re.findall(r"“From” is empty: choose a day\.", admin_client.get(path).content.decode())
    assert len(said) == 1
