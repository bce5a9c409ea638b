"""What the database itself keeps true of meters and events, whoever writes to it.

A refusal is a check violation that carries a constraint name.
"""

import pgtrigger

# Advisory lock of this database under which meters are defined and events counted: ingestion holds it shared while it
# counts, what changes a meter holds it exclusively until it commits. So no event is counted under a definition that has
# changed.
DEFINITIONS_LOCK = (74051, 1)

APPEND_ONLY = pgtrigger.Trigger(
    name="append_only",
    when=pgtrigger.Before,
    operation=pgtrigger.Update | pgtrigger.Delete,
    func="""
        RAISE EXCEPTION 'Events are append-only: correct them by sending more.'
            USING ERRCODE = 'check_violation', CONSTRAINT = 'event_append_only';
    """,
)

# Two forms of one event never count together: what comes in names the same event as what goes out.
CORRECTION_FITS = pgtrigger.Trigger(
    name="correction_fits",
    when=pgtrigger.Before,
    operation=pgtrigger.Insert,
    condition=pgtrigger.Q(new__replacement__isnull=False),
    func="""
        IF NOT EXISTS (
            SELECT FROM meters_event AS gone JOIN meters_event AS form ON form.id = NEW.replacement_id
            WHERE gone.id = NEW.event_id
                AND form.replaces = coalesce(gone.replaces, gone.id)
                AND form.id > gone.id
                AND (form.customer, form.reference, form.type) = (gone.customer, gone.reference, gone.type)
        ) THEN
            RAISE EXCEPTION 'An amended form takes the place of the same event.'
                USING ERRCODE = 'check_violation', CONSTRAINT = 'correction_fits';
        END IF;
        RETURN NEW;
    """,
)
CORRECTIONS_APPEND_ONLY = pgtrigger.Trigger(
    name="append_only",
    when=pgtrigger.Before,
    operation=pgtrigger.Update | pgtrigger.Delete,
    func="""
        RAISE EXCEPTION 'Corrections are append-only.'
            USING ERRCODE = 'check_violation', CONSTRAINT = 'correction_append_only';
    """,
)
# Checked at the end of the transaction, and not at all for what is sent.
REPLACEMENT_IS_A_CORRECTION = pgtrigger.Trigger(
    name="replacement_is_a_correction",
    when=pgtrigger.After,
    operation=pgtrigger.Insert,
    timing=pgtrigger.Deferred,
    condition=pgtrigger.Q(new__replaces__isnull=False),
    func="""
        IF NOT EXISTS (SELECT FROM meters_correction WHERE replacement_id = NEW.id) THEN
            RAISE EXCEPTION 'An amended form comes with the correction that puts it in place.'
                USING ERRCODE = 'check_violation', CONSTRAINT = 'event_replacement_is_a_correction';
        END IF;
        RETURN NULL;
    """,
)

NO_TRUNCATE = pgtrigger.Trigger(
    name="no_truncate",
    level=pgtrigger.Statement,
    when=pgtrigger.Before,
    operation=pgtrigger.Truncate,
    func="""
        RAISE EXCEPTION 'Events, meters and what is counted are kept: they cannot be emptied away.'
            USING ERRCODE = 'check_violation', CONSTRAINT = 'usage_kept';
    """,
)

FROZEN_METER = pgtrigger.Trigger(
    name="frozen_meter",
    when=pgtrigger.Before,
    operation=pgtrigger.Update | pgtrigger.Delete,
    condition=pgtrigger.Q(old__frozen_at__isnull=False),
    func="""
        IF TG_OP = 'UPDATE' AND (
            (OLD.id, OLD.code, OLD.event_type, OLD.aggregation, OLD.value_kind, OLD.recurring,
            OLD.rounding, OLD.rounding_places, OLD.unit, OLD.label_dimension, OLD.frozen_at)
            IS NOT DISTINCT FROM
            (NEW.id, NEW.code, NEW.event_type, NEW.aggregation, NEW.value_kind, NEW.recurring,
            NEW.rounding, NEW.rounding_places, NEW.unit, NEW.label_dimension, NEW.frozen_at)
        ) THEN
            RETURN NEW;
        END IF;
        RAISE EXCEPTION 'The meter “%” is frozen: a published plan version uses it.', OLD.code
            USING ERRCODE = 'check_violation', CONSTRAINT = 'meter_frozen';
    """,
)

