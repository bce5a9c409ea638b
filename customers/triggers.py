"""What the database itself keeps true of customers and subscriptions, whoever writes to it.

Each refusal is a check violation that carries a constraint name, so that `customers.checks` can turn it into a readable
fault.
"""

import pgtrigger

# A statement of ours or of anybody's fires at depth 1; what a trigger does in consequence, deeper.
BY_HAND = "pg_trigger_depth() = 1"

KEEP_OWN_ALIAS = pgtrigger.Trigger(
    name="keep_own_alias",
    when=pgtrigger.After,
    operation=pgtrigger.Insert | pgtrigger.UpdateOf("reference"),
    func="""
        IF TG_OP = 'UPDATE' AND NEW.reference = OLD.reference THEN
            RETURN NULL;
        END IF;
        -- The former reference stays an alias: events that carry it are still this customer's.
        UPDATE customers_alias SET own = false WHERE customer_id = NEW.id AND own;
        UPDATE customers_alias SET own = true WHERE customer_id = NEW.id AND reference = NEW.reference;
        IF NOT FOUND THEN
            INSERT INTO customers_alias (customer_id, reference, own) VALUES (NEW.id, NEW.reference, true);
        END IF;
        RETURN NULL;
    """,
)

DROP_ALIASES = pgtrigger.Trigger(
    name="drop_aliases",
    when=pgtrigger.Before,
    operation=pgtrigger.Delete,
    func="DELETE FROM customers_alias WHERE customer_id = OLD.id; RETURN OLD;",
)

KEEP_CURRENCY = pgtrigger.Trigger(
    name="keep_currency",
    when=pgtrigger.Before,
    operation=pgtrigger.UpdateOf("currency"),
    func="""
        IF NEW.currency <> OLD.currency AND EXISTS (SELECT FROM customers_subscription WHERE customer_id = OLD.id) THEN
            RAISE EXCEPTION 'A customer with a subscription keeps its currency.'
                USING ERRCODE = 'check_violation', CONSTRAINT = 'customer_currency_kept';
        END IF;
        RETURN NEW;
    """,
)

GUARD_OWN_ALIAS = pgtrigger.Trigger(
    name="guard_own_alias",
    when=pgtrigger.Before,
    operation=pgtrigger.Insert | pgtrigger.Update | pgtrigger.Delete,
    func=f"""
        IF {BY_HAND} AND ((TG_OP <> 'INSERT' AND OLD.own) OR (TG_OP <> 'DELETE' AND NEW.own)) THEN
            RAISE EXCEPTION 'A customer''s own reference is changed on the customer.'
                USING ERRCODE = 'check_violation', CONSTRAINT = 'alias_own_kept';
        END IF;
        IF TG_OP = 'DELETE' THEN RETURN OLD; END IF;
        RETURN NEW;
    """,
)

# FOR SHARE: the version cannot be retired, nor the customer's currency changed, between this look and the commit.
# NO KEY UPDATE on the customer also lines up two subscriptions of one customer, which could else wait for each other's
# claims.
FIT_VERSION = pgtrigger.Trigger(
    name="fit_version",
    when=pgtrigger.Before,
    operation=pgtrigger.Insert,
    declare=[("version", "RECORD"), ("customer_currency", "TEXT")],
    func="""
        SELECT currency INTO customer_currency FROM customers_customer WHERE id = NEW.customer_id FOR NO KEY UPDATE;
        SELECT status, currency INTO version FROM catalog_planversion WHERE id = NEW.version_id FOR SHARE;
        IF version.status <> 'published' THEN
            RAISE EXCEPTION 'Only a published plan version can be subscribed to; this one is %.', version.status
                USING ERRCODE = 'check_violation', CONSTRAINT = 'subscription_version_published';
        END IF;
        IF version.currency <> customer_currency THEN
            RAISE EXCEPTION 'The plan version is in %, the customer in %.', version.currency, customer_currency
                USING ERRCODE = 'check_violation', CONSTRAINT = 'subscription_currency_fits';
        END IF;
        RETURN NEW;
    """,
)

KEEP_TERMS = pgtrigger.Trigger(
    name="keep_terms",
    when=pgtrigger.Before,
    operation=pgtrigger.Update,
    condition=pgtrigger.AnyChange(
        "reference", "customer", "version", "alignment", "anchor", "timezone", "starts_at", "named_events_only"
    ),
    func="""
        RAISE EXCEPTION 'The terms of a subscription do not change once it exists; only its end does.'
            USING ERRCODE = 'check_violation', CONSTRAINT = 'subscription_terms_kept';
    """,
)

# The claims follow from the subscription and its version's charges, so nobody can forget or bend them. In the order of
# meters, so that two writers never wait for each other.
CLAIM_METERS = pgtrigger.Trigger(
    name="claim_meters",
    when=pgtrigger.After,
    operation=pgtrigger.Insert | pgtrigger.UpdateOf("ends_at"),
    func="""
        IF TG_OP = 'INSERT' THEN
            INSERT INTO customers_meterclaim (subscription_id, customer_id, meter_id, period, named_events_only)
            SELECT NEW.id, NEW.customer_id, meter_id, tstzrange(NEW.starts_at, NEW.ends_at), NEW.named_events_only
            FROM catalog_charge WHERE version_id = NEW.version_id AND meter_id IS NOT NULL
            GROUP BY meter_id ORDER BY meter_id;
        ELSIF NEW.ends_at IS DISTINCT FROM OLD.ends_at THEN
            PERFORM FROM customers_customer WHERE id = NEW.customer_id FOR NO KEY UPDATE;
            UPDATE customers_meterclaim SET period = tstzrange(NEW.starts_at, NEW.ends_at)
            WHERE subscription_id = NEW.id;
        END IF;
        RETURN NULL;
    """,
)

DROP_CLAIMS = pgtrigger.Trigger(
    name="drop_claims",
    when=pgtrigger.Before,
    operation=pgtrigger.Delete,
    func="DELETE FROM customers_meterclaim WHERE subscription_id = OLD.id; RETURN OLD;",
)

GUARD_CLAIMS = pgtrigger.Trigger(
    name="guard_claims",
    when=pgtrigger.Before,
    operation=pgtrigger.Insert | pgtrigger.Update | pgtrigger.Delete,
    func=f"""
        IF {BY_HAND} THEN
            RAISE EXCEPTION 'Claims follow from subscriptions; they are not written by hand.'
                USING ERRCODE = 'check_violation', CONSTRAINT = 'meter_claim_follows_subscription';
        END IF;
        IF TG_OP = 'DELETE' THEN RETURN OLD; END IF;
        RETURN NEW;
    """,
)
