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
            IF NEW.currency <> OLD.currency
               AND EXISTS (SELECT FROM catalog_pricelist WHERE version_id = NEW.id AND currency = NEW.currency) THEN
                RAISE EXCEPTION 'The version has a price list in % already: remove it first.', NEW.currency
                    USING ERRCODE = 'check_violation', CONSTRAINT = 'price_list_other_currency';
            END IF;
            IF NEW.status = 'published' THEN
                IF NEW.commitment_product_id IS NULL
                   AND EXISTS (SELECT FROM catalog_pricelist WHERE version_id = NEW.id AND minimum IS NOT NULL) THEN
                    RAISE EXCEPTION 'A price list has a minimum: say which product the line of it is.'
                        USING ERRCODE = 'check_violation', CONSTRAINT = 'price_list_minimum_has_product';
                END IF;
                PERFORM 1 FROM catalog_plan WHERE id = NEW.plan_id FOR SHARE;
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


def _in_draft(name: str, parent: str, find_version: str, further: str = "") -> pgtrigger.Trigger:
    """A part of a version is written only while the version is a draft.

    FOR SHARE waits for a publication that is under way, and lets none begin before this change commits. A part stays
    with its parent: a move could slip past that lock. `further`: what else must hold of a row that is written.
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
            {further}
            RETURN NEW;
        """,
    )


_OF_VERSION = "SELECT v.* INTO version FROM catalog_planversion v WHERE v.id = parent"
_OF_CHARGE = (
    "SELECT v.* INTO version FROM catalog_planversion v JOIN catalog_charge c ON c.version_id = v.id"
    " WHERE c.id = parent"
)
_LIST_OF_VERSION = """
    IF NEW.price_list_id IS NOT NULL AND NOT EXISTS (
        SELECT FROM catalog_pricelist WHERE id = NEW.price_list_id AND version_id = version.id
    ) THEN
        RAISE EXCEPTION 'A price list belongs to one version, and prices the charges of that one alone.'
            USING ERRCODE = 'check_violation', CONSTRAINT = 'price_list_of_version';
    END IF;
"""
CHARGE_IN_DRAFT = _in_draft("charge_in_draft", "version_id", _OF_VERSION)
LIST_IN_DRAFT = _in_draft(
    "list_in_draft",
    "version_id",
    _OF_VERSION,
    """
        IF NEW.currency = version.currency THEN
            RAISE EXCEPTION 'The version is in % itself: a price list is in another currency.', NEW.currency
                USING ERRCODE = 'check_violation', CONSTRAINT = 'price_list_other_currency';
        END IF;
    """,
)
AMOUNT_IN_DRAFT = _in_draft("amount_in_draft", "charge_id", _OF_CHARGE, _LIST_OF_VERSION)
CELL_IN_DRAFT = _in_draft("cell_in_draft", "charge_id", _OF_CHARGE, _LIST_OF_VERSION)

# A CHECK cannot look into an array in order.
CELL_TIERS_IN_ORDER = pgtrigger.Trigger(
    name="cell_tiers_in_order",
    when=pgtrigger.Before,
    operation=pgtrigger.Insert | pgtrigger.Update,
    condition=pgtrigger.Condition(
        "NEW.unit_prices <> '{}' OR NEW.flat_prices <> '{}' OR NEW.bounds <> '{}' OR NEW.packages <> '{}'"
    ),
    func="""
        IF cardinality(NEW.flat_prices) <> cardinality(NEW.unit_prices)
           OR cardinality(NEW.packages) <> cardinality(NEW.unit_prices)
           OR NOT coalesce(0 < ALL (array_remove(NEW.packages, NULL)), true)
           OR cardinality(NEW.bounds) <> cardinality(NEW.unit_prices) - 1
           OR NOT (0 < ALL (NEW.bounds) AND 0 <= ALL (NEW.unit_prices) AND 0 <= ALL (NEW.flat_prices))
           OR NEW.bounds <> ARRAY(SELECT DISTINCT bound FROM unnest(NEW.bounds) AS bound ORDER BY bound)
           OR NEW.model = 'stairstep' AND NOT (0 = ALL (NEW.unit_prices))
        THEN
            RAISE EXCEPTION 'Tiers end at rising bounds above 0, the last one is open, and no price is negative.'
                USING ERRCODE = 'check_violation', CONSTRAINT = 'cell_tiers_in_order';
        END IF;
        RETURN NEW;
    """,
)

# Publishing locks the plan's row, so that the two follow each other.
CONSUMPTION_STAYS = pgtrigger.Trigger(
    name="consumption_stays",
    when=pgtrigger.Before,
    operation=pgtrigger.UpdateOf("consumption"),
    func="""
        IF NEW.consumption <> OLD.consumption
           AND EXISTS (SELECT FROM catalog_planversion WHERE plan_id = NEW.id AND status <> 'draft') THEN
            RAISE EXCEPTION 'A version of the plan was published: how its usage is paid for stays as it is.'
                USING ERRCODE = 'check_violation', CONSTRAINT = 'plan_consumption_stays';
        END IF;
        RETURN NEW;
    """,
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
