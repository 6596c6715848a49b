"""manage.py trustpoint_reencrypt: brings columns under the newest DEK, in batches that commit, while the application runs."""

import threading

from django.apps import apps
from django.core.management.base import BaseCommand, CommandError
from django.db import DEFAULT_DB_ALIAS, connections, router

from django_trustpoint.migrating import encrypted_fields
from django_trustpoint.sql import context_sql

BAR = 30


class Command(BaseCommand):
    help = (
        "Re-encrypts encrypted fields under the newest data key and the present cipher (CALL tp_reencrypt_column). May be"
        " interrupted and called again: it goes on where it was."
    )

    def add_arguments(self, parser):
        parser.add_argument(
            "names", nargs="*", metavar="app[.Model[.field]]", help="which fields; all of them when left out"
        )
        parser.add_argument("--database", default=DEFAULT_DB_ALIAS)
        parser.add_argument("--batch-size", type=int, default=5000, help="rows of one transaction (default 5000)")
        parser.add_argument("--no-progress", action="store_true", help="no bar, just one line for each field")

    def handle(self, *names, **options):
        self.names, self.alias = options["names"], options["database"]
        self.bar = not options["no_progress"] and self.stdout.isatty()
        if connections[self.alias].in_atomic_block:
            raise CommandError("trustpoint_reencrypt commits its batches: it cannot run inside a transaction")
        refused, failed = 0, []
        # One column that fails leaves none of the others under the old key.
        for field in self.fields():
            job = self.reencrypt(field, options["batch_size"])
            refused += job.refused
            if job.error is not None:
                failed.append(str(field))
                self.stderr.write("%s: %s" % (field, str(job.error).strip()))
        problems = []
        if refused:
            problems.append("%d values could not be decrypted and were left as they are" % refused)
        if failed:
            problems.append("not done: %s" % ", ".join(failed))
        if problems:
            raise CommandError("%s: see the messages above" % "; ".join(problems))

    def fields(self):
        fields = []
        for name in self.names or [config.label for config in apps.get_app_configs()]:
            found = list(self.fields_of(*name.split(".")))
            if self.names and not found:
                raise CommandError("%s has no encrypted fields" % name)
            fields += found
        return fields

    def fields_of(self, app_label, model_name=None, field_name=None, *rest):
        try:
            config = apps.get_app_config(app_label)
            models = [config.get_model(model_name)] if model_name else config.get_models()
        except LookupError as error:
            raise CommandError(str(error))
        for model in models:
            # A proxy has its fields in the table of another model.
            if model._meta.proxy or not router.allow_migrate_model(self.alias, model):
                continue
            # An unmanaged model may be a view of a table. One that is named is left to the server to refuse.
            if not model_name and encrypted_fields(model) and self.is_view(model):
                self.stdout.write("%s: no table, left out" % model._meta.label)
                continue
            for field in encrypted_fields(model):
                if field_name in (None, field.name) and not rest:
                    yield field

    def is_view(self, model):
        connection = connections[self.alias]
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT EXISTS (SELECT FROM pg_class WHERE oid = to_regclass(%s) AND relkind NOT IN ('r', 'p'))",
                [connection.ops.quote_name(model._meta.db_table)],
            )
            return cursor.fetchone()[0]

    def reencrypt(self, field, batch_size):
        """One column, in a connection of its own, so that this one can watch it, and stop it. Returns the job."""
        job = Job(self.alias, field, batch_size)
        job.start()
        state = None
        try:
            while job.is_alive():
                job.join(0.2)
                state = self.progress(job) or state
                if self.bar and state and any(state):
                    self.stdout.write("\r" + line(field, *state), ending="")
                    self.stdout.flush()
        except KeyboardInterrupt:
            job.interrupted = True
            with connections[self.alias].cursor() as cursor:
                cursor.execute("SELECT pg_cancel_backend(%s)", [job.pid])
            job.join()
        state = job.result or self.progress(job) or state or (0, 0, 0, None)
        job.refused = state[2]
        if job.error is None or any(state):
            self.stdout.write(("\r" if self.bar else "") + line(field, *state))
        for message in job.messages:
            self.stderr.write(message)
        if job.interrupted:
            raise CommandError("interrupted; what is done is done: call it again to go on")
        return job

    def progress(self, job):
        return job.pid and progress(connections[self.alias], job)


class Job(threading.Thread):
    def __init__(self, alias, field, batch_size):
        super().__init__(daemon=True)
        self.alias, self.batch_size = alias, batch_size
        quote = connections[alias].ops.quote_name
        self.table, self.column = quote(field.model._meta.db_table), field.column
        self.context = context_sql(field.context_parts, field.row_field and quote(field.row_field.column))
        self.pid = self.error = self.result = None
        self.refused = 0
        self.interrupted = False
        self.messages = Messages()

    def run(self):
        connection = connections[self.alias]
        try:
            with connection.cursor() as cursor:
                cursor.execute("SELECT pg_backend_pid()")
                (self.pid,) = cursor.fetchone()
                self.messages.listen(connection.connection)
                cursor.execute(
                    "CALL tp_reencrypt_column(CAST(%s AS regclass), CAST(%s AS name), CAST(%s AS text), CAST(%s AS int))",
                    [self.table, self.column, self.context, self.batch_size],
                )
            self.result = progress(connection, self)
        except Exception as error:
            self.error = error
        finally:
            connection.close()


def progress(connection, job):
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT rows_done, rows_left, rows_refused, rows_per_second FROM tp_reencrypt_progress"
            " WHERE pid = %s AND relation = to_regclass(%s) AND attribute = %s",
            [job.pid, job.table, job.column],
        )
        return cursor.fetchone()


def line(field, done, left, refused, rate):
    share = done / (done + left) if done + left else 1
    bar = "#" * int(share * BAR)
    text = "%s [%-*s] %3d %%  %d of %d values" % (field, BAR, bar, share * 100, done, done + left)
    if rate and left:
        text += ", %d/s, %d s left" % (rate, left / rate)
    if refused:
        text += ", %d refused" % refused
    return "%-100s" % text if rate else text


# ---- what the server says of single values


class Messages(list):
    """Takes the place of psycopg 2's list of notices, which keeps the last fifty alone."""

    def append(self, notice):
        text = notice if isinstance(notice, str) else "%s: %s" % (notice.severity, notice.message_primary)
        if text.startswith("WARNING") or ", ctid " in text:
            super().append(text.strip())

    def listen(self, connection):
        if hasattr(connection, "add_notice_handler"):
            connection.add_notice_handler(self.append)
        else:
            connection.notices = self
