"""What the database itself holds about invoices: triggers, so that no program and no person with SQL gets around it.

- An invoice is born a draft, and leaves that state once: to finalized or to empty.
- What has left it never changes again, nor do its lines: no update, no delete, no line added.
- Until then it stays what it was drafted for: customer, subscription, kind, period, timezone and currency.
- Leaving is checked: the total is the sum of the lines, an empty invoice has none.
- A number series never runs backwards, and moves by just the numbers that invoices take in the same statement.
- What is negotiated, and coupons, never reach into what is finalized.
- None of these tables can be emptied by TRUNCATE, which fires no other trigger.

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

# Its boundary has moved on with it: a draft that is gone would never be made again.
DRAFTS_STAY = pgtrigger.Trigger(
    name="drafts_stay",
    when=pgtrigger.Before,
    operation=pgtrigger.Delete,
    condition=pgtrigger.Q(old__status="draft"),
    func="""
        RAISE EXCEPTION 'Draft % is not deleted: nothing would bill its period again.', OLD.id
            USING ERRCODE = 'restrict_violation';
    """,
)

# Not the version: a draft is priced by the one that holds in its period when it is rated.
KEEP_TERMS = pgtrigger.Trigger(
    name="keep_terms",
    when=pgtrigger.Before,
    operation=pgtrigger.Update,
    condition=pgtrigger.AnyChange(
        "customer",
        "subscription",
        "kind",
        "sequence",
        "period_start",
        "period_end",
        "advance_end",
        "timezone",
        "currency",
    ),
    func="""
        RAISE EXCEPTION 'Invoice % keeps its customer, subscription, kind, period, timezone and currency.', OLD.id
            USING ERRCODE = 'restrict_violation';
    """,
)

NO_TRUNCATE = pgtrigger.Trigger(
    name="no_truncate",
    level=pgtrigger.Statement,
    when=pgtrigger.Before,
    operation=pgtrigger.Truncate,
    func="""
        RAISE EXCEPTION 'Invoices, their lines and their numbers are kept: they cannot be emptied away.'
            USING ERRCODE = 'restrict_violation';
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

