# tp_check_config: each state that leaks is made, seen and mended. What is in the database itself is in sql/check.sql.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::RealBin/../perl";
use File::Copy;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use TrustpointCluster;

# Limits of this process, which a server started by it inherits; the hard limit stays.
sub limit { my ($what, $value) = @_; system_or_bail('prlimit', "--pid=$$", "--$what=$value:"); }

limit('core', 0);
my $node = new_cluster('check');
my $folder = token_folder($node);
set_up($node);

# The detail of a finding with some settings; '' when it is not found. All in one session, until the server restarts.
my $asker;
sub finding {
    my ($name, $before) = @_;
    $asker //= session($node);
    my $detail =
      ask($asker, 'BEGIN; ' . ($before // '') . "; SELECT detail FROM tp_check_config() WHERE finding = '$name'; ROLLBACK");
    die $detail if $detail =~ /^\w{5}: /;
    return $detail;
}
sub restart { $asker->quit; undef $asker; $node->restart; }
sub found { my ($name, $before, $title) = @_; isnt(finding($name, $before), '', "$name: " . ($title // 'found')); }
sub not_found { my ($name, $before, $title) = @_; is(finding($name, $before), '', "$name: " . ($title // 'not found')); }

# ---- triggers

not_found('trigger');
not_found('table_rights');
found('table_rights', 'GRANT ALL ON ALL TABLES IN SCHEMA public TO PUBLIC', 'who may write the tables of keys and of grants');
$node->safe_psql('postgres', 'CREATE ROLE kim; CREATE ROLE bob');
for my $case ([ 'a right on a column', 'GRANT INSERT (grantee), UPDATE (name) ON tp_dek_grant TO bob' ],
    [ 'a right that was given on', 'GRANT INSERT ON tp_key_grant TO kim WITH GRANT OPTION; SET ROLE kim; GRANT INSERT ON tp_key_grant TO bob; RESET ROLE' ],
    [ 'who may write all tables', 'GRANT pg_write_all_data TO bob' ]) {
    my ($what, $grant) = @$case;
    found('table_rights', $grant, $what);
    my $remedies = q{SELECT remedy FROM tp_check_config() WHERE finding = 'table_rights'};
    is(ask($asker, "BEGIN; $grant; " . join('; ', split(/\n/, ask($asker, "BEGIN; $grant; $remedies; ROLLBACK")), $remedies) . '; ROLLBACK'),
        '', "table_rights: $what: the remedies end it");
}
found('trigger', 'ALTER TABLE tp_dek DISABLE TRIGGER ALL; ALTER TABLE tp_dek ENABLE TRIGGER ALL', 'what pg_restore --disable-triggers leaves');

# ---- files

not_found('pin_file');
chmod 0644, "$folder/pin";
found('pin_file', '', 'a PIN file that others may read');
chmod 0600, "$folder/pin";
not_found('pin_file', '', 'mended');

for my $name ('pin_file_folder', 'token_configuration') {
    not_found($name);
    chmod 0777, $folder;
    found($name, '', 'a folder that others may write to');
    chmod 0755, $folder;
    not_found($name, '', 'mended');
}
chmod 0666, "$folder/softhsm2.conf";
found('token_configuration', '', 'a configuration that others may write');
chmod 0644, "$folder/softhsm2.conf";
not_found('token_configuration', '', 'mended');

chmod 0700, "$folder/tokens";
not_found('token_folder');
my ($object) = glob "$folder/tokens/*/token.object";
for my $path ("$folder/tokens", $object) {
    my $mode = (stat $path)[2] & 07777;
    chmod $mode | 0044, $path;
    found('token_folder', '', "others may read $path");
    chmod $mode, $path;
    not_found('token_folder', '', 'mended');
}

found('so_pin_file', '', "the security officer's PIN is on the machine");
rename("$folder/so_pin", "$folder/gone") or die $!;
not_found('so_pin_file', '', 'and is gone');
rename("$folder/gone", "$folder/so_pin") or die $!;

my $data = $node->data_dir;
write_pin("$data/pin", 'no PIN');
not_found('pin_file_in_data_directory');
found('pin_file_in_data_directory', "SET trustpoint.pin_file = '$data/pin'");
not_found('token_folder_in_data_directory');
append_to_file("$data/softhsm2.conf", "# a comment\ndirectories.tokendir = /nowhere\n directories.tokendir =$data/tokens # the last\n");
mkdir "$data/tokens" or die $!;
found('token_folder_in_data_directory', "SET trustpoint.module_environment = 'SOFTHSM2_CONF=$data/softhsm2.conf'");

my $own = "$folder/module";
mkdir $own or die $!;
copy(softhsm_module(), "$own/module.so") or die $!;
chmod 0755, $own, "$own/module.so";
not_found('module');
my $other_module = "SET trustpoint.pkcs11_module = '$own/module.so'";
not_found('module', $other_module, 'a copy that only we may write');
$node->safe_psql('postgres', q{SELECT tp_grant('bob', 'status')});
for my $path ("$own/module.so", $own) {
    chmod 0777, $path;
    found('module', $other_module, "others may write $path");
    like(finding('module', $other_module), qr/ \Q$path\E has mode/, 'module: which, for the owner');
    unlike(finding('module', "$other_module; SET ROLE bob"), qr/^$|\//, 'module: no paths for others');
    chmod 0755, $path;
}
symlink($own, "$folder/link") or die $!;
chmod 0777, $own;
found('module', "SET trustpoint.pkcs11_module = '$folder/link/module.so'", 'also by way of a link');
chmod 0755, $own;
not_found('module', $other_module, 'mended');
not_found('module', "SET trustpoint.pkcs11_module = '/no/such/module.so'", 'nothing to say of one that is not there');
not_found('token_configuration', "SET trustpoint.module_environment = 'malformed'", 'nor of a malformed environment');

# As a start from root's shell leaves it; without SOFTHSM2_CONF it is asked for a configuration.
mkdir "$folder/home", 0 or die $!;
{
    local $ENV{HOME} = "$folder/home";
    restart();
}
not_found('token_configuration', "SET trustpoint.module_environment = ''", 'a home that the server may not enter');
rmdir "$folder/home" or die $!;
restart();

# ---- limits and preloading

is(finding('swap') ne '', (() = slurp_file('/proc/swaps') =~ /\n/g) > 1, 'swap: as on this machine');
not_found('core_images');
not_found('memory_lock');
found('preload', '', 'not preloaded');
limit('core', 4096);
limit('memlock', 0);
$node->append_conf('postgresql.conf', "shared_preload_libraries = 'pg_stat_statements, trustpoint'\n"
      . "listen_addresses = '127.0.0.1, 192.0.2.1'\n");    # the second is nobody's: the server says so, and starts
restart();
if (!$ENV{SANITIZE}) {    # AddressSanitizer has no core images, and makes mlock do nothing and say that it did
    found('core_images', '', 'a limit that allows them');
    found($_, '', 'a limit that forbids to lock memory') for qw(memory_lock shared_memory_lock);
}
not_found('preload', '', 'preloaded');
found('ssl', '', 'the network without TLS');
limit('core', 0);
limit('memlock', 8388608);
$node->append_conf('postgresql.conf', "listen_addresses = '127.0.0.1'\n");
restart();
not_found($_, '', 'mended') for qw(core_images memory_lock shared_memory_lock ssl);

# ---- settings

not_found('auto_explain.log_min_duration');
ask($asker, "LOAD 'auto_explain'");
for ([ 'log_statement', 'all', 'none' ], [ 'log_statement', 'mod', 'ddl' ],
    [ 'log_min_duration_statement', '0', '-1' ], [ 'log_min_duration_statement', '2min', '-1' ],
    [ 'log_min_duration_sample', '100', '-1' ], [ 'log_transaction_sample_rate', '0.01', '0' ],
    [ 'log_parameter_max_length_on_error', '-1', '0' ], [ 'log_parameter_max_length_on_error', '100', '0' ],
    [ 'log_min_error_statement', 'error', 'panic' ], [ 'log_min_error_statement', 'debug1', 'fatal' ],
    [ 'log_error_verbosity', 'verbose', 'terse' ],
    [ 'debug_print_parse', 'on', 'off' ], [ 'debug_print_rewritten', 'on', 'off' ], [ 'debug_print_plan', 'on', 'off' ],
    [ 'auto_explain.log_min_duration', '0', '-1' ]) {
    my ($name, $bad, $good) = @$_;
    for my $redact ('off', 'calls') {
        found($name, "SET trustpoint.redact_log = $redact; SET $name = '$bad'", "$bad, redact_log = $redact");
    }
    not_found($name, "SET trustpoint.redact_log = off; SET $name = '$good'", $good);
    not_found($name, "SET trustpoint.redact_log = 'all'; SET $name = '$bad'", "$bad, redact_log = 'all'");
}
# Bound parameters are logged with statements only.
my $quiet = 'SET log_statement = none; SET trustpoint.redact_log = off; SET log_parameter_max_length = -1';
not_found('log_parameter_max_length', $quiet);
found('log_parameter_max_length', "$quiet; SET log_statement = 'all'");
not_found('log_parameter_max_length', "$quiet; SET log_statement = 'all'; SET log_parameter_max_length = 0");
# What no redaction of the log reaches.
found('pg_stat_statements.track_utility', "SET trustpoint.redact_log = 'all'");
not_found('pg_stat_statements.track_utility', "SET pg_stat_statements.track_utility = off");
not_found('pg_stat_statements.track_utility', "SET pg_stat_statements.track = none");

# Of other roles and databases; the remedy is SQL.
$node->safe_psql('postgres', q{CREATE ROLE app LOGIN; CREATE DATABASE "other one"});
for my $whose ('ROLE app', 'DATABASE "other one"', 'ROLE app IN DATABASE "other one"', 'ROLE ALL') {
    $node->safe_psql('postgres', "ALTER $whose SET log_statement = 'all'");
    my $remedy = $node->safe_psql('postgres',
        "SET log_statement = none; SELECT remedy FROM tp_check_config() WHERE finding = 'log_statement'");
    isnt($remedy, '', "$whose: found");
    $node->safe_psql('postgres', $remedy);
    not_found('log_statement', 'SET log_statement = none', "$whose: mended");
}

# ---- what sessions show, and to whom

my $session = session($node);
ask($session, 'SELECT count(*)');
not_found('client_side_binding');
ask($session, q{SELECT tp_encrypt( 'literal')});
found('client_side_binding', '', 'a literal in a statement');
$node->safe_psql('postgres', q{SELECT tp_grant('app', 'status')});
my $as_app = q{SET ROLE app; SELECT count(*) FROM tp_check_config() WHERE finding = 'client_side_binding'};
is($node->safe_psql('postgres', $as_app), 0, 'who may not see the statement does not see the finding');
ask($session, q{SELECT tp_encrypt(current_user::text)});
not_found('client_side_binding', '', 'no literal');
$session->quit;

chmod 0777, $folder;
my $where = 'SELECT detail FROM tp_check_config() WHERE finding = \'pin_file_folder\'';
like($node->safe_psql('postgres', $where), qr/\Q$folder\E/, 'a superuser is told where a file is');
my $told = $node->safe_psql('postgres', "SET ROLE app; $where");
isnt($told, '', 'who holds the capability is told of the file');
unlike($told, qr/\Q$folder\E/, 'and not where it is');
chmod 0755, $folder;

# ---- an older version of the extension with grants of its own

$node->safe_psql('postgres', 'CREATE DATABASE older');
$node->safe_psql('older', q{CREATE EXTENSION trustpoint VERSION '1.0'; SELECT tp_grant('app', 'status')});
my (undef, $warning) = answer_and_errors($node, 'older', 'ALTER EXTENSION trustpoint UPDATE');
like($warning, qr/WARNING: .*tp_status\(\) is made anew, and must be granted again to: app/, 'an update says whose grant is gone');
my $status = 'SET ROLE app; SELECT preloaded FROM tp_status()';
like(try_sql($node, 'older', $status), qr/^42501/, 'which it is');
is(try_sql($node, 'older', "SELECT FROM tp_grant('app', 'status'); $status"), "t", 'and comes back with tp_grant');

done_testing();
