# The same cells of keys, signatures, encryption, digests and objects on every PKCS#11 module that can be had: each works and
# agrees with the openssl program, or is refused with the mechanism's name before anything is tried.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::RealBin/../perl";
use IPC::Run;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use TokenModules;
use TrustpointCluster;

my @modules = modules_here();
my $folder = PostgreSQL::Test::Utils::tempdir;
my ($module, $node, $session);

# ---- what a module cannot do, seen with Debian 12's; every other cell must work

my $no = sub { my ($mechanism) = @_; return qr/^38000: the token does not support \Q$mechanism\E$/; };
my %refused = (
    'SoftHSM' => {},
    'opencryptoki' => {
        qr/^EC (?:P-|secp)/ => $no->('CKM_ECDSA_KEY_PAIR_GEN'),
        qr/^EC import/ => $no->('CKM_ECDSA'),
        qr/^AES gcm$/ => $no->('CKM_AES_GCM'),
        qr/^AES gcm refuses/ => qr/^42704: /,
        qr/^RSA signs rsa-pss-sha224/ => $no->('CKM_RSA_PKCS_PSS with SHA-224'),
        qr/^digest sha224/ => $no->('CKM_SHA224')
    },
    'p11-kit client' => {
        qr/^AES gcm$/ => $no->('CKM_AES_GCM'),
        qr/^AES gcm refuses/ => qr/^42704: /,
        qr/^AES cbc-pad/ => $no->('CKM_AES_CBC_PAD'),
        qr/^digest sha224/ => $no->('CKM_SHA224')
    },
    # Its digests are in another slot than its keys, and it opens a damaged PKCS#1 v1.5 ciphertext as random bytes, on purpose.
    'NSS softokn' => {
        qr/^RSA refuses a damaged pkcs1/ => qr/^\d+$|^22000: /,
        qr/^EC secp256k1/ => $no->('CKM_ECDSA_KEY_PAIR_GEN on secp256k1'),
        qr/^EC import secp256k1/ => $no->('CKM_ECDSA on secp256k1'),
        map { my $size = $_; qr/^digest sha$size/ => $no->("CKM_SHA$size") } 224, 256, 384, 512
    });

# Newer ones, as Debian 13's, can all of it, and with OpenSSL 3.2 they open PKCS#1 v1.5 as NSS does.
sub since { my ($version, $first) = @_; return version->parse("v$version") >= version->parse("v$first"); }
sub version_of { my (@command) = @_; my ($version) = qx(@command) =~ /(\d+\.\d+)/ or die "@command"; return $version; }
$refused{'p11-kit client'} = {} if since(version_of('pkg-config --modversion p11-kit-1'), '0.25');
if (since(version_of('openssl version'), '3.2')) {
    $refused{$_}{qr/^RSA refuses a damaged pkcs1/} = qr/^\d+$|^22000: / for keys %refused;
}

# ---- helpers

sub q_ask { my ($sql) = @_; return ask($session, $sql); }
sub literal { my ($bytes) = @_; return q{'\x} . unpack('H*', $bytes) . q{'::bytea}; }

sub write_file {
    my ($name, $bytes) = @_;
    open(my $out, '>:raw', "$folder/$name") or die $!;
    print $out $bytes;
    close $out;
    return "$folder/$name";
}

# What openssl prints; dies where it fails.
sub openssl {
    my (@arguments) = @_;
    my ($out, $errors) = ('', '');
    IPC::Run::run([ 'openssl', @arguments ], '<', \undef, '>', \$out, '2>', \$errors) or return "openssl: $errors";
    return $out;
}

sub bytes_of { my ($hex) = @_; return $hex =~ /^[0-9a-f]*$/ ? pack('H*', $hex) : undef; }

# The cell's result: "ok", or what went wrong. An SQL error of the first statement may be a refusal that was expected.
sub cell {
    my ($name, $body) = @_;
    my ($wanted) = map { $refused{$module}{$_} } grep { $name =~ /$_/ } keys %{ $refused{$module} };
    my $result = $body->();
    if ($wanted) { like($result, $wanted, "$module: $name: not here, and it says why"); }
    else { is($result, 'ok', "$module: $name"); }
    return $result;
}

