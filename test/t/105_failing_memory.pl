# Allocations that fail while a query runs: of malloc and its kin and of mmap, the nth fails in one backend, for many n until
# none is left; but none within SoftHSM, which would end the process. The statement answers right or ends in an ordinary error,
# the session goes on, and no key is lost or left behind. TP_LONG=1 tries every n.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::RealBin/../perl";
use FailingParts;
use IPC::Run;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use TrustpointCluster;

my $missing = failing_parts_missing();
plan skip_all => $missing if defined $missing;

my $node = failing_cluster('memory', memory => 1, conf => "restart_after_crash = off\nfsync = off\nautovacuum = off\n");

# A session and its backend, as long as they live.
sub begin {
    my ($database) = @_;
    my $session = session($node, $database);
    $session->set_query_timer_restart;
    return { session => $session, pid => ask($session, 'SELECT pg_backend_pid()') };
}

sub answer {
    my ($own, $sql) = @_;
    my $answer = eval { ask($own->{session}, $sql) };
    return $answer // 'the session is lost';
}

# What a failed allocation may be to a client: no memory; and where a library does not tell why it failed, what it was
# asked for: a module that does not load, a token that does not answer, numbers that are no key, a block of RSA that is bad.
my $ordinary = qr/^(?:53200|58000|38000): |^22023: the (?:numbers are no public|private key lacks|key is neither)|^22000: decryption failed/;

