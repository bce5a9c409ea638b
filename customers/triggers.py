"""What the database itself keeps true of customers and subscriptions, whoever writes to it.

Each refusal is a check violation that carries a constraint name, so that `subscriptions.checks` can turn it into a
readable fault.
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
        SELECT v.status, v.currency, plan.consumption INTO version
        FROM catalog_planversion v JOIN catalog_plan plan ON plan.id = v.plan_id
        WHERE v.id = NEW.version_id FOR SHARE OF v;
        IF version.status <> 'published' THEN
            RAISE EXCEPTION 'Only a published plan version can be subscribed to; this one is %.', version.status
                USING ERRCODE = 'check_violation', CONSTRAINT = 'subscription_version_published';
        END IF;
        IF version.currency <> customer_currency AND NOT EXISTS (
            SELECT FROM catalog_pricelist WHERE version_id = NEW.version_id AND currency = customer_currency
        ) THEN
            RAISE EXCEPTION 'The plan version is in %, the customer in %.', version.currency, customer_currency
                USING ERRCODE = 'check_violation', CONSTRAINT = 'subscription_currency_fits';
        END IF;
        IF version.consumption <> 'metered' THEN
            RAISE EXCEPTION 'A plan that is paid for by % needs a wallet.', version.consumption
                USING ERRCODE = 'check_violation', CONSTRAINT = 'subscription_needs_wallet';
        END IF;
        RETURN NEW;
    """,
)

KEEP_TERMS = pgtrigger.Trigger(
    name="keep_terms",
    when=pgtrigger.Before,
    operation=pgtrigger.Update,
    condition=pgtrigger.AnyChange(
        "reference", "customer", "alignment", "anchor", "timezone", "starts_at", "named_events_only"
    ),
    func="""
        RAISE EXCEPTION 'The terms of a subscription do not change once it exists; only its end and version do.'
            USING ERRCODE = 'check_violation', CONSTRAINT = 'subscription_terms_kept';
    """,
)

# Forward within the plan, and no meter is dropped, whose usage nobody would bill.
MOVE_FORWARD = pgtrigger.Trigger(
    name="move_forward",
    when=pgtrigger.Before,
    operation=pgtrigger.Update,
    condition=pgtrigger.AnyChange("version"),
    declare=[
        ("before", "catalog_planversion%ROWTYPE"),
        ("after", "catalog_planversion%ROWTYPE"),
        ("customer_currency", "TEXT"),
    ],
    func="""
        SELECT currency INTO customer_currency FROM customers_customer WHERE id = NEW.customer_id FOR NO KEY UPDATE;
        SELECT * INTO before FROM catalog_planversion WHERE id = OLD.version_id;
        SELECT * INTO after FROM catalog_planversion WHERE id = NEW.version_id FOR SHARE;
        IF after.status <> 'published' THEN
            RAISE EXCEPTION 'Only a published plan version can be subscribed to; this one is %.', after.status
                USING ERRCODE = 'check_violation', CONSTRAINT = 'subscription_version_published';
        END IF;
        IF after.plan_id <> before.plan_id OR after.number <= before.number
           OR after.currency <> customer_currency AND NOT EXISTS (
             SELECT FROM catalog_pricelist WHERE version_id = after.id AND currency = customer_currency)
           OR after.interval <> before.interval
           OR EXISTS (
             SELECT meter_id FROM catalog_charge WHERE version_id = before.id AND meter_id IS NOT NULL
             EXCEPT SELECT meter_id FROM catalog_charge WHERE version_id = after.id)
        THEN
            RAISE EXCEPTION 'A subscription moves only to a later version of its plan with the same terms and meters.'
                USING ERRCODE = 'check_violation', CONSTRAINT = 'subscription_moves_forward';
        END IF;
        RETURN NEW;
    """,
)

