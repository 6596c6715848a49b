# Whoever may write the tables or the token can break decryption, and is found out: never does a wrong key serve.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::RealBin/../perl";
use File::Copy qw(copy);
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use TrustpointCluster;

my $node = new_cluster('attacks', conf => "log_statement = none\n");
my $default = set_up($node);
my ($tenant, $index) = split /\|/,
  $node->safe_psql('postgres', q{SELECT tp_create_dek('tenant'), tp_create_dek('default', 'index')});
my $old = $default;
$default = $node->safe_psql('postgres', q{CREATE TABLE v (name text, value bytea);
    INSERT INTO v VALUES ('old', tp_encrypt('plain old')), ('tenant', tp_encrypt('plain tenant', '', 'tenant'));
    SELECT tp_rotate_dek()});
$node->safe_psql('postgres', q{INSERT INTO v VALUES ('new', tp_encrypt('plain new'));
    CREATE TABLE good_dek AS TABLE tp_dek; CREATE TABLE good_kek AS TABLE tp_kek});

my $restore = q{BEGIN; DELETE FROM tp_dek; INSERT INTO tp_dek TABLE good_dek;
    DELETE FROM tp_kek; INSERT INTO tp_kek TABLE good_kek; COMMIT};
my %read = map { $_ => "SELECT tp_decrypt(value) FROM v WHERE name = '$_'" } qw(old new tenant);
my $encrypt = q{SELECT tp_inspect(tp_encrypt('x'))};
my $session = session($node);    # it lives from here to the end
my (%messages, @all_output);

sub all_is_well {
    my ($name) = @_;
    for my $who ('the same session', 'a new one') {
        my @answers = map { $who eq 'a new one' ? try_sql($node, 'postgres', $_) : ask($session, $_) } @read{qw(old new tenant)};
        is("@answers", 'plain old plain new plain tenant', "$name: all is well again for $who");
    }
    is(ask($session, 'SELECT count(*) FROM tp_verify_keys() WHERE NOT ok'), 0, "$name: tp_verify_keys finds nothing");
}

# Under attack: reads as %expect says (a pattern; nothing: the right plaintext) in the open session and in a new one.
sub refused {
    my ($name, $statement, %expect) = @_;
    is(ask($session, $statement), '', $name) if $statement;
    for my $value (qw(old new tenant)) {
        my $pattern = $expect{$value} // qr/^plain $value$/;
        like(ask($session, $read{$value}), $pattern, "$name: the open session, $value");
        my ($answer, $errors) = answer_and_errors($node, 'postgres', $read{$value});
        like($answer, $pattern, "$name: a new one, $value");
        push @all_output, $errors;
        $messages{$1}{$name} = 1 if $answer =~ /^(?!plain)(?:\w{5}): (.*)/;
    }
    like(ask($session, $encrypt), $expect{encrypt}, "$name: encryption") if $expect{encrypt};
    like(ask($session, q{SELECT string_agg(id || ': ' || problem, E'\n' ORDER BY id) FROM tp_verify_keys() WHERE NOT ok}),
        $expect{verify}, "$name: tp_verify_keys tells") if $expect{verify};
    is(ask($session, 'SELECT 1'), 1, "$name: the session lives");
}

sub refused_rows {
    my ($name, $statement, %expect) = @_;
    refused($name, $statement, %expect);
    ask($session, $restore);
    all_is_well($name);
}

# Swaps columns of two rows of tp_dek.
sub swap {
    my ($one, $two, @columns) = @_;
    my $set = join ', ', map { "$_ = b.$_" } @columns;
    return "UPDATE tp_dek a SET $set FROM good_dek b WHERE (a.id = $one AND b.id = $two) OR (a.id = $two AND b.id = $one)";
}

sub moved { my ($id) = @_; return qr/^XX001: the wrapped key of DEK $id \(\w+\) belongs to another row/; }
sub verify_moved { return join '|', map { "^$_: the wrapped key of DEK $_ \\(\\w+\\) belongs to another row\$" } @_; }

all_is_well('at first');

# ---- rows of tp_dek

my $both = verify_moved($default, $tenant);
refused_rows('wrapped keys swapped', swap($default, $tenant, 'wrapped'),
    new => moved($default), tenant => moved($tenant), encrypt => moved($default), verify => qr/$both/m);
