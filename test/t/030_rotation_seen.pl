# A rotation reaches every session at its next call; one that rolls back leaves no trace.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::RealBin/../perl";
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use TrustpointCluster;

my $node = new_cluster('rotation');
set_up($node);
$node->safe_psql('postgres', 'CREATE TABLE old_value (id serial, key_id int, value bytea)');

# SQL: the id of the DEK that a new value gets.
my $key_now = q{SELECT key_id FROM tp_inspect(tp_encrypt('probe'))};
my $rotate = 'SELECT tp_rotate_dek()';

# A new backend uses the DEK and reads every value that was ever stored; then a value of this DEK is stored too.
sub check_new_backend {
    my ($key, $when) = @_;
    is($node->safe_psql('postgres', $key_now), $key, "$when: a new backend uses that DEK");
    is($node->safe_psql('postgres', q{SELECT count(*) FROM old_value
        WHERE tp_decrypt(value, 'old') IS DISTINCT FROM 'value ' || id}), '0', "$when: and reads all older values");
    is($node->safe_psql('postgres', q{SELECT count(*) FROM old_value o, tp_inspect(o.value) i WHERE i.key_id <> o.key_id}),
        '0', "$when: each of them under its own DEK");
    $node->safe_psql('postgres', qq{INSERT INTO old_value (id, key_id, value)
        SELECT n, $key, tp_encrypt('value ' || n, 'old') FROM nextval('old_value_id_seq') n});
}

# The value of a DEK that was rolled back is nobody's.
sub check_no_trace {
    my ($value, $key, $name, @sessions) = @_;
    like(ask($_, "SELECT tp_decrypt('$value')"), qr/^42704: there is no DEK with id/,
        "$name: what it encrypted cannot be read") for @sessions;
    is(ask($_, $key_now), $key, "$name: the old DEK serves on") for @sessions;
}

sub seen_by_others {
    my ($when) = @_;
    my $rotating = session($node);
    my %other = map { $_ => session($node) } ('READ COMMITTED', 'REPEATABLE READ', 'SERIALIZABLE', 'no transaction');
    my $before = $node->safe_psql('postgres', $key_now);
    for my $level (keys %other) {
        ask($other{$level}, "BEGIN ISOLATION LEVEL $level") unless $level eq 'no transaction';
        is(ask($other{$level}, $key_now), $before, "$when, $level: the DEK before");
    }
    # The snapshots of the strict levels are taken now, and stay.
    my $after = ask($rotating, $rotate);
    isnt($after, $before, "$when: a rotation makes a new DEK");
    my $new_value = ask($rotating, q{SELECT tp_encrypt('written after')});
    for my $level (keys %other) {
        is(ask($other{$level}, "SELECT count(*) FROM tp_dek WHERE id = $after"),
            $level =~ /REPEATABLE|SERIALIZABLE/ ? 0 : 1, "$when, $level: its snapshot is as it should be");
        is(ask($other{$level}, $key_now), $after, "$when, $level: the new DEK at the next call");
        is(ask($other{$level}, "SELECT tp_decrypt('$new_value')"), 'written after', "$when, $level: reads its values");
        is(ask($other{$level}, q{SELECT tp_decrypt(value, 'old') FROM old_value WHERE id = 1}), 'value 1',
            "$when, $level: and those of an older DEK");
    }
    my $third = ask($rotating, $rotate);
    is(ask($other{$_}, $key_now), $third, "$when, $_: a second rotation in the same transaction") for keys %other;
    ask($other{$_}, 'COMMIT') for keys %other;
    is(ask($other{$_}, $key_now), $third, "$when, $_: and after its end") for keys %other;
    $_->quit for $rotating, values %other;
    check_new_backend($third, "$when, seen by others");
}

