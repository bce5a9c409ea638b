"""The run, as tasks. Tables say what is to be done; a message is only a hint: a lost or a late one does no harm."""

from celery import Task, shared_task
from django.conf import settings

from billing_site.foundation import clock
from invoicing import closing, late, plan_moves, planning

# A hint that nobody took in a minute is dropped: beat has long given another.
HINT_EXPIRES_SECONDS = 60


@shared_task(name="invoicing.find_due")
def find_due() -> None:
    """By beat: plan what is due, and hand out every chunk that can be taken."""
    for chunk_id in planning.find_due(clock.now()):
        work_chunk.apply_async((chunk_id,), expires=HINT_EXPIRES_SECONDS)


@shared_task(name="invoicing.work_chunk", bind=True)
def work_chunk(self: Task, chunk_id: int) -> None:
    closing.work(chunk_id, worker=self.request.hostname or "")


@shared_task(name="invoicing.watch_late_usage")
def watch_late_usage() -> None:
    """By beat: look after usage that came into periods that are closed."""
    late.watch(limit=settings.INVOICE_CHUNK_SIZE)


@shared_task(name="invoicing.move_subscriptions")
def move_subscriptions() -> None:
    """By beat: move those whose time has come; a full turn is followed by the next at once."""
    if plan_moves.apply_due(limit=settings.INVOICE_CHUNK_SIZE) == settings.INVOICE_CHUNK_SIZE:
        move_subscriptions.apply_async(expires=HINT_EXPIRES_SECONDS)
