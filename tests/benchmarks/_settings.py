"""The site's own settings, with one more address: an empty view, which is the floor of what a request costs."""

from billing_site.settings import *  # noqa: F403

ROOT_URLCONF = "tests.benchmarks._urls"
