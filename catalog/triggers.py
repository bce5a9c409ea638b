"""What the database itself keeps true of prices, whoever writes to it: what was published never changes.

A refusal is a check violation that carries a constraint name.
"""

import pgtrigger

_REFUSED = "USING ERRCODE = 'check_violation', CONSTRAINT = 'plan_version_published'"

# Publishing freezes the meters that the version uses, in this very statement. The meters are locked in the order of
# their ids, as every publication does, so that two that share meters do not wait for each other.
VERSION_STATES = pgtrigger.Trigger(
    name="version_states",
    when=pgtrigger.Before,
    operation=pgtrigger.Insert | pgtrigger.Update | pgtrigger.Delete,
    func=f"""
        IF TG_OP = 'INSERT' THEN
            IF NEW.status <> 'draft' THEN
                RAISE EXCEPTION 'A plan version begins as a draft.' {_REFUSED};
            END IF;
            RETURN NEW;
        END IF;
        IF OLD.status = 'draft' THEN
            IF TG_OP = 'DELETE' THEN RETURN OLD; END IF;
            IF NEW.status = 'retired' THEN
                RAISE EXCEPTION 'A draft cannot be retired: it was never published.' {_REFUSED};
            END IF;
            IF NEW.status = 'published' THEN
                PERFORM 1 FROM meters_meter
                    WHERE id IN (SELECT meter_id FROM catalog_charge WHERE version_id = NEW.id)
                    ORDER BY id FOR UPDATE;
                UPDATE meters_meter SET frozen_at = NEW.published_at
                    WHERE frozen_at IS NULL
                    AND id IN (SELECT meter_id FROM catalog_charge WHERE version_id = NEW.id);
            END IF;
            RETURN NEW;
        END IF;
        IF TG_OP = 'UPDATE' AND (
            to_jsonb(OLD) = to_jsonb(NEW)
            OR OLD.status = 'published' AND NEW.status = 'retired'
            AND to_jsonb(OLD) - ARRAY['status', 'retired_at'] = to_jsonb(NEW) - ARRAY['status', 'retired_at']
        ) THEN
            RETURN NEW;
        END IF;
        RAISE EXCEPTION 'Version % of the plan was published: it never changes.', OLD.number {_REFUSED};
    """,  # noqa: S608 - no input reaches it
)


def _in_draft(name: str, parent: str, find_version: str) -> pgtrigger.Trigger:
    """A part of a version is written only while the version is a draft.

    FOR SHARE waits for a publication that is under way, and lets none begin before this change commits. A part stays
    with its parent: a move could slip past that lock.
    """
    return pgtrigger.Trigger(
        name=name,
        when=pgtrigger.Before,
        operation=pgtrigger.Insert | pgtrigger.Update | pgtrigger.Delete,
        declare=[("parent", "BIGINT"), ("version", "RECORD")],
        func=f"""
            IF TG_OP = 'DELETE' THEN parent := OLD.{parent}; ELSE parent := NEW.{parent}; END IF;
            IF TG_OP = 'UPDATE' AND OLD.{parent} <> NEW.{parent} THEN
                RAISE EXCEPTION 'A charge stays with its version, and a row with its charge.' {_REFUSED};
            END IF;
            {find_version} FOR SHARE OF v;
            IF version.status <> 'draft' THEN
                RAISE EXCEPTION 'Version % of the plan was published: what it charges never changes.', version.number
                    {_REFUSED};
            END IF;
            IF TG_OP = 'DELETE' THEN RETURN OLD; END IF;
            RETURN NEW;
        """,
    )


CHARGE_IN_DRAFT = _in_draft(
    "charge_in_draft",
    "version_id",
    "SELECT v.status, v.number INTO version FROM catalog_planversion v WHERE v.id = parent",
)
CELL_IN_DRAFT = _in_draft(
    "cell_in_draft",
    "charge_id",
    "SELECT v.status, v.number INTO version FROM catalog_planversion v"
    " JOIN catalog_charge c ON c.version_id = v.id WHERE c.id = parent",
)

NO_TRUNCATE = pgtrigger.Trigger(
    name="no_truncate",
    level=pgtrigger.Statement,
    when=pgtrigger.Before,
    operation=pgtrigger.Truncate,
    func=f"""
        RAISE EXCEPTION 'Prices are kept: they cannot be emptied away.' {_REFUSED};
    """,
)