sub rolled_back {
    my ($when) = @_;
    my ($one, $two) = (session($node), session($node));
    my $key = ask($two, $key_now);
    is(ask($one, $key_now), $key, "$when: both sessions have the DEK cached");
    my $cached = 'SELECT deks_cached FROM tp_status()';
    my $count = ask($one, $cached);

    # The whole transaction.
    ask($one, 'BEGIN');
    my $lost = ask($one, $rotate);
    is(ask($one, $key_now), $lost, "$when: a transaction uses its own rotation");
    my $value = ask($one, q{SELECT tp_encrypt('never was')});
    is(ask($one, "SELECT tp_decrypt('$value')"), 'never was', "$when: and reads what it wrote with it");
    is(ask($two, $key_now), $key, "$when: nobody else sees it, or waits");
    like(ask($two, "SELECT tp_decrypt('$value')"), qr/^42704/, "$when: nor has its DEK");
    ask($one, 'ROLLBACK');
    check_no_trace($value, $key, "$when, ROLLBACK", $one, $two);
    is(ask($one, $cached), $count, "$when, ROLLBACK: no more DEKs in the cache than before");

    # A savepoint.
    ask($one, 'BEGIN');
    ask($one, $key_now);
    ask($one, 'SAVEPOINT s');
    isnt(ask($one, $rotate), $key, "$when: rotated behind a savepoint");
    $value = ask($one, q{SELECT tp_encrypt('never was')});
    ask($one, 'ROLLBACK TO s');
    is(ask($one, $key_now), $key, "$when, ROLLBACK TO: the old DEK serves on, inside the transaction");
    is(ask($one, q{SELECT tp_decrypt(tp_encrypt('again'))}), 'again', "$when, ROLLBACK TO: both ways");
    ask($one, 'COMMIT');
    check_no_trace($value, $key, "$when, ROLLBACK TO", $one, $two);

    # A savepoint behind a rotation that stays.
    ask($one, 'BEGIN');
    my $kept = ask($one, $rotate);
    my $kept_value = ask($one, q{SELECT tp_encrypt('kept')});
    ask($one, 'SAVEPOINT s');
    my $inner = ask($one, $rotate);
    is(ask($one, $key_now), $inner, "$when: the inner rotation is used");
    $value = ask($one, q{SELECT tp_encrypt('never was')});
    ask($one, 'ROLLBACK TO s');
    is(ask($one, $key_now), $kept, "$when: the outer one after the inner is gone");
    ask($one, 'SAVEPOINT t');
    ask($one, 'SELECT 1 / 0');
    ask($one, 'ROLLBACK TO t');
    is(ask($one, "SELECT tp_decrypt('$kept_value')"), 'kept', "$when: and reads its values after an error");
    is(ask($two, $key_now), $key, "$when: others still use the old one");
    ask($one, 'COMMIT');
    check_no_trace($value, $kept, "$when, inner ROLLBACK TO", $one, $two);
    is(ask($two, "SELECT tp_decrypt('$kept_value')"), 'kept', "$when: others read the values of the one that stayed");
    $key = $kept;

    # A released savepoint goes with its parent.
    ask($one, 'BEGIN; SAVEPOINT s');
    ask($one, $rotate);
    $value = ask($one, q{SELECT tp_encrypt('never was')});
    ask($one, 'RELEASE s; ROLLBACK');
    check_no_trace($value, $key, "$when, RELEASE and ROLLBACK", $one, $two);

    # The exception block of PL/pgSQL.
    like(ask($one, q{DO $$
        DECLARE before int := (SELECT key_id FROM tp_inspect(tp_encrypt('x')));
                inside int;
                value bytea;
        BEGIN
            BEGIN
                inside := tp_rotate_dek();
                value := tp_encrypt('never was');
                ASSERT (SELECT key_id FROM tp_inspect(value)) = inside, 'own rotation not used';
                RAISE division_by_zero;
            EXCEPTION WHEN division_by_zero THEN NULL;
            END;
            ASSERT inside <> before AND (SELECT key_id FROM tp_inspect(tp_encrypt('x'))) = before, 'a trace is left';
            PERFORM set_config('test.value', value::text, false);
        END $$; SELECT current_setting('test.value')}), qr/^\\x/, "$when: rotated in an exception block");
    check_no_trace(ask($one, q{SELECT current_setting('test.value')}), $key, "$when, exception block", $one, $two);

    # An error of the statement that rotates.
    like(ask($one, 'SELECT tp_rotate_dek(), 1 / (random() < 0)::int'), qr/^22012/, "$when: a statement fails after it");
    is(ask($_, $key_now), $key, "$when: and has rotated nothing") for $one, $two;

    is($node->safe_psql('postgres', "SELECT count(*) FROM tp_dek WHERE state = 'active'"), '1', "$when: one active row");
    $_->quit for $one, $two;
    check_new_backend($key, "$when, rolled back");
}