# The options of openssl for an algorithm of ours.
sub options_of {
    my ($algorithm) = @_;
    my ($scheme, $hash) = $algorithm =~ /^(rsa-pss|rsa-pkcs1|ecdsa)-(sha\d+)$/ or die;
    my @options = ("-$hash");
    push @options, '-sigopt', 'rsa_padding_mode:pss', '-sigopt', 'rsa_pss_saltlen:digest' if $scheme eq 'rsa-pss';
    return @options;
}

# We sign over the data and over its digest: openssl verifies both, and so do we.
sub signs {
    my ($label, @algorithms) = @_;
    my $public = write_file('public.pem', q_ask("SELECT tp_public_key('$label')") . "\n");
    my $data = write_file('data', 'the data');
    for my $algorithm (@algorithms) {
        my ($hash) = $algorithm =~ /(sha\d+)$/;
        for my $sql ("tp_sign('$label', 'the data', '$algorithm')",
            "tp_sign_digest('$label', $hash('the data'), '$algorithm')") {
            my $hex = q_ask("SELECT encode($sql, 'hex')");
            my $signature = bytes_of($hex) // return $hex;
            my $said = openssl('dgst', options_of($algorithm), '-verify', $public, '-signature',
                write_file('signature', $signature), $data);
            return "$algorithm: $said" unless $said =~ /^Verified OK/;
            my $ours = q_ask("SELECT tp_verify('$label', 'the data', " . literal($signature) . ", '$algorithm'), "
                  . "tp_verify('$label', 'other data', " . literal($signature) . ", '$algorithm')");
            return "$algorithm: $ours" if $ours ne 't|f';
        }
    }
    return 'ok';
}

# A signature that openssl made with the same key verifies.
sub verifies {
    my ($label, $private, @algorithms) = @_;
    for my $algorithm (@algorithms) {
        my $file = "$folder/made";
        unlink $file;
        my $said = openssl('dgst', options_of($algorithm), '-sign', $private, '-out', $file, write_file('data', 'the data'));
        return $said unless -s $file;
        my $ours = q_ask("SELECT tp_verify('$label', 'the data', " . literal(slurp_file($file)) . ", '$algorithm')");
        return "$algorithm: $ours" if $ours ne 't';
    }
    return 'ok';
}

