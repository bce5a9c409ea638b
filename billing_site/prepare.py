"""Bring the database up to date before the site serves: `python -m billing_site.prepare`, a child of the supervisor.

Ends with 0, or with `OWN_USERS` when the demo operator is not among the users, so that nobody is told to sign in as it.
"""

import os
import sys

import django
from django.core.management import call_command

OWN_USERS = 3

if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "billing_site.settings")
    django.setup()
    from billing_site import demo_operator

    call_command("migrate", interactive=False, verbosity=1)
    demo_operator.create_if_first()
    sys.exit(0 if demo_operator.may_sign_in() else OWN_USERS)
