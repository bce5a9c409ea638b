"""What the database itself keeps true of coupons: what was redeemed never changes, and is counted as it is.

A refusal is a check violation that carries a constraint name.
"""

import pgtrigger

_REFUSED = "USING ERRCODE = 'check_violation', CONSTRAINT = 'coupon_redeemed_stays'"

# Once it was redeemed an invoice may rest on it: what it takes off, of what and for how long stays. The count of its
# redemptions moves only with a redemption, whose trigger is one level above this one.
COUPON_STAYS = pgtrigger.Trigger(
    name="coupon_stays",
    when=pgtrigger.Before,
    operation=pgtrigger.Insert | pgtrigger.Update | pgtrigger.Delete,
    declare=[("loose", "TEXT[]")],
    func=f"""
        loose := ARRAY['name', 'active', 'max_redemptions', 'max_per_customer', 'redeem_by', 'redeemed'];
        IF TG_OP = 'INSERT' THEN
            IF NEW.redeemed <> 0 THEN
                RAISE EXCEPTION 'A new coupon has been redeemed by nobody yet.'
                    USING ERRCODE = 'check_violation', CONSTRAINT = 'coupon_counts_redemptions';
            END IF;
            RETURN NEW;
        END IF;
        IF OLD.redeemed > 0 AND (TG_OP = 'DELETE' OR to_jsonb(OLD) - loose <> to_jsonb(NEW) - loose) THEN
            RAISE EXCEPTION 'The coupon % was redeemed: what it takes off never changes.', OLD.code {_REFUSED};
        END IF;
        IF TG_OP = 'DELETE' THEN RETURN OLD; END IF;
        IF NEW.redeemed <> OLD.redeemed AND (pg_trigger_depth() = 1 OR NEW.redeemed <> OLD.redeemed + 1) THEN
            RAISE EXCEPTION 'The redemptions of a coupon are counted as they are made, not by hand.'
                USING ERRCODE = 'check_violation', CONSTRAINT = 'coupon_counts_redemptions';
        END IF;
        RETURN NEW;
    """,
)

# FOR SHARE waits for a redemption that is under way, and lets none begin before this change commits.
PART_STAYS = pgtrigger.Trigger(
    name="part_stays",
    when=pgtrigger.Before,
    operation=pgtrigger.Insert | pgtrigger.Update | pgtrigger.Delete,
    declare=[("whose", "BIGINT"), ("coupon", "RECORD")],
    func=f"""
        IF TG_OP = 'DELETE' THEN whose := OLD.coupon_id; ELSE whose := NEW.coupon_id; END IF;
        SELECT * INTO coupon FROM catalog_coupon WHERE id = whose FOR SHARE;
        IF coupon.redeemed > 0 OR TG_OP = 'UPDATE' THEN
            RAISE EXCEPTION 'What the coupon % is for never changes once it was redeemed.', coupon.code {_REFUSED};
        END IF;
        IF TG_OP = 'DELETE' THEN RETURN OLD; END IF;
        RETURN NEW;
    """,  # noqa: S608 - no input reaches it
)

NO_TRUNCATE = pgtrigger.Trigger(
    name="no_truncate",
    level=pgtrigger.Statement,
    when=pgtrigger.Before,
    operation=pgtrigger.Truncate,
    func=f"""
        RAISE EXCEPTION 'Coupons are kept: they cannot be emptied away.' {_REFUSED};
    """,
)
