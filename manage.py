#!/usr/bin/env python
"""Django's command line for Tallybook: `.venv/bin/python manage.py help`."""

import os
import sys

from django.core.management import execute_from_command_line

if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "billing_site.settings")
    from django.db import OperationalError

    from billing_site.foundation.history_context import command_context

    with command_context(sys.argv[1] if len(sys.argv) > 1 else "help"):
        try:
            execute_from_command_line(sys.argv)
        except OperationalError:
            from billing_site.prepare import away

            reason = "" if "--traceback" in sys.argv else away()
            if not reason:
                raise
            sys.exit(f"{reason}\nServers of Tallybook's own run while `make run` does: leave it open beside this.")
