# Logical replication carries ciphertext to a second cluster with the same token, and the keys' rows with it.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::RealBin/../perl";
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use TpsecFixtures;
use TrustpointCluster;

my $conf = "wal_level = logical\nmax_wal_senders = 10\nfsync = off\nwal_retrieve_retry_interval = '100ms'\n";
my $publisher = new_cluster('publisher', conf => $conf);
my $subscriber = new_cluster('subscriber', conf => $conf, token => token_folder($publisher));
set_up($publisher);
import_kek($publisher, 'trustpoint-app-secret-kek', my $kek = random_key(), '01');
my $dek = random_key();
my %wrapped = wrapped_deks($kek, $dek);
my ($field) = map { $_->[2] } grep { length $_->[2] } fields($dek);
$_->safe_psql('postgres', 'CREATE ROLE app LOGIN; CREATE ROLE nobody LOGIN; CREATE TABLE secret (id int PRIMARY KEY, value bytea, value_index bytea)')
  for $publisher, $subscriber;
$_->safe_psql('postgres', 'GRANT ALL ON secret TO PUBLIC') for $publisher, $subscriber;
$publisher->safe_psql('postgres', qq{
    SELECT tp_create_dek('tenant'), tp_create_dek('default', 'index'), tp_grant('app', 'decrypt', 'tenant'), tp_grant('app', 'search'), tp_grant('app', 'encrypt');
    SELECT tp_import_dek('\\x$wrapped{'cwrap-pkcs7'}', 'trustpoint-app-secret-kek', NULL)});
my $insert = sub {
    my ($from, $to, $key) = @_;
    return "INSERT INTO secret SELECT n, tp_encrypt('secret ' || n, tp_context('secret', n::text), '$key'), tp_blind_index('secret ' || n, 'secret.value')
        FROM generate_series($from, $to) n";
};
$publisher->safe_psql('postgres', $insert->(1, 100, 'default') . ';' . $insert->(101, 200, 'tenant'));

# The subscriber has keys of its own, under the same KEK; one row of tp_kek comes again.
my $own = set_up($subscriber);
my $own_value = $subscriber->safe_psql('postgres', q{SELECT tp_encrypt('of the subscriber')});
$publisher->safe_psql('postgres', 'CREATE PUBLICATION secrets FOR TABLE secret, tp_kek, tp_dek, tp_dek_grant');
my $connection = $publisher->connstr . ' dbname=postgres';
$subscriber->safe_psql('postgres', "CREATE SUBSCRIPTION secrets CONNECTION '$connection' PUBLICATION secrets");
$subscriber->wait_for_subscription_sync($publisher, 'secrets');

my $all = q{SELECT count(*) FROM secret WHERE tp_decrypt(value, tp_context('secret', id::text)) = 'secret ' || id};
my $find = q{SELECT id FROM secret WHERE value_index = ANY (tp_blind_index_candidates('secret 150', 'secret.value'))};

sub reads {
    my ($when, $count) = @_;
    is(try_sql($subscriber, 'postgres', $all), $count, "$when: every value decrypts, in a new backend");
    is(try_sql($subscriber, 'postgres', $find), '150', "$when: found by blind index");
    is(try_sql($subscriber, 'postgres', "SELECT tpsec_decrypt('$field')"), 'x', "$when: a field of Trustpoint's");
    is(try_sql($subscriber, 'postgres', "SELECT tp_decrypt('$own_value')"), 'of the subscriber', "$when: a value of its own");
    is(try_sql($subscriber, 'postgres', 'SELECT count(*) FILTER (WHERE NOT ok) FROM tp_verify_keys()'), '0', "$when: all keys are well");
}
reads('after the first copy', 200);
is($subscriber->safe_psql('postgres', 'SELECT count(*) FROM tp_kek'), '1', 'one KEK, as it is one token');
is($subscriber->safe_psql('postgres', 'SELECT count(*) FROM tp_dek'), '5', 'four DEKs came to the one of its own');

# EXECUTE on functions is not replicated, as no DDL is: tp_grant is called on each cluster. Rows that come twice do no harm.
my $read_tenant = q{SELECT count(tp_decrypt(value, tp_context('secret', id::text))) FROM secret WHERE id > 100};
like(try_sql($subscriber, 'postgres', $read_tenant, role => 'app'), qr/^42501: permission denied for function/, 'rows of tp_dek_grant alone open nothing');
$subscriber->safe_psql('postgres', q{SELECT tp_grant('app', 'decrypt', 'tenant'), tp_grant('app', 'search')});
is(try_sql($subscriber, 'postgres', $read_tenant, role => 'app'), '100', 'with tp_grant they do');
like(try_sql($subscriber, 'postgres', q{SELECT tp_decrypt(value, tp_context('secret', id::text)) FROM secret WHERE id = 1}, role => 'app'), qr/^42501/,
    'within their limits');
