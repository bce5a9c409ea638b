"""How the big tables are kept: buckets are updated in place, so pages keep room for it and are swept early."""

from django.db import migrations

SETTINGS = """
    ALTER TABLE meters_bucket SET (
        fillfactor = 70, autovacuum_vacuum_scale_factor = 0.02, autovacuum_analyze_scale_factor = 0.02
    );
    ALTER TABLE meters_usagechange SET (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000);
"""
DEFAULTS = """
    ALTER TABLE meters_bucket RESET (fillfactor, autovacuum_vacuum_scale_factor, autovacuum_analyze_scale_factor);
    ALTER TABLE meters_usagechange RESET (autovacuum_vacuum_scale_factor, autovacuum_vacuum_threshold);
"""


class Migration(migrations.Migration):
    dependencies = [("meters", "0001_initial")]
    operations = [migrations.RunSQL(SETTINGS, DEFAULTS)]
