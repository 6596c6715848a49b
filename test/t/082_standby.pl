# A physical standby: Trustpoint's fields and blind indexes are read there, and what writes is refused clearly.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::RealBin/../perl";
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use TpsecFixtures;
use TrustpointCluster;

my $primary = new_cluster('primary', conf => "wal_level = replica\nmax_wal_senders = 5\nhot_standby = on\nfsync = off\n");
append_to_file($primary->data_dir . '/pg_hba.conf', "local replication all trust\n");
$primary->reload;
set_up($primary);
import_kek($primary, 'trustpoint-app-secret-kek', my $kek = random_key(), '01');
my %dek = map { $_ => random_key() } 1 .. 3;

sub import_sql {
    my ($n, $name) = @_;
    my %wrapped = wrapped_deks($kek, $dek{$n});
    return "SELECT tp_import_dek('\\x$wrapped{'cwrap-rfc5649'}', 'trustpoint-app-secret-kek', NULL, '$name')";
}
my %field = map { my $n = $_; $n => (map { $_->[2] } grep { length $_->[2] } fields($dek{$n}))[0] } keys %dek;

$primary->safe_psql('postgres', import_sql(1, 'default') . q{;
    SELECT tp_create_dek('default', 'index');
    CREATE ROLE app LOGIN; CREATE ROLE nobody LOGIN;
    SELECT tp_grant('app', 'decrypt'), tp_grant('app', 'search'), tp_grant('app', 'encrypt');
    CREATE TABLE person (id int PRIMARY KEY, email tp_encrypted, email_index bytea UNIQUE);
    GRANT ALL ON person TO app;
    INSERT INTO person SELECT n, tp_encrypt('user' || n, tp_context('person', n::text)), tp_blind_index('user' || n, 'person.email')
        FROM generate_series(1, 500) n});
$primary->backup('base');
my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($primary, 'base', has_streaming => 1);
$standby->start;

my $find = q{SELECT id, tp_decrypt(email, tp_context('person', id::text)) FROM person
    WHERE email_index = ANY (tp_blind_index_candidates('user77', 'person.email'))};

sub reads {
    my ($when, %option) = @_;
    is(try_sql($standby, 'postgres', $find, %option), '77|user77', "$when: a lookup by blind index, in a new backend");
    is(try_sql($standby, 'postgres', "SELECT tpsec_decrypt('$field{1}')", %option), 'x', "$when: a field of Trustpoint's");
    is(try_sql($standby, 'postgres', q{SELECT count(tp_decrypt(email, tp_context('person', id::text))) FROM person}, %option), '500', "$when: every value");
}
reads('standby');
reads('standby, app', role => 'app');
like(try_sql($standby, 'postgres', $find, role => 'nobody'), qr/^42501/, 'standby: without a grant, nothing');

# Every function that writes says so by its name, before the token is asked.
for my $call (q{tpsec_encrypt('x')}, q{tp_import_dek(decode(repeat('00', 40), 'hex'), 'trustpoint-app-secret-kek', NULL)}, q{tp_encrypt('x')},
    q{tp_rotate_dek('default', 'index')}, q{tp_create_dek('more', 'index')}, 'tp_setup()') {
    my ($function) = $call =~ /^(\w+)/;
    like(try_sql($standby, 'postgres', "SELECT $call"), qr/^25006: cannot execute $function\(\) during recovery/, "standby: $function is refused");
}
like(try_sql($standby, 'postgres', "SELECT tp_grant('nobody', 'search')"), qr/^25006/, 'standby: grants are made on the primary');
is(try_sql($standby, 'postgres', q{CALL tp_reencrypt_column('person', 'email', $$tp_context('person', id::text)$$)}),
    '25006: cannot execute tp_reencrypt_column() during recovery', 'standby: re-encryption too');
