# Changed, cut, moved, foreign and random values: the right SQLSTATE, a living session, and no byte of data in messages.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::RealBin/../perl";
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use TrustpointCluster;

# Statements are not logged but where they fail, so what is searched for in the log must not be there at all.
my $node = new_cluster('values', conf => "log_error_verbosity = verbose\nlog_min_messages = debug1\nlog_statement = none\n");
set_up($node);
$node->safe_psql('postgres', 'CREATE DATABASE other');
set_up($node, 'other');

# Values of 60 bytes with plaintexts that can be found again; they reach the functions from a table, never as literals.
my %plaintext = ('xaes-256-gcm' => 'Geheim-Muster-X', 'aes-256-gcm' => 'Geheim-Muster-AES-256-GCM-Y');
my $foreign = $node->safe_psql('other', q{SELECT tp_encrypt('Geheim-Muster-other')});
my $setup = q{CREATE TABLE bad (n serial PRIMARY KEY, suite text, what text, expected text, value bytea, context text);
    CREATE TABLE good (suite text, value bytea);};
for my $suite (sort keys %plaintext) {
    my $overhead = 60 - length $plaintext{$suite};
    $setup .= qq{
        SET trustpoint.cipher = '$suite';
        INSERT INTO good SELECT '$suite', tp_encrypt('$plaintext{$suite}', 'row-context');
        INSERT INTO bad (suite, what, expected, value, context)
        SELECT suite, 'bit ' || bit, CASE WHEN bit < 8 OR bit = 15 THEN '22P03' WHEN bit < 40 THEN '42704' ELSE '22000' END,
            set_bit(value, bit, 1 - get_bit(value, bit)), 'row-context' FROM good, generate_series(0, 479) bit
            WHERE suite = '$suite';
        INSERT INTO bad (suite, what, expected, value, context)
        SELECT suite, size || ' bytes', CASE WHEN size < $overhead THEN '22P03' ELSE '22000' END,
            substring(value FOR size), 'row-context' FROM good, generate_series(0, 59) size WHERE suite = '$suite';
        INSERT INTO bad (suite, what, expected, value, context)
        SELECT suite, 'a byte more', '22000', value || '\\x00', 'row-context' FROM good WHERE suite = '$suite';
        INSERT INTO bad (suite, what, expected, value, context)
        SELECT suite, 'context ' || quote_nullable(c), '22000', value, c FROM good, (VALUES (''), ('row-contex'), ('row-context '),
            ('Row-context'), (repeat('c', 1000000))) c(c) WHERE suite = '$suite';
    };
}
$setup .= qq{
    INSERT INTO bad (suite, what, expected, value, context)
    SELECT a.suite, 'the other suite''s byte', '22000', set_byte(value, 0, 451 - get_byte(value, 0)), 'row-context' FROM good a;
    INSERT INTO bad (suite, what, expected, value, context)
    SELECT '', 'foreign', '42704', '$foreign', '';
    INSERT INTO bad (suite, what, expected, value, context)
    SELECT '', 'random', '22P03', set_byte(sha512(n::text::bytea), 0, n), '' FROM generate_series(0, 223) n;
    INSERT INTO bad (suite, what, expected, value, context)
    SELECT '', 'random behind our header', '22000', substring(value FOR 5) || sha512(n::text::bytea), ''
        FROM good, generate_series(1, 20) n;
    INSERT INTO bad (suite, what, expected, value, context)
    SELECT '', 'text', '22P03', 'Geheim-Muster-in-clear', '';
    INSERT INTO bad (suite, what, expected, value, context)
    SELECT '', 'id zero', '22P03', set_byte(set_byte(set_byte(set_byte(value, 1, 0), 2, 0), 3, 0), 4, 0), '' FROM good;
};
$node->safe_psql('postgres', $setup);
is($node->safe_psql('postgres', 'SELECT count(DISTINCT octet_length(value)), max(octet_length(value)) FROM good'), '1|60',
    'both values have 60 bytes');
is($node->safe_psql('postgres', q{SELECT string_agg(tp_decrypt(value, 'row-context'), ',' ORDER BY suite) FROM good}),
    "$plaintext{'aes-256-gcm'},$plaintext{'xaes-256-gcm'}", 'and open as they are');