# FOR SHARE waits for a publication that is freezing the meter just now, and lets none begin before this change commits.
PART_OF_FROZEN_METER = pgtrigger.Trigger(
    name="part_of_frozen_meter",
    when=pgtrigger.Before,
    operation=pgtrigger.Insert | pgtrigger.Update | pgtrigger.Delete,
    declare=[("meter", "RECORD")],
    func="""
        FOR meter IN
            SELECT code, frozen_at FROM meters_meter
            WHERE id IN (
                CASE WHEN TG_OP <> 'INSERT' THEN OLD.meter_id END, CASE WHEN TG_OP <> 'DELETE' THEN NEW.meter_id END
            )
            ORDER BY id
            FOR SHARE
        LOOP
            IF meter.frozen_at IS NOT NULL THEN
                RAISE EXCEPTION 'The meter “%” is frozen: a published plan version uses it.', meter.code
                    USING ERRCODE = 'check_violation', CONSTRAINT = 'meter_frozen';
            END IF;
        END LOOP;
        IF TG_OP = 'DELETE' THEN RETURN OLD; END IF;
        RETURN NEW;
    """,
)


def definition_changes(operation: pgtrigger.Operation) -> pgtrigger.Trigger:
    """Take the lock and note a new revision before any statement that may change what events count as."""
    return pgtrigger.Trigger(
        name="definition_changes",
        level=pgtrigger.Statement,
        when=pgtrigger.Before,
        operation=operation,
        func="""
            PERFORM pg_advisory_xact_lock(74051, 1);
            INSERT INTO meters_definitionrevision (id, revision) VALUES (1, gen_random_uuid())
                ON CONFLICT (id) DO UPDATE SET revision = excluded.revision;
            RETURN NULL;
        """,
    )


METER_CHANGES = definition_changes(
    pgtrigger.Insert
    | pgtrigger.Delete
    | pgtrigger.UpdateOf(
        "event_type",
        "aggregation",
        "value_kind",
        "recurring",
        "rounding",
        "rounding_places",
        "label_dimension",
        "generation",
    )
)
PART_CHANGES = definition_changes(pgtrigger.Insert | pgtrigger.Update | pgtrigger.Delete)

# Day totals follow what they are totals of, whoever changes it. Adding to buckets is not among the triggers: that is
# the way of every event, and `meters.usage.stale_days` tells the few that come late from all others.
_MARK_DAYS = """
    INSERT INTO meters_daytotal AS total (customer, series_id, day, quantity, events, stale)
    SELECT DISTINCT series.customer, series.id, date_trunc('day', gone.hour, 'UTC'), NULL::numeric, 0, true
    FROM gone JOIN meters_series AS series ON series.id = gone.series_id
    WHERE gone.hour < (SELECT closed_until FROM meters_dayclosing)
    ORDER BY 1, 2, 3
    ON CONFLICT (customer, series_id, day) DO UPDATE SET stale = true WHERE NOT total.stale;
    RETURN NULL;
"""
DAYS_OF_DELETED_BUCKETS = pgtrigger.Trigger(
    name="days_of_deleted_buckets",
    level=pgtrigger.Statement,
    when=pgtrigger.After,
    operation=pgtrigger.Delete,
    referencing=pgtrigger.Referencing(old="gone"),
    func=_MARK_DAYS,
)
DAYS_OF_CHANGED_METER = pgtrigger.Trigger(
    name="days_of_changed_meter",
    when=pgtrigger.After,
    operation=pgtrigger.UpdateOf("aggregation", "value_kind"),
    func="""
        UPDATE meters_daytotal AS total SET stale = true
        FROM meters_series AS series
        WHERE series.meter_id = NEW.id AND total.customer = series.customer AND total.series_id = series.id
            AND NOT total.stale;
        RETURN NULL;
    """,
)
