"""The clients of test/t/110_soak.pl: they keep the truth outside of the database, and judge every answer and error.

clients.py run CONNECTION TROUBLE RESULT [token-away]   works until SIGTERM
clients.py check CONNECTION RESULT                      compares the database with what `run` has written down

TROUBLE is a file that the test makes one byte longer before it does harm and again when all is well: its size tells whether
an error has an excuse.
"""
import json
import os
import random
import signal
import sys

import psycopg2
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from client import Client, Clients, Wrong, text

WRITERS, ROWS = 2, 300  # rows of each writer


class Writer(Client):
    PAUSE = 0.02
    version = 0

    def step(self):
        rows, pending = self.shared.rows, {}
        self.ask("BEGIN")
        if random.random() < 0.2:
            self.ask("SET LOCAL trustpoint.cipher = 'aes-256-gcm'")
        for _ in range(random.randint(1, 4)):
            row = self.number * ROWS + random.randrange(ROWS)
            version = self.check_row(row, self.ask(self.SELECT, row))
            if row in pending:
                if version != pending[row]:
                    raise Wrong(f"row {row}: version {version} in the transaction that wrote {pending[row]}")
            elif version not in rows.get(row, {None}):
                raise Wrong(f"row {row}: version {version}, which was {rows.get(row)}")
            else:
                rows[row] = {version}  # what a lost connection left open
            undo = random.random() < 0.1
            if undo:
                self.ask("SAVEPOINT one")
            new = self.write(row, version)
            if undo:
                self.ask("ROLLBACK TO one")
            else:
                pending[row] = new
        if random.random() < 0.1:
            self.ask("ROLLBACK")
            return
        before = {row: rows[row] for row in pending}
        for row, new in pending.items():
            rows[row] = before[row] | {new}
        try:
            self.ask("COMMIT")
        except psycopg2.Error as error:
            if self.connection.closed == 0:
                rows.update(before)  # it was refused
            else:
                self.shared.count("commits of unknown end")
            raise error
        for row, new in pending.items():
            rows[row] = {new}
        self.shared.count("commits")

    def write(self, row, version):
        if version is not None and random.random() < 0.1:
            self.ask("DELETE FROM secret WHERE id = %s", row)
            return None
        self.version += 1
        plaintext = text(row, self.version)
        key = "tenant" if row % 3 == 0 else "default"
        arguments = (row, self.version, plaintext, str(row), key, plaintext)
        written = self.ask("""INSERT INTO secret VALUES (%s, %s, tp_encrypt(%s::text, tp_context('secret', %s), %s),
            tp_blind_index(%s::text, 'secret'))
            ON CONFLICT (id) DO UPDATE SET version = excluded.version, value = excluded.value, lookup = excluded.lookup""",
            *arguments)
        if written != 1:
            raise Wrong(f"row {row}: {written} rows written")
        self.shared.count("encrypted")
        return self.version


class Reader(Client):
    PAUSE = 0.05

    def step(self):
        if random.random() < 0.9:
            row = random.randrange(WRITERS * ROWS)
            self.check_row(row, self.ask(self.SELECT, row))
            return
        for row, *found in self.ask(self.SELECT.replace("SELECT", "SELECT id,").replace("WHERE id = %s", "")):
            self.check_row(row, [found])


class Visitor(Client):
    """A connection for each row."""
    PAUSE = 0.1

    def step(self):
        row = random.randrange(WRITERS * ROWS)
        self.check_row(row, self.ask(self.SELECT, row))
        self.connection.close()
        self.connection = None


class Signer(Client):
    """Verifies outside of the server, by the public key that it was told first."""
    PAUSE = 0.05
    public_key = None

    def step(self):
        if self.public_key is None:
            self.public_key = load_pem_public_key(self.ask("SELECT tp_public_key('signer')")[0][0].encode())
        data = os.urandom(random.randint(0, 500))
        (signature, verifies, other), = self.ask("""SELECT s, tp_verify('signer', d, s), tp_verify('signer', d || '\\x00', s)
            FROM (SELECT tp_sign('signer', %s::bytea), %s::bytea) AS t (s, d)""", data, data)
        self.public_key.verify(bytes(signature), data, ec.ECDSA(hashes.SHA256()))
        if (verifies, other) != (True, False):
            raise Wrong(f"tp_verify: {verifies}, {other}")
        self.shared.count("signed")


