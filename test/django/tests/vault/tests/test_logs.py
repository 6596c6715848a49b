"""What Django's query log shows, and what the server's."""

import logging
from pathlib import Path

from django.db import connection, transaction
from django.db.models import F
from django.db.utils import IntegrityError

from django_trustpoint import checks
from django_trustpoint.expressions import TpDecrypt

from ..models import Card, Device
from .base import FieldTest, ask

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
    """What the server has of a statement, and logs: the table of the README."""

    def setUp(self):
        ((folder,),) = ask("SHOW data_directory")
        self.log = Path(folder) / "log" / "server.log"
        # What the server would log of itself.
        ask("SELECT set_config('trustpoint.redact_log', 'off', true)")

    def logged(self, action, **settings):
        for name, value in settings.items():
            ask("SELECT set_config(%s, %s, true)", [name, value])
        end = self.log.stat().st_size
        action()
        with self.log.open() as log:
            log.seek(end)
            return log.read()

    def save(self):
        Device.objects.create(name="n", secret=SECRET)

    def violate(self):
        with self.assertRaises(IntegrityError), transaction.atomic():
            Device.objects.create(name="n", secret=SECRET)

    def assertLogged(self, expected, text):
        self.assertIn("INSERT INTO", text)
        (self.assertIn if expected else self.assertNotIn)(SECRET, text)

    def test_statements_that_are_logged(self):
        self.assertLogged(True, self.logged(self.save, log_statement="all"))
        Device.objects.all().delete()
        by_client = not checks.binds_on_server(connection)
        self.assertLogged(by_client, self.logged(self.save, log_statement="all", log_parameter_max_length="0"))

    def test_statements_that_fail(self):
        self.save()
        by_client = not checks.binds_on_server(connection)
        self.assertLogged(by_client, self.logged(self.violate, log_min_error_statement="error"))
        text = self.logged(self.violate, log_min_error_statement="error", log_parameter_max_length_on_error="-1")
        self.assertLogged(True, text)

    def test_what_trustpoint_keeps_out_of_the_log(self):
        ask("SELECT set_config('trustpoint.redact_log', 'calls', true)")
        for action in (self.save, self.violate):
            text = self.logged(action, log_statement="all", log_parameter_max_length_on_error="-1")
            self.assertIn("trustpoint.redact_log", text)
            self.assertNotIn(SECRET, text)

    def test_what_other_sessions_see(self):
        with connection.cursor() as cursor:
            cursor.execute("SELECT query FROM pg_stat_activity WHERE pid = pg_backend_pid() AND %s <> ''", [SECRET])
            (text,) = cursor.fetchone()
        (self.assertNotIn if checks.binds_on_server(connection) else self.assertIn)(SECRET, text)
