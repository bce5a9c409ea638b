"""Who counts holds the definitions by one statement, which fails when they are others than those it counted by."""

from django.db import migrations

# 74051, 1 is `meters.triggers.DEFINITIONS_LOCK`. Each statement of a function sees what was committed before it: what is
# compared was read under the lock. TB001 is `meters.measuring.registry.CHANGED`.
CREATE = """
    CREATE FUNCTION meters_hold_definitions(expected uuid, closed timestamptz) RETURNS void LANGUAGE plpgsql AS $$
    BEGIN
        PERFORM pg_advisory_xact_lock_shared(74051, 1);
        IF (SELECT revision FROM meters_definitionrevision) IS DISTINCT FROM expected
            OR (SELECT closed_until FROM meters_dayclosing) IS DISTINCT FROM closed
        THEN
            RAISE EXCEPTION 'Meters were changed or days closed meanwhile: read them again.' USING ERRCODE = 'TB001';
        END IF;
    END $$;
"""
DROP = "DROP FUNCTION meters_hold_definitions(uuid, timestamptz)"


class Migration(migrations.Migration):
    dependencies = [("meters", "0012_bucket_key")]
    operations = [migrations.RunSQL(CREATE, DROP)]
