# Calls that succeed and calls that fail, in one session, without end: neither its memory nor its mappings, files or
# PostgreSQL's memory contexts grow. 100 000 calls; TP_LONG=1 makes it 1 000 000.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::RealBin/../perl";
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use TrustpointCluster;

# A sanitizer keeps what was freed, so that its memory and mappings grow by design; the rest holds with it too.
my $sanitized = $ENV{SANITIZE};
my $calls = $ENV{TP_LONG} ? 1_000_000 : $sanitized ? 20_000 : 100_000;
my $node = new_cluster('flat', conf => "fsync = off\nautovacuum = off\ntrustpoint.audit = none\nlog_statement = none\n"
      . "log_min_messages = fatal\n");
set_up($node);
$node->safe_psql('postgres', q{
    CREATE TABLE secret AS SELECT tp_encrypt('secret', 'here') AS good,
        tp_encrypt('long ' || repeat('x', 2000), 'here') AS long, '\x'::bytea AS bad;
    UPDATE secret SET bad = set_byte(good, length(good) - 1, get_byte(good, length(good) - 1) # 1);
    SELECT tp_generate_ec_key('signs'), tp_generate_aes_key('seals'), tp_create_dek('default', 'index');

    -- Runs a statement that must succeed, or must fail in that way.
    CREATE PROCEDURE must(statement text, wanted text DEFAULT '00000') LANGUAGE plpgsql AS $$
    BEGIN
        BEGIN
            EXECUTE statement;
        EXCEPTION WHEN OTHERS THEN
            IF SQLSTATE <> wanted THEN RAISE EXCEPTION '% told % in place of %', statement, SQLSTATE, wanted; END IF;
            RETURN;
        END;
        IF wanted <> '00000' THEN RAISE EXCEPTION '% did not fail', statement; END IF;
    END $$;

    -- One hundred calls, of which 55 fail, each in a subtransaction; those on the token are the fewer, as they take longer.
    CREATE PROCEDURE hundred() LANGUAGE plpgsql AS $$
    BEGIN
        FOR i IN 1 .. 10 LOOP
            CALL must($q$SELECT tp_encrypt('value', 'here')$q$);
            CALL must($q$SELECT tp_decrypt(good, 'here') FROM secret$q$);
            CALL must($q$SELECT tp_decrypt(long, 'here') FROM secret$q$);
            CALL must($q$SELECT tp_decrypt(bad, 'here') FROM secret$q$, '22000');
            CALL must($q$SELECT tp_decrypt(good, 'elsewhere') FROM secret$q$, '22000');
            CALL must($q$SELECT tp_decrypt(good, NULL) FROM secret$q$, '22004');
            CALL must($q$SELECT tp_decrypt('\x00')$q$, '22P03');
            CALL must($q$SELECT tp_encrypt('value', 'here', 'nobody')$q$, '42704');
            CALL must($q$SELECT tp_blind_index('value', 'here')$q$);
        END LOOP;
        CALL must($q$SELECT tp_sign('signs', 'data')$q$);
        CALL must($q$SELECT tp_sign('nobody', 'data')$q$, '42704');
        CALL must($q$SELECT tp_sign('seals', 'data')$q$, '22023');
        CALL must($q$SELECT tp_verify('signs', 'data', '\x00')$q$);
        CALL must($q$SELECT tp_aes_decrypt('seals', tp_aes_encrypt('seals', 'data'))$q$);
        CALL must($q$SELECT tp_aes_decrypt('seals', decode(repeat('00', 40), 'hex'))$q$, '22000');
        CALL must($q$SELECT tp_digest('data', 'md5')$q$, '22023');
        CALL must($q$SELECT tp_verify_with_public_key('no key', 'data', '\x00', 'ecdsa-sha256')$q$, '22023');
        CALL must($q$SELECT tp_rewrap(good, 'here'), tp_rewrap(long, 'here') FROM secret$q$);
        CALL must($q$SELECT tp_random(16)$q$);
    END $$;});

my $session = session($node);
$session->set_query_timer_restart;
my $pid = ask($session, 'SELECT pg_backend_pid()');
my $made = 0;

# Every thousand calls in a transaction of their own; the keys are opened anew and the session on the token too.
sub work {
    my ($count) = @_;
    for (1 .. $count / 1000) {
        for my $statement ('DO $$ BEGIN FOR i IN 1 .. 10 LOOP CALL hundred(); END LOOP; END $$',
            'SELECT tp_forget_keys() IS NULL, tp_hsm_login() IS NULL, tp_hsm_logout() IS NULL', 'SELECT tp_decrypt(bad) FROM secret') {
            my $answer = ask($session, $statement);
            die "$statement: $answer" if $answer =~ /^\w{5}: / && $answer !~ /^22000: /;
        }
        $made += 1000;
    }
}

sub sample {
    my ($rss) = slurp_file("/proc/$pid/status") =~ /^VmRSS:\s+(\d+) kB/m;
    my @contexts = split /\|/, ask($session, 'SELECT count(*), sum(total_bytes) FROM pg_backend_memory_contexts');
    my %sample = (
        mappings => scalar(split /\n/, slurp_file("/proc/$pid/maps")),
        files => scalar(my @files = glob "/proc/$pid/fd/*"),
        contexts => $contexts[0],
        'bytes in contexts' => $contexts[1],
        'secret memory' => ask($session, 'SELECT secret_memory_used FROM tp_status()'),
        rss => $rss * 1024);
    note(join ', ', "$made calls", map { "$_ $sample{$_}" } sort keys %sample);
    return %sample;
}

work($calls / 5);
my %early = sample();
work($calls - $made);
my %late = sample();
$session->quit;

# What a call could leave behind at the least, at all calls in between: 16 bytes.
my %growth = ('bytes in contexts' => 64 * 1024, rss => $calls * 4 / 5 * 16);
delete @late{qw(rss mappings)} if $sanitized;
cmp_ok($late{$_} - $early{$_}, '<=', $growth{$_} // 0, "$made calls: $_ did not grow") for sort keys %late;

# The largest value that a session has ever had is not kept.
$node->safe_psql('postgres', q{CREATE TABLE large AS SELECT tp_encrypt(repeat('x', 50000000)) AS value});
for my $statement ('tp_rewrap_problem(value, \'\')', 'length(tp_rewrap(value, \'\'))', 'length(tp_decrypt(value))') {
    my $large = session($node);
    my $own = ask($large, 'SELECT pg_backend_pid() FROM secret WHERE tp_decrypt(good, \'here\') <> \'\'');
    my $anonymous = sub { return (slurp_file("/proc/$own/status") =~ /^RssAnon:\s+(\d+) kB/m)[0] };
    my $before = $anonymous->();
    ask($large, "SELECT $statement IS NULL FROM large");
    ask($large, 'SELECT 1');
    cmp_ok($anonymous->() - $before, '<', 10000, "$statement keeps nothing") unless $sanitized;
    $large->quit;
}
$node->stop;

done_testing();