# Rows changed by hand, also as logical replication does it.
sub changed_by_hand {
    my ($when) = @_;
    my $key = $node->safe_psql('postgres', $key_now);
    my ($reading, $writing) = (session($node), session($node));
    my $value = ask($reading, q{SELECT tp_encrypt('mine', 'c')});
    my $read = "SELECT tp_decrypt('$value', 'c')";
    for my $role ('origin', 'replica') {
        my $name = "$when, $role";
        ask($writing, "SET session_replication_role = $role");
        ask($reading, 'BEGIN ISOLATION LEVEL REPEATABLE READ');
        is(ask($reading, $read), 'mine', "$name: reads");
        ask($writing, "UPDATE tp_dek SET state = 'disabled' WHERE id = $key");
        is(ask($reading, $read), "55000: DEK $key (default) is disabled", "$name: not once it is disabled");
        ask($reading, 'ROLLBACK');
        is(ask($reading, $key_now), '55000: no DEK named "default" is active', "$name: nor encrypts");
        is(try_sql($node, 'postgres', $read), "55000: DEK $key (default) is disabled", "$name: nor does a new backend");
        ask($writing, "UPDATE tp_dek SET state = 'retired' WHERE id = $key");
        is(ask($reading, $read), 'mine', "$name: retired, it reads");
        is(ask($reading, $key_now), '55000: no DEK named "default" is active', "$name: and does not encrypt");
        ask($writing, "UPDATE tp_dek SET state = 'active' WHERE id = $key");
        is(ask($reading, $read), 'mine', "$name: active again, it reads");
        is(ask($reading, $key_now), $key, "$name: and encrypts");

        ask($writing, 'CREATE TEMP TABLE kept AS TABLE tp_dek');
        ask($writing, "DELETE FROM tp_dek WHERE id = $key");
        like(ask($reading, $read), qr/^42704: there is no DEK with id $key /, "$name: the row is deleted");
        ask($writing, "INSERT INTO tp_dek SELECT * FROM kept WHERE id = $key");
        is(ask($reading, $read), 'mine', "$name: and inserted again");

        ask($writing, 'BEGIN; TRUNCATE tp_dek');
        like(ask($writing, $key_now), qr/^42704: there is no DEK named "default"/, "$name: truncated, for the one who did");
        ask($writing, 'ROLLBACK');
        is(ask($writing, $key_now), $key, "$name: until it is rolled back");
        is(ask($reading, $read), 'mine', "$name: others never noticed");
        ask($writing, 'TRUNCATE tp_dek');
        like(ask($reading, $read), qr/^42704: there is no DEK with id $key /, "$name: truncated");
        like(ask($reading, $key_now), qr/^42704: there is no DEK named "default"/, "$name: nothing to encrypt with");
        ask($writing, 'INSERT INTO tp_dek TABLE kept');
        is(ask($reading, $read), 'mine', "$name: filled again, it reads");
        is(ask($reading, $key_now), $key, "$name: and encrypts");
        ask($writing, 'DROP TABLE kept');
    }
    $_->quit for $reading, $writing;
    check_new_backend($key, "$when, changed by hand");
}

sub one_after_another {
    my ($when) = @_;
    my ($one, $two) = (session($node), session($node));
    ask($one, 'BEGIN');
    my $first = ask($one, $rotate);
    $two->{stdin} .= "$rotate;\n";
    $two->{run}->pump_nb;
    ok($node->poll_query_until('postgres', q{SELECT EXISTS (SELECT FROM pg_locks
        WHERE relation = 'tp_dek'::regclass AND NOT granted)}), "$when: a second rotation waits for the first");
    is($node->safe_psql('postgres', q{SELECT tp_decrypt(tp_encrypt('x'))}), 'x', "$when: who only encrypts does not wait");
    ask($one, 'COMMIT');
    my $second = ask($two, '');
    like($second, qr/^\d+$/, "$when: then it goes on");
    isnt($second, $first, "$when: with a DEK of its own");
    is($node->safe_psql('postgres', "SELECT id FROM tp_dek WHERE state = 'active'"), $second, "$when: the only active one");
    is(ask($_, $key_now), $second, "$when: and everybody's") for $one, $two;
    $_->quit for $one, $two;
    check_new_backend($second, "$when, one after another");
}

sub all_of_it {
    my ($when) = @_;
    seen_by_others($when);
    rolled_back($when);
    changed_by_hand($when);
    one_after_another($when);
}

check_new_backend($node->safe_psql('postgres', $key_now), 'at first');
all_of_it('first run');
my $last = $node->safe_psql('postgres', $key_now);
$node->restart;
check_new_backend($last, 'after a restart');
all_of_it('after a restart');
$last = $node->safe_psql('postgres', $key_now);
$node->stop('immediate');
$node->start;
check_new_backend($last, 'after a crash');
$node->stop;

# tp_setup from everywhere at once, on a token without a KEK: one KEK, one DEK in each database.
my $fresh = new_cluster('at_once');
my @databases = map { "db$_" } 1 .. 3;
for my $database (@databases) {
    $fresh->safe_psql('postgres', "CREATE DATABASE $database");
    $fresh->safe_psql($database, 'CREATE EXTENSION trustpoint');
}
$fresh->safe_psql('db1', q{SELECT tp_hsm_init_token('tp')});
my @sessions = map { my $database = $_; map { [ $database, session($fresh, $database) ] } 1 .. 4 } @databases;
for (@sessions) {
    my $session = $_->[1];
    $session->{stdin} .= "SELECT tp_setup();\n";
    $session->{run}->pump_nb;
}
my %made;
for (@sessions) {
    my ($database, $session) = @$_;
    my $id = ask($session, '');
    like($id, qr/^\d+$/, "tp_setup at once in $database");
    $made{$database}{$id} = 1;
    $session->quit;
}
is(scalar(keys %{ $made{$_} }), 1, "all sessions of $_ have the same DEK") for @databases;
is($fresh->safe_psql($_, 'SELECT count(*) FROM tp_dek'), '1', "$_ has one row in tp_dek") for @databases;
my %keks = map { $fresh->safe_psql($_, 'SELECT id, label, token_serial FROM tp_kek') => 1 } @databases;
is(scalar(keys %keks), 1, 'all databases have the same KEK');
my @secret_keys = pkcs11_tool($fresh, '--list-objects', '--type', 'secrkey') =~ /^Secret Key Object/mg;
is(scalar(@secret_keys), 1, 'it is the only key in the token');
$fresh->stop;

done_testing();
