"""What the database itself keeps true of negotiated terms and redeemed coupons, whoever writes to them.

That neither reaches into what is finalized is the guard of `invoicing`, which knows it.
"""

import pgtrigger

# Customer first, then subscription, as everywhere: two writers never wait for each other, and no planner makes a draft
# of the subscription meanwhile.
_LOCK = """
    PERFORM FROM customers_customer
      WHERE id = (SELECT customer_id FROM customers_subscription WHERE id = NEW.subscription_id) FOR NO KEY UPDATE;
    PERFORM FROM customers_subscription WHERE id = NEW.subscription_id FOR NO KEY UPDATE;
"""


def _only_ends(name: str, end: str, start: str, what: str, kept: str, constraint: str) -> pgtrigger.Trigger:
    """A row is added and, once, given an earlier end; nothing else of it changes, and it is never deleted."""
    return pgtrigger.Trigger(
        name=name,
        when=pgtrigger.Before,
        operation=pgtrigger.Insert | pgtrigger.Update | pgtrigger.Delete,
        func=f"""
            IF TG_OP = 'DELETE' THEN
                RAISE EXCEPTION '{what} is kept: end it instead.'
                    USING ERRCODE = 'check_violation', CONSTRAINT = '{constraint}';
            END IF;
            {_LOCK}
            IF TG_OP = 'UPDATE' AND (
                to_jsonb(OLD) - '{end}' <> to_jsonb(NEW) - '{end}'
                OR NEW.{end} IS NULL OR NEW.{end} > OLD.{end} OR NEW.{end} < NEW.{start}
            ) THEN
                RAISE EXCEPTION '{kept}'
                    USING ERRCODE = 'check_violation', CONSTRAINT = '{constraint}';
            END IF;
            RETURN NEW;
        """,
    )


OVERRIDE_ONLY_ENDS = _only_ends(
    "a_only_ends",  # the first of its triggers, which fire in the order of their names
    "ends_at",
    "starts_at",
    "A negotiated term",
    "A negotiated term never changes, it only ends earlier: make another one from a later day.",
    "term_only_ends",
)
REDEMPTION_ONLY_ENDS = _only_ends(
    "a_only_ends",
    "until_at",
    "first_at",
    "A redeemed coupon",
    "A redeemed coupon never changes, it only ends earlier.",
    "redemption_only_ends",
)

# The coupon's row is moved first: who comes at the same time waits for it, and looks at what is then committed.
TAKES_ONE = pgtrigger.Trigger(
    name="c_takes_one",
    when=pgtrigger.Before,
    operation=pgtrigger.Insert,
    declare=[("coupon", "catalog_coupon%ROWTYPE"), ("owner", "RECORD"), ("taken", "BIGINT")],
    func="""
        UPDATE catalog_coupon SET redeemed = redeemed + 1
          WHERE id = NEW.coupon_id AND active AND (max_redemptions IS NULL OR redeemed < max_redemptions)
            AND (redeem_by IS NULL OR redeem_by >= (NEW.redeemed_at AT TIME ZONE 'UTC')::date)
          RETURNING * INTO coupon;
        IF NOT FOUND THEN
            RAISE EXCEPTION 'The coupon is used up, over, or not active.'
                USING ERRCODE = 'check_violation', CONSTRAINT = 'coupon_can_be_redeemed';
        END IF;
        SELECT customer.id, customer.currency, version.plan_id INTO owner
          FROM customers_subscription subscription
          JOIN customers_customer customer ON customer.id = subscription.customer_id
          JOIN catalog_planversion version ON version.id = subscription.version_id
         WHERE subscription.id = NEW.subscription_id;
        SELECT count(*) INTO taken
          FROM customers_redemption redemption
          JOIN customers_subscription subscription ON subscription.id = redemption.subscription_id
         WHERE redemption.coupon_id = NEW.coupon_id AND subscription.customer_id = owner.id;
        IF taken >= coupon.max_per_customer THEN
            RAISE EXCEPTION 'The customer has redeemed the coupon % as often as one may.', coupon.code
                USING ERRCODE = 'check_violation', CONSTRAINT = 'coupon_customer_limit';
        END IF;
        IF coupon.currency <> '' AND coupon.currency <> owner.currency THEN
            RAISE EXCEPTION 'The coupon % is in %.', coupon.code, coupon.currency
                USING ERRCODE = 'check_violation', CONSTRAINT = 'coupon_currency_fits';
        END IF;
        IF EXISTS (SELECT FROM catalog_couponplan WHERE coupon_id = NEW.coupon_id)
           AND NOT EXISTS (SELECT FROM catalog_couponplan WHERE coupon_id = NEW.coupon_id AND plan_id = owner.plan_id)
        THEN
            RAISE EXCEPTION 'The coupon % is not for this plan.', coupon.code
                USING ERRCODE = 'check_violation', CONSTRAINT = 'coupon_plan_fits';
        END IF;
        RETURN NEW;
    """,
)

NO_TRUNCATE = pgtrigger.Trigger(
    name="no_truncate",
    level=pgtrigger.Statement,
    when=pgtrigger.Before,
    operation=pgtrigger.Truncate,
    func="""
        RAISE EXCEPTION 'Negotiated terms and redeemed coupons are kept: they cannot be emptied away.'
            USING ERRCODE = 'check_violation', CONSTRAINT = 'customers_kept';
    """,
)
