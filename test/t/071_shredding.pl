# The documented procedure of crypto-shredding: afterwards the wrapped bytes are in no file of the database, and the KEK
# that could have opened copies of them is gone from the token.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::RealBin/../perl";
use File::Find;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use TrustpointCluster;

my $node = new_cluster('shredding');
my $kept = set_up($node);
my $doomed = $node->safe_psql('postgres', q{SELECT tp_create_dek('tenant')});
$node->safe_psql('postgres', q{CREATE TABLE v AS SELECT 'tenant' AS name, tp_encrypt('plain tenant', '', 'tenant') AS value
    UNION ALL SELECT 'default', tp_encrypt('plain default'); SELECT tp_rotate_dek('tenant')});
my $wrapped = $node->safe_psql('postgres', "SELECT encode(wrapped, 'hex') FROM tp_dek WHERE id = $doomed");
my $wrapped_kept = $node->safe_psql('postgres', "SELECT encode(wrapped, 'hex') FROM tp_dek WHERE id = $kept");
my ($kek, $label) = split /\|/, $node->safe_psql('postgres', q{SELECT id, label FROM tp_kek});

# The files below the folder of the data directory that hold the bytes.
sub files_with {
    my ($hex, $folder) = @_;
    my ($bytes, @found) = (pack('H*', $hex));
    find({ no_chdir => 1, wanted => sub {
        return unless -f $_;
        open(my $file, '<:raw', $_) or return;
        local $/;
        my $content = <$file>;
        push @found, $_ if index($content // '', $bytes) >= 0;
    } }, $node->data_dir . "/$folder");
    return @found;
}

$node->safe_psql('postgres', 'CHECKPOINT');
isnt(scalar files_with($wrapped, 'base'), 0, 'before: the wrapped bytes are in a file of the database');
isnt(scalar files_with($wrapped_kept, 'base'), 0, 'before: and so are those of another DEK');

is(try_sql($node, 'postgres', "SELECT tp_disable_dek($doomed)"), '', '1. disabled');
is(try_sql($node, 'postgres', "SELECT tp_destroy_dek($doomed, 'tenant')"), '', '2. destroyed');
$node->safe_psql('postgres', 'VACUUM tp_dek');
$node->safe_psql('postgres', 'CHECKPOINT');
isnt(scalar files_with($wrapped, 'base'), 0, 'a plain VACUUM leaves the bytes in the page');
is(try_sql($node, 'postgres', q{SELECT tp_rotate_kek('trustpoint-pg-kek-2')}), 2, '3. a new KEK');
is(try_sql($node, 'postgres', "SELECT tp_destroy_kek('$kek', '$label')"), '', '4. the old KEK destroyed');
$node->safe_psql('postgres', 'VACUUM FULL tp_dek');
$node->safe_psql('postgres', 'CHECKPOINT');
is(join(' ', files_with($wrapped, 'base')), '', '5. after VACUUM FULL: in no file of the database');
is(join(' ', files_with($wrapped, 'global')), '', 'nor in a shared one');
isnt(scalar files_with($wrapped, 'pg_wal'), 0, 'the WAL still has them, as the README says');
my $objects = pkcs11_tool($node, '--list-objects', '--type', 'secrkey');
unlike($objects, qr/\b\Q$label\E$/m, 'the token has the old KEK no more');
like($objects, qr/trustpoint-pg-kek-2/, 'and has the new one');

for my $where ('at once', 'after a restart') {
    $node->restart if $where ne 'at once';
    like(try_sql($node, 'postgres', q{SELECT tp_decrypt(value) FROM v WHERE name = 'tenant'}),
        qr/^55000: DEK $doomed \(tenant\) is destroyed/, "$where: its values are refused with its id and name");
    is(try_sql($node, 'postgres', q{SELECT tp_decrypt(value) FROM v WHERE name = 'default'}), 'plain default',
        "$where: others are read");
    is(try_sql($node, 'postgres', q{SELECT count(*) FROM tp_verify_keys() WHERE NOT ok}), 0, "$where: all keys open");
}
# Even with the row back, from a backup or the WAL, the token no longer opens it.
my $row = "UPDATE tp_dek SET state = 'retired', wrapped = '\\x$wrapped', kek_id = '$kek' WHERE id = $doomed";
$node->safe_psql('postgres', "INSERT INTO tp_kek SELECT '$kek', '$label', token_serial, use, probe, '2000-01-01' FROM tp_kek; $row");
like(try_sql($node, 'postgres', q{SELECT tp_decrypt(value) FROM v WHERE name = 'tenant'}),
    qr/^42704: the KEK "\Q$label\E" is not in the token/, 'the wrapped bytes alone are worth nothing');

$node->stop;
done_testing();
