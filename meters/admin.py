"""The operator's pages, one module each."""

from meters.correction_admin import CorrectionAdmin
from meters.explorer_admin import EventAdmin
from meters.meter_admin import MeterAdmin
from meters.unknown_admin import UnknownTypeAdmin
from meters.upload_admin import UploadAdmin
from meters.usage_admin import BucketAdmin, SeriesAdmin

__all__ = [
    "BucketAdmin",
    "CorrectionAdmin",
    "EventAdmin",
    "MeterAdmin",
    "SeriesAdmin",
    "UnknownTypeAdmin",
    "UploadAdmin",
]
