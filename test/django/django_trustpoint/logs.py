"""
Keeps plaintexts out of Django's own query log (the logger django.db.backends, at DEBUG). The statement is cut off at the
first value that the extension encrypts or hashes, or that may be compared with one that it decrypts. It does not change
what the server logs, nor connection.queries.
"""

import logging
import re

# What holds plaintext: arguments of these.
SECRET = re.compile(r"\b(tp_encrypt|tp_blind_index|tp_blind_index_candidates|tpsec_encrypt)\(")

DECRYPTED = re.compile(r"\btp_decrypt(_bytea)?\(")

# Where columns are decrypted, any constant may be what they are compared with: in any clause, on either side. This is all
# before the first one: words, names, and decrypted columns with the constants of their contexts.
NAME = r'"(?:[^"]|"")*"'
TEXT = r"E'(?:[^'\\]|''|\\.)*'"
COLUMN = r"(?:%s|\w+)\.%s" % (NAME, NAME)
ROW = r"CAST\(coalesce\(CAST\(%s AS text\), ''\) AS text\)" % COLUMN
CONTEXT = r"(?:%s|tp_context\((?:%s, )*%s\))" % (TEXT, TEXT, ROW)
NO_CONSTANT = re.compile(r"(?:%s|tp_decrypt(?:_bytea)?\(%s, %s\)|[^\W\d]\w*|[^\w'\"])*" % (NAME, COLUMN, CONTEXT))


class HidePlaintext(logging.Filter):
    def filter(self, record):
        sql = getattr(record, "sql", None)
        end = first_secret(sql) if isinstance(sql, str) else None
        if end is not None and (end < len(sql) or getattr(record, "params", None)):
            hidden = sql[:end] + "... [the rest is not logged: it holds plaintext]"
            args = list(record.args)
            args[1:3] = [hidden, "[not logged]"]
            record.args, record.sql, record.params = tuple(args), hidden, None
        return True


def first_secret(sql):
    """Where the first plaintext may begin, or None."""
    secret = SECRET.search(sql)
    ends = [secret.end()] if secret else []
    if DECRYPTED.search(sql):
        ends.append(NO_CONSTANT.match(sql).end())
    return min(ends, default=None)


def install():
    logger = logging.getLogger("django.db.backends")
    if not any(isinstance(known, HidePlaintext) for known in logger.filters):
        logger.addFilter(HidePlaintext())
