# A private server with a private SoftHSM token, for the TAP tests.
package TrustpointCluster;

use strict;
use warnings;
use Exporter 'import';
use File::Spec;
use IPC::Run;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;

our @EXPORT = qw(new_cluster set_up write_pin token_folder make_token_folder softhsm_conf session ask try_sql
  answer_and_errors begin_sql end_sql waits_for_lock leave_doomed_key pkcs11_tool softhsm_module pkcs11_spy spy_on calls_seen);

use constant { PIN => '1234', SO_PIN => '12345678' };

# Where a node keeps its token and PINs: beside the data directory, not in it.
sub token_folder { my ($node) = @_; return File::Spec->rel2abs($node->basedir . '/token'); }
sub softhsm_conf { my ($node) = @_; return token_folder($node) . '/softhsm2.conf'; }

# Replaces a PIN file; mode 0600 unless given.
sub write_pin {
    my ($file, $pin, $mode) = @_;
    open(my $out, '>', $file) or die "$file: $!";
    print $out $pin;
    close $out;
    chmod($mode // 0600, $file);
}

# An empty token folder with its configuration and PIN files.
sub make_token_folder {
    my ($folder) = @_;
    mkdir $folder or die "$folder: $!";
    mkdir "$folder/tokens" or die "$folder: $!";
    open(my $conf, '>', "$folder/softhsm2.conf") or die $!;
    print $conf "directories.tokendir = $folder/tokens\nobjectstore.backend = file\nlog.level = ERROR\n"
      . "slots.removable = false\n";
    close $conf;
    write_pin("$folder/pin", PIN);
    write_pin("$folder/so_pin", SO_PIN);
}

# new_cluster($name, init => [...], conf => "more lines", token => folder of another node's token, start => 0)
# A running server whose settings name a token folder of its own; nothing is initialised yet.
sub new_cluster {
    my ($name, %option) = @_;
    my $node = PostgreSQL::Test::Cluster->new($name);
    $node->init(extra => $option{init} // [ '--encoding=UTF8', '--locale=C.UTF-8' ]);
    my $folder = $option{token} // token_folder($node);
    make_token_folder($folder) unless -d $folder;
    $node->append_conf('postgresql.conf', <<"EOF" . ($option{conf} // ''));
trustpoint.pin_file = '$folder/pin'
trustpoint.so_pin_file = '$folder/so_pin'
trustpoint.module_environment = 'SOFTHSM2_CONF=$folder/softhsm2.conf'
max_connections = 150
EOF
    $node->start unless defined $option{start} && !$option{start};
    return $node;
}

# Initialises the token (unless it is there) and sets trustpoint up in a database.
sub set_up {
    my ($node, $database) = @_;
    $database //= 'postgres';
    $node->safe_psql($database, 'CREATE EXTENSION trustpoint');
    my $tokens = $node->safe_psql($database, 'SELECT count(*) FROM tp_hsm_slots() WHERE initialized');
    $node->safe_psql($database, "SELECT tp_hsm_init_token('tp')") if $tokens == 0;
    return $node->safe_psql($database, 'SELECT tp_setup()');
}

# A psql session that lives through errors. Close it with quit.
sub session {
    my ($node, $database, %option) = @_;
    return $node->background_psql(
        $database // 'postgres',
        on_error_stop => 0,
        extra_params => [ '-v', 'VERBOSITY=verbose', $option{role} ? ('-U', $option{role}) : () ]);
}

# What a session answers: its rows, or "SQLSTATE: message" of the first error.
sub ask {
    my ($session, $sql) = @_;
    $session->{stderr} = '';
    my $rows = $session->query($sql);
    return $session->{stderr} =~ /ERROR:  (\w{5}: .*)/ ? $1 : $rows;
}

# The same from a new backend, and all that psql wrote to stderr.
sub answer_and_errors {
    my ($node, $database, $sql, %option) = @_;
    my ($code, $rows, $errors) = $node->psql($database, $sql,
        on_error_stop => 0,
        extra_params => [ '-v', 'VERBOSITY=verbose', $option{role} ? ('-U', $option{role}) : () ]);
    return ($errors =~ /ERROR:  (\w{5}: .*)/ ? $1 : $rows, $errors);
}

# The same from a new backend.
sub try_sql {
    my ($answer) = answer_and_errors(@_);
    return $answer;
}

# Statements in a backend of its own, which goes on by itself; end_sql waits for it and gives its answer, as try_sql.
sub begin_sql {
    my ($node, $database, @sql) = @_;
    my $job = { out => '', errors => '' };
    $job->{run} = IPC::Run::start(
        [ 'psql', '-XAtq', '-v', 'VERBOSITY=verbose', '-d', $node->connstr($database), map { ('-c', $_) } @sql ],
        '<', \undef, '>', \$job->{out}, '2>', \$job->{errors});
    return $job;
}

sub end_sql {
    my ($job) = @_;
    $job->{run}->finish;
    chomp $job->{out};
    return $job->{errors} =~ /ERROR:  (\w{5}: .*)/ ? $1 : $job->{out};
}

# Whether, in the end, some backend that runs a statement like this waits for a lock.
sub waits_for_lock {
    my ($node, $pattern) = @_;
    return $node->poll_query_until('postgres', "SELECT EXISTS (SELECT FROM pg_stat_activity
        WHERE query LIKE '$pattern' AND pid <> pg_backend_pid() AND wait_event_type = 'Lock')");
}

# Leaves a key in the token of that folder that is destroyed, as the token was away at the commit.
sub leave_doomed_key {
    my ($node, $folder, $label) = @_;
    my $session = session($node);
    ask($session, $_) for "SELECT tp_generate_ec_key('$label')", "BEGIN; SELECT tp_destroy_key('$label')";
    rename("$folder/tokens", "$folder/away") or die $!;
    ask($session, 'COMMIT');
    rename("$folder/away", "$folder/tokens") or die $!;
    $session->quit;
}

# Runs pkcs11-tool as the token's user; returns what it printed.
sub pkcs11_tool {
    my ($node, @arguments) = @_;
    my $folder = token_folder($node);
    local $ENV{SOFTHSM2_CONF} = "$folder/softhsm2.conf";
    delete local $ENV{LD_PRELOAD};  # a sanitizer's: what it finds in pkcs11-tool is not ours
    my ($out, $errors) = ('', '');
    my @command = ('pkcs11-tool', '--module', softhsm_module(), '--login', '--pin', PIN, '--token-label', 'tp');
    IPC::Run::run([ @command, @arguments ], '>', \$out, '2>', \$errors) or die "pkcs11-tool @arguments: $errors";
    return $out;
}

# OpenSC's module that writes every call down and passes it on; nothing where it is not installed.
sub pkcs11_spy {
    my ($found) = grep { -r } map { glob "$_/pkcs11-spy.so" }
      qw(/usr/lib/*/pkcs11 /usr/lib/*-linux-gnu* /usr/lib64/pkcs11 /usr/lib64);
    return $found;
}

# Puts the spy between a server (which must be started again) and its token. The spy's log, spy.log in the token's
# folder, also holds the PIN, which only a test may have.
sub spy_on {
    my ($node) = @_;
    my $folder = token_folder($node);
    $node->append_conf('postgresql.conf', "trustpoint.pkcs11_module = '" . pkcs11_spy() . "'\n"
          . "trustpoint.module_environment = 'SOFTHSM2_CONF=$folder/softhsm2.conf; PKCS11SPY=" . softhsm_module()
          . "; PKCS11SPY_OUTPUT=$folder/spy.log'\n");
}

# How often the spy has seen a function called.
sub calls_seen {
    my ($node, $function) = @_;
    my $log = token_folder($node) . '/spy.log';
    return scalar grep { /\b$function$/ } split /\n/, (-e $log ? slurp_file($log) : '');
}

sub softhsm_module {
    my ($found) = grep { -r } map { "$_/libsofthsm2.so" }
      qw(/usr/lib/softhsm /usr/lib64/softhsm /usr/lib64/pkcs11 /usr/local/lib/softhsm);
    return $found // die 'libsofthsm2.so not found';
}

1;
