"""What the tests share: the stored bytes of a row, and tests that name their server."""

from django.db import connection
from django.test import TestCase


def ask(sql, params=None):
    """The rows of a raw statement."""
    with connection.cursor() as cursor:
        cursor.execute(sql, params)
        return cursor.fetchall() if cursor.description else []


def stored(instance, field):
    """The bytes in the column of an instance, past the fields."""
    column = instance._meta.get_field(field).column
    key = instance._meta.pk
    rows = ask(
        'SELECT "%s" FROM "%s" WHERE "%s" = %%s' % (column, instance._meta.db_table, key.column),
        [key.get_db_prep_value(instance.pk, connection)],
    )
    return None if rows[0][0] is None else bytes(rows[0][0])


class FieldTest(TestCase):
    def assertEncrypted(self, instance, field, plaintext):
        value = stored(instance, field)
        self.assertIn(value[0], (0xE1, 0xE2))
        self.assertNotIn(plaintext.encode(), value)
