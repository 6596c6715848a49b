# The server log of all of pg_regress, with everything logged of every statement: under redact_log = all it holds no
# plaintext, passphrase, private key, PIN or DEK; with redaction off the same search finds what the statements had.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::RealBin/../perl";
use IPC::Run;
use MIME::Base64;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use TrustpointCluster;

use constant { PIN => 'PIN-of-this-token', SO_PIN => 'PIN-of-its-officer' };

my $root = "$FindBin::RealBin/../..";
my $print_dek = "$root/test/tools/print_dek";
if (!-x $print_dek) {
    die 'test/tools/print_dek is missing' if $ENV{CI};
    plan skip_all => 'test/tools/print_dek is missing (make test/tools/print_dek)';
}

# ---- the secrets: what the scripts encrypt, look up and import

my ($topics) = slurp_file("$root/Makefile") =~ /^REGRESS = ((?:.*\\\n)*.*)/m;
my @topics = split ' ', $topics =~ s/\\\n//gr;
my $scripts = join '', map { slurp_file("$root/sql/$_.sql") } @topics;
my %plaintexts = map { $_ => 1 } grep { length > 6 && !/^\\/ }
  $scripts =~ /\b(?:tp_encrypt|tpsec_encrypt|tp_blind_index|tp_aes_encrypt\('[^']+'\s*,)\(?\s*'([^']+)'/g;
$plaintexts{$1} = 1 while $scripts =~ /^\\set plaintext '(.*)'/mg;
my %pem;
for my $block ($scripts =~ /-----BEGIN (?:\w+ )?PRIVATE KEY-----\n(.*?)-----END/sg) {
    $pem{$_} = 1 for grep { /^[A-Za-z0-9+\/=]{40,}$/ } split /\n/, $block;
}
my @passphrases = ('correct horse');
cmp_ok(scalar(keys %plaintexts), '>=', 12, 'the scripts have plaintexts');
cmp_ok(scalar(keys %pem), '>=', 100, 'and lines of private keys');

# As it is, in hex, and in base64, whatever stands before it.
sub forms {
    my ($secret) = @_;
    return ($secret, unpack('H*', $secret), map { substr encode_base64("\0" x $_ . $secret, ''), $_ ? 4 : 0, -4 } 0 .. 2);
}

# Which of the secrets a log holds in any form.
sub found {
    my ($log, @secrets) = @_;
    $log = lc $log;
    return grep { grep { length > 5 && index($log, lc $_) >= 0 } forms($_) } @secrets;
}

# ---- pg_regress, once with each setting, beside one another

my (%log, %keys, %run);
for my $setting ('all', 'off') {
    my $node = new_cluster("log_$setting", start => 0, conf => <<"EOC");
shared_preload_libraries = 'trustpoint'
trustpoint.redact_log = '$setting'
log_statement = all
log_duration = on
log_min_duration_statement = 0
log_min_error_statement = debug5
log_min_messages = debug1
log_error_verbosity = verbose
fsync = off
EOC
    my $folder = token_folder($node);
    write_pin("$folder/pin", PIN);
    write_pin("$folder/so_pin", SO_PIN);
    local $ENV{SOFTHSM2_CONF} = softhsm_conf($node);
    IPC::Run::run([ 'softhsm2-util', '--init-token', '--free', '--label', 'tp', '--pin', PIN, '--so-pin', SO_PIN ], '>', \my $out)
      or die 'softhsm2-util';
    $node->start;
    my $run = $run{$setting} = { node => $node, output => $node->basedir . '/regress', told => '' };
    mkdir $run->{output};
    my @command = ($ENV{PG_REGRESS}, "--inputdir=$root", "--outputdir=$run->{output}", '--bindir=', '--host=' . $node->host,
        '--port=' . $node->port, '--dbname=contrib_regression', @topics);
    $run->{process} = IPC::Run::start(\@command, '<', \undef, '>', \$run->{told}, '2>&1');
}
for my $setting ('all', 'off') {
    my ($node, $output, $process) = @{ $run{$setting} }{qw(node output process)};
    local $ENV{SOFTHSM2_CONF} = softhsm_conf($node);
    $process->finish;
    my $told = $run{$setting}{told};
    is(scalar(() = $told =~ /^test \w+ +\.\.\. |^(?:not )?ok +\d+/mg), scalar(@topics), "$setting: all scripts ran");
    # The last two show that this server is preloaded, and what is logged.
    my @failed = grep { defined && !/^(?:check|catalog)$/ } $told =~ /^test (\w+) +\.\.\. FAILED|^not ok +\d+ +- (\w+)/mg;
    is("@failed", '', "$setting: as expected") or diag(slurp_file("$output/regression.diffs"));

    # All DEKs that are left, with what is derived from them.
    my $deks = $node->safe_psql('contrib_regression', q{SELECT encode(kek_id, 'hex') || ' ' || encode(wrapped, 'hex')
        FROM tp_dek WHERE octet_length(wrapped) = 72});
    for my $dek (split /\n/, $deks) {
        IPC::Run::run([ $print_dek, softhsm_module(), 'tp', PIN, split / /, $dek ], '>', \my $printed, '2>', \my $ignored);
        $keys{ pack 'H*', $1 } = 1 while ($printed // '') =~ /^\w+ (\w{64})$/mg;
    }
    $node->stop;
    $log{$setting} = slurp_file($node->logfile);
}
cmp_ok(scalar(keys %keys), '>=', 5, 'DEKs and subkeys are known');
my %secrets = (plaintext => [ keys %plaintexts ], passphrase => \@passphrases, 'private key' => [ keys %pem ]);
for my $kind (sort keys %secrets) {
    is(scalar(found($log{all}, @{ $secrets{$kind} })), 0, "all: no $kind")
      or diag(join "\n", found($log{all}, @{ $secrets{$kind} }));
    is(scalar(found($log{off}, @{ $secrets{$kind} })), scalar(@{ $secrets{$kind} }), "off: every $kind is found");
}
for my $setting ('all', 'off') {
    is(scalar(found($log{$setting}, PIN, SO_PIN)), 0, "$setting: no PIN");
    is(scalar(found($log{$setting}, keys %keys)), 0, "$setting: no DEK");
}
like($log{all}, qr/duration: [\d.]+ ms/, 'all: durations are logged all the same');
like($log{all}, qr/trustpoint audit: /, 'all: and the audit');

done_testing();
