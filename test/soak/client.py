"""What all clients of the soak test share: the truth outside of the database, and the judgement on errors."""
import collections
import os
import random
import threading
import time

import psycopg2
import psycopg2.extensions

# What a client may be told, beside what an excuse allows. 40001 and 40P01 ask to repeat; 55000: tp_destroy_dek and
# tp_destroy_kek refuse while something is, or may be, in use.
ALWAYS = {"Keeper": {"40001", "40P01", "55000"}}
LOST = {None, "57P01", "57P02", "57P03"}  # the connection ended, or the server does not take one yet


class Wrong(Exception):
    """An answer that no excuse allows."""


def text(row, version):
    """The plaintext of a row: known from its number and version alone; some are stored out of line."""
    return f"secret {row} {version} " + "ä" * (row * 7 % 60) + "x" * (9000 if version % 50 == 0 else version % 40)


class Clients:
    """What the threads share."""

    def __init__(self, connection, trouble_file, token_away):
        self.dsn, self.trouble_file, self.token_away = connection, trouble_file, token_away
        self.stop = threading.Event()
        self.lock = threading.Lock()
        self.counts = collections.Counter()
        self.failures = []
        self.rows, self.keys, self.keks = {}, {}, {}  # each: what may be so, a set; one element where it is known

    def trouble(self):
        return os.path.getsize(self.trouble_file)

    def count(self, what, number=1):
        with self.lock:
            self.counts[what] += number


class Client(threading.Thread):
    SELECT = """SELECT version, tp_decrypt(value, tp_context('secret', id::text)),
        lookup = tp_blind_index(tp_decrypt(value, tp_context('secret', id::text)), 'secret') FROM secret WHERE id = %s"""

    def __init__(self, shared, number=0):
        super().__init__(daemon=True)
        self.shared, self.number = shared, number
        self.connection = None

    def connect(self):
        self.quiet = self.shared.trouble()
        self.connection = psycopg2.connect(self.shared.dsn, application_name="soak")
        self.connection.autocommit = True
        self.shared.count("connections")

    def ask(self, sql, *arguments):
        with self.connection.cursor() as cursor:
            cursor.execute(sql, arguments or None)
            return cursor.fetchall() if cursor.description else cursor.rowcount

    def run(self):
        shared = self.shared
        while not shared.stop.is_set():
            start = shared.trouble()
            try:
                if self.connection is None:
                    self.connect()
                self.step()
                self.quiet = start
            except psycopg2.Error as error:
                self.judge(error, start)
            except Exception as error:
                shared.failures.append(f"{type(self).__name__}: {error!r}")
                self.connection.close()
                self.connection = None
            time.sleep(random.random() * self.PAUSE)

    def judge(self, error, start):
        shared, state, now = self.shared, error.pgcode, self.shared.trouble()
        name = type(self).__name__
        lost = self.connection is None or self.connection.closed != 0 or state is None
        if lost:
            # Whoever was idle when it happened learns it at the next step.
            excused = not shared.token_away and state in LOST and (now != self.quiet or now % 2 == 1)
            self.connection = None
        else:
            excused = state in ALWAYS.get(name, ()) or (
                shared.token_away and state is not None and state[:2] == "58" and (now != start or now % 2 == 1))
            if self.connection.info.transaction_status != psycopg2.extensions.TRANSACTION_STATUS_IDLE:
                try:
                    self.ask("ROLLBACK")
                except psycopg2.Error:
                    self.connection = None  # lost now
        if excused:
            shared.count("connection lost" if lost else f"told {state}")
        else:
            shared.failures.append(f"{name}: {state} {error}".strip() + f" [{self.quiet} {start} {now} {lost}]")

    def check_row(self, row, found):
        """Returns the version, None without a row."""
        if not found:
            return None
        (version, plaintext, lookup), = found
        if plaintext != text(row, version):
            raise Wrong(f"row {row}, version {version}: {plaintext[:40]!r}")
        if not lookup:
            raise Wrong(f"row {row}, version {version}: another blind index")
        self.shared.count("decrypted")
        return version
