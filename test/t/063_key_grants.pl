# Rights on keys of the token: kept over dump and restore, in every format, also beside the same keys; on a standby; and lost
# ones close.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::RealBin/../perl";
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use TrustpointCluster;

my $node = new_cluster('grants', conf => "wal_level = replica\nmax_wal_senders = 5\nhot_standby = on\nfsync = off\n");
append_to_file($node->data_dir . '/pg_hba.conf', "local replication all trust\n");
$node->reload;
$node->safe_psql('postgres', q{CREATE DATABASE app; CREATE ROLE signer LOGIN; CREATE ROLE keeper LOGIN; CREATE ROLE gone LOGIN; CREATE ROLE nobody LOGIN});
set_up($node, 'app');
$node->safe_psql('app', q{SELECT tp_generate_ec_key('ec'), tp_generate_aes_key('aes'), tp_generate_ec_key('other');
    SELECT tp_grant_key('ec', 'signer', '{sign,verify}'), tp_grant_key('aes', 'signer', '{encrypt}'), tp_grant_key('ec', 'keeper', '{manage}'),
        tp_grant_key('ec', 'gone', '{sign}');
    CREATE TABLE sealed AS SELECT tp_aes_encrypt('aes', 'kept') AS value; SELECT tp_rename_key('aes', 'renamed')});

sub has_grants {
    my ($name, $where, $database) = @_;
    my @cases = (
        [ 'signer', q{SELECT tp_verify('ec', 'x', tp_sign('ec', 'x'))}, qr/^t$/ ],
        [ 'signer', q{SELECT tp_sign('other', 'x')}, qr/^42501: role "signer" may not/ ],
        [ 'signer', q{SELECT octet_length(tp_aes_encrypt('renamed', 'x'))}, qr/^29$/ ],
        [ 'signer', q{SELECT tp_aes_decrypt('renamed', 'x')}, qr/^42501: / ], [ 'signer', q{SELECT tp_destroy_key('ec')}, qr/^42501: / ],
        [ 'keeper', q{SELECT count(*) > 0 FROM tp_key_attributes('ec')}, qr/^t$/ ], [ 'keeper', q{SELECT tp_sign('ec', 'x')}, qr/^42501: / ],
        [ 'nobody', q{SELECT tp_sign('ec', 'x')}, qr/^42501: permission denied for function/ ],
        [ 'postgres', q{SELECT convert_from(tp_aes_decrypt('renamed', value), 'UTF8') FROM sealed}, qr/^kept$/ ]);
    like(try_sql($where, $database, $_->[1], role => $_->[0]), $_->[2], "$name: $_->[0]: $_->[1]") for @cases;
}
has_grants('the database itself', $node, 'app');

# ---- pg_dump

my $folder = $node->basedir;
# A role that is dropped leaves a grant to nobody, which must not spoil a dump. Its oid is no role's.
$node->safe_psql('app', q{DROP OWNED BY gone; DROP ROLE gone});
is($node->safe_psql('app', q{SELECT count(*) FROM tp_key_grant WHERE NOT EXISTS (SELECT FROM pg_roles r WHERE r.oid = grantee)}), '1', 'a grant to a role that is gone');
$node->command_ok([ 'pg_dump', '--no-sync', '-f', "$folder/plain", '-d', $node->connstr('app') ], 'pg_dump, plain');
$node->command_ok([ 'pg_dump', '--no-sync', '-Fc', '-f', "$folder/custom", '-d', $node->connstr('app') ], 'pg_dump, custom');
unlike(slurp_file("$folder/plain"), qr/COPY public\.tp_token_trash/, 'the trash is in no dump');

sub restore {
    my ($name, $database, $format) = @_;
    my $connection = $node->connstr($database);
    return $node->command_ok($format eq 'plain'
        ? [ 'psql', '-Xq', '-v', 'ON_ERROR_STOP=1', '-o', '/dev/null', '-1', '-d', $connection, '-f', "$folder/plain" ]
        : [ 'pg_restore', '--exit-on-error', '-1', '-d', $connection, "$folder/custom" ], "$name: restored");
}
my $rows = q{SELECT label, bound_label, type, usage, mode, grantee, operation FROM tp_token_key LEFT JOIN tp_key_grant USING (id)
    WHERE grantee IS NULL OR EXISTS (SELECT FROM pg_roles r WHERE r.oid = grantee) ORDER BY label, grantee::text, operation};
