"""How much buckets hold of the hours from one to another, as SQL: whole days that are built by their totals.

Totals, the buckets of stale days, and those of the hours around are read by one statement, so from one snapshot: no
event is missed or read twice, whoever adds to buckets or builds totals meanwhile.
"""

from meters.measuring.aggregation import Hourly

_DAYS = """
    SELECT greatest({first_day}, least({end_day}, coalesce(
        (SELECT built_until FROM meters_dayclosing), '-infinity'::timestamptz
    ))) AS built
"""
_HOURS = """
        SELECT quantity, events FROM meters_bucket
        WHERE {start} < {end} AND series_id = {series} AND hour >= {start} AND hour < {end}
"""
# A total that is up to date costs one row; LATERAL, as its hours are looked at only when it is not.
_TOTALS = """
        SELECT CASE WHEN total.stale THEN whole.quantity ELSE total.quantity END,
            CASE WHEN total.stale THEN whole.events ELSE total.events END
        FROM meters_daytotal AS total
        CROSS JOIN LATERAL (
            SELECT {merged}(quantity) AS quantity, sum(events)::bigint AS events FROM meters_bucket
            WHERE total.stale AND series_id = {series}
                AND hour >= total.day AND hour < total.day + interval '24 hours'
        ) AS whole
        WHERE total.customer = {customer} AND total.series_id = {series}
            AND total.day >= {first_day} AND total.day < days.built
"""


def joined(
    name: str,
    customer: str,
    series: str,
    hours: tuple[str, str],
    whole_days: tuple[str, str],
    merged: Hourly = Hourly.SUM,
) -> str:
    """What to CROSS JOIN for a row `name` (quantity, events): of a series' hours, of which some are whole days.

    All given are expressions: the first hour and the end of the last, the first day and the end of the last, as
    `windows.whole_days` gives them. `quantity` and `events` are NULL when there is nothing. The days are read by the
    index day_total_once, hours by the primary key of buckets.
    """
    where = {"customer": customer, "series": series, "first_day": whole_days[0], "merged": merged or Hourly.SUM}
    return f"""LATERAL ({_DAYS.format(first_day=whole_days[0], end_day=whole_days[1])}) AS days
    CROSS JOIN LATERAL (
        SELECT {where["merged"]}(quantity) AS quantity, sum(events)::bigint AS events
        FROM ({_HOURS.format(start=hours[0], end=whole_days[0], **where)}
            UNION ALL {_TOTALS.format(**where)}
            UNION ALL {_HOURS.format(start="days.built", end=hours[1], **where)}) AS kept
    ) AS {name}"""  # noqa: S608
