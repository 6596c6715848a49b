# After busy sessions on a preloaded server no key is anywhere but in locked memory, and no plaintext but where the README
# says: files of the data directory, WAL and temporary files, shared memory, and the core images of all kinds of processes
# are searched.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::RealBin/../perl";
use CoreImage;
use File::Find;
use MIME::Base64;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use TrustpointCluster;

plan skip_all => 'the memory of a sanitizer fills no core image' if $ENV{SANITIZE};
can_search_images() or plan skip_all => 'gdb or test/tools/print_dek is missing (make test/tools/print_dek)';

my $node = new_cluster('files', conf => <<'EOC');
shared_preload_libraries = 'trustpoint'
shared_buffers = 4MB
max_connections = 20
work_mem = 64kB
wal_level = logical
max_wal_senders = 2
max_replication_slots = 2
log_statement = none
autovacuum_naptime = 1s
EOC
set_up($node);

# Plaintexts that stand in no statement: each begins with the marker, which only SQL puts together.
my $marker = 'marker-of-a-plaintext';
my $plain = q{reverse('txetnialp-a-fo-rekram')};
$node->safe_psql('postgres', qq{
    CREATE FUNCTION plain(i int) RETURNS text LANGUAGE sql IMMUTABLE AS
        \$\$ SELECT $plain || ' ' || i || repeat(' and more', 20) \$\$;
    CREATE TABLE secret (id serial PRIMARY KEY, value tp_encrypted, lookup bytea);
    CREATE VIEW shown AS SELECT id, tp_decrypt(value, tp_context('secret', id::text)) AS value FROM secret;
    SELECT tp_create_dek('default', 'index'), tp_create_dek('tenant');
    SELECT pg_create_logical_replication_slot('slot', 'pgoutput')});

# What a session is told of wrapped keys and nonces.
my (%deks, %nonces);
my $tell = q{SELECT 'dek ' || encode(kek_id, 'hex') || ' ' || encode(wrapped, 'hex') FROM tp_dek WHERE octet_length(wrapped) = 72;
    SELECT DISTINCT 'nonce ' || encode(substring(value FROM 6 FOR 12), 'hex') FROM secret WHERE get_byte(value, 0) = 225;};

sub learn {
    my ($told) = @_;
    $deks{$1} = 1 while $told =~ /^dek (\w{32} \w{144})$/mg;
    $nonces{$1} = 1 while $told =~ /^nonce (\w{24})$/mg;
}

# ---- busy sessions, which stay open

my @sessions = map { session($node) } 1, 2;
for my $session (@sessions) {
    ask($session, $_) for q{INSERT INTO secret (id, value, lookup) SELECT i, tp_encrypt(plain(i), tp_context('secret', i::text)),
            tp_blind_index(plain(i), 'secret') FROM (SELECT nextval('secret_id_seq')::int FROM generate_series(1, 1500)) AS t (i)},
      q{SELECT count(*) FROM shown WHERE value = plain(id)}, q{CREATE INDEX IF NOT EXISTS looked_up ON secret (lookup)},
      q{PREPARE one (int) AS SELECT count(*) FROM shown WHERE id = $1 AND value = plain($1)}, 'EXECUTE one(7)', 'EXECUTE one(8)',
      q{BEGIN; SELECT tp_rotate_dek(); UPDATE secret SET value = tp_rewrap(value, tp_context('secret', id::text)) WHERE id % 7 = 0; COMMIT},
      q{SET trustpoint.cipher = 'aes-256-gcm'; UPDATE secret SET value = tp_rewrap(value, tp_context('secret', id::text)) WHERE id % 9 = 0},
      q{BEGIN; UPDATE secret SET value = tp_encrypt('x', '', 'tenant') WHERE id = 3; SAVEPOINT a; SELECT tp_rotate_dek('tenant'); ROLLBACK},
      q{SELECT count(a.value) FROM shown a JOIN shown b USING (value)},
      q{COPY (SELECT md5(value) FROM shown) TO '/dev/null'}, q{COPY (SELECT id, value FROM secret WHERE id < 10) TO '/dev/null'},
      q{LISTEN secret; SELECT pg_notify('secret', md5(value)) FROM shown WHERE id = 1; UNLISTEN secret},
      q{SELECT value::int FROM shown WHERE id = 5}, q{SELECT 1 / (length(value) - length(plain(id))) FROM shown},
      q{SELECT tp_decrypt(value, 'another context') FROM secret}, 'RESET trustpoint.cipher';
    learn(ask($session, $tell));
}
is(ask($_, 'SELECT count(*) FROM shown WHERE value = plain(id)'), 3000, 'a session decrypts') for @sessions;
$node->safe_psql('postgres', 'VACUUM ANALYZE secret; CHECKPOINT; SELECT pg_switch_wal()');
my %keys = derived_keys($node, [ keys %deks ], keys %nonces);
cmp_ok(scalar(keys %keys), '>=', 5 * 7, 'keys, subkeys and derived keys are known');

