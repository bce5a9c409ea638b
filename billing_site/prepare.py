"""Bring the database up to date before the site serves: `python -m billing_site.prepare`, a child of the supervisor.

Ends with 0, or with `OWN_USERS` when the demo operator is not among the users, so that nobody is told to sign in as it;
with `AWAY` and one sentence when a server cannot be reached.
"""

import os
import sys

import django
from django.core.management import call_command

OWN_USERS = 3
AWAY = 4


def away() -> str:
    """Which server cannot be reached and why, by the variable that names it; "" when both answer."""
    import redis
    from django.conf import settings
    from django.db import OperationalError, connection

    from billing_site.logs import redact

    try:
        connection.ensure_connection()
        redis.Redis.from_url(settings.REDIS_URL, socket_connect_timeout=5).ping()
    except OperationalError as error:
        why = str(error).partition("\n")[0].removeprefix("connection failed: ")
        return redact(f"DATABASE_URL: {why}")
    except redis.RedisError as error:
        return redact(f"REDIS_URL: {error}")
    return ""


if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "billing_site.settings")
    django.setup()
    from billing_site import demo_operator
    from catalog.costs import reading as cost_reading

    if reason := away():
        sys.stderr.write(f"{reason}\n")
        sys.exit(AWAY)
    call_command("migrate", interactive=False, verbosity=1)
    cost_reading.fill_if_empty()
    demo_operator.create_if_first()
    sys.exit(0 if demo_operator.may_sign_in() else OWN_USERS)
