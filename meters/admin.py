"""The operator's pages, one module each."""

from meters.corrections.admin import CorrectionAdmin
from meters.definitions.admin import MeterAdmin
from meters.explorer.admin import EventAdmin
from meters.explorer.unknown_admin import UnknownTypeAdmin
from meters.uploads.admin import UploadAdmin
from meters.usage.admin import SeriesAdmin, UsageHourAdmin

__all__ = [
    "CorrectionAdmin",
    "EventAdmin",
    "MeterAdmin",
    "SeriesAdmin",
    "UnknownTypeAdmin",
    "UploadAdmin",
    "UsageHourAdmin",
]