class Keeper(Client):
    """Rotates, re-encrypts, destroys what is no longer used; makes and destroys keys."""
    PAUSE = 0.5
    last = 0

    def step(self):
        random.choice([self.rotate, self.reencrypt, self.rotate_kek, self.change_key, self.change_key])()

    def rotate(self):
        self.ask("SELECT tp_rotate_dek(%s)", random.choice(["default", "tenant"]))
        self.shared.count("DEKs rotated")

    def reencrypt(self):
        self.ask("CALL tp_reencrypt_column('secret', 'value', $$tp_context('secret', id::text)$$, 100)")
        self.shared.count("re-encrypted")
        # Who began before may still see rows as they were. And it is refused (55000) when a transaction may have encrypted.
        since, = self.ask("SELECT clock_timestamp()")[0]
        while self.ask("SELECT count(*) FROM pg_stat_activity WHERE xact_start < %s", since)[0][0] and not self.shared.stop.wait(0.05):
            pass
        for dek, name in self.ask("""SELECT id, name FROM tp_keyring k WHERE state = 'retired' AND NOT EXISTS
                (SELECT FROM tp_key_usage('secret', 'value') u WHERE u.key_id = k.id)"""):
            self.ask("SELECT tp_destroy_dek(%s, %s)", dek, name)
            self.shared.count("DEKs destroyed")

    def rotate_kek(self):
        self.last += 1
        self.change(self.shared.keks, f"kek {self.last}", True, "SELECT tp_rotate_kek(%s)", f"kek {self.last}")
        for kek, label in self.ask("""SELECT id, label FROM tp_kek k
                WHERE created_at < (SELECT max(created_at) FROM tp_kek) AND NOT EXISTS (SELECT FROM tp_dek d WHERE d.kek_id = k.id)"""):
            self.change(self.shared.keks, label, False, "SELECT tp_destroy_kek(%s, %s)", kek, label)

    def change_key(self):
        there = [label for label, state in self.shared.keys.items() if True in state]
        if len(there) > 5:
            self.change(self.shared.keys, there[0], False, "SELECT tp_destroy_key(label) FROM tp_token_key WHERE label = %s", there[0])
            return
        self.last += 1
        label = f"key {self.last}"
        self.shared.keys[label] = {False}
        if random.random() < 0.3:
            self.ask("BEGIN")
            self.ask("SELECT tp_generate_ec_key(%s), tp_sign(%s, 'x')", label, label)
            self.ask("ROLLBACK")
            return
        self.change(self.shared.keys, label, True, "SELECT tp_generate_ec_key(%s)", label)

    def change(self, truth, label, to, sql, *arguments):
        truth[label] = truth.get(label, {True}) | {True, False}
        self.ask(sql, *arguments)
        truth[label] = {to}
        self.shared.count(f"{'keys' if truth is self.shared.keys else 'KEKs'} {'made' if to else 'destroyed'}")


def run(connection, trouble, result, *token_away):
    shared = Clients(connection, trouble, bool(token_away))
    threads = [Writer(shared, i) for i in range(WRITERS)] + [kind(shared) for kind in (Reader, Visitor, Signer, Keeper)]
    for thread in threads:
        thread.start()
    # Until the test says so, or has ended without a word.
    parent = os.getppid()
    signal.signal(signal.SIGTERM, lambda *_: shared.stop.set())
    while not shared.stop.wait(0.5) and os.getppid() == parent:
        pass
    shared.stop.set()
    for thread in threads:
        thread.join(60)
        if thread.is_alive():
            shared.failures.append(f"{type(thread).__name__} hangs")
    with open(result, "w") as file:
        json.dump({"counts": shared.counts, "failures": shared.failures,
                   **{what: {name: list(maybe) for name, maybe in getattr(shared, what).items()}
                      for what in ("rows", "keys", "keks")}}, file)


def check(connection, result):
    """Prints what is not as it should be."""
    with open(result) as file:
        truth = json.load(file)["rows"]
    checker = Reader(Clients(connection, os.devnull, False))
    checker.connect()
    versions = {}
    for row, version in checker.ask("SELECT id, version FROM secret"):
        versions[str(row)] = version
        try:
            checker.check_row(row, checker.ask(Client.SELECT, row))
        except (Wrong, psycopg2.Error) as error:
            print(f"row {row}: {error}")
    for row in sorted({*truth, *versions}):
        if versions.get(row) not in truth.get(row, [None]):
            print(f"row {row}: version {versions.get(row)}, which was {truth.get(row)}")


if __name__ == "__main__":
    {"run": run, "check": check}[sys.argv[1]](*sys.argv[2:])
