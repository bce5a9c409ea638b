"""Settings. Everything that differs between machines comes from the environment.

`DATABASE_URL` and `REDIS_URL` name the servers. When they are unset, the site runs on servers of its own:
`billing_site.embedded` knows where in the state folder they answer, and `billing_site.supervisor` runs them.
"""

from datetime import timedelta
from pathlib import Path
from typing import Any

from csp.constants import NONE, SELF, UNSAFE_EVAL, UNSAFE_INLINE

from billing_site import admin_shell, api_schema, embedded, logs
from billing_site.environment import (
    POSTGRES,
    REDIS,
    address,
    boolean,
    decimal,
    env,
    one_of,
    read_file,
    seconds,
    whole,
)

BASE_DIR = Path(__file__).resolve().parent.parent
read_file(BASE_DIR / ".env")

STATE_DIR = embedded.state_dir()
DEBUG = boolean("DJANGO_DEBUG")
SECRET_KEY = env.str("DJANGO_SECRET_KEY", default="") or embedded.secret_key()
ALLOWED_HOSTS = env.list("DJANGO_ALLOWED_HOSTS", default=["localhost", "127.0.0.1", "[::1]"])
CSRF_TRUSTED_ORIGINS = env.list("DJANGO_CSRF_TRUSTED_ORIGINS", default=[])
HTTPS = boolean("DJANGO_HTTPS")

DATABASE_URL = address("DATABASE_URL", POSTGRES) or embedded.database_url()
REDIS_URL = address("REDIS_URL", REDIS) or embedded.redis_url()

INSTALLED_APPS = [
    "unfold",
    "unfold.contrib.filters",
    "unfold.contrib.forms",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django.contrib.humanize",
    "pgtrigger",
    "pghistory",
    "rest_framework",
    "django_filters",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "csp",
    "django_structlog",
    "billing_site.foundation",
    "meters",
    "catalog",
    "customers",
    "invoicing",
]

MIDDLEWARE = [
    "billing_site.health.HealthMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "csp.middleware.CSPMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django_structlog.middlewares.RequestMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "billing_site.foundation.history_context.AuthorMiddleware",
]

ROOT_URLCONF = "billing_site.urls"
WSGI_APPLICATION = "billing_site.wsgi.application"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]

DATABASE_LOCK_TIMEOUT_MS = whole("DATABASE_LOCK_TIMEOUT_MS", 30_000)
DATABASE_IDLE_IN_TRANSACTION_MS = whole("DATABASE_IDLE_IN_TRANSACTION_MS", 120_000)
DATABASE_OPTIONS = " ".join(
    f"-c {name}={value}"
    for name, value in {
        "lock_timeout": DATABASE_LOCK_TIMEOUT_MS,
        "idle_in_transaction_session_timeout": DATABASE_IDLE_IN_TRANSACTION_MS,
        "timezone": "UTC",
    }.items()
)
_DATABASE: dict[str, Any] = env.db_url_config(DATABASE_URL)
DATABASES = {
    "default": {
        **_DATABASE,
        "CONN_MAX_AGE": 300,
        "CONN_HEALTH_CHECKS": True,
        "ATOMIC_REQUESTS": False,
        # What the address itself says goes first.
        "OPTIONS": {
            "connect_timeout": 5,
            "application_name": "tallybook",
            # Django's own statements never are: only those that ask for it.
            "prepare_threshold": 5 if boolean("DATABASE_PREPARE", default=True) else None,
            "options": DATABASE_OPTIONS,
            **_DATABASE.get("OPTIONS", {}),
        },
    }
}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

CACHES = {
    "default": {
        "BACKEND": "django.core.cache.backends.redis.RedisCache",
        "LOCATION": REDIS_URL,
    }
}

CELERY_BROKER_URL = embedded.broker_url(REDIS_URL)
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_ACKS_LATE = True
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_TIMEZONE = "UTC"

AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {
        "NAME": "django.contrib.auth.password_validation.MinimumLengthValidator",
        "OPTIONS": {"min_length": 12},
    },
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
    {"NAME": "django.contrib.auth.password_validation.NumericPasswordValidator"},
]
LOGIN_URL = "admin:login"
LOGIN_REDIRECT_URL = "admin:index"

LANGUAGE_CODE = "en"
TIME_ZONE = "UTC"
USE_I18N = True
USE_TZ = True
USE_THOUSAND_SEPARATOR = False
FORMAT_MODULE_PATH = ["billing_site.formats"]

