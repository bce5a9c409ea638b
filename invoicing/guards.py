"""What the database itself holds about invoices: triggers, so that no program and no person with SQL gets around it.

- An invoice is born a draft, and leaves that state once: to finalized or to empty.
- What has left it never changes again, nor do its lines: no update, no delete, no line added.
- Leaving is checked: the total is the sum of the lines, an empty invoice has none.
- A number series never runs backwards.

The triggers of lines are statement-level and look at transition tables, so that COPY of a whole chunk is checked by
one query. Each takes a share lock on the invoices first: a line cannot slip in beside a finalization that does not
see it yet.
"""

import pgtrigger

BORN_A_DRAFT = pgtrigger.Trigger(
    name="born_a_draft",
    when=pgtrigger.Before,
    operation=pgtrigger.Insert,
    condition=~pgtrigger.Q(new__status="draft"),
    func="""
        RAISE EXCEPTION 'An invoice begins as a draft, not as %.', NEW.status USING ERRCODE = 'check_violation';
    """,
)

FROZEN = pgtrigger.Trigger(
    name="frozen",
    when=pgtrigger.Before,
    operation=pgtrigger.Update | pgtrigger.Delete,
    condition=~pgtrigger.Q(old__status="draft"),
    func="""
        RAISE EXCEPTION 'Invoice % (%) is % and never changes again.', OLD.id, OLD.number, OLD.status
            USING ERRCODE = 'restrict_violation';
    """,
)

KNOWN_WAY_OUT = pgtrigger.Trigger(
    name="known_way_out",
    when=pgtrigger.Before,
    operation=pgtrigger.Update,
    condition=pgtrigger.Q(old__status="draft") & ~pgtrigger.Q(new__status__in=["draft", "finalized", "empty"]),
    func="""
        RAISE EXCEPTION 'A draft becomes finalized or empty, not %.', NEW.status USING ERRCODE = 'check_violation';
    """,
)

# Statement-level: one query for all invoices of a chunk. Lines are gathered once, not looked up for each invoice: on a
# young table, which PostgreSQL still takes for empty, it would read all of it for each.
TOTAL_IS_SUM = pgtrigger.Trigger(
    name="total_is_sum",
    level=pgtrigger.Statement,
    when=pgtrigger.After,
    operation=pgtrigger.Update,
    referencing=pgtrigger.Referencing(new="closed"),
    declare=[("wrong", "record")],
    func="""
        SELECT closed.id, closed.status, closed.total, coalesce(lines.count, 0) AS count,
               coalesce(lines.total, 0) AS sum INTO wrong
          FROM closed
          LEFT JOIN (
            SELECT invoice_id, count(*) AS count, sum(amount) AS total
              FROM invoicing_line WHERE invoice_id IN (SELECT id FROM closed WHERE status <> 'draft')
             GROUP BY invoice_id
          ) lines ON lines.invoice_id = closed.id
         WHERE closed.status IN ('finalized', 'empty')
           AND (closed.total <> coalesce(lines.total, 0) OR (closed.status = 'empty') <> (lines.count IS NULL))
         LIMIT 1;
        IF FOUND THEN
            RAISE EXCEPTION 'Invoice % cannot become %: its total is %, its % lines come to %.',
                wrong.id, wrong.status, wrong.total, wrong.count, wrong.sum USING ERRCODE = 'check_violation';
        END IF;
        RETURN NULL;
    """,
)

_LINES_OF_DRAFTS = """
    PERFORM 1 FROM invoicing_invoice
      WHERE id IN (SELECT invoice_id FROM {touched}) ORDER BY id FOR SHARE;
    SELECT id, number, status INTO closed FROM invoicing_invoice
      WHERE id IN (SELECT invoice_id FROM {touched}) AND status <> 'draft' LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'Invoice % (%) is %: its lines never change again.', closed.id, closed.number, closed.status
            USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NULL;
"""


def _lines_frozen(operation: pgtrigger.Operation, *tables: str) -> pgtrigger.Trigger:
    """PostgreSQL gives transition tables to triggers of one operation only: hence three of them."""
    both = " UNION ".join(f"SELECT invoice_id FROM {table}" for table in tables)  # noqa: S608 - two names below
    return pgtrigger.Trigger(
        name=f"lines_frozen_{str(operation).lower()}",
        level=pgtrigger.Statement,
        when=pgtrigger.After,
        operation=operation,
        referencing=pgtrigger.Referencing(
            old="was" if "was" in tables else None,
            new="becomes" if "becomes" in tables else None,
        ),
        declare=[("closed", "record")],
        func=_LINES_OF_DRAFTS.format(touched=f"({both}) touched"),
    )


LINES_FROZEN = [
    _lines_frozen(pgtrigger.Insert, "becomes"),
    _lines_frozen(pgtrigger.Update, "was", "becomes"),
    _lines_frozen(pgtrigger.Delete, "was"),
]

ONLY_FORWARD = pgtrigger.Trigger(
    name="only_forward",
    when=pgtrigger.Before,
    operation=pgtrigger.Update,
    condition=pgtrigger.Q(new__next_number__lt=pgtrigger.F("old__next_number"))
    | pgtrigger.Q(old__code__df=pgtrigger.F("new__code")),
    func="""
        RAISE EXCEPTION 'Number series % keeps its code and never runs backwards.', OLD.code
            USING ERRCODE = 'restrict_violation';
    """,
)

SERIES_STAYS = pgtrigger.Trigger(
    name="series_stays",
    when=pgtrigger.Before,
    operation=pgtrigger.Delete,
    condition=pgtrigger.Q(old__next_number__gt=1),
    func="""
        RAISE EXCEPTION 'Number series % has given out numbers and stays.', OLD.code
            USING ERRCODE = 'restrict_violation';
    """,
)