$subscriber->safe_psql('postgres', q{SELECT tp_grant('nobody', 'search', 'default')});
$publisher->safe_psql('postgres', q{SELECT tp_grant('nobody', 'search', 'default'), tp_grant('nobody', 'decrypt', 'default')});
$publisher->wait_for_catchup('secrets');
is($subscriber->safe_psql('postgres', 'TABLE tp_dek_grant ORDER BY 1, 2, 3'), $publisher->safe_psql('postgres', 'TABLE tp_dek_grant ORDER BY 1, 2, 3'),
    'a grant made on both is there once');
$publisher->safe_psql('postgres', q{SELECT tp_revoke('app', 'decrypt')});
$publisher->wait_for_catchup('secrets');
like(try_sql($subscriber, 'postgres', $read_tenant, role => 'app'), qr/^42501: role "app" may not decrypt/, 'a revocation closes on both');

# Changes reach sessions that are open, in the middle of a transaction: apply workers fire the ALWAYS triggers.
my $open = session($subscriber);
ask($open, 'BEGIN ISOLATION LEVEL REPEATABLE READ');
is(ask($open, $all), '200', 'an open transaction of the subscriber');
my $rotated = $publisher->safe_psql('postgres', 'SELECT tp_rotate_dek()');
$publisher->safe_psql('postgres', $insert->(201, 300, 'default'));
my $value = $publisher->safe_psql('postgres', q{SELECT tp_encrypt('after the rotation')});
$publisher->wait_for_catchup('secrets');
is(ask($open, "SELECT tp_decrypt('$value')"), 'after the rotation', 'reads a value of the new DEK');
is(ask($open, q{SELECT key_id FROM tp_inspect(tp_encrypt('x'))}), $rotated, 'and encrypts under it');
ask($open, 'COMMIT');
is(ask($open, $all), '300', 'all rows after it');
$publisher->safe_psql('postgres', "UPDATE tp_dek SET state = 'disabled' WHERE name = 'tenant'");
$publisher->wait_for_catchup('secrets');
like(ask($open, $all), qr/^55000: DEK \d+ \(tenant\) is disabled/, 'disabled there, refused here');
$publisher->safe_psql('postgres', "UPDATE tp_dek SET state = 'active' WHERE name = 'tenant'");
$publisher->wait_for_catchup('secrets');
is(ask($open, $all), '300', 'enabled there, read here');
$publisher->safe_psql('postgres', q{UPDATE secret SET value = tp_rewrap(value, tp_context('secret', id::text)) WHERE id <= 100});
$publisher->safe_psql('postgres', q{SELECT tp_rotate_dek('default', 'index')});
$publisher->wait_for_catchup('secrets');
is(ask($open, $all), '300', 'rewrapped rows');
is(ask($open, $find), '150', 'found after a rotation of the index key');
$open->quit;

# Later.
$subscriber->restart;
$publisher->safe_psql('postgres', $insert->(301, 310, 'tenant'));
$publisher->wait_for_catchup('secrets');
reads('after a restart of the subscriber', 310);
$publisher->restart;
$publisher->safe_psql('postgres', $insert->(311, 320, 'default'));
$publisher->wait_for_catchup('secrets');
reads('after a restart of the publisher', 320);
$subscriber->stop('immediate');
$publisher->safe_psql('postgres', 'SELECT tp_rotate_dek()');
$publisher->safe_psql('postgres', $insert->(321, 330, 'default'));
$subscriber->start;
$publisher->wait_for_catchup('secrets');
reads('after a crash of the subscriber, with a rotation meanwhile', 330);
unlike(slurp_file($subscriber->logfile), qr/duplicate key value|violates|ERROR:  (?!57P01|could not (receive|connect|send)).*\n.*CONTEXT:  processing remote data/, 'no apply worker failed');

# On its own, for good.
$publisher->stop;
$subscriber->safe_psql('postgres', 'ALTER SUBSCRIPTION secrets DISABLE; ALTER SUBSCRIPTION secrets SET (slot_name = NONE); DROP SUBSCRIPTION secrets');
reads('without the publisher', 330);
like(try_sql($subscriber, 'postgres', 'SELECT tp_rotate_dek()'), qr/^\d+$/, 'the subscriber rotates on');
is(try_sql($subscriber, 'postgres', q{SELECT tp_decrypt(tp_encrypt('mine'))}), 'mine', 'and encrypts');

# Another token does not have the KEK.
my $stranger = new_cluster('stranger', conf => $conf);
set_up($stranger);
$stranger->safe_psql('postgres', 'CREATE TABLE secret (id int PRIMARY KEY, value bytea, value_index bytea); CREATE ROLE app; CREATE ROLE nobody; TRUNCATE tp_kek, tp_dek');
$publisher->start;
$stranger->safe_psql('postgres', "CREATE SUBSCRIPTION stranger CONNECTION '$connection' PUBLICATION secrets");
$stranger->wait_for_subscription_sync($publisher, 'stranger');
like(try_sql($stranger, 'postgres', $all), qr/^42704: the KEK "trustpoint-pg-kek" is not in the token/, 'a cluster with another token reads nothing, and says why');
$stranger->stop;
$subscriber->stop;
$publisher->stop;
done_testing();