# Behind a proxy that ends TLS and says so in X-Forwarded-Proto.
SECURE_SSL_REDIRECT = HTTPS
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if HTTPS else None
SECURE_HSTS_SECONDS = 31_536_000 if HTTPS else 0
SESSION_COOKIE_SECURE = HTTPS
CSRF_COOKIE_SECURE = HTTPS
SESSION_COOKIE_AGE = 12 * 60 * 60
SECURE_REFERRER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"
# No page asks anything of another host. The admin's Alpine.js evaluates its attributes, and unfold writes inline
# styles.
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [SELF],
        "script-src": [SELF, UNSAFE_INLINE, UNSAFE_EVAL],
        "style-src": [SELF, UNSAFE_INLINE],
        "img-src": [SELF, "data:"],
        "font-src": [SELF, "data:"],
        "object-src": [NONE],
        "base-uri": [SELF],
        "form-action": [SELF],
        "frame-ancestors": [NONE],
    }
}

LOG_FORMAT = one_of("LOG_FORMAT", logs.FORMATS, logs.TEXT)
LOG_LEVEL = one_of("LOG_LEVEL", ("DEBUG", "INFO", "WARNING", "ERROR"), "INFO")
logs.configure()
LOGGING = logs.logging_config(LOG_FORMAT, LOG_LEVEL)
DJANGO_STRUCTLOG_IP_LOGGING_ENABLED = False
DJANGO_STRUCTLOG_STATUS_START_LOG_LEVEL = logs.DEBUG
DJANGO_STRUCTLOG_STATUS_4XX_LOG_LEVEL = logs.INFO
DJANGO_STRUCTLOG_CELERY_ENABLED = True
DJANGO_STRUCTLOG_CELERY_DEFAULT_LOG_LEVEL = logs.DEBUG
CELERY_WORKER_HIJACK_ROOT_LOGGER = False

STATIC_URL = "/static/"
STATIC_ROOT = STATE_DIR / "static"
WHITENOISE_USE_FINDERS = True

REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": ["billing_site.foundation.authentication.ApiKeyAuthentication"],
    "DEFAULT_PERMISSION_CLASSES": [
        "billing_site.foundation.authentication.HasScope",
        "billing_site.foundation.parameters.KnownParameters",
    ],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["rest_framework.parsers.JSONParser"],
    "DEFAULT_SCHEMA_CLASS": "billing_site.foundation.schema.ApiSchema",
    "DEFAULT_FILTER_BACKENDS": ["django_filters.rest_framework.DjangoFilterBackend"],
    "COERCE_DECIMAL_TO_STRING": True,
    "UNAUTHENTICATED_USER": None,
    "DEFAULT_PAGINATION_CLASS": "billing_site.foundation.pagination.KeysetPagination",
    "EXCEPTION_HANDLER": "billing_site.foundation.api_errors.handle",
}

API_PREFIX = "/v1/"
SPECTACULAR_SETTINGS = api_schema.SETTINGS
UNFOLD = admin_shell.UNFOLD

PGHISTORY_MIDDLEWARE_METHODS = ("POST", "PUT", "PATCH", "DELETE")
PGHISTORY_APPEND_ONLY = True
HISTORY_SKIPPED_PATHS = ("/v1/events",)

