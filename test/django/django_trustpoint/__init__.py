"""Model fields whose columns the PostgreSQL extension trustpoint encrypts. No cryptography happens in Python."""
