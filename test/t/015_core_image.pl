# Between transactions no copy of a key is outside locked memory: core images of an idle backend are searched for the
# DEKs, their subkeys and the keys derived for single nonces.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::RealBin/../perl";
use CoreImage;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use TpsecFixtures;
use TrustpointCluster;

plan skip_all => 'the memory of a sanitizer fills no core image' if $ENV{SANITIZE};
can_search_images() or plan skip_all => 'gdb or test/tools/print_dek is missing (make test/tools/print_dek)';

# Small, as all of it is in the core images.
my $node = new_cluster('core', conf => "shared_buffers = 4MB\nmax_connections = 20\n");
set_up($node);
$node->safe_psql('postgres', q{CREATE TABLE secret AS SELECT i, tp_encrypt('secret ' || i) AS value
    FROM generate_series(1, 3) i});

# What a session told of wrapped keys and nonces; from them, the keys that must not be found: value => kind.
my (%nonces, %deks, %keys);

sub learn {
    my ($told) = @_;
    $nonces{$1} = 1 while $told =~ /^nonce (\w{24})$/mg;
    $deks{$1} = 1 while $told =~ /^dek (\w{32} \w{144})$/mg;
    %keys = (%keys, derived_keys($node, [ keys %deks ], keys %nonces));
}

# 8 bytes of any key.
sub search {
    my ($pid, @settings) = @_;
    return search_image($node, $pid, [ map { unpack '(a8)*', $_ } keys %keys ], @settings);
}

sub nowhere {
    my ($name, $pid, @settings) = @_;
    my ($inside, $outside) = search($pid, @settings);
    is("$inside, $outside", '0, ', $name);
}

# Transactions that encrypt, decrypt, rewrap, make keys and rotate with both suites: one commits, one rolls back, one
# fails. Each tells its wrapped keys and nonces, which the tables will not all keep.
my $tell = q{SELECT 'dek ' || encode(kek_id, 'hex') || ' ' || encode(wrapped, 'hex') FROM tp_dek;
    SELECT DISTINCT 'nonce ' || encode(substring(value FROM 6 FOR 12), 'hex') FROM secret
        WHERE get_byte(value, 0) = 225;};
import_kek($node, 'trustpoint-app-secret-kek', my $kek = random_key(), '01');
my @forms = qw(cwrap-rfc5649 enc-cbc ecb);
my $session = session($node);
my $pid = $session->query_safe('SELECT pg_backend_pid()');
for my $end ('COMMIT', 'ROLLBACK', 'SELECT 1 / 0; ROLLBACK') {
    my %wrapped = wrapped_deks($kek, my $trustpoint_dek = random_key());
    my ($field) = map { $_->[2] } grep { length $_->[2] } fields($trustpoint_dek);
    my $form = shift @forms;
    my $told = ask($session, qq{BEGIN;
        SELECT tp_import_dek('\\x$wrapped{$form}', 'trustpoint-app-secret-kek', '$field');
        SELECT tpsec_decrypt('$field'), tpsec_decrypt(tpsec_encrypt('mine'));
        SELECT count(tp_decrypt(value)) FROM secret;
        INSERT INTO secret SELECT i, tp_encrypt('more ' || i) FROM generate_series(4, 6) i;
        SET LOCAL trustpoint.cipher = 'aes-256-gcm';
        INSERT INTO secret SELECT i, tp_encrypt('plain gcm ' || i) FROM generate_series(7, 9) i;
        SELECT count(tp_decrypt(value)) FROM secret;
        SELECT tp_rotate_dek();
        UPDATE secret SET value = tp_rewrap(value) WHERE i = 1;
        SET LOCAL trustpoint.cipher = 'xaes-256-gcm';
        SAVEPOINT one;
        UPDATE secret SET value = tp_rewrap(value) WHERE i = 2;
        SELECT tp_create_dek('tenant $end');
        SELECT tp_create_dek('tenant $end', 'index');
        SELECT tp_blind_index('of a tenant', 'c', 'tenant $end'), tp_blind_index_candidates('x', 'c', 'tenant $end');
        INSERT INTO secret SELECT 10, tp_encrypt('of a tenant', '', 'tenant $end');
        SELECT count(tp_decrypt(value)) FROM secret;
        $tell
        ROLLBACK TO SAVEPOINT one;
        SELECT count(tp_decrypt(value)) FROM secret;
        $tell
        SELECT tp_rotate_dek();
        SELECT count(*) FROM tp_verify_keys() WHERE ok;});
    $told .= ask($session, $tell);
    ask($session, $end);
    learn($told);
    $keys{ pack 'H*', $trustpoint_dek } = 'dek';
    nowhere("after $end a core image of the idle backend holds no key", $pid);
}
ask($session, $_) for 'SELECT count(*) FROM tp_verify_keys() WHERE ok', 'SELECT count(tp_decrypt(value)) FROM secret',
  q{INSERT INTO secret SELECT 11, tp_encrypt('last')}, 'SELECT count(tp_decrypt(value)) FROM secret';
learn(ask($session, $tell));
is(ask($session, 'SELECT deks_cached > 0 FROM tp_status()'), 't', 'the backend has DEKs cached');
is(ask($session, 'SELECT count(tp_decrypt(value)) FROM secret'), 10, 'and decrypts');

is(scalar(keys %deks), 1 + 3 * 5, 'all DEKs are known, also those that were rolled back');
cmp_ok(scalar(keys %nonces), '>=', 8, 'and nonces');
cmp_ok(scalar(keys %keys), '>=', 16 * (1 + 4 + 8), 'and so the subkeys and derived keys');

nowhere('a core image of the idle backend holds none of them', $pid);

# Everything that is mapped, whether core images have it or not.
my @everything = ('set use-coredump-filter off', 'set dump-excluded-mappings on');
cmp_ok(scalar(locked_ranges($pid)), '>', 0, 'the arena is known');
my $locked = ask($session, 'SELECT secret_memory_locked FROM tp_status()');
is(scalar(grep { $_->[2] } locked_ranges($pid)), $locked eq 't' ? scalar(locked_ranges($pid)) : 0, 'and locked, if tp_status says so');
my ($inside, $outside) = search($pid, @everything);
cmp_ok($inside, '>', 0, 'with excluded mappings the arena has keys');
is($outside, '', 'and nothing else has');
like(ask($session, 'SELECT tp_forget_keys()'), qr/^[1-9]/, 'the session forgets its keys');
nowhere('then they are nowhere', $pid, @everything);

# What unwrapping leaves behind, when nothing runs after it.
my $fresh = session($node);
my $fresh_pid = ask($fresh, 'SELECT pg_backend_pid()');
like(ask($fresh, 'SELECT tp_load_dek()'), qr/^\d+$/, 'a new backend loads the key and does no more');
($inside, $outside) = search($fresh_pid, @everything);
cmp_ok($inside, '>', 0, 'it has keys in its arena');
is($outside, '', 'and nowhere else');
$fresh->quit;

# The search finds a key that is put elsewhere on purpose, even half of it.
ask($session, "PREPARE leak AS SELECT '\\x" . unpack('H*', substr((sort keys %keys)[0], 8, 16)) . "'::bytea");
(undef, $outside) = search($pid);
isnt($outside, '', 'half a key elsewhere is found');
$session->quit;

done_testing();
