"""
The settings come from the environment: PGHOST, PGPORT, PGDATABASE, PGUSER and PGPASSWORD or PGPASSWORD_FILE as psql knows
them, SECRET_KEY or SECRET_KEY_FILE, ALLOWED_HOSTS (separated by commas).
"""

import os
from pathlib import Path

import django
from django.core.management.utils import get_random_secret_key


def from_environment(name, default=""):
    """$NAME, or the content of the file $NAME_FILE, as container secrets come."""
    path = os.environ.get(name + "_FILE")
    return Path(path).read_text().strip() if path else os.environ.get(name, default)


# A page of DEBUG shows local variables, secrets among them.
DEBUG = False
# A key of this process alone ends every session with it: good enough for an example.
SECRET_KEY = from_environment("SECRET_KEY") or get_random_secret_key()
ALLOWED_HOSTS = os.environ.get("ALLOWED_HOSTS", "localhost,127.0.0.1,[::1]").split(",")
CSRF_TRUSTED_ORIGINS = [origin for origin in os.environ.get("CSRF_TRUSTED_ORIGINS", "").split(",") if origin]

INSTALLED_APPS = ["django.contrib.messages", "django_trustpoint", "registry"]
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]
MESSAGE_STORAGE = "django.contrib.messages.storage.cookie.CookieStorage"
ROOT_URLCONF = "site_config.urls"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]


def binds_on_server():
    """psycopg 3 can leave the binding of parameters to the server: then no secret is part of a statement's text."""
    try:
        import psycopg  # noqa: F401
    except ImportError:
        return False
    return django.VERSION >= (4, 2)


DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.postgresql",
        "HOST": os.environ.get("PGHOST", ""),
        "PORT": os.environ.get("PGPORT", ""),
        "NAME": os.environ.get("PGDATABASE", "registry"),
        "USER": os.environ.get("PGUSER", "postgres"),
        "PASSWORD": from_environment("PGPASSWORD"),
        # A connection a request, Django's default: trustpoint keeps up with it.
        "CONN_MAX_AGE": 0,
        "OPTIONS": {"server_side_binding": True} if binds_on_server() else {},
    }
}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
USE_TZ = True
TIME_ZONE = "UTC"
CA_LABEL = os.environ.get("CA_LABEL", "example-ca")
