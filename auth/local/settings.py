"""The Django settings, as a pure function of the place and the keys."""

from typing import Any

from auth.local import SERVICE_PREFIX
from auth.local.keys import Keys
from auth.local.place import Place

HUB_HOME = "/hub/oauth_login?next=%2Fhub%2Fhome"
SETUP_LINK_SECONDS = 48 * 3600
SESSION_SECONDS = 12 * 3600
ACCESS_TOKEN_SECONDS = 3600
REFRESH_TOKEN_SECONDS = 14 * 24 * 3600
REFRESH_GRACE_SECONDS = 120
PASSWORD_LENGTH_MIN = 12

MIDDLEWARE = [
    "auth.local.middleware.PageHeaders",
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "auth.local.middleware.NoTokenInUrl",
    "auth.local.middleware.TopLevelOnly",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]

# Warnings of `check --deploy` that are decisions here.
SILENCED = [
    # Hashed tokens cannot be handed out again, which the grace for parallel refreshes needs.
    "oauth2_provider.W006",
    # Strict-Transport-Security and the redirect to https belong to the TLS front: they concern the
    # whole host, and the hub itself speaks plain http to this process over loopback.
    "security.W004",
    "security.W008",
]


def settings_for(place: Place, keys: Keys, *, is_service: bool = True) -> dict[str, Any]:
    """Return every setting; ``is_service`` adds the log on standard error."""
    return {
        **_application(keys),
        **_database(place),
        **_sign_in(),
        **_address(place),
        **_cookies(place),
        "OAUTH2_PROVIDER": _protocol(place, keys),
        "LOGGING": _logging(place, is_service=is_service),
        "SILENCED_SYSTEM_CHECKS": SILENCED,
    }


def _application(keys: Keys) -> dict[str, Any]:
    return {
        "DEBUG": False,
        "SECRET_KEY": keys.secret_key,
        "SECRET_KEY_FALLBACKS": list(keys.old_secret_keys),
        "INSTALLED_APPS": [
            "auth.local.apps.AccountsConfig",
            "django.contrib.auth",
            "django.contrib.contenttypes",
            "django.contrib.sessions",
            "django.contrib.staticfiles",
            "oauth2_provider",
        ],
        "MIDDLEWARE": MIDDLEWARE,
        "ROOT_URLCONF": "auth.local.urls",
        "TEMPLATES": [
            {
                "BACKEND": "django.template.backends.django.DjangoTemplates",
                "APP_DIRS": True,
                "OPTIONS": {"context_processors": ["django.contrib.auth.context_processors.auth"]},
            },
        ],
        "STATIC_URL": "static/",
        "WHITENOISE_USE_FINDERS": True,
        "WHITENOISE_AUTOREFRESH": False,
        "USE_TZ": True,
        "USE_I18N": False,
        "DEFAULT_AUTO_FIELD": "django.db.models.BigAutoField",
        "DATA_UPLOAD_MAX_MEMORY_SIZE": 64 * 1024,
    }


def _database(place: Place) -> dict[str, Any]:
    options = {
        "timeout": 20,
        "transaction_mode": "IMMEDIATE",
        "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;",
    }
    sqlite = {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": str(place.database),
        "OPTIONS": options,
    }
    return {"DATABASES": {"default": sqlite}}


def _sign_in() -> dict[str, Any]:
    validation = "django.contrib.auth.password_validation."
    return {
        "AUTH_USER_MODEL": "accounts.Account",
        "AUTHENTICATION_BACKENDS": ["django.contrib.auth.backends.ModelBackend"],
        # Memory-hard, in the standard library, and several times faster to check than as many
        # rounds of PBKDF2 as are recommended today.
        "PASSWORD_HASHERS": ["django.contrib.auth.hashers.ScryptPasswordHasher"],
        "AUTH_PASSWORD_VALIDATORS": [
            {
                "NAME": validation + "UserAttributeSimilarityValidator",
                "OPTIONS": {"user_attributes": ("username", "name", "email")},
            },
            {
                "NAME": validation + "MinimumLengthValidator",
                "OPTIONS": {"min_length": PASSWORD_LENGTH_MIN},
            },
            {"NAME": validation + "CommonPasswordValidator"},
            {"NAME": validation + "NumericPasswordValidator"},
        ],
        "PASSWORD_RESET_TIMEOUT": SETUP_LINK_SECONDS,
        "LOGIN_URL": "sign-in",
        "LOGIN_REDIRECT_URL": HUB_HOME,
    }


