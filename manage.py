#!/usr/bin/env python
"""Django's command line for Tallybook."""

import os
import sys

from django.core.management import execute_from_command_line

if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "billing_site.settings")
    from billing_site.foundation.history_context import command_context

    with command_context(sys.argv[1] if len(sys.argv) > 1 else "help"):
        execute_from_command_line(sys.argv)
