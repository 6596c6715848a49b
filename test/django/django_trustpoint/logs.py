"""
Keeps plaintexts out of Django's own query log (the logger django.db.backends, at DEBUG). The statement is cut off at the
first value that the extension encrypts or hashes. It does not change what the server logs, nor connection.queries.
"""

import logging
import re

# What holds plaintext: arguments of these, and whatever a decrypted column is compared with.
SECRET = re.compile(
    r"\b(tp_encrypt|tp_blind_index|tp_blind_index_candidates|tpsec_encrypt)\(|\bWHERE\b.*?\btp_decrypt(_bytea)?\(",
    re.DOTALL,
)


class HidePlaintext(logging.Filter):
    def filter(self, record):
        sql = getattr(record, "sql", None)
        found = SECRET.search(sql) if isinstance(sql, str) else None
        if found:
            hidden = sql[: found.end()] + "... [the rest is not logged: it holds plaintext]"
            args = list(record.args)
            args[1:3] = [hidden, "[not logged]"]
            record.args, record.sql, record.params = tuple(args), hidden, None
        return True


def install():
    logger = logging.getLogger("django.db.backends")
    if not any(isinstance(known, HidePlaintext) for known in logger.filters):
        logger.addFilter(HidePlaintext())