# ---- the search

# As it is, in hex, and in base64, whatever stands before it.
sub forms {
    my ($secret) = @_;
    return ($secret, unpack('H*', $secret), map { substr encode_base64("\0" x $_ . $secret, ''), $_ ? 4 : 0, -4 } 0 .. 2);
}
my $any_key = join '|', map { quotemeta } map { forms($_) } keys %keys;
my $any_plain = join '|', map { quotemeta } forms($marker);

# The files that match, without their numbers.
sub files_with {
    my ($pattern, @folders) = @_;
    my %found;
    find({ no_chdir => 1, wanted => sub {
        return unless -f $_ && -s _;
        my $content = eval { slurp_file($_) } // return;
        $found{ $File::Find::name =~ s{^.*/(?=pgdata|shm|log)}{}r =~ s/\d+/N/gr } = 1 if $content =~ $pattern;
    } }, @folders);
    return join ' ', sort keys %found;
}
my $postmaster = (split /\n/, slurp_file($node->data_dir . '/postmaster.pid'))[0];
my @folders = ($node->data_dir, '/dev/shm', $node->logfile);

# A query that has sorted plaintexts and is not at its end yet; and one whose parallel workers have shared memory.
my $sorting = session($node);
ask($sorting, 'BEGIN; DECLARE sorted CURSOR FOR SELECT value FROM shown ORDER BY value || id');
is(ask($sorting, 'FETCH 1 FROM sorted') =~ /^$marker/, 1, 'plaintexts have been sorted');
is(files_with($any_key, @folders), '', 'no key in the data directory, in shared memory files, in the log');
is(files_with($any_plain, @folders), 'pgdata/base/pgsql_tmp/pgsql_tmpN.N', 'plaintext in the temporary file of a sort, and in no other');
ask($sorting, 'COMMIT');
is(files_with($any_plain, @folders), '', 'which goes with the query');
my ($wrapped) = map { (split / /)[1] } sort keys %deks;
like(files_with(quotemeta pack('H*', $wrapped), @folders), qr{pgdata/base.*pgdata/pg_wal}, 'a wrapped DEK is found, in heap and WAL');

# The core images that a crash would write: of a backend between transactions, and of processes that never touch a key.
my %pid = map { split /\|/ } split /\n/, $node->safe_psql('postgres', q{
    SELECT replace(backend_type, ' ', '_') || '|' || pid FROM pg_stat_activity WHERE backend_type <> 'client backend'
    AND backend_type !~ 'worker'});
$pid{backend} = ask($sessions[0], 'SELECT pg_backend_pid()');
$pid{postmaster} = $postmaster;
my @pieces = map { unpack '(a8)*', $_ } keys %keys;
my @everything = ('set use-coredump-filter off', 'set dump-excluded-mappings on');
for my $name (qw(backend postmaster checkpointer background_writer walwriter autovacuum_launcher)) {
    is(join(', ', search_image($node, $pid{$name}, \@pieces)), '0, ', "$name: no key in a core image");
    my ($inside, $outside) = search_image($node, $pid{$name}, \@pieces, @everything);
    cmp_ok($inside, '>', 0, "$name: the shared cache, which it has mapped, holds keys");
    is($outside, '', "$name: and no other memory does");
    next if $name eq 'backend';
    is(join(', ', search_image($node, $pid{$name}, [ forms($marker) ], @everything)), '0, ', "$name: no plaintext, nor in shared memory");
}
is(scalar(grep { !$_->[2] } locked_ranges($postmaster)), 0, 'the memory for keys is locked')
  if $node->safe_psql('postgres', 'SELECT secret_memory_locked FROM tp_status()') eq 't';

# ---- the search finds what is put elsewhere on purpose

my ($dek) = sort keys %keys;
ask($sessions[1], q{CREATE TABLE planted AS SELECT '\x} . unpack('H*', $dek) . q{'::bytea AS v, plain(1)});
$node->safe_psql('postgres', 'CHECKPOINT');
like(files_with($any_key, @folders), qr{pgdata/base/.*pgdata/pg_wal/}, 'a key that was stored is found in heap and WAL');
like(files_with($any_plain, @folders), qr{pgdata/base/.*pgdata/pg_wal/}, 'and so is a plaintext');
isnt((search_image($node, $pid{checkpointer}, \@pieces))[1], '', 'and the key in the shared memory of a core image');
isnt((search_image($node, $pid{checkpointer}, [$marker]))[1], '', 'and the plaintext');
$_->quit for @sessions, $sorting;
$node->stop;

done_testing();
