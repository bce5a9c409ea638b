"""The Celery application: `celery -A billing_site worker` and `… beat`."""

import os
import warnings
from typing import Any

from celery import Celery
from celery.signals import setup_logging
from django_structlog.celery.steps import DjangoStructLogInitStep

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "billing_site.settings")

# In a container the only user is often root. What Celery warns of is pickled messages; ours are JSON.
warnings.filterwarnings("ignore", "You're running the worker with superuser privileges")

app = Celery("billing_site")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.steps["worker"].add(DjangoStructLogInitStep)
app.autodiscover_tasks()


@setup_logging.connect(weak=False)
def _use_django_logging(**_: Any) -> None:
    """Taking part in this signal keeps Celery from setting up logs of its own; Django has set up ours."""


@app.on_after_finalize.connect
def _connect_heartbeats(**_: Any) -> None:
    """Workers and beat show that they are alive; see the module."""
    from billing_site import heartbeats  # noqa: F401
