"""Runs in: the command line; values that nobody can guess, for secrets."""

import base64
import secrets


def token() -> str:
    """Return 43 URL-safe characters from 32 random bytes."""
    return secrets.token_urlsafe(32)


def signing_key() -> str:
    """Return 86 URL-safe characters from 64 random bytes, what HMAC with SHA-512 wants (RFC 7518, section 3.2)."""
    return secrets.token_urlsafe(64)


def fernet_key() -> str:
    """Return a Fernet key: 32 random bytes, URL-safe base64 with padding (cryptography.fernet's format)."""
    return base64.urlsafe_b64encode(secrets.token_bytes(32)).decode()
