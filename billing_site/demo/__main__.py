"""`make demo`: serve the site, send real traffic, have it billed, show the invoice, send it again, and end."""

import os
import sys
from contextlib import ExitStack

import django
from rich.console import Console

from billing_site import embedded, supervisor


def main() -> int:
    """Returns the exit code: 0 when the invoice came out and the second sending changed nothing."""
    console = Console()
    try:
        with ExitStack() as stack:
            with console.status("Starting database, queue, web, worker and beat …"):
                site = stack.enter_context(supervisor.site(holder="make demo"))
            console.print("[bold]Tallybook[/bold]: database, queue, web, worker and beat are running.")
            os.environ.setdefault("DJANGO_SETTINGS_MODULE", "billing_site.settings")
            django.setup()
            from billing_site.demo.story import tell  # models exist only after setup
            from billing_site.foundation.history_context import command_context

            with command_context("make demo"):
                return tell(site.base_url, console)
    except (embedded.StateHeld, embedded.ServerError, supervisor.SiteError, RuntimeError, TimeoutError) as error:
        console.print(f"\n[red]The demo stopped:[/red] {error}", highlight=False, markup=True)
        return 1
    except KeyboardInterrupt:
        console.print("\nStopped.")
        return 130


if __name__ == "__main__":
    sys.exit(main())