for my $format ('plain', 'custom') {
    $node->safe_psql('postgres', "CREATE DATABASE $format");
    restore("$format dump", $format, $format);
    is($node->safe_psql($format, $rows), $node->safe_psql('app', $rows), "$format dump: every row");
    has_grants("$format dump", $node, $format);
}

# In parallel no order is kept between the tables of an extension.
for my $round (1 .. 5) {
    $node->safe_psql('postgres', 'DROP DATABASE IF EXISTS parallel');
    $node->safe_psql('postgres', 'CREATE DATABASE parallel');
    $node->command_ok([ 'pg_restore', '--exit-on-error', '-j4', '-d', $node->connstr('parallel'), "$folder/custom" ], "in parallel, $round: restored");
    is($node->safe_psql('parallel', $rows), $node->safe_psql('app', $rows), "in parallel, $round: every row");
}
$node->safe_psql('postgres', 'DROP DATABASE parallel');

# DROP OWNED leaves our rows: they do not come back with another grant, but a key that the role has made stays its own.
$node->safe_psql('app', q{CREATE ROLE stripped LOGIN; GRANT EXECUTE ON FUNCTION tp_generate_ec_key(text, text), tp_sign(text, bytea, text) TO stripped;
    SET ROLE stripped; SELECT tp_generate_ec_key('its own'); RESET ROLE; SELECT tp_grant_key('ec', 'stripped', '{sign}')});
$node->safe_psql('app', q{DROP OWNED BY stripped; SELECT tp_grant_key('other', 'stripped', '{sign}')});
like(try_sql($node, 'app', q{SELECT tp_sign('other', 'x')}, role => 'stripped'), qr/^\\x30/, 'granted again: the key that was granted');
like(try_sql($node, 'app', q{SELECT tp_sign('ec', 'x')}, role => 'stripped'), qr/^42501: role "stripped" may not/, 'not what it had before');
like(try_sql($node, 'app', q{SELECT tp_sign('its own', 'x')}, role => 'stripped'), qr/^\\x30/, 'and what it made');
$node->safe_psql('app', q{SELECT tp_destroy_key('its own'); SELECT tp_revoke_key('other', 'stripped'); DROP OWNED BY stripped; DROP ROLE stripped});

# Beside the same keys, granted to others: both stay.
$node->safe_psql('postgres', 'CREATE DATABASE beside');
set_up($node, 'beside');
$node->safe_psql('beside', q{SELECT tp_grant_key('ec', 'nobody', '{sign}')});
restore('beside', 'beside', 'plain');
is(try_sql($node, 'beside', q{SELECT tp_verify('ec', 'x', tp_sign('ec', 'x'))}, role => 'signer'), 't', 'beside: what was restored');
like(try_sql($node, 'beside', q{SELECT tp_sign('ec', 'x')}, role => 'nobody'), qr/^\\x30/, 'beside: and what was there');
# Two databases, one token: a rename in one is none in the other; a destroyed key is gone for both.
$node->safe_psql('plain', q{SELECT tp_rename_key('ec', 'another name')});
has_grants('renamed in another database', $node, 'custom');
$node->safe_psql('plain', q{SELECT tp_rename_key('another name', 'ec'); SELECT tp_destroy_key('other')});
like(try_sql($node, 'app', q{SELECT tp_sign('other', 'x')}), qr/^42704: /, 'destroyed in another database');

# ---- a standby