# The claims follow from the subscription and its version's charges, so nobody can forget or bend them. In the order of
# meters, so that two writers never wait for each other.
CLAIM_METERS = pgtrigger.Trigger(
    name="claim_meters",
    when=pgtrigger.After,
    operation=pgtrigger.Insert | pgtrigger.UpdateOf("ends_at", "version_id"),
    func="""
        IF TG_OP = 'INSERT' THEN
            INSERT INTO customers_meterclaim (subscription_id, customer_id, meter_id, period, named_events_only)
            SELECT NEW.id, NEW.customer_id, meter_id, tstzrange(NEW.starts_at, NEW.ends_at), NEW.named_events_only
            FROM catalog_charge WHERE version_id = NEW.version_id AND meter_id IS NOT NULL
            GROUP BY meter_id ORDER BY meter_id;
            RETURN NULL;
        END IF;
        IF NEW.version_id <> OLD.version_id THEN
            INSERT INTO customers_meterclaim (subscription_id, customer_id, meter_id, period, named_events_only)
            SELECT NEW.id, NEW.customer_id, meter_id, tstzrange(NEW.starts_at, NEW.ends_at), NEW.named_events_only
            FROM catalog_charge WHERE version_id = NEW.version_id AND meter_id IS NOT NULL
              AND meter_id NOT IN (SELECT meter_id FROM customers_meterclaim WHERE subscription_id = NEW.id)
            GROUP BY meter_id ORDER BY meter_id;
        END IF;
        IF NEW.ends_at IS DISTINCT FROM OLD.ends_at THEN
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

# Somebody may have been billed already for what now is another's: `invoicing` compares again from that hour on.
# Whatever changes a claim comes here, SQL included. An open subscription's own claims need none: what nobody read
# before is billed by its own invoices, and an end lies behind all that was invoiced.
NAMED_USAGE_MOVES = pgtrigger.Trigger(
    name="named_usage_moves",
    when=pgtrigger.After,
    operation=pgtrigger.Insert | pgtrigger.Update | pgtrigger.Delete,
    declare=[("claim", "customers_meterclaim%ROWTYPE"), ("moved", "TIMESTAMPTZ")],
    func="""
        IF TG_OP = 'DELETE' THEN claim := OLD; ELSE claim := NEW; END IF;
        moved := lower(claim.period);
        IF TG_OP = 'UPDATE' THEN
            moved := least(upper(OLD.period), upper(NEW.period));
        END IF;
        IF claim.named_events_only AND moved IS NOT NULL THEN
            INSERT INTO meters_usagechange (customer, meter_id, hour)
            SELECT reference, claim.meter_id, date_trunc('hour', moved, 'UTC')
            FROM customers_customer WHERE id = claim.customer_id;
        END IF;
        RETURN NULL;
    """,
)

# Usage under a reference comes to a customer, or goes: what was invoiced may differ, for every meter that was ever
# charged, from its beginning on. All of them, not only those with usage now: events under the reference may be on their
# way, and who looked at those before this commits did not know whose they are. The customer's lock lines up a
# subscription that is being made, whose invoices would else slip by.
ALIASED_USAGE_MOVES = pgtrigger.Trigger(
    name="aliased_usage_moves",
    when=pgtrigger.After,
    operation=pgtrigger.Insert | pgtrigger.UpdateOf("customer_id", "reference") | pgtrigger.Delete,
    declare=[("owners", "BIGINT[]")],
    func="""
        IF TG_OP = 'UPDATE' AND (OLD.customer_id, OLD.reference) = (NEW.customer_id, NEW.reference) THEN
            RETURN NULL;
        END IF;
        IF TG_OP <> 'INSERT' THEN owners := owners || OLD.customer_id; END IF;
        IF TG_OP <> 'DELETE' THEN owners := owners || NEW.customer_id; END IF;
        PERFORM FROM customers_customer WHERE id = ANY (owners) ORDER BY id FOR NO KEY UPDATE;
        INSERT INTO meters_usagechange (customer, meter_id, hour)
        SELECT customer.reference, claim.meter_id, date_trunc('hour', min(lower(claim.period)), 'UTC')
        FROM customers_meterclaim AS claim JOIN customers_customer AS customer ON customer.id = claim.customer_id
        WHERE claim.customer_id = ANY (owners)
        GROUP BY customer.reference, claim.meter_id;
        RETURN NULL;
    """,
)

INVOICED_STAYS = pgtrigger.Trigger(
    name="invoiced_stays",
    when=pgtrigger.Before,
    operation=pgtrigger.UpdateOf("due_from"),
    condition=pgtrigger.Q(old__due_from__isnull=True, new__due_from__isnull=False)
    | pgtrigger.Q(new__due_from__lt=pgtrigger.F("old__due_from")),
    func="""
        RAISE EXCEPTION 'The subscription “%” is invoiced until %: that is never done again.',
            OLD.reference, coalesce(OLD.due_from, OLD.ends_at)
            USING ERRCODE = 'check_violation', CONSTRAINT = 'subscription_invoiced_stays';
    """,
)

NO_TRUNCATE = pgtrigger.Trigger(
    name="no_truncate",
    level=pgtrigger.Statement,
    when=pgtrigger.Before,
    operation=pgtrigger.Truncate,
    func="""
        RAISE EXCEPTION 'Customers and subscriptions are kept: they cannot be emptied away.'
            USING ERRCODE = 'check_violation', CONSTRAINT = 'customers_kept';
    """,
)
