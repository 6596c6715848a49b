# The audit trail of keys of the token: one line for each use of a private or secret key, whatever its outcome; what makes,
# renames and destroys keys; nobody forges a line, and none holds data.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::RealBin/../perl";
use JSON::PP;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use TrustpointCluster;

my $node = new_cluster('audit');
set_up($node);
$node->safe_psql('postgres', q{CREATE ROLE app LOGIN; CREATE ROLE nobody LOGIN; CREATE DATABASE second;
    SELECT tp_generate_ec_key('ec'), tp_generate_rsa_key('rsa', 2048, 'decrypt'), tp_generate_aes_key('aes');
    SELECT tp_grant_key('ec', 'app', '{sign,verify}'), tp_grant_key('rsa', 'app', '{encrypt,decrypt}'), tp_grant_key('aes', 'app', '{encrypt,decrypt}');
    GRANT EXECUTE ON FUNCTION tp_sign(text, bytea, text) TO nobody});

my $mark = 0;
# The audit lines since the last call, parsed: each must be one line of JSON.
sub lines {
    my $text = slurp_file($node->logfile, $mark);
    $mark = -s $node->logfile;
    return [ map { decode_json($_) } $text =~ /^[\d-]+ [\d:.]+ \w+ \[\d+\] (?:\S+ )?LOG:  trustpoint audit: (.*)$/mg ];
}
lines();