is(try_sql($standby, 'postgres', q{SELECT tpsec_encrypt('')}), '25006: cannot execute tpsec_encrypt() during recovery', 'standby: for the empty text too');
is(try_sql($standby, 'postgres', 'SELECT count(*) FILTER (WHERE ok) FROM tp_verify_keys()'), '3', 'standby: all keys are well');

# What the primary changes, an open session of the standby knows at its next call.
my $open = session($standby);
ask($open, 'BEGIN ISOLATION LEVEL REPEATABLE READ');
is(ask($open, $find), '77|user77', 'an open transaction');
like(ask($open, "SAVEPOINT s; SELECT tpsec_decrypt('$field{2}')"), qr/^22000/, 'a field under a DEK that is not there yet');
ask($open, 'ROLLBACK TO s');
$primary->safe_psql('postgres', import_sql(2, 'default'));
$primary->safe_psql('postgres', q{SELECT tp_rotate_dek('default', 'index')});
$primary->wait_for_catchup($standby);
is(ask($open, "SELECT tpsec_decrypt('$field{2}')"), 'x', 'is read once it is imported on the primary, inside the transaction');
is(ask($open, "SELECT tpsec_decrypt('$field{1}')"), 'x', 'and those before too');
is(ask($open, q{SELECT cardinality(tp_blind_index_candidates('user77', 'person.email'))}), '2', 'a rotation of the index key is seen');
is(ask($open, $find), '77|user77', 'and finds the old row');
ask($open, 'COMMIT');
$primary->safe_psql('postgres', q{UPDATE person SET email_index = tp_blind_index(tp_decrypt(email, tp_context('person', id::text)), 'person.email')});
$primary->wait_for_catchup($standby);
is(ask($open, q{SELECT id FROM person WHERE email_index = tp_blind_index('user77', 'person.email')}), '77', 'rewritten rows are found by the new key');
$primary->safe_psql('postgres', q{UPDATE tp_dek SET state = 'disabled' WHERE purpose = 'tpsec'});
$primary->wait_for_catchup($standby);
like(ask($open, "SELECT tpsec_decrypt('$field{1}')"), qr/^55000: every DEK/, 'disabled there, refused here');
$primary->safe_psql('postgres', q{UPDATE tp_dek SET state = 'retired' WHERE purpose = 'tpsec'});
$primary->wait_for_catchup($standby);
is(ask($open, "SELECT tpsec_decrypt('$field{1}')"), 'x', 'enabled there, read here');

# A key that the primary could not destroy at the commit, as the token was away.
leave_doomed_key($primary, token_folder($primary), 'doomed');
$primary->wait_for_catchup($standby);

# On its own.
$primary->stop('immediate');
reads('without the primary');
$standby->restart;
$open->quit;
reads('after a restart, without the primary');
rename(token_folder($primary) . '/tokens', token_folder($primary) . '/away') or die $!;
like(try_sql($standby, 'postgres', $find), qr/^58000/, 'without the token: said clearly');
rename(token_folder($primary) . '/away', token_folder($primary) . '/tokens') or die $!;
$standby->promote;
reads('promoted');
is(try_sql($standby, 'postgres', import_sql(3, 'default') =~ s/SELECT/SELECT 0 </r . q{; SELECT tpsec_decrypt(tpsec_encrypt('mine'))}), "t\nmine", 'promoted: imports and writes');
is(try_sql($standby, 'postgres', q{SELECT tp_rotate_dek('default', 'index') > 0; SELECT cardinality(tp_blind_index_candidates('x', 'c'))}), "t\n3", 'promoted: rotates');
sub destroyed { return pkcs11_tool($primary, '--list-objects') =~ /label: +destroyed/ ? 1 : 0 }
is(destroyed(), 1, 'the key of the primary is still in the token');
$standby->safe_psql('postgres', q{SELECT tp_generate_ec_key('another')});
is(destroyed(), 0, 'promoted: the next change of keys destroys it');
$standby->stop;
done_testing();
