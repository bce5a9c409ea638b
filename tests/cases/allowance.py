"""Group “allowance”: units that cost nothing, by an allowance of the charge, a free tier, or a free part of a share."""

from tests.cases.pricing import figures, set_aside

__all__ = ["figures", "set_aside"]
