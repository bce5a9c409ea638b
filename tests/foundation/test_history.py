"""What was configured, and its history, cannot be emptied away, by SQL neither."""

import pytest
from django.apps import apps
from django.db import IntegrityError, connection, models, transaction
from pghistory.models import Event

from billing_site.foundation.api_keys import create_key

HISTORIES = [model for model in apps.get_models() if issubclass(model, Event)]
TRACKED = [model.pgh_tracked_model for model in HISTORIES]


def test_every_kind_of_configuration_has_a_history() -> None:
    names = {model.__name__ for model in TRACKED}
    assert {"Product", "Plan", "PlanVersion", "Charge", "Cell", "Meter", "Customer", "Subscription", "ApiKey"} <= names


@pytest.mark.django_db
@pytest.mark.parametrize("model", [*TRACKED, *HISTORIES], ids=lambda model: model._meta.db_table)
def test_it_cannot_be_emptied_away(model: type[models.Model]) -> None:
    with pytest.raises(IntegrityError, match="kept"), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(f"TRUNCATE {model._meta.db_table} CASCADE")


@pytest.mark.django_db
@pytest.mark.parametrize("statement", ["UPDATE {} SET name = 'x'", "DELETE FROM {}", "TRUNCATE {}"])
def test_the_history_of_keys_stays_as_it_was_written(statement: str) -> None:
    key, _ = create_key("gateway", ["read"])
    table = "foundation_apikeyhistory"
    with (
        pytest.raises(Exception, match=r"Cannot update or delete|is kept"),
        transaction.atomic(),
        connection.cursor() as cursor,
    ):
        cursor.execute(statement.format(table))
    [kept] = [model for model in HISTORIES if model._meta.db_table == table]
    assert list(kept.objects.filter(pgh_obj_id=key.pk).values_list("pgh_label", "name")) == [("insert", "gateway")]