# The numbers of a statement are the last that the series has given out, without a gap, in the series' own writing. That
# none is given twice, and none left out, is held by a unique constraint and by MOVES_WITH_INVOICES.
NUMBERS_ARE_THE_SERIES = pgtrigger.Trigger(
    name="numbers_are_the_series",
    level=pgtrigger.Statement,
    when=pgtrigger.After,
    operation=pgtrigger.Update,
    referencing=pgtrigger.Referencing(old="was", new="becomes"),
    declare=[("wrong", "record")],
    func="""
        SELECT given.id, given.number, series.code INTO wrong
          FROM (
            SELECT becomes.id, becomes.number, becomes.place, becomes.series_id,
                   min(becomes.place) OVER of_series AS first, max(becomes.place) OVER of_series AS last,
                   count(*) OVER of_series AS count
              FROM becomes JOIN was ON was.id = becomes.id AND was.status = 'draft'
             WHERE becomes.series_id IS NOT NULL
            WINDOW of_series AS (PARTITION BY becomes.series_id)
          ) given
          JOIN invoicing_numberseries series ON series.id = given.series_id
         WHERE given.last <> series.next_number - 1 OR given.first < 1 OR given.last - given.first + 1 <> given.count
            OR given.number <> series.prefix || lpad(
                 given.place::text, greatest(series.digits, length(given.place::text)), '0')
         LIMIT 1;
        IF FOUND THEN
            RAISE EXCEPTION 'Invoice % cannot take the number %: the series % has not given it out.',
                wrong.id, wrong.number, wrong.code USING ERRCODE = 'check_violation';
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

# Before its first number a series may be set to begin where another system ended. After that, each step of the counter
# has its invoice when the statement is over.
MOVES_WITH_INVOICES = pgtrigger.Trigger(
    name="moves_with_invoices",
    level=pgtrigger.Statement,
    when=pgtrigger.After,
    operation=pgtrigger.Update,
    referencing=pgtrigger.Referencing(old="was", new="becomes"),
    declare=[("wrong", "record")],
    func="""
        SELECT becomes.code, was.next_number AS before, becomes.next_number AS after INTO wrong
          FROM becomes
          JOIN was ON was.id = becomes.id AND was.next_number <> becomes.next_number
         WHERE EXISTS (SELECT FROM invoicing_invoice WHERE series_id = becomes.id)
           AND becomes.next_number - was.next_number <> (
             SELECT count(*) FROM invoicing_invoice
              WHERE series_id = becomes.id AND place >= was.next_number AND place < becomes.next_number)
         LIMIT 1;
        IF FOUND THEN
            RAISE EXCEPTION 'Number series % cannot move from % to %: no invoices take the numbers between.',
                wrong.code, wrong.before, wrong.after USING ERRCODE = 'check_violation';
        END IF;
        RETURN NULL;
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


# The subscription is locked (by an earlier trigger of the row), so that no draft is made meanwhile; its drafts here, so
# that a finalization that is under way is waited for. Its drafts are then rated anew at the next pass.
_AFTER_CLOSED = """
    PERFORM FROM invoicing_invoice
      WHERE subscription_id = NEW.subscription_id AND status = 'draft' ORDER BY id FOR NO KEY UPDATE;
    UPDATE invoicing_invoice SET rated_at = NULL WHERE subscription_id = NEW.subscription_id AND status = 'draft';
    SELECT max({bound}) INTO closed
      FROM invoicing_invoice
     WHERE subscription_id = NEW.subscription_id AND status IN ('finalized', 'empty');
"""
_DAY = "(closed AT TIME ZONE (SELECT timezone FROM customers_subscription WHERE id = NEW.subscription_id))::date"

# Fees in advance are finalized before their period is over: terms of those begin after it.
TERMS_AFTER_CLOSED = pgtrigger.Trigger(
    name="b_after_closed",
    when=pgtrigger.Before,
    operation=pgtrigger.Insert | pgtrigger.Update,
    declare=[("closed", "TIMESTAMPTZ"), ("in_advance", "BOOLEAN")],
    func=f"""
        in_advance := NEW.what IN ('fee', 'discount') AND EXISTS (
          SELECT FROM catalog_charge charge
            JOIN customers_subscription subscription ON subscription.version_id = charge.version_id
           WHERE subscription.id = NEW.subscription_id AND charge.timing IN ('advance', 'once')
             AND (NEW.charge = charge.code OR NEW.charge = ''));
        {
        _AFTER_CLOSED.format(
            bound="CASE WHEN in_advance THEN coalesce(advance_end, period_end) WHEN kind = 'period' THEN period_end END"
        )
    }
        IF (TG_OP = 'INSERT' AND NEW.starts_at < closed) OR (TG_OP = 'UPDATE' AND NEW.ends_at < closed) THEN
            RAISE EXCEPTION 'What is before % is invoiced: choose that day or a later one.', {_DAY}
                USING ERRCODE = 'check_violation', CONSTRAINT = 'term_after_closed';
        END IF;
        RETURN NEW;
    """,
)

COUPONS_AFTER_CLOSED = pgtrigger.Trigger(
    name="b_after_closed",
    when=pgtrigger.Before,
    operation=pgtrigger.Insert | pgtrigger.Update,
    declare=[("closed", "TIMESTAMPTZ")],
    func=f"""
        {_AFTER_CLOSED.format(bound="period_end")}
        IF (TG_OP = 'INSERT' AND NEW.first_at <= closed) OR (TG_OP = 'UPDATE' AND NEW.until_at <= closed) THEN
            RAISE EXCEPTION 'The invoice of % is finalized: choose a later one.', {_DAY}
                USING ERRCODE = 'check_violation', CONSTRAINT = 'redemption_after_closed';
        END IF;
        RETURN NEW;
    """,
)