def _address(place: Place) -> dict[str, Any]:
    settings: dict[str, Any] = {
        "FORCE_SCRIPT_NAME": SERVICE_PREFIX,
        # Loopback always: the hub fetches tokens from this process without leaving the box.
        "ALLOWED_HOSTS": [place.public_host, "127.0.0.1", "localhost"],
        "CSRF_TRUSTED_ORIGINS": list(place.origins),
        "USE_X_FORWARDED_HOST": False,
        "SECURE_REFERRER_POLICY": "same-origin",
        "X_FRAME_OPTIONS": "DENY",
        "LABHUB_FRONTS": place.fronts,
        "LABHUB_ORIGINS": place.origins,
    }
    if place.is_https:
        settings["SECURE_PROXY_SSL_HEADER"] = ("HTTP_X_FORWARDED_PROTO", "https")
    return settings


def _cookies(place: Place) -> dict[str, Any]:
    """Path-scoped: cookies ignore ports, so the path alone keeps them from user servers."""
    common = {
        "PATH": SERVICE_PREFIX + "/",
        "HTTPONLY": True,
        "SAMESITE": "Lax",
        "SECURE": place.is_https,
    }
    settings: dict[str, Any] = {f"SESSION_COOKIE_{key}": value for key, value in common.items()}
    settings |= {f"CSRF_COOKIE_{key}": value for key, value in common.items()}
    return settings | {
        "SESSION_COOKIE_NAME": "labhub-accounts-session",
        "CSRF_COOKIE_NAME": "labhub-accounts-csrf",
        "SESSION_COOKIE_AGE": SESSION_SECONDS,
    }


def _protocol(place: Place, keys: Keys) -> dict[str, Any]:
    gate = "COMPLIANT_BCP_RFC9700_"
    return {
        "OIDC_ENABLED": True,
        "OIDC_ISS_ENDPOINT": place.issuer,
        "OIDC_RSA_PRIVATE_KEY": keys.signing_key,
        "OIDC_RSA_PRIVATE_KEYS_INACTIVE": list(keys.old_signing_keys),
        "OAUTH2_VALIDATOR_CLASS": "auth.local.claims.AccountValidator",
        "SCOPES": {
            "openid": "Who you are",
            "profile": "Your name",
            "email": "Your e-mail address",
            "groups": "Your groups",
        },
        "PKCE_REQUIRED": True,
        gate + "IMPLICIT_GRANT": True,
        gate + "PASSWORD_GRANT": True,
        gate + "PKCE_METHOD": True,
        gate + "ACCESS_TOKEN_TRANSPORT": True,
        gate + "AUTHZ_RESPONSE_ISS": True,
        # These three change nothing at run time: they turn a bad value into an error of `check`.
        gate + "REFRESH_TOKEN": True,
        gate + "REDIRECT_URI_MATCHING": True,
        gate + "PKCE_REQUIRED": True,
        gate + "TOKEN_STORAGE": False,
        "ALLOWED_REDIRECT_URI_SCHEMES": ["https"] if place.is_https else ["http"],
        "ACCESS_TOKEN_EXPIRE_SECONDS": ACCESS_TOKEN_SECONDS,
        "ID_TOKEN_EXPIRE_SECONDS": ACCESS_TOKEN_SECONDS,
        "REFRESH_TOKEN_EXPIRE_SECONDS": REFRESH_TOKEN_SECONDS,
        # The hub has no lock around a user's refresh: several at once are normal.
        "REFRESH_TOKEN_GRACE_PERIOD_SECONDS": REFRESH_GRACE_SECONDS,
        "REFRESH_TOKEN_REUSE_PROTECTION": True,
        "OIDC_RP_INITIATED_LOGOUT_ENABLED": True,
        "OIDC_RP_INITIATED_LOGOUT_ALWAYS_PROMPT": False,
        "OIDC_RESPONSE_TYPES_SUPPORTED": ["code"],
        "OIDC_TOKEN_ENDPOINT_AUTH_METHODS_SUPPORTED": ["client_secret_basic"],
    }


def _logging(place: Place, *, is_service: bool) -> dict[str, Any]:
    line = {"format": "%(asctime)s %(name)s %(levelname)s %(message)s"}
    handlers: dict[str, Any] = {
        "audit": {
            "class": "logging.handlers.RotatingFileHandler",
            "filename": str(place.audit_log),
            "maxBytes": 10_000_000,
            "backupCount": 3,
            "delay": True,
            "formatter": "line",
            "encoding": "utf-8",
        },
        "console": {
            "class": "logging.StreamHandler" if is_service else "logging.NullHandler",
            "formatter": "line",
            "filters": ["no_links"],
        },
    }
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"line": line},
        "filters": {"no_links": {"()": "auth.local.audit.HideSetupLinks"}},
        "handlers": handlers,
        "loggers": {
            "labhub.accounts.audit": {"handlers": ["audit"], "level": "INFO"},
            "labhub.accounts": {"handlers": ["console"], "level": "INFO", "propagate": False},
            "django": {"handlers": ["console"], "level": "WARNING", "propagate": False},
            "oauth2_provider": {"handlers": ["console"], "level": "WARNING"},
            "waitress": {"handlers": ["console"], "level": "ERROR"},
        },
    }
