"""The WSGI entry point that granian serves."""

import gc
import os

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "billing_site.settings")

application = get_wsgi_application()

# A batch makes thousands of objects that live for one request: by default each would start dozens of collections, the
# larger of which visit all that was ever loaded. What is loaded by now stays: it is not visited again.
gc.freeze()
gc.set_threshold(20_000, 10, 10)
