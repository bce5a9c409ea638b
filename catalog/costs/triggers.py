"""What the database itself keeps true of model costs: nothing is changed, and what was known when has one order.

Every row gets the instant of its transaction from one clock, which a transaction holds from its first row until it
ends: whatever commits later has a later instant, so all rows up to an instant that was read stay the same for ever.
"""

import pgtrigger

_REFUSED = "USING ERRCODE = 'check_violation', CONSTRAINT = 'model_cost_append_only'"

RECORDED_AT = pgtrigger.Trigger(
    name="recorded_at",
    when=pgtrigger.Before,
    operation=pgtrigger.Insert,
    declare=[("instant", "TEXT")],
    func="""
        instant := nullif(current_setting('tallybook.costs_recorded_at', true), '');
        IF instant IS NULL THEN
            INSERT INTO catalog_costclock AS clock (id, last) VALUES (1, clock_timestamp())
                ON CONFLICT (id) DO UPDATE
                SET last = greatest(clock_timestamp(), clock.last + interval '1 microsecond')
                RETURNING last::text INTO instant;
            PERFORM set_config('tallybook.costs_recorded_at', instant, true);
        END IF;
        NEW.recorded_at := instant::timestamptz;
        RETURN NEW;
    """,
)

APPEND_ONLY = pgtrigger.Trigger(
    name="append_only",
    when=pgtrigger.Before,
    operation=pgtrigger.Update | pgtrigger.Delete,
    func=f"""
        RAISE EXCEPTION 'Model costs are append-only: record a newer one, or withdraw it by a row that says so.'
            {_REFUSED};
    """,
)

NO_TRUNCATE = pgtrigger.Trigger(
    name="no_truncate",
    level=pgtrigger.Statement,
    when=pgtrigger.Before,
    operation=pgtrigger.Truncate,
    func=f"""
        RAISE EXCEPTION 'Model costs are kept: they cannot be emptied away.' {_REFUSED};
    """,
)

CLOCK_GOES_ON = pgtrigger.Trigger(
    name="clock_goes_on",
    when=pgtrigger.Before,
    operation=pgtrigger.Update | pgtrigger.Delete,
    func=f"""
        IF TG_OP = 'DELETE' OR NEW.last <= OLD.last OR NEW.id <> OLD.id THEN
            RAISE EXCEPTION 'The clock of model costs only goes on.' {_REFUSED};
        END IF;
        RETURN NEW;
    """,
)