# sweep($name, sql => ..., right => its answer, before => sub or SQL that undoes what it did, anew => sub { before each failure },
# cold => 1 for a new session each time, points => how many of the allocations fail, dense => so many at the start all do, database,
# after => sub { what else must be true, or words that say what is wrong })
sub sweep {
    my ($name, %test) = @_;
    my $own;
    my $before = sub { ask($own->{session}, ref $test{before} ? $test{before}->() : $test{before}) if $test{before} };
    my $fresh = sub {
        if ($test{cold} || !$own) {
            eval { $own->{session}->quit } if $own;
            $own = begin($test{database});
            # Without memory to load a library PostgreSQL itself ends the session, or plpgsql stays unloadable.
            ask($own->{session}, q{LOAD 'plpgsql'; LOAD 'trustpoint'});
        }
        $before->();
    };
    my $run = sub {
        my ($nth) = @_;
        $test{anew}->() if $test{anew};
        $fresh->();
        fail_allocation($node, $own->{pid}, $nth);
        my $answer = answer($own, $test{sql});
        return ($answer, fail_allocation($node, 0, 0));
    };
    my ($answer, $all) = $run->(1 << 40);
    is($answer, $test{right}, "$name: with all of its $all allocations it is right") or return;
    ($answer, $all) = $run->(1 << 40) if !$test{cold};    # the first one fills caches
    my $step = $ENV{TP_LONG} ? 1 : ($all / ($test{points} // 80) || 1);
    my ($failed, $told, @wrong, %told) = (0, 0);
    for (my $n = 1; ; $n += $step < 1 || $n < ($test{dense} // 0) ? 1 : $step) {
        my $nth = int $n;
        ($answer, my $count) = $run->($nth);
        last if $count < $nth;
        $failed++;
        $told{$answer}++, $told++ if $answer ne $test{right};
        # PostgreSQL ends a session that has no memory for a setting: FATAL, which trustpoint never raises.
        if ($answer eq 'the session is lost') {
            undef $own;
            $node->wait_for_log(qr/FATAL:  out of memory/);
            $fresh->();
        } elsif ($answer ne $test{right} && $answer !~ $ordinary) {
            push @wrong, "$nth: $answer";
        }
        $before->();
        my $then = answer($own, $test{sql});
        push @wrong, "$nth: then $then" if $then ne $test{right};
        my $what = $test{after} ? $test{after}->($own) : '';
        push @wrong, "$nth: $what" if $what;
        last if @wrong > 10;
    }
    note("$_ ($told{$_} times)") for sort keys %told;
    is(join("\n", @wrong), '', "$name: $failed times one of $all allocations failed, $told times it told, and went on");
    cmp_ok($told, '>', 0, "$name: some were told");
    eval { $own->{session}->quit } if $own;
}

# The objects of the token, by what pkcs11-tool shows of them.
sub objects { return join "\n", sort grep { /label:|ID:/ } split /\n/, pkcs11_tool($node, '--list-objects'); }

$node->safe_psql('postgres', q{
    CREATE TABLE secret AS SELECT i AS id, tp_encrypt('secret ' || i) AS value FROM generate_series(1, 3) i;
    SELECT tp_rotate_dek();
    INSERT INTO secret VALUES (4, tp_encrypt('secret 4'));
    CREATE TABLE work (LIKE secret);
    SELECT tp_generate_ec_key('signs'), tp_generate_rsa_key('opens', 2048, 'decrypt'), tp_generate_aes_key('seals')});
IPC::Run::run([ 'openssl', 'genpkey', '-algorithm', 'EC', '-pkeyopt', 'ec_paramgen_curve:P-256' ], '>', \my $pem) or die 'openssl';
IPC::Run::run([ 'openssl', 'ec', '-aes256', '-passout', 'pass:pw' ], '<', \$pem, '>', \my $encrypted, '2>', \my $ignored) or die 'openssl';
my $objects = objects();

my $read = q{SELECT count(*) FROM secret WHERE tp_decrypt(value) = 'secret ' || id};
sweep('the first decryption', sql => $read, right => 4, cold => 1, points => 100, dense => 250);
sweep('encryption and decryption', sql => q{SELECT tp_decrypt(tp_encrypt(repeat('x', 100)), '') = repeat('x', 100)}, right => 't');
sweep('long values', sql => q{SELECT tp_decrypt(tp_encrypt(repeat('x', 100000))) = repeat('x', 100000)}, right => 't');
sweep('values of two DEKs after they were forgotten', sql => $read, right => 4, before => 'SELECT tp_forget_keys()');
sweep('rewrapping', sql => q{SELECT count(*) FROM secret WHERE tp_decrypt(tp_rewrap(value)) = 'secret ' || id}, right => 4);
sweep('re-encryption', before => 'TRUNCATE work; INSERT INTO work SELECT * FROM secret',
    sql => q{CALL tp_reencrypt_column('work', 'value', $$''$$);
        SELECT count(*), (SELECT count(*) FROM tp_key_usage('work', 'value')) FROM work WHERE tp_decrypt(value) = 'secret ' || id},
    right => '4|1');
sweep('the first signature', sql => q{SELECT tp_verify('signs', 'data', tp_sign('signs', 'data'))}, right => 't', cold => 1, points => 200);
sweep('the first RSA', sql => q{SELECT convert_from(tp_rsa_decrypt('opens', tp_rsa_encrypt('opens', 'data')), 'UTF8')},
    right => 'data', cold => 1, points => 200);
sweep('the first import', sql => qq{BEGIN; SELECT tp_import_key('made', '$pem') IS NULL; ROLLBACK}, right => 'f', cold => 1, points => 200);
# It takes to OpenSSL before the token does: that finds its PIN right afterwards.
sweep('the first import of an encrypted key', sql => qq{BEGIN; SELECT tp_import_key('made', '$encrypted', 'pw') IS NULL; ROLLBACK},
    right => 'f', cold => 1, points => 250);
sweep('a signature', sql => q{SELECT tp_verify('signs', 'data', tp_sign('signs', 'data'))}, right => 't');
sweep('RSA', sql => q{SELECT convert_from(tp_rsa_decrypt('opens', tp_rsa_encrypt('opens', 'data')), 'UTF8')}, right => 'data');
sweep('AES in the token', sql => q{SELECT convert_from(tp_aes_decrypt('seals', tp_aes_encrypt('seals', 'data')), 'UTF8')}, right => 'data');
sweep('making a key', sql => q{BEGIN; SELECT tp_generate_ec_key('made') IS NULL; ROLLBACK}, right => 'f', points => 40);
sweep('importing a key', sql => qq{BEGIN; SELECT tp_import_key('made', '$pem') IS NULL; ROLLBACK}, right => 'f', points => 40);
sweep('the status', sql => q{SELECT count(*) FROM tp_status()}, right => 1);
is(objects(), $objects, 'the token has the keys that it had');

# A KEK that was made stays, whatever becomes of the transaction, and the next tp_setup() finds it by its label: one at most.
$node->safe_psql('postgres', 'CREATE DATABASE fresh');
$node->safe_psql('fresh', 'CREATE EXTENSION trustpoint');
my ($setups, $made) = (0, objects_in_token($node));
sweep('setting up', database => 'fresh', points => 40,
    anew => sub { $setups++ },
    before => sub { return "DELETE FROM tp_dek; DELETE FROM tp_kek; SET trustpoint.kek_label = 'trustpoint-$setups'" },
    sql => q{SELECT tp_setup() IS NULL; SELECT tp_decrypt(tp_encrypt('secret'))}, right => "f\nsecret",
    after => sub {
        my $keks = objects_in_token($node) - $made;
        return $keks == $setups ? '' : "$keks keys for $setups KEKs in the token";
    });
unlike(slurp_file($node->logfile), qr/terminated by signal|PANIC|reinitializing|FATAL:  (?!out of memory|connection to client lost)/, 'no process crashed');
$node->stop;

done_testing();