refused_rows('wrapped keys and check values swapped', swap($default, $tenant, 'wrapped', 'check_value'),
    new => moved($default), tenant => moved($tenant), encrypt => moved($default), verify => qr/$both/m);
refused_rows('wrapped keys of two versions swapped', swap($default, $old, 'wrapped', 'check_value'),
    new => moved($default), old => moved($old), encrypt => moved($default));
refused_rows('names swapped', swap($default, $tenant, 'name'),
    new => moved($default), tenant => moved($tenant), encrypt => moved($tenant), verify => qr/$both/m);
refused_rows('a key under another name', "UPDATE tp_dek SET name = 'mallory' WHERE id = $default",
    new => moved($default), encrypt => qr/^55000: no DEK named "default" is active/, verify => qr/^$default: .*another row$/);
like(try_sql($node, 'postgres', "BEGIN; UPDATE tp_dek SET name = 'mallory' WHERE id = $default;
    SELECT tp_encrypt('x', '', 'mallory'); ROLLBACK"), moved($default), 'nor does it encrypt under that name');
refused_rows('purpose changed', "UPDATE tp_dek SET purpose = 'index' WHERE id = $tenant",
    tenant => qr/^42704: DEK $tenant is not for values of this kind/, verify => qr/^$tenant: .*another row$/);
refused_rows('an index key made a data key', "UPDATE tp_dek SET purpose = 'data', state_changed_at = now() WHERE id = $index;
    DELETE FROM tp_dek WHERE id = $default",
    new => qr/^42704: there is no DEK with id $default/, encrypt => moved($index), verify => qr/^$index: .*another row$/);
refused_rows('id changed', "UPDATE tp_dek SET id = 12345 WHERE id = $default",
    new => qr/^42704: there is no DEK with id $default in/, encrypt => moved(12345), verify => qr/^12345: .*another row$/);
refused_rows('a key under the id of another', "DELETE FROM tp_dek WHERE id = $tenant;
    UPDATE tp_dek SET id = $tenant WHERE id = $default",
    new => qr/^42704/, tenant => moved($tenant), encrypt => moved($tenant), verify => qr/^$tenant: .*another row$/);
refused_rows('a copy of a key as a newer row', "INSERT INTO tp_dek SELECT 777, 'default', 'data', 'active', kek_id, wrapped,
    check_value FROM tp_dek WHERE id = $tenant", encrypt => moved(777), verify => qr/^777: .*another row$/);
refused_rows('wrapped key damaged', "UPDATE tp_dek SET wrapped = set_byte(wrapped, 20, get_byte(wrapped, 20) # 1)
    WHERE id = $default", new => qr/^XX001: the wrapped key of DEK $default \(default\) is damaged/,
    encrypt => qr/is damaged/, verify => qr/^$default: .*is damaged$/);
refused_rows('wrapped key made up', q{UPDATE tp_dek SET wrapped = decode(repeat('5a', 72), 'hex') WHERE name = 'tenant'},
    tenant => qr/^XX001: the wrapped key of DEK $tenant \(tenant\) is damaged/);
refused_rows('check value changed', "UPDATE tp_dek SET check_value = set_byte(check_value, 31, get_byte(check_value, 31) # 128)
    WHERE id = $default", new => qr/^XX001: the check value of DEK $default \(default\) does not match its key/,
    encrypt => qr/^XX001: the check value/, verify => qr/^$default: the check value/);
refused_rows('KEK id changed', "UPDATE tp_dek SET kek_id = set_byte(kek_id, 15, get_byte(kek_id, 15) # 1) WHERE id = $default",
    new => qr/^42704: the KEK of DEK $default is not in tp_kek/, encrypt => qr/^42704: the KEK of/,
    verify => qr/^$default: the KEK of DEK $default is not in tp_kek$/);
is($node->safe_psql('postgres', q{SELECT has_table_privilege('pg_read_all_data', 'tp_dek', 'UPDATE')}), 'f',
    'nobody writes there by a predefined role of readers');

# ---- the row of tp_kek. A session that has the DEKs goes on without it, so only new ones tell.

sub refused_anew {
    my ($name, $statement, $pattern) = @_;
    is(ask($session, $statement), '', $name) if $statement;
    is(ask($session, 'SELECT tp_forget_keys() >= 0'), 't', "$name: the open session forgets its keys");
    refused($name, undef, (map { $_ => $pattern } qw(old new tenant encrypt)));
    my $problem = $pattern =~ s/\^\w{5}: /: /r;
    is(ask($session, 'SELECT count(*) FILTER (WHERE NOT ok), count(*) FROM tp_verify_keys()'), '4|4',
        "$name: tp_verify_keys shows each DEK");
    like(ask($session, q{SELECT ': ' || problem FROM tp_verify_keys() LIMIT 1}), qr/$problem/, "$name: with the reason");
}

sub refused_kek { refused_anew(@_); ask($session, $restore); all_is_well($_[0]); }

refused_kek('probe changed', 'UPDATE tp_kek SET probe = set_byte(probe, 3, get_byte(probe, 3) # 1)',
    qr/^XX001: the key "trustpoint-pg-kek" in the token is not the KEK of this database/);
refused_kek('probe of another key', q{UPDATE tp_kek SET probe = substring((SELECT wrapped FROM good_dek LIMIT 1) FOR 40)},
    qr/^XX001: the key "trustpoint-pg-kek" in the token is not the KEK of this database/);
refused_kek('KEK row under another id', q{UPDATE tp_kek SET id = '\x74706b656b00ffffffffffffffffffff'},
    qr/^42704: the KEK of DEK \d+ is not in tp_kek/);
refused_kek('KEK row of a key that is not there', q{UPDATE tp_kek SET id = '\x74706b656b00ffffffffffffffffffff', label = 'gone';
    UPDATE tp_dek SET kek_id = '\x74706b656b00ffffffffffffffffffff'}, qr/^42704: the KEK "gone" is not in the token/);
refused_kek('KEK row deleted', 'DELETE FROM tp_kek', qr/^42704: the KEK of DEK \d+ is not in tp_kek/);

# ---- keys in the token

my $kek_id = $node->safe_psql('postgres', q{SELECT encode(id, 'hex') FROM tp_kek});
my $token = token_folder($node) . '/tokens';
my @label = ('--label', 'trustpoint-pg-kek');

# SoftHSM keeps an object in a file; it looks for new ones when another object is made or destroyed by its rules.
sub object_files { return map { $_ => 1 } grep { !/token\.object$/ } glob "$token/*/*.object"; }

sub touch_token {
    pkcs11_tool($node, '--keygen', '--key-type', 'AES:16', '--label', 'touch', '--id', 'ee');
    pkcs11_tool($node, '--delete-object', '--type', 'secrkey', '--label', 'touch', '--id', 'ee');
}

# Plants a key by pkcs11-tool, and returns its file.
sub plant {
    my %before = object_files();
    pkcs11_tool($node, '--keygen', '--key-type', 'AES:32', @_);
    my ($file) = grep { !$before{$_} } keys %{ { object_files() } };
    return $file;
}

sub unplant {
    my ($file) = @_;
    unlink $file or die "$file: $!";
    unlink $file =~ s/object$/lock/r;
    touch_token();
}

my ($kek_file) = keys %{ { object_files() } };
my $more_than_one = qr/^42710: more than one key in the token has the label or the id of the KEK "trustpoint-pg-kek"/;
my $weak = qr/^XX001: the key "trustpoint-pg-kek" in the token is too weak to be a KEK/;
my @good_flags = ('--private', '--sensitive', '--usage-wrap');

for my $twin ([ 'a second key with the label of the KEK', 'aa', @label ],
    [ 'a second key with its label and id', $kek_id, @label ],
    [ 'a second key with its id', $kek_id, '--label', 'other' ]) {
    my ($name, $id, @label_of_twin) = @$twin;
    my $file = plant('--id', $id, @label_of_twin, @good_flags);
    refused_anew($name, undef, $more_than_one);
    like(ask($session, 'SELECT tp_rotate_dek()'), $more_than_one, "$name: nor is anything wrapped with it");
    unplant($file);
    all_is_well($name);
}

# A key in the place of the KEK.
copy($kek_file, "$token/../kek.kept") or die $!;
unlink $kek_file;
touch_token();
refused_anew('the KEK is gone', undef, qr/^42704: the KEK "trustpoint-pg-kek" is not in the token/);
for my $other ([ 'another KEK, modifiable', qr/CKA_MODIFIABLE is true/, @good_flags ],
    [ 'another KEK, extractable', qr/CKA_EXTRACTABLE is true/, @good_flags, '--extractable' ],
    [ 'another KEK, not sensitive', qr/CKA_SENSITIVE is false/, '--private', '--usage-wrap', '--extractable' ],
    [ 'another KEK, not private', qr/CKA_PRIVATE is false/, '--sensitive', '--usage-wrap' ],
    [ 'another KEK, for encryption too', qr/CKA_DECRYPT is true/, @good_flags, '--usage-decrypt' ]) {
    my ($name, $why, @flags) = @$other;
    my $file = plant('--id', $kek_id, @label, @flags);
    refused_anew($name, undef, $weak);
    my (undef, $errors) = answer_and_errors($node, 'postgres', $read{new});
    like($errors, $why, "$name: and the detail says why");
    unplant($file);
}
my $file = plant('--id', 'aa', @label, @good_flags);
refused_anew('another key with the label alone', undef, qr/^42704: the KEK "trustpoint-pg-kek" is not in the token/);
unplant($file);
copy("$token/../kek.kept", $kek_file) or die $!;
chmod 0600, $kek_file;
touch_token();
all_is_well('the KEK is back');

# ---- a KEK planted before tp_setup

for my $planted ([ 'modifiable', $weak, "74706b656b000102030405060708090a", @good_flags ],
    [ 'extractable', $weak, "74706b656b000102030405060708090a", @good_flags, '--extractable' ],
    [ 'without our id', qr/^42710: the label "trustpoint-pg-kek" belongs to another key in the token/, 'aa',
        @good_flags ]) {
    my ($name, $pattern, $id, @flags) = @$planted;
    $node->safe_psql('postgres', 'CREATE DATABASE planted');
    $node->safe_psql('planted', 'CREATE EXTENSION trustpoint');
    unlink $kek_file;
    touch_token();
    my $planted_file = plant('--id', $id, @label, @flags);
    like(try_sql($node, 'planted', 'SELECT tp_setup()'), $pattern, "a planted KEK, $name: tp_setup refuses it");
    is($node->safe_psql('planted', 'SELECT (SELECT count(*) FROM tp_kek) + (SELECT count(*) FROM tp_dek)'), 0,
        "a planted KEK, $name: and writes nothing");
    my $second = plant('--id', '74706b656b00ffffffffffffffffffff', @label, @good_flags);
    like(try_sql($node, 'planted', 'SELECT tp_setup()'), $more_than_one, "two planted KEKs, $name: refused too");
    unplant($_) for $planted_file, $second;
    copy("$token/../kek.kept", $kek_file) or die $!;
    touch_token();
    like(try_sql($node, 'planted', 'SELECT tp_setup()'), qr/^\d+$/, "a planted KEK, $name: gone, and it works");
    $node->safe_psql('postgres', 'DROP DATABASE planted');
}
all_is_well('at the end');

# ---- the messages

my %kinds = (
    moved => qr/belongs to another row/, damaged => qr/is damaged/, check => qr/^the check value/,
    kind => qr/is not for values of this kind/, unknown => qr/^there is no DEK with id/, no_row => qr/is not in tp_kek/,
    not_there => qr/is not in the token/, probe => qr/is not the KEK of this database/, weak => qr/too weak/,
    twin => qr/^more than one key/);
for my $message (sort keys %messages) {
    is(scalar(grep { $message =~ $kinds{$_} } keys %kinds), 1, "one kind of message: $message");
}
for my $kind (sort keys %kinds) {
    ok((grep { /$kinds{$kind}/ } keys %messages), "met: $kind");
}
# No byte of a row, in hex or as it is, and no plaintext.
my @bytes = split /\n/, $node->safe_psql('postgres', q{SELECT encode(x, 'hex') FROM (SELECT wrapped FROM tp_dek UNION ALL
    SELECT check_value FROM tp_dek UNION ALL SELECT probe FROM tp_kek UNION ALL SELECT value FROM v) q(x)});
my $log = slurp_file($node->logfile);
my $found = 0;
for my $hex (@bytes) {
    my $raw = pack 'H*', $hex;
    for my $text (@all_output, $log) {
        for (my $i = 0; $i + 8 <= length $raw; $i += 4) {
            my $piece = substr $raw, $i, 8;
            $found++ if index($text, $piece) >= 0 || index(lc $text, unpack 'H*', $piece) >= 0;
        }
    }
}
is($found, 0, 'no message and no log line holds bytes of keys or values');
is(scalar(() = $log =~ /plain (?:old|new|tenant)/g), 0, 'nor plaintext');

$session->quit;
$node->stop;
done_testing();