# Tallybook's own. Each is explained in docs/settings.md.
IDEMPOTENCY_WAIT_MS = whole("IDEMPOTENCY_WAIT_MS", 10_000)
INGEST_MAX_EVENTS = whole("INGEST_MAX_EVENTS", 5_000)
INGEST_MAX_BYTES = whole("INGEST_MAX_BYTES", 5_000_000)
INGEST_EVENTS_PER_SECOND = whole("INGEST_EVENTS_PER_SECOND", 50_000)
WEB_THREADS = whole("WEB_THREADS", 4)
INGEST_AT_ONCE = whole("INGEST_AT_ONCE", 2)
SERIES_LIMIT = whole("SERIES_LIMIT", 10_000)
INGEST_FUTURE = timedelta(minutes=5)
INGEST_PAST = timedelta(days=35)
UPLOAD_MAX_BYTES = whole("UPLOAD_MAX_BYTES", 100_000_000)
UPLOAD_MAX_INFLATED_BYTES = whole("UPLOAD_MAX_INFLATED_BYTES", 1_000_000_000)
UPLOAD_MAX_ROWS = whole("UPLOAD_MAX_ROWS", 2_000_000)
UPLOAD_PART_ROWS = whole("UPLOAD_PART_ROWS", 1_000)
UPLOAD_LEASE = seconds("UPLOAD_LEASE_SECONDS", 60)
UPLOAD_BEAT_SECONDS = decimal("UPLOAD_BEAT_SECONDS", 5.0)
DAY_CLOSES_AFTER = seconds("DAY_CLOSES_AFTER_SECONDS", 3_600)
DAY_TOTALS_BEAT_SECONDS = decimal("DAY_TOTALS_BEAT_SECONDS", 30.0)
BACKFILL_CHUNK_EVENTS = whole("BACKFILL_CHUNK_EVENTS", 5_000)
BACKFILL_LEASE = seconds("BACKFILL_LEASE_SECONDS", 60)
BACKFILL_BEAT_SECONDS = decimal("BACKFILL_BEAT_SECONDS", 5.0)
# None: where the package's publisher keeps it. Empty: nowhere is asked.
MODEL_COSTS_URL: str | None = env.str("MODEL_COSTS_URL", default=None)
MODEL_COSTS_REFRESH = seconds("MODEL_COSTS_REFRESH_SECONDS", 86_400)
MODEL_COSTS_BEAT_SECONDS = decimal("MODEL_COSTS_BEAT_SECONDS", 600.0)
INVOICE_CHUNK_SIZE = whole("INVOICE_CHUNK_SIZE", 1_000)
INVOICE_LEASE = seconds("INVOICE_LEASE_SECONDS", 30)
INVOICE_BEAT_SECONDS = decimal("INVOICE_BEAT_SECONDS", 5.0)
PLAN_MOVES_BEAT_SECONDS = decimal("PLAN_MOVES_BEAT_SECONDS", 30.0)
INVOICE_REFRESH = seconds("INVOICE_REFRESH_SECONDS", 900)
INVOICE_SELLER = {
    "name": env.str("INVOICE_SELLER_NAME", default=""),
    "address": env.str("INVOICE_SELLER_ADDRESS", default="").replace("\\n", "\n"),
    "tax_id": env.str("INVOICE_SELLER_TAX_ID", default=""),
}

# What beat sends is dropped when no worker took it before the next one comes: nothing piles up behind a long run.
CELERY_BEAT_SCHEDULE: dict[str, dict[str, object]] = {
    name: {"task": name, "schedule": INVOICE_BEAT_SECONDS, "options": {"expires": max(INVOICE_BEAT_SECONDS, 5)}}
    for name in ("invoicing.find_due", "invoicing.watch_late_usage")
}
CELERY_BEAT_SCHEDULE["meters.find_uploads"] = {
    "task": "meters.find_uploads",
    "schedule": UPLOAD_BEAT_SECONDS,
    "options": {"expires": max(UPLOAD_BEAT_SECONDS, 5)},
}
CELERY_BEAT_SCHEDULE["meters.total_days"] = {
    "task": "meters.total_days",
    "schedule": DAY_TOTALS_BEAT_SECONDS,
    "options": {"expires": max(DAY_TOTALS_BEAT_SECONDS, 5)},
}
CELERY_BEAT_SCHEDULE["invoicing.move_subscriptions"] = {
    "task": "invoicing.move_subscriptions",
    "schedule": PLAN_MOVES_BEAT_SECONDS,
    "options": {"expires": max(PLAN_MOVES_BEAT_SECONDS, 5)},
}
CELERY_BEAT_SCHEDULE["meters.find_backfills"] = {
    "task": "meters.find_backfills",
    "schedule": BACKFILL_BEAT_SECONDS,
    "options": {"expires": max(BACKFILL_BEAT_SECONDS, 5)},
}
CELERY_BEAT_SCHEDULE["catalog.refresh_model_costs"] = {
    "task": "catalog.refresh_model_costs",
    "schedule": MODEL_COSTS_BEAT_SECONDS,
    "options": {"expires": max(MODEL_COSTS_BEAT_SECONDS, 5)},
}

# The largest body of any address is a batch of events; a price matrix is a form of many fields.
DATA_UPLOAD_MAX_MEMORY_SIZE = INGEST_MAX_BYTES
DATA_UPLOAD_MAX_NUMBER_FIELDS = 50_000
