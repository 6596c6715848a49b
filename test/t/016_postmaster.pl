# Nothing of PKCS#11 is in the postmaster, wrong settings do not keep the server from starting, and a backend that used
# the token ends without a crash.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::RealBin/../perl";
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use TrustpointCluster;

my $node = new_cluster('preloaded', conf => "shared_preload_libraries = 'trustpoint'\n");
set_up($node);
my $read = q{SELECT tp_decrypt(tp_encrypt('x'))};
is($node->safe_psql('postgres', $read), 'x', 'preloaded it works');

my ($postmaster) = slurp_file($node->data_dir . '/postmaster.pid') =~ /^(\d+)/;
my $maps = slurp_file("/proc/$postmaster/maps");
like($maps, qr/trustpoint\.so/, 'the postmaster has loaded the extension');
unlike($maps, qr/softhsm/, 'and no PKCS#11 module');
unlike($node->safe_psql('postgres', "SELECT pg_read_file('/proc/self/maps')"), qr/softhsm/,
    'nor has a backend that used no key');

$node->append_conf('postgresql.conf', "trustpoint.pkcs11_module = '/nowhere/at/all.so'\ntrustpoint.pin_file = '/nowhere'\n");
$node->restart;
my (undef, undef, $error) = $node->psql('postgres', "\\set VERBOSITY verbose\n$read");
like($error, qr/58000.*all\.so/s, 'a module that is not there is an error of the statement');
is($node->safe_psql('postgres', 'SELECT 1'), '1', 'and of nothing else');

unlike(slurp_file($node->logfile), qr/terminated by signal|reinitializing|PANIC/, 'no backend crashed');
done_testing();
