"""What Django's query log shows, and what the server's."""

import logging

from django.db import connection
from django.db.models import F

from django_trustpoint import checks
from django_trustpoint.expressions import TpDecrypt

from ..models import Card, Device
from .base import FieldTest

SECRET = "correct horse battery staple"


class Lines(logging.Handler):
    def __init__(self):
        super().__init__()
        self.lines = []

    def emit(self, record):
        self.lines.append("%s %r" % (record.getMessage(), vars(record)))


class QueryLogTest(FieldTest):
    def setUp(self):
        self.handler = Lines()
        self.logger = logging.getLogger("django.db.backends")
        self.logger.addHandler(self.handler)
        self.level = self.logger.level
        self.logger.setLevel(logging.DEBUG)
        connection.force_debug_cursor = True

    def tearDown(self):
        connection.force_debug_cursor = False
        self.logger.removeHandler(self.handler)
        self.logger.setLevel(self.level)

    def test_no_plaintext_at_debug(self):
        device = Device.objects.create(
            name="seen", secret=SECRET, blob=SECRET.encode(), config={"k": SECRET}, pin=SECRET[:8]
        )
        Card.objects.create(code=SECRET)
        device.secret = SECRET + "!"
        device.save()
        Device.objects.bulk_create([Device(name=str(n), secret=SECRET) for n in range(3)])
        Device.objects.update(secret=SECRET)
        Device.objects.bulk_update(Device.objects.all(), ["secret"])
        self.assertEqual(Device.objects.annotate(p=TpDecrypt("secret")).filter(p=SECRET).count(), 4)
        self.assertEqual(list(Device.objects.filter(name="seen").values_list(F("secret"), flat=True)), [SECRET])
        text = "\n".join(self.handler.lines)
        self.assertGreater(len(self.handler.lines), 8)
        self.assertNotIn(SECRET, text)
        self.assertNotIn(SECRET[:8], text)
        self.assertNotIn(SECRET.encode().hex(), text)
        self.assertIn("tp_encrypt(... [the rest is not logged", text)
        self.assertIn("seen", text)

    def test_parameters_do_not_show_in_a_repr(self):
        from django_trustpoint.blind_index import BlindIndex
        from django_trustpoint.expressions import Encrypt, TpEncrypt
        from django_trustpoint.sql import Plaintext

        field = Device._meta.get_field("secret")
        for shown in (Plaintext(SECRET), Encrypt(field, SECRET), TpEncrypt(SECRET), BlindIndex(field, SECRET)):
            self.assertNotIn(SECRET, repr(shown))


class ServerLogTest(FieldTest):
    """What the server has of a statement is what pg_stat_activity shows of it."""

    def test_the_statement_the_server_sees(self):
        with connection.cursor() as cursor:
            cursor.execute("SELECT query FROM pg_stat_activity WHERE pid = pg_backend_pid() AND %s <> ''", [SECRET])
            (text,) = cursor.fetchone()
        if checks.binds_on_server(connection):
            self.assertNotIn(SECRET, text)
        else:
            self.assertIn(SECRET, text)