sub use_of {
    my ($function, $key, $outcome, $algorithm, $role) = @_;
    return { event => 'use_key', role => $role // 'app', database => 'postgres', function => $function, outcome => $outcome,
        defined $key ? (key => $key) : (), defined $algorithm ? (algorithm => $algorithm) : () };
}
sub is_logged {
    my ($role, $statement, $expected, $name) = @_;
    my $answer = try_sql($node, 'postgres', $statement, role => $role);
    is_deeply(lines(), $expected, $name // $statement) or diag($answer);
    return $answer;
}

# Every function that uses a private or secret key, with the algorithm that it chose.
is_logged('app', q{SELECT tp_sign('ec', 'some data')}, [ use_of('tp_sign', 'ec', 'ok', 'ecdsa-sha256') ]);
is_logged('app', q{SELECT tp_sign('ec', 'some data', 'ecdsa-sha512')}, [ use_of('tp_sign', 'ec', 'ok', 'ecdsa-sha512') ]);
is_logged('app', q{SELECT tp_csr('ec', 'CN=x')}, [ use_of('tp_csr', 'ec', 'ok', 'ecdsa-sha256') ]);
is_logged('app', q{SELECT tp_self_signed_certificate('ec', 'CN=x', 1)}, [ use_of('tp_self_signed_certificate', 'ec', 'ok', 'ecdsa-sha256') ]);
is_logged('postgres', q{SELECT tp_sign_digest('ec', sha256('x'), 'ecdsa-sha256')}, [ use_of('tp_sign_digest', 'ec', 'ok', 'ecdsa-sha256', 'postgres') ]);
is_logged('app', q{SELECT tp_rsa_decrypt('rsa', tp_rsa_encrypt('rsa', 'some data'))}, [ use_of('tp_rsa_decrypt', 'rsa', 'ok', 'oaep-sha256') ]);
is_logged('app', q{SELECT tp_aes_decrypt('aes', tp_aes_encrypt('aes', 'some data'))},
    [ use_of('tp_aes_encrypt', 'aes', 'ok', 'gcm'), use_of('tp_aes_decrypt', 'aes', 'ok', 'gcm') ]);
# A line for each row.
is_logged('app', q{SELECT count(tp_sign('ec', n::text::bytea)) FROM generate_series(1, 5) AS n}, [ map { use_of('tp_sign', 'ec', 'ok', 'ecdsa-sha256') } 1 .. 5 ]);
# What uses the public half alone is no use of the private key.
is_logged('app', $_, []) for q{SELECT tp_verify('ec', 'x', 'x')}, q{SELECT tp_public_key('ec')}, q{SELECT tp_rsa_encrypt('rsa', 'x')};

# Whatever its outcome.
is_logged('app', q{SELECT tp_sign('ec', 'x', 'rot13')}, [ use_of('tp_sign', 'ec', '22023') ]);
is_logged('app', q{SELECT tp_sign('ec', 'x', 'rsa-pss-sha256')}, [ use_of('tp_sign', 'ec', '22023', 'rsa-pss-sha256') ]);
is_logged('app', q{SELECT tp_sign('rsa', 'x')}, [ use_of('tp_sign', 'rsa', '42501') ]);
is_logged('nobody', q{SELECT tp_sign('ec', 'x')}, [ use_of('tp_sign', 'ec', '42501', undef, 'nobody') ]);
is_logged($_, q{SELECT tp_sign('trustpoint-pg-kek', 'x')}, [ use_of('tp_sign', 'trustpoint-pg-kek', '42501', undef, $_) ]) for 'app', 'postgres';
is_logged('app', q{SELECT tp_rsa_decrypt('rsa', 'no ciphertext')}, [ use_of('tp_rsa_decrypt', 'rsa', '22000', 'oaep-sha256') ]);
is_logged('app', q{SELECT tp_rsa_decrypt('rsa', 'x', 'pkcs1')}, [ use_of('tp_rsa_decrypt', 'rsa', '42501', 'pkcs1') ]);
is_logged('app', q{SELECT tp_aes_decrypt('aes', 'no ciphertext at all, but long enough')}, [ use_of('tp_aes_decrypt', 'aes', '22000', 'gcm') ]);
is_logged('app', q{DO $$ BEGIN PERFORM tp_sign('ec', 'x', 'rot13'); EXCEPTION WHEN OTHERS THEN PERFORM tp_sign('ec', 'x'); END $$},
    [ use_of('tp_sign', 'ec', '22023'), use_of('tp_sign', 'ec', 'ok', 'ecdsa-sha256') ], 'an error that is caught, and then a signature');
my $tokens = token_folder($node) . '/tokens';
rename $tokens, "$tokens.away" or die $!;
is_logged('app', q{SELECT tp_sign('ec', 'x')}, [ use_of('tp_sign', 'ec', '58000', 'ecdsa-sha256') ], 'the token is away');
rename "$tokens.away", $tokens or die $!;
# The role is the one whose rights count.
is_logged('postgres', q{BEGIN; CREATE FUNCTION sign_it() RETURNS bytea LANGUAGE sql SECURITY DEFINER AS $$SELECT tp_sign('ec', 'x')$$;
    ALTER FUNCTION sign_it OWNER TO app; SELECT sign_it(); ROLLBACK}, [ use_of('tp_sign', 'ec', 'ok', 'ecdsa-sha256') ], 'SECURITY DEFINER');

# What changes keys.
sub change { return { event => $_[0], role => 'postgres', database => 'postgres', key => $_[1] }; }
is_logged('postgres', q{SELECT tp_generate_aes_key('new'); SELECT tp_rename_key('new', 'newer'); SELECT tp_destroy_key('newer')},
    [ change('generate_key', 'new'), change('rename_key', 'newer'), change('destroy_key', 'newer') ]);

# What names no key may be data, of any size, by a call whose arguments are in the wrong order: it is left out.
for my $role ('app', 'postgres') {
    is_logged($role, q{SELECT tp_sign('highly secret data', 'ec')}, [ use_of('tp_sign', undef, '42704', undef, $role) ]);
    is_logged($role, q{SELECT tp_sign('pkcs11:object=secret', 'ec')}, [ use_of('tp_sign', undef, '42704', undef, $role) ]);
}
is_logged('app', q{SELECT tp_sign('pkcs11:secret', 'ec')}, [ use_of('tp_sign', undef, '22023') ]);
is_logged('app', q{SELECT tp_sign('ecdsa-sha256', 'x', 'ec')}, [ use_of('tp_sign', undef, '42704') ]);
is_logged('app', q{SELECT tp_aes_encrypt(repeat('highly secret data', 100000), 'aes')}, [ use_of('tp_aes_encrypt', undef, '42704') ], 'long data');
is_logged('app', q{SELECT tp_rsa_decrypt('rsa', 'x', 'secret')}, [ use_of('tp_rsa_decrypt', undef, '22023') ]);
is_logged('app', q{SELECT tp_csr('CN=x', 'ec')}, [ use_of('tp_csr', undef, '42704') ]);
is_logged('app', q{SELECT tp_sign('trustpoint-' || repeat('é', 100000), 'x')}, [ use_of('tp_sign', 'trustpoint-' . "\x{e9}" x 122, '42501') ], 'a long label');
# A URI that names a key is as good as its label.
is_logged('app', q{SELECT tp_sign('pkcs11:object=ec', 'x')}, [ use_of('tp_sign', 'pkcs11:object=ec', 'ok', 'ecdsa-sha256') ]);
is_logged('app', q{SELECT tp_sign('pkcs11:object=rsa', 'x')}, [ use_of('tp_sign', 'pkcs11:object=rsa', '42501') ]);

# The label of a real key is data too: newlines, quotes and whole lines in it stay within its value.
my $id = 0xf0;
for my $forged ("x\nLOG:  trustpoint audit: {\"event\": \"use_key\", \"role\": \"postgres\", \"outcome\": \"ok\"}", "a\"b\\c\r\n\tz", "\x{1}\x{1f}",
    "x\", \"outcome\": \"ok\", \"y\": \"") {
    pkcs11_tool($node, '--keypairgen', '--key-type', 'EC:prime256v1', '--label', $forged, '--id', sprintf('%02x', $id++), '--usage-sign');
    my $literal = $forged =~ s/\\/\\\\/gr =~ s/'/''/gr;
    $literal =~ s/([\x00-\x1f])/sprintf '\\x%02x', ord $1/ge;
    is_logged($_->[0], "SELECT tp_sign(E'$literal', 'x')", [ $_->[1] ], 'a forged label: ' . ($literal =~ s/"//gr))
        for [ app => use_of('tp_sign', undef, '42704') ], [ postgres => use_of('tp_sign', $forged, 'ok', 'ecdsa-sha256', 'postgres') ];
}
$node->safe_psql('postgres', q{SELECT tp_generate_ec_key('quo"te''s \ und Schlüssel')});
lines();
is_logged('postgres', q{SELECT tp_sign('quo"te''s \ und Schlüssel', 'x')}, [ use_of('tp_sign', "quo\"te's \\ und Schl\x{fc}ssel", 'ok', 'ecdsa-sha256', 'postgres') ],
    'a real key with such a label');
$node->safe_psql('postgres', 'CREATE ROLE "forged"", ""outcome"": ""ok" LOGIN; GRANT app TO "forged"", ""outcome"": ""ok"');
lines();
is_logged('forged", "outcome": "ok', q{SELECT tp_sign('ec', 'x')}, [ use_of('tp_sign', 'ec', 'ok', 'ecdsa-sha256', 'forged", "outcome": "ok') ], 'or a role');

# No data, and not the statement: also where statements with errors are logged.
$node->append_conf('postgresql.conf', "log_statement = 'none'\nlog_min_error_statement = panic\nlog_min_duration_statement = -1\n");
$node->reload;
$node->poll_query_until('postgres', q{SELECT current_setting('log_statement') = 'none'}) or die;
lines();
my $begin = $mark;
try_sql($node, 'postgres', q{SELECT tp_sign('ec', 'highly secret data'), tp_aes_encrypt('aes', 'highly secret data')}, role => 'app');
try_sql($node, 'postgres', q{SELECT tp_sign('ec', 'highly secret data', 'rot13')}, role => 'app');
unlike(slurp_file($node->logfile, $begin), qr/secret|SELECT|CONTEXT|STATEMENT/, 'the lines hold no data and no statement');
is(scalar @{ lines() }, 3, 'and are there');

# The setting.
for my $level ([ 'none', 0 ], [ 'keys', 1 ], [ 'all', 1 ]) {
    $node->safe_psql('postgres', "SET trustpoint.audit = '$level->[0]'; SELECT tp_sign('ec', 'x')");
    is(scalar(grep { $_->{event} eq 'use_key' } @{ lines() }), $level->[1], "trustpoint.audit = $level->[0]");
}

$node->stop;
done_testing();
