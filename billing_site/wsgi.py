"""The WSGI entry point that granian serves."""

import gc
import os
import sys

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "billing_site.settings")

application = get_wsgi_application()

# A batch makes thousands of objects that live for one request: by default each would start dozens of collections, the
# larger of which visit all that was ever loaded. What is loaded by now stays: it is not visited again.
gc.freeze()
gc.set_threshold(20_000, 10, 10)

# A thread that has its answer from the database waits for one that reads a large batch until it gives way: after 5 ms
# by default, for each of a request's statements. A switch costs microseconds.
sys.setswitchinterval(0.001)
