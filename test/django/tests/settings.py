"""The tests' project. The server is that of PGHOST and its kin; SERVER_SIDE_BINDING=1 binds parameters there (psycopg 3)."""

import os

SECRET_KEY = "only for tests"
INSTALLED_APPS = ["django_trustpoint", "vault"]
MIDDLEWARE = []
ROOT_URLCONF = "vault.urls"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
USE_TZ = True


def database(name):
    return {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": name,
        "HOST": os.environ.get("PGHOST", ""),
        "PORT": os.environ.get("PGPORT", ""),
        "USER": os.environ.get("PGUSER", "postgres"),
        "CONN_MAX_AGE": 0,
        "OPTIONS": {"server_side_binding": True} if os.environ.get("SERVER_SIDE_BINDING") else {},
    }


# Two databases with keys of their own, on one token.
DATABASES = {"default": database("vault"), "other": database("vault_other")}
