"""The form in which an operator makes an API key."""

from typing import Any

from django import forms
from unfold.widgets import UnfoldAdminCheckboxSelectMultipleWidget

from billing_site.foundation.api_keys import check_key
from billing_site.foundation.models import ApiKey, Scope


class NewKeyForm(forms.ModelForm):
    """Name, scopes and expiry; the rest is made."""

    scopes = forms.MultipleChoiceField(
        choices=Scope.choices,
        widget=UnfoldAdminCheckboxSelectMultipleWidget,
        help_text="What the key may do. This cannot be changed later: whoever holds the key would not notice.",
    )

    class Meta:
        model = ApiKey
        fields = ("name", "scopes", "expires_at")

    def clean(self) -> dict[str, Any]:
        given = super().clean() or self.cleaned_data
        if not self.errors:
            for fault in check_key(given["name"], given["scopes"], given.get("expires_at")):
                self.add_error(fault.field, forms.ValidationError(fault.message, code=fault.code))
        return given
