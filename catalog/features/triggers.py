"""What the database itself keeps true of features and of what is given of them, whoever writes to it.

A refusal is a check violation that carries a constraint name.
"""

import pgtrigger


def _refused(constraint: str) -> str:
    return f"USING ERRCODE = 'check_violation', CONSTRAINT = '{constraint}'"


# Publishing freezes the features that a version gives, and the meters that they count. Its name comes before that of
# `version_states` in the alphabet, so it is first to lock meters: all of them, those of charges too, in one order.
# Features come before meters, as for who changes what a feature counts.
FREEZE_FEATURES = pgtrigger.Trigger(
    name="freeze_features",
    when=pgtrigger.Before,
    operation=pgtrigger.Update,
    condition=pgtrigger.Q(old__status="draft", new__status="published"),
    func="""
        PERFORM 1 FROM catalog_feature
            WHERE id IN (SELECT feature_id FROM catalog_featurevalue WHERE version_id = NEW.id)
            ORDER BY id FOR UPDATE;
        PERFORM 1 FROM meters_meter WHERE id IN (
            SELECT meter_id FROM catalog_charge WHERE version_id = NEW.id
            UNION SELECT feature.meter_id FROM catalog_featurevalue AS given
            JOIN catalog_feature AS feature ON feature.id = given.feature_id WHERE given.version_id = NEW.id
        ) ORDER BY id FOR UPDATE;
        UPDATE meters_meter SET frozen_at = NEW.published_at
            WHERE frozen_at IS NULL AND id IN (
                SELECT feature.meter_id FROM catalog_featurevalue AS given
                JOIN catalog_feature AS feature ON feature.id = given.feature_id WHERE given.version_id = NEW.id
            );
        UPDATE catalog_feature SET frozen_at = NEW.published_at
            WHERE frozen_at IS NULL
            AND id IN (SELECT feature_id FROM catalog_featurevalue WHERE version_id = NEW.id);
        RETURN NEW;
    """,
)

# A frozen feature may be renamed and described; a list may get further values, and loses none.
FROZEN_FEATURE = pgtrigger.Trigger(
    name="frozen_feature",
    when=pgtrigger.Before,
    operation=pgtrigger.Update | pgtrigger.Delete,
    condition=pgtrigger.Q(old__frozen_at__isnull=False),
    func=f"""
        IF TG_OP = 'UPDATE'
            AND to_jsonb(OLD) - ARRAY['name', 'description', 'allowed']
                = to_jsonb(NEW) - ARRAY['name', 'description', 'allowed']
            AND NEW.allowed @> OLD.allowed
        THEN
            RETURN NEW;
        END IF;
        RAISE EXCEPTION 'The feature “%” is frozen: a published plan version or a customer has it.', OLD.code
            {_refused("feature_frozen")};
    """,
)

KEEP_KIND = pgtrigger.Trigger(
    name="keep_kind",
    when=pgtrigger.Before,
    operation=pgtrigger.Update,
    condition=pgtrigger.AnyChange("kind"),
    func=f"""
        RAISE EXCEPTION 'The feature “%” stays a %: its values are of that kind.', OLD.code, OLD.kind
            {_refused("feature_kind_kept")};
    """,
)

KEEP_GIVEN_VALUES = pgtrigger.Trigger(
    name="keep_given_values",
    when=pgtrigger.Before,
    operation=pgtrigger.UpdateOf("allowed"),
    func=f"""
        IF EXISTS (SELECT FROM catalog_featurevalue WHERE feature_id = NEW.id AND NOT texts <@ NEW.allowed) THEN
            RAISE EXCEPTION 'A plan version gives a value of “%” that would be gone.', OLD.code
                {_refused("feature_allowed_in_use")};
        END IF;
        RETURN NEW;
    """,
)

# What processes keep of the features is checked by it.
FEATURES_CHANGE = pgtrigger.Trigger(
    name="features_change",
    level=pgtrigger.Statement,
    when=pgtrigger.Before,
    operation=pgtrigger.Insert | pgtrigger.Update | pgtrigger.Delete,
    func="""
        INSERT INTO catalog_featurerevision (id, revision) VALUES (1, gen_random_uuid())
            ON CONFLICT (id) DO UPDATE SET revision = excluded.revision;
        RETURN NULL;
    """,
)

# FOR SHARE: the feature neither changes nor goes before this commits.
FITS_FEATURE = f"""
    SELECT code, kind, allowed INTO feature FROM catalog_feature WHERE id = NEW.feature_id FOR SHARE;
    IF NOT (CASE feature.kind
        WHEN 'switch' THEN NEW.enabled IS NOT NULL
        WHEN 'number' THEN NEW.number IS NOT NULL OR NEW.unlimited
        ELSE NEW.texts IS NOT NULL OR NEW.unlimited
    END) THEN
        RAISE EXCEPTION 'The feature “%” is a %: this value is of another kind.', feature.code, feature.kind
            {_refused("feature_value_fits_kind")};
    END IF;
    IF NOT coalesce(NEW.texts, '{{}}') <@ feature.allowed THEN
        RAISE EXCEPTION 'The list “%” has no such value.', feature.code {_refused("feature_value_allowed")};
    END IF;
"""  # noqa: S608

# As of every part of a version: written only while that is a draft. FOR SHARE waits for a publication that is under
# way, and lets none begin before this change commits.
VALUE_IN_DRAFT = pgtrigger.Trigger(
    name="value_in_draft",
    when=pgtrigger.Before,
    operation=pgtrigger.Insert | pgtrigger.Update | pgtrigger.Delete,
    declare=[("version", "RECORD"), ("feature", "RECORD")],
    func=f"""
        IF TG_OP = 'UPDATE' AND OLD.version_id <> NEW.version_id THEN
            RAISE EXCEPTION 'What a version gives stays with it.' {_refused("plan_version_published")};
        END IF;
        SELECT v.status, v.number INTO version FROM catalog_planversion v
            WHERE v.id = CASE WHEN TG_OP = 'DELETE' THEN OLD.version_id ELSE NEW.version_id END FOR SHARE OF v;
        IF version.status <> 'draft' THEN
            RAISE EXCEPTION 'Version % of the plan was published: what it gives never changes.', version.number
                {_refused("plan_version_published")};
        END IF;
        IF TG_OP = 'DELETE' THEN RETURN OLD; END IF;
        {FITS_FEATURE}
        RETURN NEW;
    """,  # noqa: S608
)