# One session asks for all of them, one by one.
my @bad = map { [ split /\|/, $_ ] }
  split /\n/, $node->safe_psql('postgres', q{SELECT n, suite, replace(left(what, 40), '|', '/'), expected FROM bad ORDER BY n});
cmp_ok(scalar @bad, '>', 1300, scalar(@bad) . ' bad values');
my %all_errors;
for my $function ('tp_decrypt', 'tp_decrypt_bytea', 'tp_rewrap') {
    my $script = "SELECT 'pid', pg_backend_pid();\n";
    $script .= "\\warn ask $_->[0]\nSELECT $function(value, context) FROM bad WHERE n = $_->[0];\n" for @bad;
    $script .= "SELECT 'pid', pg_backend_pid();\nSELECT count(*) FROM good WHERE $function(value, 'row-context') IS NOT NULL;\n";
    my ($code, $out, $errors) = $node->psql('postgres', $script, on_error_stop => 0, extra_params => [ '-v', 'VERBOSITY=verbose' ]);
    my ($before, $after) = $out =~ /^pid\|(\d+)$/mg;
    is($after, $before, "$function: one session through all of it");
    like($out, qr/^2\z/m, "$function: which opens the good ones at the end");
    is(scalar(() = $out =~ /\n/g), 2, "$function: nothing else came out");
    my (undef, %answer) = split /^ask (\d+)\n/m, $errors;
    my (%wrong, %count);
    for (@bad) {
        my ($n, $suite, $what, $expected) = @$_;
        my ($state, $message) = ($answer{$n} // '') =~ /ERROR:  (\w{5}): (.*)/;
        $state //= 'none';
        $count{$expected}++;
        $all_errors{$state}{ $message =~ s/id \d+/id N/r }++ if defined $message;
        $wrong{"$suite, $what: $state and not $expected"} = 1 if $state ne $expected;
    }
    is(join("\n", sort keys %wrong), '', "$function: each refused with its own SQLSTATE");
    note(join ', ', map { "$_: $count{$_}" } sort keys %count);
    unlike($errors, qr/Geheim/, "$function: no plaintext in the messages");
    # Values are random from the 6th byte on, so any 4 bytes of one in hex would be a leak.
    my @hex = split /\n/, $node->safe_psql('postgres', q{SELECT encode(substring(value FROM 6), 'hex') FROM bad
        WHERE octet_length(value) > 9});
    my %pieces = map { (substr($_, 0, 8) => 1, substr($_, -8) => 1) } @hex;
    my $found = grep { $pieces{ lc $_ } } $errors =~ /(?=([0-9a-fA-F]{8}))/g;
    is($found, 0, "$function: nor ciphertext");
}
is_deeply({ map { $_ => [ sort keys %{ $all_errors{$_} } ] } keys %all_errors }, {
    '22000' => ['the value could not be authenticated'],
    '22P03' => ['not a trustpoint value'],
    '42704' => ['there is no DEK with id N in this database'] }, 'one message for each SQLSTATE');

my $log = slurp_file($node->logfile);
cmp_ok(scalar(() = $log =~ /ERROR:  22000: the value could not be authenticated/g), '>', 2000, 'the log has the refusals');
is(scalar(() = $log =~ /Geheim-Muster/g), 0, 'and no plaintext');
my ($hex) = $node->safe_psql('postgres', q{SELECT string_agg(encode(substring(value FROM 30 FOR 8), 'hex'), '|') FROM good});
is(scalar(() = $log =~ /$hex/gi), 0, 'nor a value');

# What proves nothing says so, and never fails but for what it must tell.
is($node->safe_psql('postgres', q{SELECT count(*) FILTER (WHERE tp_is_encrypted(value) = (expected = '22P03')) FROM bad}), '0',
    'tp_is_encrypted is true for just what has the form');
like(try_sql($node, 'postgres', q{SELECT tp_inspect(value) FROM bad WHERE what = 'text'}), qr/^22P03: not a trustpoint value/,
    'tp_inspect refuses what has not');
$node->safe_psql('postgres', 'CREATE TABLE typed (value tp_encrypted)');
my ($answer, $errors) = answer_and_errors($node, 'postgres', q{INSERT INTO typed SELECT value FROM bad WHERE what = 'text'});
like($answer, qr/^23514: value for domain tp_encrypted violates check constraint/, 'so does the domain');
unlike($errors, qr/Geheim|47656865696d/i, 'without a byte of it');

$node->stop;
done_testing();
