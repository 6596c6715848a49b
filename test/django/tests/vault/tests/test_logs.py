"""What Django's query log shows, and what the server's."""

import logging
import sys
from pathlib import Path

from django.db import DataError, connection, transaction
from django.db.models import BooleanField, Case, ExpressionWrapper, F, IntegerField, Max, Q, TextField, Value, When
from django.db.models.functions import Cast
from django.db.utils import IntegrityError
from django.views.debug import ExceptionReporter

from django_trustpoint import checks
from django_trustpoint.expressions import TpDecrypt

from ..models import Badge, Card, Device, Site
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

    def test_comparisons_anywhere_in_a_statement(self):
        site = Site.objects.create(name="site")
        Device.objects.create(name="seen", secret="s", site=site)
        plain = Device.objects.annotate(p=TpDecrypt("secret"))
        one = Case(When(p=SECRET, then=1), default=0, output_field=IntegerField())
        for query in (
            Site.objects.annotate(p=Max(TpDecrypt("devices__secret"))).filter(p=SECRET),
            plain.annotate(x=one).values("x"),
            plain.order_by(one).values("name"),
            plain.annotate(x=ExpressionWrapper(Q(p=SECRET), output_field=BooleanField())).values("x"),
            Device.objects.annotate(v=Value(SECRET, output_field=TextField())).filter(v=TpDecrypt("secret")),
            plain.annotate(p=Cast("p", IntegerField())).filter(p=918273),
        ):
            self.handler.lines.clear()
            try:
                with transaction.atomic():
                    list(query)
            except DataError:
                pass  # "s" is no number
            (line,) = [line for line in self.handler.lines if "SELECT" in line]
            self.assertNotIn(SECRET, line)
            self.assertNotIn("918273", line)
            self.assertIn("the rest is not logged", line)

    def test_what_holds_no_parameter_is_shown(self):
        badge = Badge.objects.create(owner="o", code="c")
        self.handler.lines.clear()
        Badge.objects.annotate(n=F("customers__mail")).get(pk=badge.pk, masterbadge__areas__isnull=True)
        for shown in (
            "tp_context(E'vault', E'badge', E'code', ",
            '"vault_masterbadge"."areas" IS NULL AND "vault_badge"."id" = ',
        ):
            self.assertIn(shown, self.handler.lines[-1])
        list(Device.objects.order_by("secret"))
        self.assertNotIn("not logged", self.handler.lines[-1])

    def test_parameters_do_not_show_on_the_page_of_an_error(self):
        objects = [Device(name="n", secret=SECRET, blob=SECRET.encode(), config=[SECRET]) for _ in range(2)]
        try:
            with transaction.atomic():
                Device.objects.bulk_create(objects)
        except IntegrityError:
            frames = ExceptionReporter(None, *sys.exc_info()).get_traceback_frames()
        shown = str([frame["vars"] for frame in frames])
        self.assertIn("<plaintext>", shown)
        self.assertNotIn(SECRET[:12], shown)

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
