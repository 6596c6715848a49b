# Between transactions no copy of a key is outside locked memory: core images of an idle backend are searched for the DEK,
# its subkeys and the keys derived for single nonces.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::RealBin/../perl";
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use TrustpointCluster;

my $print_dek = "$FindBin::RealBin/../tools/print_dek";
if (!-x '/usr/bin/gdb' || !-x $print_dek) {
    die 'gdb is missing' if $ENV{CI};
    plan skip_all => 'gdb or test/tools/print_dek is missing (make test/tools/print_dek)';
}

my $node = new_cluster('core');
my $first = set_up($node);
$node->safe_psql('postgres', q{CREATE TABLE secret AS SELECT i, tp_encrypt('secret ' || i) AS value
    FROM generate_series(1, 3) i});

# One transaction that encrypts, decrypts, rewraps and rotates with both suites, and an aborted one.
my $session = $node->background_psql('postgres', on_error_stop => 0);
my $pid = $session->query_safe('SELECT pg_backend_pid()');
my $work = q{
    SELECT count(tp_decrypt(value)) FROM secret;
    INSERT INTO secret SELECT i, tp_encrypt('more ' || i) FROM generate_series(4, 6) i;
    SET LOCAL trustpoint.cipher = 'aes-256-gcm';
    INSERT INTO secret SELECT i, tp_encrypt('plain gcm ' || i) FROM generate_series(7, 9) i;
    SELECT count(tp_decrypt(value)) FROM secret;
    SELECT tp_rotate_dek();
    UPDATE secret SET value = tp_rewrap(value) WHERE i = 1;
    SELECT count(tp_decrypt(value)) FROM secret;};
$session->query_safe("BEGIN; $work COMMIT");
$session->query_safe("BEGIN; $work ROLLBACK");
$session->query_safe('SELECT count(tp_decrypt(value)) FROM secret');

# The keys that must not be found.
my $module = $node->safe_psql('postgres', 'SELECT module FROM tp_hsm_info()');
my @prefixes = split /\n/, $node->safe_psql('postgres',
    q{SELECT DISTINCT encode(substring(value FROM 6 FOR 12), 'hex') FROM secret WHERE get_byte(value, 0) = 225});
my @keys;
for my $row (split /\n/, $node->safe_psql('postgres', q{SELECT encode(kek_id, 'hex'), encode(wrapped, 'hex') FROM tp_dek})) {
    local $ENV{SOFTHSM2_CONF} = softhsm_conf($node);
    my ($out, $err);
    IPC::Run::run([ $print_dek, $module, 'tp', TrustpointCluster::PIN, split(/\|/, $row), @prefixes ], '>', \$out, '2>', \$err)
      or die $err;
    push @keys, map { pack 'H*', (split ' ')[1] } split /\n/, $out;
}
cmp_ok(scalar @keys, '>=', 12, 'the DEKs, subkeys and derived keys are known');

# Searches a core image, also for each half of a key; returns the addresses of what was found.
sub search {
    my ($core, @needles) = @_;
    my $image = slurp_file($core);
    my @found;
    for my $needle (map { ($_, substr($_, 0, 16), substr($_, 16)) } @needles) {
        my $at = -1;
        push @found, $at while ($at = index($image, $needle, $at + 1)) >= 0;
    }
    return scalar @found;
}

sub dump_core {
    my ($name, @settings) = @_;
    my $core = $node->basedir . "/$name.core";
    my ($out, $err) = ('', '');
    IPC::Run::run([ 'gdb', '-batch', '-nx', '-p', $pid, map({ ('-ex', $_) } @settings), '-ex', "gcore $core" ],
        '>', \$out, '2>', \$err);
    -s $core or die "no core image: $err";
    return $core;
}

is(search(dump_core('plain'), @keys), 0, 'a core image of the idle backend holds none of them');

# Everything that is mapped, in core images or not: the arena has them, and nothing else.
my @all = ('set use-coredump-filter off', 'set dump-excluded-mappings on');
my $everything = dump_core('everything', @all);
cmp_ok(search($everything, @keys), '>', 0, 'with excluded mappings they are there');
like($session->query_safe('SELECT tp_forget_keys()'), qr/^[1-9]/, 'the session forgets its keys');
is(search(dump_core('forgotten', @all), @keys), 0, 'and nothing else had them');

# The search finds a key that is put elsewhere on purpose.
$session->query_safe("PREPARE leak AS SELECT '\\x" . unpack('H*', $keys[0]) . "'::bytea");
cmp_ok(search(dump_core('leak'), $keys[0]), '>', 0, 'a key elsewhere is found');
$session->quit;

done_testing();
