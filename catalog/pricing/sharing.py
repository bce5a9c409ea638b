"""How the rounded amount of one matrix row is shown over the combinations that fall under it. Pure."""

from collections.abc import Sequence
from decimal import Decimal, localcontext

from billing_site.foundation.money import EXACT, ZERO, round_to, split


def share(amount: Decimal, weights: Sequence[Decimal], places: int) -> list[Decimal]:
    """Parts of a row's rounded `amount`, one for each weight, at `places` decimals, adding up to `amount` exactly.

    `amount` is the row's exact amount rounded once to the currency's minor unit; `weights` are the parts' own exact
    amounts (`Part.weight` of the row); `places` is the minor unit. Largest remainder, equal remainders to the earlier
    part.

    Positive and negative parts are split apart: the positive ones share their own sum, rounded; the negative ones share
    what is then left of `amount`. So usage that was taken back never makes another combination cheaper than it is.

    Raises ValueError when there are no weights or when `amount` has more than `places` decimals.
    """
    positive = [max(weight, ZERO) for weight in weights]
    negative = [max(-weight, ZERO) for weight in weights]
    if not any(positive) or not any(negative):
        return split(amount, [abs(weight) for weight in weights], places)
    with localcontext(EXACT):
        gained = round_to(sum(positive, ZERO), places)
        lost = amount - gained
        up, down = split(gained, positive, places), split(lost, negative, places)
        return [part + other for part, other in zip(up, down, strict=True)]