# What openssl encrypts opens, and what we encrypt opens too.
sub decrypts {
    my ($label, $padding) = @_;
    my @options = $padding eq 'pkcs1' ? ('-pkeyopt', 'rsa_padding_mode:pkcs1')
      : ('-pkeyopt', 'rsa_padding_mode:oaep', '-pkeyopt', 'rsa_oaep_md:' . ($padding =~ s/oaep-//r));
    my $public = write_file('public.pem', q_ask("SELECT tp_public_key('$label')") . "\n");
    my $file = "$folder/ciphertext";
    unlink $file;
    my $said = openssl('pkeyutl', '-encrypt', '-pubin', '-inkey', $public, @options, '-in', write_file('data', 'secret'),
        '-out', $file);
    return $said unless -s $file;
    my $opened = q_ask("SELECT convert_from(tp_rsa_decrypt('$label', " . literal(slurp_file($file)) . ", '$padding'), 'UTF8')");
    return $opened if $opened ne 'secret';
    $opened = q_ask("SELECT convert_from(tp_rsa_decrypt('$label', tp_rsa_encrypt('$label', 'secret', '$padding'), '$padding'), 'UTF8')");
    return $opened eq 'secret' ? 'ok' : $opened;
}

# "ok" when the statement returns what is wanted.
sub gives { my ($sql, $wanted) = @_; my $got = q_ask($sql); return $got eq $wanted ? 'ok' : $got; }

# ---- keys made by openssl, to be brought in

my @rsa_algorithms = map { my $scheme = $_; map { "$scheme-sha$_" } 256, 384, 512 } 'rsa-pss', 'rsa-pkcs1';
my @ecdsa_algorithms = map { "ecdsa-sha$_" } 256, 384, 512;
my %curves = ('P-256' => 'prime256v1', 'P-384' => 'secp384r1', 'P-521' => 'secp521r1', 'secp256k1' => 'secp256k1');
openssl('genpkey', '-algorithm', 'RSA', '-pkeyopt', 'rsa_keygen_bits:2048', '-out', "$folder/rsa.pem");
openssl('genpkey', '-algorithm', 'EC', '-pkeyopt', "ec_paramgen_curve:$curves{$_}", '-out', "$folder/$_.pem") for keys %curves;

# ---- the cells

my %table;
for (@modules) {
    $module = $_;
    my $start = time;
    my $helper;
    ($node, $helper) = module_cluster($module, 'on_' . ($module =~ s/\W/_/gr));
    $session = session($node);
    my $note = sub { my ($name, $body) = @_; $table{$name}{$module} = cell($name, $body); };

    # It says its version itself.
    if ($module eq 'opencryptoki' && since(q_ask('SELECT module_version FROM tp_hsm_info()'), '3.23')) {
        delete $refused{$module}{$_} for grep { !/pkcs1/ } keys %{ $refused{$module} };
    }
    $note->('encrypted column', sub { gives(q{SELECT tp_decrypt(tp_encrypt('kept'))}, 'kept') });
    q_ask('SELECT tp_hsm_login()');

    for my $bits (2048, 3072, 4096) {
        $note->("RSA $bits made, signs", sub {
            my $made = q_ask("SELECT length(tp_generate_rsa_key('rsa $bits', $bits))");
            # All algorithms with one size.
            return $made eq '16' ? signs("rsa $bits", $bits == 2048 ? @rsa_algorithms : @rsa_algorithms[ 0, 5 ]) : $made; });
    }
    for my $algorithm ('rsa-pss-sha224', 'rsa-pkcs1-sha224') {
        $note->("RSA signs $algorithm", sub { signs('rsa 2048', $algorithm) });
    }
    $note->('RSA made, decrypts', sub { gives(q{SELECT length(tp_generate_rsa_key('opens', 2048, 'decrypt'))}, '16') });
    for my $padding ('oaep-sha1', 'oaep-sha224', 'oaep-sha256', 'oaep-sha384', 'oaep-sha512', 'pkcs1') {
        $note->("RSA decrypts $padding", sub { decrypts('opens', $padding) });
    }
    # Byte 99 of the ciphertext is another one; openings of other things than OAEP promise nothing.
    for my $padding ('oaep-sha1', 'oaep-sha256', 'pkcs1') {
        $note->("RSA refuses a damaged $padding", sub {
            my $answer = q_ask("SELECT length(tp_rsa_decrypt('opens', set_byte(c, 99, 255 - get_byte(c, 99)), '$padding')) "
                  . "FROM tp_rsa_encrypt('opens', 'secret', '$padding') AS c");
            return $answer =~ /^22000: decryption failed/ ? 'ok' : $answer; });
    }
    $note->('RSA signs or decrypts, never both', sub {
        my $sign = q_ask(q{SELECT tp_sign('opens', 'data')});
        my $open = q_ask(q{SELECT tp_rsa_decrypt('rsa 2048', tp_rsa_encrypt('opens', 'x'))});
        return $sign =~ /^22023/ && $open =~ /^22023/ ? 'ok' : "$sign $open"; });
    $note->('RSA import', sub {
        my $pem = slurp_file("$folder/rsa.pem");
        my $made = q_ask("SELECT length(tp_import_key('rsa in', '$pem'))");
        return $made if $made ne '16';
        my $result = signs('rsa in', @rsa_algorithms);
        return $result eq 'ok' ? verifies('rsa in', "$folder/rsa.pem", @rsa_algorithms) : $result; });
    $note->('RSA import for decryption', sub {
        my $pem = slurp_file("$folder/rsa.pem");
        my $made = q_ask("SELECT length(tp_import_key('rsa opens', '$pem', usage => 'decrypt'))");
        return $made eq '16' ? decrypts('rsa opens', 'oaep-sha256') : $made; });

    for my $curve (sort keys %curves) {
        $note->("EC $curve made, signs", sub {
            my $made = q_ask("SELECT length(tp_generate_ec_key('ec $curve', '$curve'))");
            return $made eq '16' ? signs("ec $curve", @ecdsa_algorithms) : $made; });
        $note->("EC import $curve", sub {
            my $pem = slurp_file("$folder/$curve.pem");
            my $made = q_ask("SELECT length(tp_import_key('in $curve', '$pem'))");
            return $made if $made ne '16';
            my $result = signs("in $curve", @ecdsa_algorithms);
            return $result eq 'ok' ? verifies("in $curve", "$folder/$curve.pem", @ecdsa_algorithms) : $result; });
    }

    for my $mode ('gcm', 'cbc-pad', 'ecb') {
        $note->("AES $mode", sub {
            for my $bits (128, 192, 256) {
                my $made = q_ask("SELECT length(tp_generate_aes_key('aes $mode $bits', $bits, '$mode'))");
                return $made if $made ne '16';
                for my $size (0, 16, 4096) {
                    my $opened = q_ask("SELECT tp_aes_decrypt('aes $mode $bits', tp_aes_encrypt('aes $mode $bits', d)) = d "
                          . "FROM decode(repeat('a7', $size), 'hex') AS d");
                    return $opened if $opened ne 't';
                }
            }
            return 'ok'; });
    }

    $note->('AES gcm refuses a damaged value', sub {
        my $answer = q_ask(q{SELECT tp_aes_decrypt('aes gcm 256', set_byte(c, 20, 255 - get_byte(c, 20)))
            FROM tp_aes_encrypt('aes gcm 256', 'some secret') AS c});
        return $answer =~ /^22000: decryption failed/ ? 'ok' : $answer; });

    for my $hash ('sha224', 'sha256', 'sha384', 'sha512') {
        $note->("digest $hash", sub {
            gives("SELECT bool_and(tp_digest(d, '$hash') = $hash(d)) FROM (VALUES ('abc'::bytea), (''), "
                  . "(decode(repeat('61', 1000000), 'hex'))) AS v (d)", 't') });
    }
    $note->('random', sub { gives('SELECT length(tp_random(1000)), tp_random(32) <> tp_random(32)', '1000|t') });

    $note->('request and certificate', sub {
        my $request = q_ask(q{SELECT tp_csr('rsa 2048', 'CN=device 1,O=Acme', ARRAY['DNS:a.example'])});
        return $request unless $request =~ /^-----BEGIN/;
        my $said = openssl('req', '-verify', '-noout', '-subject', '-in', write_file('csr', "$request\n"));
        return $said unless $said =~ /device 1/;
        my $certificate = q_ask(q{SELECT tp_self_signed_certificate('rsa 2048', 'CN=device 1', 30)});
        return $certificate unless $certificate =~ /^-----BEGIN/;
        my $file = write_file('certificate', "$certificate\n");
        $said = openssl('verify', '-CAfile', $file, $file);
        return $said =~ /: OK$/ ? 'ok' : $said; });

    $note->('objects: sensitive, never extractable', sub {
        gives(q{SELECT count(*) > 3, bool_and(value = CASE attribute WHEN 'CKA_SENSITIVE' THEN 'true' ELSE 'false' END)
            FROM tp_hsm_keys() AS k, tp_key_attributes(k.label) AS a
            WHERE k.known AND a.object <> 'public key' AND a.attribute IN ('CKA_SENSITIVE', 'CKA_EXTRACTABLE')}, 't|t') });
    $note->('objects: rename, destroy', sub {
        my $renamed = q_ask(q{SELECT tp_rename_key('rsa 3072', 'renamed')});
        return $renamed if $renamed ne '';
        my $signs = signs('renamed', 'rsa-pss-sha256');
        return $signs if $signs ne 'ok';
        my $gone = q_ask(q{SELECT tp_destroy_key('renamed')});
        return $gone if $gone ne '';
        my $again = q_ask(q{SELECT tp_sign('renamed', 'x')});
        return $again =~ /^42704/ ? 'ok' : $again; });
    $note->('objects: gone with a rollback', sub {
        q_ask($_) for 'BEGIN', q{SELECT tp_generate_rsa_key('passing', 2048)}, 'ROLLBACK';
        return gives(q{SELECT count(*) FROM tp_hsm_keys() WHERE label = 'passing'}, '0'); });
    $note->('keys of the keyring are out of reach', sub {
        my @said = map { q_ask($_) } q{SELECT tp_aes_decrypt('trustpoint-pg-kek', '\x00')}, q{SELECT tp_destroy_key('trustpoint-pg-kek')};
        return (grep { !/^22023|^42501/ } @said) ? "@said" : 'ok'; });
    $note->('session', sub {
        gives('SELECT state, user_type FROM tp_hsm_session()', 'user functions|user') });
    $session->quit;
    $node->stop;
    stop_p11_kit($helper) if $helper;
    note("$module: " . (time - $start) . ' s');
}

# The README's table.
my $short = sub { my ($result) = @_; return $result eq 'ok' ? 'yes' : $result =~ /support (.*)/ ? "no: $1" : $result; };
note('| | ' . join(' | ', @modules) . ' |');
for my $name (sort keys %table) { note("| $name | " . join(' | ', map { $short->($table{$name}{$_}) } @modules) . ' |'); }
done_testing();
