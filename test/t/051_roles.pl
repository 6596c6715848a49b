# What each capability opens, exactly; names, membership and SET ROLE; and that an open session learns of every change.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::RealBin/../perl";
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use TpsecFixtures;
use TrustpointCluster;

my $node = new_cluster('roles');
set_up($node);

# Only what PostgreSQL and trustpoint say to somebody without the right counts as refused.
my $denied = qr/^42501: (?:permission denied for (?:function|procedure|table|view|schema) |role "\w+" may not )/;

sub sql { return $node->safe_psql('postgres', @_); }
sub as { my ($role, $query) = @_; return try_sql($node, 'postgres', $query, role => $role); }
sub may { my ($role, $query, $name) = @_; return unlike(as($role, $query), qr/^\w{5}: /, $name // "$role may: $query"); }

sub may_not {
    my ($role, $query, $name) = @_;
    return like(as($role, $query), $denied, $name // "$role may not: $query");
}

sql(q{SELECT tp_create_dek('tenant'), tp_create_dek('other')});
my %value = map { $_ => sql("SELECT tp_encrypt('of $_', '', '$_')") } qw(default tenant other);
sql(q{SELECT tp_create_dek('default', 'index')});
import_kek($node, 'trustpoint-app-secret-kek', my $kek = random_key(), '01');
my %wrapped = wrapped_deks($kek, my $trustpoint_dek = random_key());
sql("SELECT tp_import_dek('\\x$wrapped{'cwrap-rfc3394'}', 'trustpoint-app-secret-kek', NULL)");
my ($field) = map { $_->[2] } grep { length $_->[2] } fields($trustpoint_dek);

# ---- capabilities

# What calls of functions for keys of the token need.
sql(q{SELECT tp_generate_ec_key('ec'), tp_generate_rsa_key('rsa', 2048, 'decrypt'), tp_generate_aes_key('aes')});
my $key_file = $node->basedir . '/key.pem';
my ($ec_pem) = run_command([ 'openssl', 'ecparam', '-name', 'prime256v1', '-genkey', '-noout' ]);
write_pin($key_file, $ec_pem);
sql(qq{CREATE TABLE pem AS SELECT '$ec_pem'::text AS pem, '$key_file'::text AS file, tp_public_key('ec') AS public,
    tp_rsa_encrypt('rsa', 'x') AS ciphertext, tp_aes_encrypt('aes', 'x') AS aes_ciphertext; GRANT SELECT ON pem TO PUBLIC});

# And what calls for the life of a DEK need.
my ($retired, $disabled) = map { sql("SELECT tp_create_dek('life $_')") } 1, 2;
sql(q{SELECT tp_rotate_dek('life 1'), tp_rotate_dek('life 2')});
sql("SELECT tp_disable_dek($disabled); CREATE TABLE life AS SELECT ''::text AS context, '$value{default}'::bytea AS v;
    GRANT SELECT, UPDATE ON life TO PUBLIC");

# A call of each function that works for whoever may call it. What the extension has must be here.
my %call = (
    'tp_encrypt(text,text,text)' => q{tp_encrypt('x'::text)},
    'tp_encrypt(bytea,text,text)' => q{tp_encrypt('\x00'::bytea)},
    'tp_decrypt(bytea,text)' => "tp_decrypt('$value{default}')",
    'tp_decrypt_bytea(bytea,text)' => "tp_decrypt_bytea('$value{default}')",
    'tp_rewrap(bytea,text)' => "tp_rewrap('$value{default}')",
    'tp_context(text[])' => q{tp_context('a', 'b')},
    'tp_inspect(bytea)' => "tp_inspect('$value{default}')",
    'tp_is_encrypted(bytea)' => "tp_is_encrypted('$value{default}')",
    'tpsec_encrypt(text)' => q{tpsec_encrypt('x')},
    'tpsec_decrypt(text)' => "tpsec_decrypt('$field')",
    'tp_import_dek(bytea,text,text,text)' => "tp_import_dek('\\x$wrapped{'enc-cbc'}', 'trustpoint-app-secret-kek', NULL, 'another')",
    'tp_blind_index(text,text,text)' => q{tp_blind_index('x'::text, 'c')},
    'tp_blind_index(bytea,text,text)' => q{tp_blind_index('x'::bytea, 'c')},
    'tp_blind_index_candidates(text,text,text)' => q{tp_blind_index_candidates('x'::text, 'c')},
    'tp_blind_index_candidates(bytea,text,text)' => q{tp_blind_index_candidates('x'::bytea, 'c')},
    'tp_setup()' => 'tp_setup()',
    'tp_create_dek(text,text)' => q{tp_create_dek('fresh')},
    'tp_rotate_dek(text,text)' => 'tp_rotate_dek()',
    'tp_verify_keys()' => 'tp_verify_keys()',
    'tp_load_dek(text)' => 'tp_load_dek()',
    'tp_forget_keys()' => 'tp_forget_keys()',
    'tp_hsm_info()' => 'tp_hsm_info()',
    'tp_hsm_slots()' => 'tp_hsm_slots()',
    'tp_hsm_mechanisms()' => 'count(*) FROM tp_hsm_mechanisms()',
    'tp_hsm_session()' => 'tp_hsm_session()',
    'tp_hsm_login()' => 'tp_hsm_login()',
    'tp_hsm_logout()' => 'tp_hsm_logout()',
    'tp_hsm_init_token(text,bigint,boolean)' => q{tp_hsm_init_token('another')},
    'tp_status()' => 'tp_status()',
    'tp_stat()' => 'count(*) FROM tp_stat()',
    'tp_stat_reset()' => 'tp_stat_reset()',
    (map { ("$_()" => "count(*) FROM $_()") } qw(tp_check_config tp_check_host tp_check_settings tp_check_objects tp_check_triggers)),
    'tp_capability_functions(text)' => q{tp_capability_functions('encrypt')},
    'tp_check_grant(regrole,text,text)' => q{tp_check_grant('nobody', 'encrypt', NULL)},
    'tp_grant(regrole,text,text)' => q{tp_grant('nobody', 'encrypt')},
    'tp_revoke(regrole,text,text)' => q{tp_revoke('nobody', 'encrypt')},
    'tp_held_capabilities(regrole)' => q{tp_held_capabilities('nobody')},
    # The life of a DEK.
    'tp_disable_dek(integer)' => "tp_disable_dek($retired)",
    'tp_enable_dek(integer)' => "tp_enable_dek($disabled)",
    'tp_destroy_dek(integer,text)' => "tp_destroy_dek($retired, 'life 1')",
    'tp_column_tables(regclass,name)' => q{tp_column_tables('life', 'v')},
    'tp_warn_of_usage(integer,text,text,bigint)' => q{tp_warn_of_usage(1, 'x', 'xaes-256-gcm', 1)},
    'tp_key_usage(regclass,name)' => q{count(*) FROM tp_key_usage('life', 'v')},
    'tp_needs_rewrap(bytea)' => "tp_needs_rewrap('$value{default}')",
    'tp_rewrap_problem(bytea,text)' => "tp_rewrap_problem('$value{default}', '')",
    'tp_take_rewrapped(bytea)' => "CASE WHEN tp_rewrap_problem(v, '') IS NULL THEN tp_take_rewrapped(v) END FROM life",
    'tp_note_reencryption(regclass,name,text,bigint,bigint,bigint)' => q{tp_note_reencryption('life', 'v', 'done', 1, 0, 0)},
    'tp_reencrypt_statements(regclass,regclass,name,text)' => q{tp_reencrypt_statements('life', 'life', 'v', 'context')},
    'tp_reencrypt_column(regclass,name,text,integer)' => q{CALL tp_reencrypt_column('life', 'v', 'context')},
    'tp_rotate_kek(text)' => q{tp_rotate_kek('life')},
    'tp_destroy_kek(bytea,text)' => q{tp_destroy_kek('', '')},
    'tp_move_to_token(text,text,text,text,text,text)' => q{tp_move_to_token('', '', '')},
    'tp_export_dek(integer,text)' => q{tp_export_dek(1, '')},
    'tp_recover_dek(integer,bytea,text,text,text)' => q{tp_recover_dek(1, '', '')},
    # Keys of the token; who may use one of them is in 063_key_grants.pl.
    'tp_generate_rsa_key(text,integer,text)' => q{tp_generate_rsa_key('fresh', 2048)},
    'tp_generate_ec_key(text,text)' => q{tp_generate_ec_key('fresh')},
    'tp_generate_aes_key(text,integer,text)' => q{tp_generate_aes_key('fresh')},
    'tp_import_key(text,text,text,text)' => q{tp_import_key('fresh', pem) FROM pem},
    'tp_import_key_file(text,text,text,text)' => q{tp_import_key_file('fresh', file) FROM pem},
    'tp_hsm_keys()' => 'count(*) FROM tp_hsm_keys()',
    'tp_key_attributes(text)' => q{count(*) FROM tp_key_attributes('ec')},
    'tp_rename_key(text,text)' => q{tp_rename_key('ec', 'renamed')},
    'tp_set_key_attributes(text,date,date)' => q{tp_set_key_attributes('ec')},
    'tp_destroy_key(text)' => q{tp_destroy_key('ec')},
    'tp_public_key(text)' => q{tp_public_key('ec')},
    'tp_public_key_der(text)' => q{tp_public_key_der('ec')},
    'tp_sign(text,bytea,text)' => q{tp_sign('ec', 'x')},
    'tp_sign_digest(text,bytea,text)' => q{tp_sign_digest('ec', sha256('x'), 'ecdsa-sha256')},
    'tp_verify(text,bytea,bytea,text)' => q{tp_verify('ec', 'x', 'x')},
    'tp_verify_with_public_key(text,bytea,bytea,text)' => q{tp_verify_with_public_key(public, 'x', 'x', 'ecdsa-sha256') FROM pem},
    'tp_rsa_encrypt(text,bytea,text)' => q{tp_rsa_encrypt('rsa', 'x')},
    'tp_rsa_decrypt(text,bytea,text)' => q{tp_rsa_decrypt('rsa', ciphertext) FROM pem},
    'tp_aes_encrypt(text,bytea)' => q{tp_aes_encrypt('aes', 'x')},
    'tp_aes_decrypt(text,bytea)' => q{tp_aes_decrypt('aes', aes_ciphertext) FROM pem},
    'tp_digest(bytea,text)' => q{tp_digest('x')},
    'tp_random(integer)' => 'tp_random(8)',
    'tp_hsm_change_pin(text)' => q{tp_hsm_change_pin('/no/such/file')},
    'tp_csr(text,text,text[],text)' => q{tp_csr('ec', 'CN=x')},
    'tp_self_signed_certificate(text,text,integer,text[],boolean,text)' => q{tp_self_signed_certificate('ec', 'CN=x', 1)},
    'tp_key_operation_functions(text)' => q{tp_key_operation_functions('sign')},
    'tp_token_key_id(text)' => q{tp_token_key_id('ec')},
    'tp_check_key_grant(text,regrole,text[])' => q{tp_check_key_grant('ec', 'nobody', '{sign}')},
    'tp_grant_key(text,regrole,text[])' => q{tp_grant_key('ec', 'nobody', '{sign}')},
    'tp_revoke_key(text,regrole,text[])' => q{tp_revoke_key('ec', 'nobody')},
    'tp_grant_schema(regrole)' => q{tp_grant_schema('nobody')},
    'tp_has_own_execute(regrole,regprocedure)' => q{tp_has_own_execute('nobody', 'tp_setup()')},
);
my @free = ('tp_context(text[])', 'tp_inspect(bytea)', 'tp_is_encrypted(bytea)', 'tp_verify_with_public_key(text,bytea,bytea,text)');
my %opens = (
    encrypt => [ 'tp_encrypt(text,text,text)', 'tp_encrypt(bytea,text,text)', 'tpsec_encrypt(text)' ],
    decrypt => [ 'tp_decrypt(bytea,text)', 'tp_decrypt_bytea(bytea,text)', 'tpsec_decrypt(text)' ],
    rewrap => [ 'tp_rewrap(bytea,text)', 'tp_column_tables(regclass,name)', 'tp_needs_rewrap(bytea)', 'tp_rewrap_problem(bytea,text)',
        'tp_take_rewrapped(bytea)', 'tp_note_reencryption(regclass,name,text,bigint,bigint,bigint)',
        'tp_reencrypt_statements(regclass,regclass,name,text)', 'tp_reencrypt_column(regclass,name,text,integer)' ],
    search => [ 'tp_blind_index(text,text,text)', 'tp_blind_index(bytea,text,text)', 'tp_blind_index_candidates(text,text,text)',
        'tp_blind_index_candidates(bytea,text,text)' ],
    hsm => [ 'tp_hsm_info()', 'tp_hsm_slots()', 'tp_hsm_mechanisms()', 'tp_hsm_session()', 'tp_hsm_login()',
        'tp_hsm_logout()', 'tp_hsm_keys()', 'tp_digest(bytea,text)', 'tp_random(integer)' ],
    keys => [ 'tp_setup()', 'tp_create_dek(text,text)', 'tp_rotate_dek(text,text)', 'tp_verify_keys()', 'tp_load_dek(text)',
        'tp_forget_keys()', 'tp_disable_dek(integer)', 'tp_enable_dek(integer)', 'tp_destroy_dek(integer,text)',
        'tp_column_tables(regclass,name)', 'tp_warn_of_usage(integer,text,text,bigint)', 'tp_key_usage(regclass,name)',
        'tp_rotate_kek(text)' ],
    status => [ 'tp_status()', 'tp_stat()', 'tp_check_config()', 'tp_check_host()', 'tp_check_settings()',
        'tp_check_objects()', 'tp_check_triggers()' ]);

sql('CREATE ROLE nobody LOGIN');
my @functions = split /\n/, sql(q{SELECT p.oid::regprocedure FROM pg_depend d JOIN pg_proc p ON p.oid = d.objid
    WHERE d.classid = 'pg_proc'::regclass AND d.deptype = 'e' AND p.prorettype <> 'trigger'::regtype
    AND d.refobjid = (SELECT oid FROM pg_extension WHERE extname = 'trustpoint') ORDER BY 1});
is_deeply([ sort keys %call ], [ sort @functions ], 'the functions of the extension are those that this test knows')
  or BAIL_OUT('add the new functions to %call and %opens');
is(sql(q{SELECT count(*) FROM pg_proc p WHERE p.prorettype = 'trigger'::regtype AND proname ^@ 'tp_'
    AND has_function_privilege('nobody', p.oid, 'EXECUTE')}), '0', 'nor is a trigger open to all');

# The functions that a role can call, each tried in one transaction that is rolled back.
sub works_for {
    my ($role) = @_;
    my $script = join '', map { $call{$_} =~ /^CALL/ ? "\\warn $_\n$call{$_};\n" : "\\warn $_\nBEGIN;\nSELECT $call{$_};\nROLLBACK;\n" }
      @functions;    # a procedure that commits is tried as it is
    my (undef, $errors) = answer_and_errors($node, 'postgres', $script, role => $role);
    my %error = map { $_ => '' } @functions;
    my $function;
    for (split /\n/, $errors) {
        $function = $_ if exists $call{$_};
        $error{$function} = $1 if /ERROR:  (\w{5}: .*)/;
    }
    my @other_errors = grep { $error{$_} ne '' && $error{$_} !~ $denied } @functions;
    is(join("\n", map { "$_: $error{$_}" } @other_errors), '', "$role: works, or is refused by 42501");
    return sort grep { $error{$_} eq '' } @functions;
}

is_deeply([ works_for('nobody') ], [ sort @free ], 'without a grant: only what needs no key');
for my $capability (sort keys %opens) {
    my $role = "r_$capability";
    sql("CREATE ROLE $role LOGIN; SELECT tp_grant('$role', '$capability')");
    is_deeply([ works_for($role) ], [ sort @free, @{ $opens{$capability} } ], "$capability opens its functions and no other");
    may_not($role, "SELECT * FROM $_") for qw(tp_dek tp_kek tp_dek_grant);
    my $keyring = 'SELECT count(*) FROM tp_keyring';
    $capability =~ /^(?:keys|status)$/ ? may($role, $keyring) : may_not($role, $keyring);
    sql("SELECT tp_revoke('$role', '$capability')");
    is_deeply([ works_for($role) ], [ sort @free ], "$capability: nothing is left after tp_revoke");
    may_not($role, $keyring);
}
is(sql(q{SELECT count(*) FROM tp_dek_grant}), '0', 'nor in tp_dek_grant');
for my $pair ([qw(keys status)], [qw(keys rewrap)], [qw(status keys)], [qw(rewrap keys)]) {
    my ($kept, $taken) = @$pair;
    sql("SELECT tp_grant('r_keys', '$_')") for @$pair;
    sql("SELECT tp_revoke('r_keys', '$taken')");
    is_deeply([ works_for('r_keys') ], [ sort @free, @{ $opens{$kept} } ], "$taken taken back: $kept is whole");
    may('r_keys', 'SELECT count(*) FROM tp_keyring') unless $kept eq 'rewrap';
    sql("SELECT tp_revoke('r_keys', '$kept')");
    is_deeply([ works_for('r_keys') ], [ sort @free ], "then $kept: nothing is left");
}
sql('CREATE ROLE wide LOGIN; GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA public TO wide');
is(as('wide', "SELECT $call{$_}"), '42501: role "wide" may not change keys', "$_ by who may execute all functions")
  for 'tp_destroy_dek(integer,text)', 'tp_disable_dek(integer)', 'tp_enable_dek(integer)', 'tp_rotate_dek(text,text)', 'tp_rotate_kek(text)', 'tp_setup()';
is(as('wide', q{SELECT tp_recover_dek(1, '\x00', key_file => '/x')}), '42501: only the owner of the extension and superusers may recover a DEK', 'no grant opens that');
is(as('wide', q{SELECT tp_move_to_token('/x', '', '/x')}), '42501: only superusers may move to another token', 'nor that');
sql(q{SELECT tp_grant('r_encrypt', 'encrypt'), tp_grant('r_decrypt', 'decrypt')});
is(as('r_encrypt', "SELECT tp_decrypt('$value{default}')") =~ s/:.*//r, '42501', 'encrypt does not decrypt');
my $sealed = as('r_encrypt', q{SELECT tp_encrypt('of r_encrypt')});
is(as('r_decrypt', "SELECT tp_decrypt('$sealed')"), 'of r_encrypt', 'and what it encrypts is read by who decrypts');
sql('CREATE TABLE typed (value tp_encrypted); GRANT INSERT ON typed TO nobody');
may('nobody', "INSERT INTO typed VALUES ('$value{default}')", 'the domain needs no grant');

# ---- who may grant

sql(q{CREATE ROLE pretender LOGIN; GRANT EXECUTE ON FUNCTION tp_grant, tp_revoke, tp_check_grant, tp_capability_functions TO pretender;
    GRANT ALL ON tp_dek_grant TO pretender});
is(as('pretender', qq{SELECT $_('pretender', 'decrypt')}), '42501: only the owner of the extension and superusers may grant',
    "$_ by a stranger who may call it") for 'tp_grant', 'tp_revoke';
may_not('pretender', "SELECT tp_decrypt('$value{default}')");
for my $bad ([ q{'nobody', 'everything'}, '22023' ], [ q{'nobody', 'hsm', 'tenant'}, '22023' ], [ q{'nobody', 'encrypt', ''}, '22023' ],
    [ q{'no_such_role', 'encrypt'}, '42704' ]) {
    like(try_sql($node, 'postgres', "SELECT $_($bad->[0])"), qr/^$bad->[1]: /, "$_($bad->[0])") for 'tp_grant', 'tp_revoke';
}

# ---- names

sub encrypts { my ($key) = @_; return "SELECT tp_encrypt('x', '', '$key')"; }
sub decrypts { my ($key) = @_; return "SELECT tp_decrypt('$value{$key}')"; }
sub rewraps { my ($key) = @_; return "SELECT tp_rewrap('$value{$key}')"; }

sql(q{CREATE ROLE tenant_app LOGIN; SELECT tp_grant('tenant_app', c, 'tenant') FROM unnest(ARRAY['encrypt', 'decrypt', 'rewrap']) c});
my $open = session($node, 'postgres', role => 'tenant_app');

# What tenant_app can do with each name, for a new session and for the one that is open all the time.
sub names_open {
    my ($name, @keys) = @_;
    for my $key (qw(default tenant other)) {
        my $expected = (grep { $_ eq $key } @keys) ? qr/^(?!\w{5}: )/ : $denied;
        for my $query (encrypts($key), decrypts($key)) {
            my $what = substr($query, 10, 4) . "crypt, $key";
            like(as('tenant_app', $query), $expected, "$name: $what");
            like(ask($open, $query), $expected, "$name: $what, in an open session");
        }
    }
}

names_open('one name', 'tenant');
may('tenant_app', rewraps('tenant'));
may_not('tenant_app', rewraps('other'));
is(as('tenant_app', decrypts('other')), '42501: role "tenant_app" may not decrypt with DEK "other"', 'the refusal names the key');
sql(qq{SELECT tp_$_->[0]('tenant_app', c$_->[1]) FROM unnest(ARRAY['encrypt', 'decrypt']) c}), names_open(@$_[ 2 .. $#$_ ])
  for [ 'grant', q{, 'other'}, 'a second name', 'tenant', 'other' ], [ 'revoke', q{, 'tenant'}, 'the first taken back', 'other' ],
  [ 'revoke', q{, 'default'}, 'one taken back that was not there', 'other' ], [ 'grant', '', 'all names', 'default', 'tenant', 'other' ],
  [ 'revoke', q{, 'other'}, 'all names, less one that was given by name', 'default', 'tenant', 'other' ],
  [ 'grant', q{, 'tenant'}, 'all names and one', 'default', 'tenant', 'other' ], [ 'revoke', '', 'everything taken back' ],
  [ 'grant', q{, 'tenant'}, 'one name again', 'tenant' ];
is(as('tenant_app', rewraps('other')) =~ s/:.*//r, '42501', 'another capability is untouched by all that');

# A grant that rolls back, in the session's sight.
ask($open, 'BEGIN ISOLATION LEVEL REPEATABLE READ');
like(ask($open, encrypts('tenant')), qr/^\\x/, 'a transaction is open');
sql(q{BEGIN; SELECT tp_grant('tenant_app', 'encrypt', 'other'); ROLLBACK});
like(ask($open, encrypts('other')), $denied, 'a grant that rolled back gives nothing');
ask($open, 'ROLLBACK; BEGIN ISOLATION LEVEL REPEATABLE READ');
ask($open, encrypts('tenant'));
sql(q{SELECT tp_grant('tenant_app', 'encrypt', 'other')});
like(ask($open, encrypts('other')), qr/^\\x/, 'one that committed is seen inside an open transaction');
sql(q{SELECT tp_revoke('tenant_app', 'encrypt', 'tenant')});
like(ask($open, encrypts('tenant')), $denied, 'and so is a name taken back');
ask($open, 'ROLLBACK');
sql(q{SELECT tp_revoke('tenant_app', 'encrypt')});
like(ask($open, encrypts('other')), qr/^42501: permission denied for function tp_encrypt/, 'the whole taken back');
sql(q{SELECT tp_grant('tenant_app', 'encrypt', 'tenant')});
like(ask($open, encrypts('tenant')), qr/^\\x/, 'and given again');

# A prepared statement is no way around it.
ask($open, q{PREPARE p AS } . encrypts('tenant'));
like(ask($open, 'EXECUTE p'), qr/^\\x/, 'prepared');
sql(q{SELECT tp_revoke('tenant_app', 'encrypt', 'tenant')});
like(ask($open, 'EXECUTE p'), $denied, 'and refused after a revoke');
sql(q{SELECT tp_grant('tenant_app', 'encrypt', 'tenant')});

# ---- membership

sql(q{CREATE ROLE heir LOGIN INHERIT; CREATE ROLE distant LOGIN NOINHERIT; GRANT tenant_app TO heir, distant});
my ($heir, $distant) = (session($node, 'postgres', role => 'heir'), session($node, 'postgres', role => 'distant'));
is(ask($heir, decrypts('tenant')), 'of tenant', 'a member may what its group may');
like(ask($heir, decrypts('other')), $denied, 'and no more');
like(ask($distant, decrypts('tenant')), $denied, 'a member that does not inherit may not');
ask($distant, 'SET ROLE tenant_app');
is(ask($distant, decrypts('tenant')), 'of tenant', 'until it takes the role');
like(ask($distant, decrypts('other')), $denied, 'with the limits of that role');
ask($distant, 'RESET ROLE');
like(ask($distant, decrypts('tenant')), $denied, 'and gives it back');
# From 16 on it is a property of the membership.
my ($inherit, $noinherit) =
  $node->pg_version < 16
  ? ('ALTER ROLE distant INHERIT', 'ALTER ROLE distant NOINHERIT')
  : map { "GRANT tenant_app TO distant WITH INHERIT $_" } 'TRUE', 'FALSE';
sql($inherit);
is(ask($distant, decrypts('tenant')), 'of tenant', 'INHERIT reaches an open session');
sql($noinherit);
like(ask($distant, decrypts('tenant')), $denied, 'and so does NOINHERIT');
sql(q{CREATE ROLE other_app; SELECT tp_grant('other_app', 'decrypt', 'other'); GRANT other_app TO heir});
is(ask($heir, decrypts($_)), "of $_", "a member of two groups may with both keys: $_") for qw(tenant other);
like(ask($heir, decrypts('default')), $denied, 'and no third');
sql('REVOKE tenant_app FROM heir');
like(ask($heir, decrypts('tenant')), $denied, 'a membership taken back, in an open session');
is(ask($heir, decrypts('other')), 'of other', 'the other stays');
sql('REVOKE other_app FROM heir');
like(ask($heir, decrypts('other')), $denied, 'and goes');
$_->quit for $heir, $distant;

# One backend with many roles: what one may is no answer for the next.
my $super = session($node);
for my $round (1 .. 2) {
    for (qw(default tenant other)) {
        ask($super, 'RESET ROLE');
        is(ask($super, decrypts($_)), "of $_", "round $round: a superuser, $_");
        ask($super, 'SET ROLE tenant_app');
        like(ask($super, decrypts($_)), $_ eq 'tenant' ? qr/^of tenant$/ : $denied, "round $round: then tenant_app, $_");
        ask($super, 'SET ROLE other_app');
        like(ask($super, decrypts($_)), $_ eq 'other' ? qr/^of other$/ : $denied, "round $round: then other_app, $_");
        ask($super, 'SET ROLE nobody');
        like(ask($super, decrypts($_)), $denied, "round $round: then nobody, $_");
    }
}
ask($super, 'RESET ROLE');

# ---- SECURITY DEFINER

sql(q{
    CREATE FUNCTION read_tenant(value bytea) RETURNS text LANGUAGE sql SECURITY DEFINER SET search_path = public, pg_temp
        RETURN tp_decrypt(value);
    CREATE FUNCTION read_as_caller(value bytea) RETURNS text LANGUAGE sql SET search_path = public, pg_temp
        RETURN tp_decrypt(value);
    ALTER FUNCTION read_tenant OWNER TO tenant_app});
is(as('nobody', "SELECT read_tenant('$value{tenant}')"), 'of tenant', 'a SECURITY DEFINER function has its owner\'s rights');
may_not('nobody', "SELECT read_tenant('$value{other}')", 'and their limits');
like(ask($super, "SELECT read_tenant('$value{other}')"), $denied, 'also when a superuser calls it');
may_not('nobody', "SELECT read_as_caller('$value{tenant}')", 'another has the caller\'s');

# ---- a role that is dropped

sql(q{CREATE ROLE leaving LOGIN; SELECT tp_grant('leaving', 'decrypt', 'tenant')});
is(as('leaving', decrypts('tenant')), 'of tenant', 'a role');
my $left_open = session($node, 'postgres', role => 'leaving');
my $cold = session($node, 'postgres', role => 'leaving');
is(ask($left_open, "BEGIN; DECLARE c CURSOR FOR SELECT tp_decrypt('$value{tenant}') FROM generate_series(1, 2); FETCH 1 FROM c"), 'of tenant', 'with a cursor');
ask($cold, "BEGIN; DECLARE c CURSOR FOR SELECT tp_decrypt('$value{tenant}')");
sql('DROP OWNED BY leaving; DROP ROLE leaving');
like(ask($_->[0], 'FETCH 1 FROM c'), qr/^42704: /, "is dropped, and a cursor of it, $_->[1], reads no more") for [ $left_open, 'used' ], [ $cold, 'not used yet' ];
is(sql('SELECT count(*) FROM tp_dek_grant g WHERE NOT EXISTS (SELECT FROM pg_roles r WHERE r.oid = g.grantee)'), '1', 'its row is there');
$_->quit for $left_open, $cold;
is(ask($super, decrypts('tenant')), 'of tenant', 'is dropped, and the superuser reads');
is(ask($open, decrypts('tenant')), 'of tenant', 'and so do the others');
$node->command_ok([ 'pg_dump', '-f', '/dev/null', '-d', $node->connstr('postgres') ], 'and pg_dump works');

# DROP OWNED takes EXECUTE, and leaves our rows: what the role had does not come back with another grant.
sql(q{CREATE ROLE stripped LOGIN; SELECT tp_grant('stripped', 'decrypt')});
sql('DROP OWNED BY stripped');
may_not('stripped', decrypts('other'), 'DROP OWNED takes its rights');
sql(q{SELECT tp_grant('stripped', 'decrypt', 'tenant')});
may('stripped', decrypts('tenant'));
may_not('stripped', decrypts('other'), 'what it had does not come back');
sql(q{SELECT tp_grant('stripped', 'decrypt', 'other')});
may('stripped', decrypts($_), "a second grant adds to the first: $_") for 'tenant', 'other';

# ---- who does not own the schema

sql(q{CREATE ROLE maker SUPERUSER; CREATE ROLE plain LOGIN; CREATE ROLE guest LOGIN; CREATE DATABASE owned});
$node->safe_psql('owned', q{CREATE SCHEMA apart; ALTER DATABASE owned SET search_path = apart; GRANT USAGE ON SCHEMA apart TO plain;
    SET ROLE maker; CREATE EXTENSION trustpoint SCHEMA apart; REASSIGN OWNED BY maker TO plain});
like(try_sql($node, 'owned', q{SELECT tp_grant('guest', 'encrypt')}, role => 'plain'), qr/^42501: you may not let role guest use schema apart/, 'a grant that cannot work is refused');
$node->safe_psql('owned', 'GRANT USAGE ON SCHEMA apart TO guest');
unlike(try_sql($node, 'owned', q{SELECT tp_grant('guest', 'encrypt')}, role => 'plain'), qr/^\w{5}: /, 'and can where it may');

# ---- a lost grant closes

sql(q{CREATE ROLE lost LOGIN; SELECT tp_grant('lost', 'encrypt', 'tenant');
    CREATE ROLE bare LOGIN; GRANT EXECUTE ON FUNCTION tp_encrypt(text, text, text) TO bare});
may('lost', q{SELECT tp_encrypt('x'::text, '', 'tenant')});
may_not('bare', q{SELECT tp_encrypt('x'::text)}, 'EXECUTE alone opens nothing');
sql('TRUNCATE tp_dek_grant');
may_not('lost', "SELECT tp_encrypt('x'::text, '', '$_')", "rows of grants that are lost open nothing: $_") for 'tenant', 'default';

$_->quit for $super, $open;
$node->stop;
done_testing();