$node->backup('base');
my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($node, 'base', has_streaming => 1);
$standby->start;
is(try_sql($standby, 'app', q{SELECT tp_verify('ec', 'x', tp_sign('ec', 'x'))}, role => 'signer'), 't', 'standby: signs');
like(try_sql($standby, 'app', q{SELECT tp_sign('ec', 'x')}, role => 'keeper'), qr/^42501: /, 'standby: for whom it was granted');
for my $call (q{tp_generate_ec_key('x')}, q{tp_rename_key('ec', 'x')}, q{tp_destroy_key('ec')}, q{tp_set_key_attributes('ec')}) {
    like(try_sql($standby, 'app', "SELECT $call"), qr/^25006: cannot execute tp_\w+\(\) during recovery/, "standby: $call is refused");
}
my $open = session($standby, 'app', role => 'signer');
is(ask($open, q{SELECT octet_length(tp_sign('ec', 'x')) > 0}), 't', 'standby: an open session');
$node->safe_psql('app', q{SELECT tp_revoke_key('ec', 'signer', '{sign}')});
$node->wait_for_catchup($standby);
like(ask($open, q{SELECT tp_sign('ec', 'x')}), qr/^42501: /, 'standby: learns of a grant that is taken back');
$open->quit;
$standby->stop;

# ---- lost rows close

$node->safe_psql('app', q{TRUNCATE tp_key_grant});
like(try_sql($node, 'app', q{SELECT tp_verify('ec', 'x', 'x')}, role => 'signer'), qr/^42501: role "signer" may not/, 'grants that are lost open nothing');
$node->safe_psql('app', q{SELECT tp_grant_key('ec', 'signer', '{verify}'), tp_grant_key('renamed', 'signer', '{encrypt}')});
$node->safe_psql('app', q{SELECT tp_destroy_key('renamed')});
is($node->safe_psql('app', 'SELECT string_agg(operation, $$,$$) FROM tp_key_grant'), 'verify', 'grants go with their key');
$node->safe_psql('app', q{UPDATE tp_token_key SET id = '\x01' WHERE label = 'ec'});
is($node->safe_psql('app', 'SELECT id FROM tp_key_grant'), '\x01', 'and follow its id');
$node->safe_psql('app', q{TRUNCATE tp_token_key});
is($node->safe_psql('app', 'SELECT count(*) FROM tp_key_grant'), '0', 'and go with all keys');
like(try_sql($node, 'app', q{SELECT tp_verify('ec', 'x', 'x')}, role => 'signer'), qr/^42704: /, 'nor do rows of keys');
is(try_sql($node, 'app', q{SELECT tp_verify('ec', 'x', tp_sign('ec', 'x'))}), 't', 'the owner still reaches the key');

# ---- the extension that is dropped and made anew, in a session that has used a key

my $session = session($node, 'custom');
is(ask($session, q{SELECT tp_verify('ec', 'x', tp_sign('ec', 'x'))}), 't', 'before the extension is dropped');
ask($session, 'DROP EXTENSION trustpoint CASCADE; CREATE EXTENSION trustpoint');
is(ask($session, q{SELECT tp_verify('ec', 'x', tp_sign('ec', 'x'))}), 't', 'made anew: the owner finds the key in the token');
is(ask($session, q{SELECT count(*) FROM tp_token_key}), '0', 'without a row');
is(ask($session, q{SELECT tp_generate_ec_key('anew') IS NOT NULL}), 't', 'and makes new ones');
# An extension that is still at 1.0 under the new library.
ask($session, q{DROP EXTENSION trustpoint CASCADE; CREATE EXTENSION trustpoint VERSION '1.0'});
like(ask($session, 'SELECT tp_setup()'), qr/^\d+$/, 'version 1.0 works with the library of 1.1');
is(ask($session, q{SELECT tp_decrypt(tp_encrypt('x'))}), 'x', 'and encrypts');
ask($session, q{ALTER EXTENSION trustpoint UPDATE TO '1.1'});
is(ask($session, q{SELECT tp_verify('ec', 'x', tp_sign('ec', 'x'))}), 't', 'updated, in the session that used it before');
is(ask($session, q{SELECT tp_decrypt(tp_encrypt('x'))}), 'x', 'and still encrypts');
$session->quit;

$node->stop;
done_testing();
