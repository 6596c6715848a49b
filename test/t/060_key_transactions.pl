# Keys of the token and transactions: what rolls back is gone from the token, after a crash too; what is destroyed goes at
# the commit; two sessions never get one label; a copy of the data directory destroys nothing.
use strict;
use warnings;
use Fcntl qw(:flock);
use FindBin;
use lib "$FindBin::RealBin/../perl";
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use TrustpointCluster;

my $node = new_cluster('transactions', conf => "restart_after_crash = on\nwal_level = replica\nmax_wal_senders = 5\n");
append_to_file($node->data_dir . '/pg_hba.conf', "local replication all trust\n");
$node->reload;
set_up($node);
$node->safe_psql('postgres', 'CREATE DATABASE other');
set_up($node, 'other');

sub sql { return $node->safe_psql('postgres', @_); }
sub try { return try_sql($node, 'postgres', @_); }

# The labels of the private keys that the token itself shows, without the server.
sub in_token {
    my $list = pkcs11_tool($node, '--list-objects', '--type', 'privkey');
    return join ' ', sort $list =~ /label: +(\S+)/g;
}

# The next function that changes keys, in a database; gone again at once, but for the memory of it in the trash.
sub change_keys {
    my ($database) = @_;
    $node->safe_psql($database // 'postgres', q{SELECT tp_generate_aes_key('passing'); SELECT tp_destroy_key('passing')});
}
sub trash { return sql(q{SELECT count(*) FROM tp_token_trash WHERE label <> 'passing'}); }

# Entries of the journal: 128 bytes of header, then records of 128 with a kind at the fifth byte.
sub journal_entries {
    my $bytes = slurp_file($node->data_dir . '/trustpoint.journal');
    return scalar grep { ord(substr($bytes, 128 * $_ + 4, 1)) != 0 } 1 .. length($bytes) / 128 - 1;
}

sub crash { $node->stop('immediate'); $node->start; }
my $signs = sub { return "SELECT tp_verify('$_[0]', 'x', tp_sign('$_[0]', 'x'))" };

# ---- one session

sql(q{SELECT tp_generate_ec_key('kept')});
is(in_token(), 'kept', 'a key that is committed is in the token');
is(sprintf('%o', (stat $node->data_dir . '/trustpoint.journal')[2] & 07777), '600', 'the journal is for the server alone');
is(journal_entries(), 0, 'and empty between transactions');

my $session = session($node);
ask($session, q{BEGIN; SELECT tp_generate_ec_key('made'), tp_generate_aes_key('made too'); SELECT tp_rename_key('kept', 'renamed')});
is(in_token(), 'made renamed', 'in a transaction: made and renamed');
is(journal_entries(), 3, 'and written down');
ask($session, 'ROLLBACK');
is(in_token(), 'kept', 'rolled back: as before');
is(journal_entries(), 0, 'and nothing is left to do');
ask($session, q{BEGIN; SELECT tp_generate_ec_key('first'); SAVEPOINT s; SELECT tp_generate_ec_key('second'); SAVEPOINT t;
    SELECT tp_generate_ec_key('third'); RELEASE t; ROLLBACK TO s});
is(in_token(), 'first kept', 'a savepoint takes back what was made after it, and in the savepoints within');
ask($session, q{SAVEPOINT u; SELECT tp_generate_ec_key('fourth'); RELEASE u; ROLLBACK});
is(in_token(), 'kept', 'and the transaction the rest');

# The token refuses, or the statement fails after it: nothing stays.
like(try(q{SELECT tp_generate_ec_key('x'), tp_generate_ec_key('x')}), qr/^42710: /, 'two keys of one label in one statement');
like(try(q{SELECT tp_generate_ec_key('x'), 1 / (random() * 0)::int}), qr/^22012: /, 'a later error');
is(in_token(), 'kept', 'neither leaves a key');
is(journal_entries(), 0, 'nor an entry');

# Destroyed: hidden at once, gone at the commit.
my $other = session($node);
is(ask($other, $signs->('kept')), 't', 'another session signs');
ask($session, q{BEGIN; SELECT tp_destroy_key('kept')});
like(ask($session, q{SAVEPOINT s; SELECT tp_sign('kept', 'x')}), qr/^42704: /, 'who destroyed it has it no more');
is(ask($other, $signs->('kept')), 't', 'others have it until the commit');
is($node->safe_psql('other', "SELECT count(*) FROM tp_hsm_keys() WHERE type = 'EC'"), '1', 'and the token has it');
ask($session, 'ROLLBACK');
is(ask($_, $signs->('kept')), 't', 'rolled back: all have it') for $session, $other;
is(in_token(), 'kept', 'under its label');
ask($session, q{BEGIN; SELECT tp_destroy_key('kept'); SELECT tp_generate_ec_key('kept', 'P-384'); COMMIT});
is(in_token(), 'kept', 'destroyed and made anew in one transaction');
is(ask($other, q{SELECT curve FROM tp_hsm_keys() WHERE label = 'kept'}), 'P-384', 'it is the new one');
is(ask($other, $signs->('kept')), 't', 'which other sessions use');
ask($session, q{SELECT tp_destroy_key('kept')});
is(in_token(), '', 'destroyed');
like(ask($other, q{SELECT tp_sign('kept', 'x')}), qr/^42704: /, 'others know');
is(trash(), '1', 'its row is in the trash');
change_keys();
is(trash(), '0', 'until the next change');

# tp_hsm_logout() in between: the session goes when all is done.
my $at = -s $node->logfile;
ask($session, q{SELECT tp_generate_ec_key('kept'); BEGIN; SELECT tp_generate_ec_key('made'), tp_rename_key('kept', 'renamed');
    SELECT tp_set_key_attributes('renamed', '2026-01-01', '2027-01-01'); SELECT tp_hsm_logout(); ROLLBACK});
is(in_token(), 'kept', 'undone though the session was given up');
like(ask($session, q{SELECT string_agg(value, '') FROM tp_key_attributes('kept') WHERE attribute ~ 'DATE'}), qr/^[ 0]*$/, 'with its dates');
is(ask($session, 'SELECT state FROM tp_hsm_session()'), 'closed', 'and then it is gone');
ask($session, q{BEGIN; SELECT tp_destroy_key('kept'); SELECT tp_hsm_logout(); COMMIT});
is(in_token(), '', 'destroyed though the session was given up');
unlike(slurp_file($node->logfile, $at), qr/not undone yet|still in the token/, 'nothing was left to do');

# PREPARE TRANSACTION.
$node->append_conf('postgresql.conf', 'max_prepared_transactions = 5');
$node->restart;
$_->quit for $session, $other;
($session, $other) = (session($node), session($node));
sql(q{SELECT tp_generate_ec_key('kept')});
for my $change (q{tp_generate_ec_key('x')}, q{tp_rename_key('kept', 'x')}, q{tp_destroy_key('kept')}) {
    like(ask($session, "BEGIN; SELECT $change; PREPARE TRANSACTION 'p'"), qr/^0A000: /, "PREPARE TRANSACTION after $change is refused");
    is(in_token(), 'kept', 'and undone');
}
ask($session, q{BEGIN; CREATE TABLE prepared (); SELECT tp_sign('kept', 'x')});
is(ask($session, q{PREPARE TRANSACTION 'p'}), '', 'a transaction that only used a key can be prepared');
change_keys();
ask($session, q{ROLLBACK PREPARED 'p'});

# ---- two sessions

# Starts a statement and waits until its session waits for a lock.
sub waits {
    my ($waiting, $statement) = @_;
    my $pid = $waiting->query_safe('SELECT pg_backend_pid()');
    $waiting->query_until(qr/started/, "\\echo started\n$statement;\n");
    $node->poll_query_until('postgres', "SELECT wait_event = 'advisory' FROM pg_stat_activity WHERE pid = $pid") or die 'does not wait';
}

# What the statement has answered by then.
sub answer {
    my ($waiting) = @_;
    $waiting->query_until(qr/answered/, "\\echo answered\n");
    my $answer = $waiting->{stderr};
    $waiting->{stderr} = '';
    return $answer;
}
ask($session, q{BEGIN; SELECT tp_generate_ec_key('wanted')});
waits($other, q{SELECT tp_generate_ec_key('wanted')});
ask($session, 'COMMIT');
like(answer($other), qr/42710: there is a key "wanted"/, 'two make one label: the second waits, and is refused after a commit');
ask($session, q{BEGIN; SELECT tp_generate_ec_key('wished')});
waits($other, q{SELECT tp_generate_ec_key('wished')});
ask($session, 'ROLLBACK');
is(answer($other), '', 'and served after a rollback');
is(in_token(), 'kept wanted wished', 'one key of each label');
ask($session, q{BEGIN; SELECT tp_rename_key('wished', 'kept too')});
waits($other, q{SELECT tp_generate_ec_key('kept too')});
ask($session, 'COMMIT');
like(answer($other), qr/42710: there is a key "kept too"/, 'the same for a new label');
ask($session, q{BEGIN; SELECT tp_destroy_key('kept too')});
waits($other, q{SELECT tp_destroy_key('kept too')});
ask($session, 'COMMIT');
like(answer($other), qr/42704: /, 'two destroy one key');
sql(q{SELECT tp_destroy_key('wanted')});

# Another's key is nobody's before its commit, in any database, and no sweep takes it.
ask($session, q{BEGIN; SELECT tp_generate_ec_key('pending')});
like(ask($other, q{SELECT tp_sign('pending', 'x')}), qr/^42704: /, 'a key that is not committed cannot be used by others');
like($node->safe_psql('other', q{SELECT count(*) FROM tp_hsm_keys() WHERE label = 'pending'}), qr/^0$/, 'nor seen');
like(try_sql($node, 'other', q{SELECT tp_sign('pending', 'x')}), qr/^42704: /, 'also from another database');
$node->safe_psql($_, q{SET statement_timeout = '60s'; SELECT tp_generate_aes_key('passing'); SELECT tp_destroy_key('passing')}) for 'postgres', 'other';
is(ask($session, $signs->('pending')), 't', 'a sweep leaves it alone');
ask($session, 'COMMIT');
is(ask($other, $signs->('pending')), 't', 'committed: all have it');
sql(q{SELECT tp_destroy_key('pending')});

# Committed, and its end still at work: it waits for the journal, and is stopped there.
sql(q{SELECT tp_generate_ec_key('slow')});
my $slow_pid = ask($session, 'SELECT pg_backend_pid()');
ask($session, q{BEGIN; SELECT tp_destroy_key('slow')});
open(my $held, '+<', $node->data_dir . '/trustpoint.journal') or die $!;
flock($held, LOCK_EX) or die $!;
$session->query_until(qr/started/, "\\echo started\nCOMMIT;\n");
for (1 .. 50) { last if in_token() !~ /slow/; select undef, undef, undef, 0.02; }
kill 'STOP', $slow_pid;
close $held;
change_keys();
is(journal_entries(), 2, 'a sweep leaves a key, renamed and then destroyed, to the transaction whose end is at work on it');
kill 'CONT', $slow_pid;
is(answer($session), '', 'which goes on');
is(journal_entries(), 0, 'and does it');

# ---- sessions that end

for my $end ([ 'its client leaves', sub { $_[0]->quit } ],
    [ 'it is terminated', sub { sql('SELECT pg_terminate_backend(' . $_[1] . ')'); eval { $_[0]->quit } } ]) {
    my $leaving = session($node);
    my $pid = ask($leaving, 'SELECT pg_backend_pid()');
    ask($leaving, q{BEGIN; SELECT tp_generate_ec_key('left')});
    $end->[1]->($leaving, $pid);
    $node->poll_query_until('postgres', "SELECT count(*) = 0 FROM pg_stat_activity WHERE pid = $pid") or die 'still there';
    change_keys();
    is(in_token(), 'kept', "a session that makes a key and ends as $end->[0] leaves none");
    is(journal_entries(), 0, 'and no entry');
}

# ---- crashes

sub begin_and_crash {
    my ($database, $statements, $how) = @_;
    my $doomed = session($node, $database);
    my $pid = ask($doomed, 'SELECT pg_backend_pid()');
    is(ask($doomed, "BEGIN; $statements") =~ /^\w{5}: / ? 'failed' : 'done', 'done', "before a crash: $statements");
    if ($how eq 'kill') {
        kill 'KILL', $pid;
        $node->poll_query_until('postgres', 'SELECT 1', '1') or die 'does not come back';
    }
    else { crash(); }
    eval { $doomed->quit };
}
$_->quit for $session, $other;
for my $how ('stop', 'kill') {
    begin_and_crash('postgres', q{SELECT tp_generate_ec_key('lost'), tp_generate_rsa_key('lost too', 2048)}, $how);
    like(in_token(), qr/lost/, "$how: the keys are still in the token");
    like(try(q{SELECT tp_sign('lost', 'x')}), qr/^42704: /, "$how: and nobody's");
    is(sql(q{SELECT count(*) FROM tp_hsm_keys() WHERE label ~ 'lost'}), '0', "$how: nor listed");
    change_keys('other');
    like(in_token(), qr/lost/, "$how: another database leaves them alone");
    change_keys();
    is(in_token(), 'kept', "$how: the next change in theirs sweeps them up");
    is(journal_entries(), 0, "$how: and their entries");
    is(try($signs->('kept')), 't', "$how: the other key is untouched");
}
sql(q{SELECT tp_generate_ec_key('lost')});
is(try($signs->('lost')), 't', 'the label is free again');
sql(q{SELECT tp_destroy_key('lost')});

begin_and_crash('postgres', q{SELECT tp_rename_key('kept', 'astray')}, 'stop');
is(in_token(), 'astray', 'a rename that a crash cut off: the token has the new label');
is(try($signs->('kept')), 't', 'the database knows the key by the old one');
change_keys();
is(in_token(), 'kept', 'and the next change gives it back');
begin_and_crash('postgres', q{SELECT tp_destroy_key('kept')}, 'stop');
is(try($signs->('kept')), 't', 'a destruction that did not commit: the key is there');
change_keys();
is(in_token(), 'kept', 'with its label');

# The token has what a transaction did, so its rows are on the disk too.
sql($_) for q{SELECT tp_generate_ec_key('lasting')}, q{ALTER SYSTEM SET wal_writer_delay = '10s'}, 'SELECT pg_reload_conf()', 'CHECKPOINT';
try(q{SET synchronous_commit = off; BEGIN; SELECT tp_destroy_key('lasting'), tp_generate_ec_key('lasting'); COMMIT});
crash();
is(try($signs->('lasting')), 't', 'with synchronous_commit = off a crash after the commit takes no row back');
sql($_) for q{ALTER SYSTEM RESET wal_writer_delay}, 'SELECT pg_reload_conf()', q{SELECT tp_destroy_key('lasting')};

# A database that is dropped before its next change of keys.
sql('CREATE DATABASE dropped');
$node->safe_psql('dropped', 'CREATE EXTENSION trustpoint');
begin_and_crash('dropped', q{SELECT tp_generate_ec_key('orphan')}, 'stop');
change_keys();
is(journal_entries(), 1, 'the key of a crash in another database is pending');
sql('DROP DATABASE dropped');
change_keys();
is(journal_entries(), 0, 'and no more when that is dropped');
like(slurp_file($node->logfile), qr/a key in the token may belong to a transaction that never ended/, 'which is logged');
is(try(q{SELECT tp_destroy_key('orphan')}), '', 'then the owner can destroy it');
unlike(in_token(), qr/orphan/, 'and the label is free');

# A crash after the commit and before the journal knows: the row decides.
my $journal = $node->data_dir . '/trustpoint.journal';
$session = session($node);
ask($session, q{BEGIN; SELECT tp_generate_ec_key('just committed')});
my $before_commit = slurp_file($journal);
ask($session, 'COMMIT');
$session->quit;
$node->stop('immediate');
open(my $file, '+<', $journal) or die $!;
syswrite($file, $before_commit) == length($before_commit) or die $!;
close $file;
$node->start;
is(journal_entries(), 1, 'a key that committed and is still in the journal');
change_keys();
is(try($signs->('just committed')), 't', 'stays: its row decides');
is(journal_entries(), 0, 'and is forgotten there');
sql(q{SELECT tp_destroy_key('just committed')});

# ---- the token is away when the transaction ends

my $tokens = token_folder($node) . '/tokens';
my $log = $node->logfile;
for my $end ('ROLLBACK', 'COMMIT') {
    my $mark = -s $log;
    $session = session($node);
    ask($session, $end eq 'COMMIT' ? q{BEGIN; SELECT tp_destroy_key('kept')} : q{BEGIN; SELECT tp_generate_ec_key('away')});
    rename $tokens, "$tokens.away" or die $!;
    unlike(ask($session, $end), qr/^\w{5}: /, "$end while the token is away works");
    like(slurp_file($log, $mark), $end eq 'COMMIT' ? qr/a destroyed key is still in the token/ : qr/is not undone yet/, "$end: and is logged");
    rename "$tokens.away", $tokens or die $!;
    $session->quit;
    isnt(in_token(), $end eq 'COMMIT' ? '' : 'kept', "$end: there is something left to do");
    like(try(q{SELECT tp_sign('} . ($end eq 'COMMIT' ? 'kept' : 'away') . q{', 'x')}), qr/^42704: /, "$end: with a key that is nobody's");
    change_keys();
    is(in_token(), $end eq 'COMMIT' ? '' : 'kept', "$end: which the next change does");
    is(journal_entries() . trash(), '00', "$end: and then nothing is");
}

# Away in between, so that the session is lost, and back at the end.
for my $end ('ROLLBACK', 'COMMIT') {
    my $mark = -s $log;
    $session = session($node);
    ask($session, q{SELECT tp_generate_ec_key('doomed')}) if $end eq 'COMMIT';
    ask($session, $end eq 'COMMIT' ? q{BEGIN; SELECT tp_destroy_key('doomed'); SAVEPOINT s} : q{BEGIN; SELECT tp_generate_ec_key('away'); SAVEPOINT s});
    rename $tokens, "$tokens.away" or die $!;
    like(ask($session, q{SELECT count(*) FROM tp_hsm_keys()}), qr/^58000: /, "$end: the token is away in between");
    rename "$tokens.away", $tokens or die $!;
    ask($session, "ROLLBACK TO s; $end");
    is(in_token(), '', "$end: done when it is back at the end");
    unlike(slurp_file($log, $mark), qr/still in the token|is not undone yet/, "$end: and nothing is left");
    $session->quit;
}
change_keys();

# Where the journal is another one, as on a standby that takes over, the row alone says what was decided.
$session = session($node);
ask($session, $_) for q{SELECT tp_generate_ec_key('decided')}, q{BEGIN; SELECT tp_destroy_key('decided')};
rename $tokens, "$tokens.away" or die $!;
ask($session, 'COMMIT');
$session->quit;
$node->stop;
unlink $node->data_dir . '/trustpoint.journal' or die $!;
rename "$tokens.away", $tokens or die $!;
$node->start;
like(in_token(), qr/destroyed/, 'a key that could not be destroyed at the commit, and nothing in the journal');
change_keys();
is(in_token() . trash(), '0', 'the next change destroys it');

# The same for a savepoint: its label is that of the whole transaction's end, which others wait for.
sql(q{SELECT tp_generate_ec_key('one')});
$session = session($node);
ask($session, q{BEGIN; SELECT tp_rename_key('one', 'two'); SAVEPOINT s; SELECT tp_rename_key('two', 'three')});
rename $tokens, "$tokens.away" or die $!;
ask($session, 'ROLLBACK TO s');
rename "$tokens.away", $tokens or die $!;
change_keys();
unlike(ask($session, 'COMMIT'), qr/^\w{5}: /, 'a savepoint that is undone while the token is away');
$session->quit;
change_keys();
is(in_token(), 'two', 'leaves the label that was committed');
is(journal_entries(), 0, 'and then no entry');
sql(q{SELECT tp_destroy_key('two')});

# ---- a copy of the data directory

sql(q{SELECT tp_generate_ec_key('kept')});
$session = session($node);
ask($session, q{BEGIN; SELECT tp_generate_ec_key('in the backup')});
$node->backup('base');
ask($session, 'COMMIT');
my $copy = PostgreSQL::Test::Cluster->new('copy');
$copy->init_from_backup($node, 'base');
$copy->start;
$copy->safe_psql('postgres', q{BEGIN; SELECT tp_generate_aes_key('passing'); ROLLBACK});
is(ask($session, $signs->('in the backup')), 't', 'a copy does not destroy what the original committed');
like(slurp_file($copy->logfile), qr/a key in the token may belong to a transaction that never ended/, 'it reports it');
is($copy->safe_psql('postgres', $signs->('kept')), 't', 'and uses the keys it has rows of');
$copy->stop;
$session->quit;

# A KEK is made in a transaction as well, and is never undone.
$node->safe_psql('postgres', q{CREATE DATABASE third});
$node->safe_psql('third', q{CREATE EXTENSION trustpoint; BEGIN; SELECT tp_setup(); ROLLBACK});
is(sql(q{SELECT count(*) FROM tp_hsm_keys() WHERE usage = 'kek'}), '1', 'the KEK stays');
is(sql('SELECT count(*) FILTER (WHERE NOT ok) FROM tp_verify_keys()'), '0', 'and opens every DEK');

# ---- a key with more certificates than a search is for

sql(q{SELECT tp_destroy_key('kept'), tp_generate_ec_key('certified')});
my $id = sql(q{SELECT encode(id, 'hex') FROM tp_hsm_keys() WHERE label = 'certified' LIMIT 1});
my $certificate = token_folder($node) . '/certificate';
system_or_bail(qw(openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=x -days 9 -outform DER
      -keyout), "$certificate.key", '-out', $certificate);
my @before = glob "$tokens/*/*.object";
my @write = ($node, '--write-object', $certificate, '--type', 'cert', '--label', 'certified', '--id', $id);
pkcs11_tool(@write);
my %old = map { $_ => 1 } @before;
my ($object) = grep { !$old{$_} } glob "$tokens/*/*.object";
for my $number (1 .. 150) {
    my $other = $object =~ s/\.object$/-$number.object/r;
    write_pin($other, slurp_file($object));
    write_pin($other =~ s/object$/lock/r, '');
}
pkcs11_tool(@write);    # which also tells others that there is something new
is(try($signs->('certified')), 't', 'a key with 152 certificates signs');
is(try(q{SELECT tp_rename_key('certified', 'renamed') IS NULL}), 'f', 'is renamed');
like(pkcs11_tool($node, '--list-objects', '--type', $_), qr/label: +renamed/, "in its $_") for 'privkey', 'pubkey';
is(try(q{SELECT tp_destroy_key('renamed') IS NULL}), 'f', 'and destroyed');
unlike(in_token(), qr/certified|renamed/, 'which leaves nothing of it');
my @left = pkcs11_tool($node, '--list-objects', '--type', 'cert') =~ /^Certificate Object/mg;
is(scalar @left, 152, 'but its certificates');

$node->stop;
done_testing();
