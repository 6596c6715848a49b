# Whoever has encrypted holds a light lock on tp_dek until the transaction ends; whoever decrypts holds none.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::RealBin/../perl";
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use TrustpointCluster;

my $node = new_cluster('lock');
set_up($node);
$node->safe_psql('postgres', q{CREATE TABLE v AS SELECT tp_encrypt('x') AS value});
my $session = session($node);
my $pid = ask($session, 'SELECT pg_backend_pid()');

# The modes of the session's locks on tp_dek, seen from outside.
sub locks {
    return $node->safe_psql('postgres', qq{SELECT string_agg(mode, ',' ORDER BY mode) FROM pg_locks
        WHERE pid = $pid AND relation = 'tp_dek'::regclass AND granted});
}

sub is_locked { my ($name) = @_; return is(locks(), 'RowShareLock', $name); }
sub is_free { my ($name) = @_; return is(locks(), '', $name); }

for my $when ('with a cold cache', 'with a warm cache') {
    ask($session, 'BEGIN');
    is(ask($session, 'SELECT tp_decrypt(value) FROM v'), 'x', "$when: decrypted");
    is_free("$when: a decryptor holds no lock");
    ask($session, q{SELECT tp_encrypt('a')});
    is_locked("$when: an encryptor does");
    ask($session, q{SELECT tp_encrypt('b') FROM generate_series(1, 10)});
    is_locked("$when: the same lock after more");
    ask($session, 'COMMIT');
    is_free("$when: until the commit");
}

for my $function (q{tp_encrypt('x'::text)}, q{tp_encrypt('\x00'::bytea)}, q{(SELECT tp_rewrap(value) FROM v)}) {
    ask($session, 'BEGIN');
    like(ask($session, "SELECT $function"), qr/^\\x/, "$function works");
    is_locked("$function locks");
    ask($session, 'ROLLBACK');
    is_free("$function: until the rollback");
}

ask($session, 'BEGIN; SAVEPOINT s');
ask($session, q{SELECT tp_encrypt('a')});
is_locked('locked in a savepoint');
ask($session, 'ROLLBACK TO s');
is_locked('its rollback does not free it, as the value may live on in a variable or the client');
ask($session, 'SAVEPOINT t');
ask($session, q{SELECT tp_encrypt('c')});
ask($session, 'ROLLBACK TO t');
is_locked('a rolled back savepoint behind it does not free it');
ask($session, 'SAVEPOINT u');
ask($session, q{SELECT tp_encrypt('d')});
ask($session, 'RELEASE u');
is_locked('nor does a released one');
ask($session, 'SELECT 1 / 0');
ask($session, 'ROLLBACK');
is_free('the end of the failed transaction does');

ask($session, 'BEGIN; SAVEPOINT s');
ask($session, q{SELECT tp_encrypt('a')});
ask($session, 'RELEASE s');
is_locked('locked in a released savepoint: the transaction holds it');
ask($session, 'COMMIT');
is_free('and lets go of it');

ask($session, q{DO $$ BEGIN PERFORM tp_encrypt('x'); COMMIT; PERFORM pg_advisory_lock(1); END $$});
is_free('a COMMIT in a procedure frees it too');
ask($session, q{BEGIN; DO $$ BEGIN
    BEGIN PERFORM tp_encrypt('x'); RAISE division_by_zero; EXCEPTION WHEN division_by_zero THEN NULL; END;
    PERFORM tp_encrypt('y'); END $$});
is_locked('an exception block, then another tp_encrypt');
ask($session, 'ROLLBACK');
is_free('the end of that transaction frees it');

# What the lock is for: ExclusiveLock, by which a DEK will be destroyed, waits for encryptors, and only for them.
ask($session, 'BEGIN');
ask($session, q{SELECT tp_encrypt('x')});
my $take = 'SET lock_timeout = 100; BEGIN; LOCK TABLE tp_dek IN EXCLUSIVE MODE';
like(try_sql($node, 'postgres', $take), qr/^55P03/, 'ExclusiveLock waits for an encryptor');
ask($session, 'ROLLBACK; BEGIN');
ask($session, 'SELECT tp_decrypt(value) FROM v');
is(try_sql($node, 'postgres', $take), '', 'and not for a decryptor');
ask($session, 'ROLLBACK');

$session->quit;
$node->stop;
done_testing();
