# Keys, signatures, ciphertexts, requests and certificates against other implementations, both ways: the openssl program,
# Python's cryptography, and pkcs11-tool on the same token.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::RealBin/../perl";
use JSON::PP;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use TrustpointCluster;

my $node = new_cluster('interop');
set_up($node);
my $folder = $node->basedir . '/files';
mkdir $folder or die $!;

# One session that keeps its login: a new one each time would spend most of it on starting.
my $session = session($node);
ask($session, 'SELECT tp_hsm_login()');
sub try { return ask($session, @_); }
sub sql { my $answer = try(@_); die "$_[0]: $answer" if $answer =~ /^\w{5}: /; return $answer; }
sub sql_json { return decode_json(sql("SELECT coalesce(json_agg(r), '[]') FROM ($_[0]) AS r")); }
sub file { my ($name, $content) = @_; write_pin("$folder/$name", $content); return "$folder/$name"; }

sub openssl {
    my @arguments = @_;
    my ($out, $errors) = ('', '');
    my $ok = IPC::Run::run([ 'openssl', @arguments ], '>', \$out, '2>', \$errors);
    return ($ok, $out . $errors);
}

# The other implementation. make: private keys as files, and what they sign, and what is encrypted for them; check: what
# was signed and encrypted here, of which it prints what it does not accept.
my $python = <<'END';
import json, os, sys
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, padding as block, serialization as s
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa, utils
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

HASHES = {'sha1': hashes.SHA1(), 'sha224': hashes.SHA224(), 'sha256': hashes.SHA256(), 'sha384': hashes.SHA384(), 'sha512': hashes.SHA512()}
CURVES = {'P-256': ec.SECP256R1(), 'P-384': ec.SECP384R1(), 'P-521': ec.SECP521R1(), 'secp256k1': ec.SECP256K1()}
DATA = b'trustpoint'

def pss(h): return padding.PSS(padding.MGF1(h), h.digest_size)
def oaep(name):
    if name == 'pkcs1': return padding.PKCS1v15()
    return padding.OAEP(padding.MGF1(HASHES[name[5:]]), HASHES[name[5:]], None)
def scheme(algorithm):
    parts = algorithm.rsplit('-', 1)
    h = HASHES[parts[1]]
    return {'rsa-pss': (pss(h), h), 'rsa-pkcs1': (padding.PKCS1v15(), h), 'ecdsa': (ec.ECDSA(h),)}[parts[0]]
def verifies(pem, algorithm, signature):
    try:
        s.load_pem_public_key(pem.encode()).verify(signature, DATA, *scheme(algorithm))
        return True
    except InvalidSignature:
        return False

RSA = ['rsa-%s-sha%s' % (p, n) for p in ('pss', 'pkcs1') for n in (224, 256, 384, 512)]
ECDSA = ['ecdsa-sha%s' % n for n in (256, 384, 512)]
PADDINGS = ['oaep-sha1', 'oaep-sha224', 'oaep-sha256', 'oaep-sha384', 'oaep-sha512', 'pkcs1']

def make(folder):
    keys = {'rsa': rsa.generate_private_key(65537, 2048), 'rsa decrypt': rsa.generate_private_key(65537, 2048)}
    keys.update({c: ec.generate_private_key(CURVES[c]) for c in CURVES})
    forms = {'pkcs8': s.PrivateFormat.PKCS8, 'traditional': s.PrivateFormat.TraditionalOpenSSL}
    result = {'keys': [], 'signatures': [], 'ciphertexts': []}
    for name, key in keys.items():
        public = key.public_key().public_bytes(s.Encoding.PEM, s.PublicFormat.SubjectPublicKeyInfo).decode()
        for form, protection in (('pkcs8', s.NoEncryption()), ('traditional', s.NoEncryption()), ('pkcs8', s.BestAvailableEncryption(b'correct horse'))):
            kind = form + ('' if isinstance(protection, s.NoEncryption) else ' encrypted')
            path = os.path.join(folder, ('%s %s' % (name, kind)).replace(' ', '_'))
            with open(os.open(path, os.O_WRONLY | os.O_CREAT, 0o600), 'wb') as f:
                f.write(key.private_bytes(s.Encoding.PEM, forms[form], protection))
            result['keys'].append({'label': '%s %s' % (name, kind), 'file': path, 'encrypted': 'encrypted' in kind, 'public': public,
                'usage': 'decrypt' if 'decrypt' in name else 'sign'})
        for a in [] if 'decrypt' in name else RSA if name == 'rsa' else ECDSA:
            result['signatures'].append({'pem': public, 'algorithm': a, 'signature': key.sign(DATA, *scheme(a)).hex()})
    for p in PADDINGS:
        result['ciphertexts'].append({'padding': p, 'ciphertext': keys['rsa decrypt'].public_key().encrypt(DATA, oaep(p)).hex()})
    return result

def check(given):
    bad = ['%s %s' % (x['label'], x['algorithm']) for x in given['signatures'] if not verifies(x['pem'], x['algorithm'], bytes.fromhex(x['signature']))]
    with open(given['decrypt_file'], 'rb') as f:
        key = s.load_pem_private_key(f.read(), None)
    bad += [x['padding'] for x in given['ciphertexts'] if key.decrypt(bytes.fromhex(x['ciphertext']), oaep(x['padding'])) != DATA]
    value = bytes.fromhex(given['aes_value'])
    for x in given['aes']:
        data = bytes.fromhex(x['ciphertext'])
        if x['mode'] == 'gcm':
            plain = AESGCM(value).decrypt(data[:12], data[12:], b'tpaes1' + x['label'].encode())
        elif x['mode'] == 'cbc-pad':
            d = Cipher(algorithms.AES(value), modes.CBC(data[:16])).decryptor()
            u = block.PKCS7(128).unpadder()
            plain = u.update(d.update(data[16:]) + d.finalize()) + u.finalize()
        else:
            d = Cipher(algorithms.AES(value), modes.ECB()).decryptor()
            plain = d.update(data) + d.finalize()
        if plain != x['plaintext'].encode(): bad.append('AES ' + x['mode'])
    for x in given['requests']:
        r = x509.load_pem_x509_csr(x['pem'].encode())
        names = r.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        if not r.is_signature_valid or names.get_values_for_type(x509.DNSName) != ['a.example', 'b.example'] \
            or [str(i) for i in names.get_values_for_type(x509.IPAddress)] != ['192.0.2.1'] \
            or names.get_values_for_type(x509.RFC822Name) != ['a@example.org'] \
            or r.subject.rfc4514_string() != 'CN=device 1,O=Acme\\, Inc.,C=DE':
            bad.append('request %s %s' % (x['label'], r.subject.rfc4514_string()))
    for x in given['certificates']:
        c = x509.load_pem_x509_certificate(x['pem'].encode())
        basic = c.extensions.get_extension_for_class(x509.BasicConstraints).value
        if basic.ca != x['ca'] or (c.not_valid_after - c.not_valid_before).days != 30 or c.issuer != c.subject or c.version != x509.Version.v3 \
            or c.serial_number.bit_length() < 64 or c.serial_number.bit_length() > 159:
            bad.append('certificate %s: ca %s, %s days' % (x['label'], basic.ca, (c.not_valid_after - c.not_valid_before).days))
    # And the other way: what AES made with this key, that the token shall decrypt.
    iv = bytes(range(16))
    e = Cipher(algorithms.AES(value), modes.CBC(iv)).encryptor()
    p = block.PKCS7(128).padder()
    cbc = iv + e.update(p.update(DATA) + p.finalize()) + e.finalize()
    gcm = iv[:12] + AESGCM(value).encrypt(iv[:12], DATA, b'tpaes1aes gcm')
    e = Cipher(algorithms.AES(value), modes.ECB()).encryptor()
    ecb = e.update(b'sixteen bytes ok') + e.finalize()
    return {'bad': bad, 'aes': {'gcm': gcm.hex(), 'cbc-pad': cbc.hex(), 'ecb': ecb.hex()}}

print(json.dumps(make(sys.argv[2]) if sys.argv[1] == 'make' else check(json.load(sys.stdin))))
END
my $program = file('other.py', $python);

sub python {
    my ($input, @arguments) = @_;
    my ($out, $errors) = ('', '');
    IPC::Run::run([ 'python3', $program, @arguments ], '<', \$input, '>', \$out, '2>', \$errors) or die "python3: $errors";
    return decode_json($out);
}
my $made = python('', 'make', $folder);
my $passphrase = file('passphrase', "correct horse\n");

# ---- from there to here

my $mark = -s $node->logfile;
for my $key (@{ $made->{keys} }) {
    my $second = $key->{encrypted} ? "'$passphrase'" : 'NULL';
    sql("SELECT tp_import_key_file('$key->{label}', '$key->{file}', $second, '$key->{usage}')");
    is(sql("SELECT tp_public_key('$key->{label}')"), $key->{public}, "imported from a file: $key->{label}");
}
my $log = slurp_file($node->logfile, $mark);
my @words = map { (split /\n/, slurp_file($_->{file}))[2] } @{ $made->{keys} };
is(scalar(grep { index($log, $_) >= 0 } @words, 'correct horse'), 0, 'no key and no passphrase is in the log, with log_statement = all');
is(sql(q{SELECT count(*) FROM tp_token_key k, tp_key_attributes(k.label) WHERE (attribute, value) = ('CKA_EXTRACTABLE', 'true')
    OR (attribute, value) = ('CKA_SENSITIVE', 'false')}), '0', 'no key can leave the token');
for my $bad ([ 'a wrong passphrase', file('wrong', 'wrong') ], [ 'an empty passphrase file', file('empty', '') ], [ 'no passphrase file', "$folder/none" ]) {
    my ($key) = grep { $_->{encrypted} } @{ $made->{keys} };
    like(try("SELECT tp_import_key_file('x', '$key->{file}', '$bad->[1]')"), qr/^22023: /, "$bad->[0] is refused");
}
chmod 0644, $made->{keys}[0]{file};
like(try("SELECT tp_import_key_file('x', '$made->{keys}[0]{file}')"), qr/^22023: the file of the key is not usable/, 'a file that is open to others is not read');

for my $signed (@{ $made->{signatures} }) {
    is(sql("SELECT tp_verify_with_public_key('$signed->{pem}', 'trustpoint', '\\x$signed->{signature}', '$signed->{algorithm}')"), 't',
        "a signature of theirs: $signed->{algorithm}");
}
is(sql("SELECT convert_from(tp_rsa_decrypt('rsa decrypt pkcs8', '\\x$_->{ciphertext}', '$_->{padding}'), 'UTF8')"), 'trustpoint',
    "a ciphertext of theirs: $_->{padding}") for @{ $made->{ciphertexts} };

# ---- from here to there

sql(q{SELECT tp_generate_rsa_key('own rsa', 2048), tp_generate_ec_key('own P-256'), tp_generate_ec_key('own P-384', 'P-384'),
    tp_generate_ec_key('own P-521', 'P-521'), tp_generate_ec_key('own secp256k1', 'secp256k1')});
my $signatures = sql_json(q{SELECT label, algorithm, tp_public_key(label) AS pem, encode(tp_sign(label, 'trustpoint', algorithm), 'hex') AS signature
    FROM tp_hsm_keys() JOIN (VALUES ('RSA', 'rsa-pss-sha'), ('RSA', 'rsa-pkcs1-sha'), ('EC', 'ecdsa-sha')) AS s (type, scheme) USING (type),
         unnest('{224,256,384,512}'::text[]) AS n, LATERAL (SELECT scheme || n) AS a (algorithm)
    WHERE label ~ '^own|encrypted$' AND usage = 'sign' AND algorithm <> 'ecdsa-sha224'});
is(scalar @$signatures, 2 * 8 + 8 * 3, 'every algorithm, with keys made here and imported ones');
my $data = file('data', 'trustpoint');
for my $signed (grep { $_->{label} =~ /^own/ } @$signatures) {
    my ($hash) = $signed->{algorithm} =~ /(sha\d+)$/;
    my @pss = $signed->{algorithm} =~ /pss/ ? ('-sigopt', 'rsa_padding_mode:pss', '-sigopt', 'rsa_pss_saltlen:digest') : ();
    my ($ok) = openssl('dgst', "-$hash", @pss, '-verify', file('public', $signed->{pem}), '-signature', file('signature', pack('H*', $signed->{signature})), $data);
    ok($ok, "openssl verifies $signed->{label}, $signed->{algorithm}");
}

# AES keys with a value that is known, which other tools brought in and a row of ours gives a mode.
my $value = join '', map { sprintf '%02x', $_ * 7 } 0 .. 31;
for my $mode (qw(gcm cbc-pad ecb)) {
    my $id = { gcm => 'a1', 'cbc-pad' => 'a2', ecb => 'a3' }->{$mode};
    pkcs11_tool($node, '--write-object', file('value', pack('H*', $value)), '--type', 'secrkey', '--key-type', 'AES:32', '--label', "aes $mode",
        '--id', $id, '--usage-decrypt', '--sensitive');
    sql("SELECT tp_token_key_id('aes $mode'); UPDATE tp_token_key SET mode = '$mode' WHERE id = '\\x$id'");
}
my $aes = sql_json(q{SELECT 'aes ' || mode AS label, mode, plaintext, encode(tp_aes_encrypt('aes ' || mode, plaintext::bytea), 'hex') AS ciphertext
    FROM unnest('{gcm,cbc-pad,ecb}'::text[]) AS mode, unnest(ARRAY['sixteen bytes ok', 'seventeen bytes !']) AS plaintext
    WHERE mode <> 'ecb' OR length(plaintext) = 16});
my $requests = sql_json(q{SELECT label, algorithm, tp_csr(label, 'CN=device 1,O=Acme\, Inc.,C=DE',
        '{DNS:a.example,DNS:b.example,IP:192.0.2.1,email:a@example.org}', algorithm) AS pem
    FROM tp_hsm_keys() JOIN (VALUES ('RSA', NULL), ('RSA', 'rsa-pss-sha512'), ('RSA', 'rsa-pkcs1-sha256'), ('EC', NULL), ('EC', 'ecdsa-sha512')) AS a (type, algorithm)
        USING (type) WHERE label ~ '^own'});
my $certificates = sql_json(q{SELECT label, algorithm, ca, tp_self_signed_certificate(label, 'CN=ca,O=Acme', 30, '{DNS:ca.example}', ca, algorithm) AS pem
    FROM tp_hsm_keys() JOIN (VALUES ('RSA', NULL), ('RSA', 'rsa-pkcs1-sha384'), ('EC', NULL)) AS a (type, algorithm) USING (type),
         (VALUES (true), (false)) AS c (ca) WHERE label ~ '^own'});
is(scalar @$requests, 11, 'requests, with every kind of key');
is(scalar @$certificates, 12, 'certificates, too');
for my $request (@$requests) {
    my ($ok, $said) = openssl('req', '-verify', '-noout', '-in', file('request', $request->{pem}));
    like($said, qr/verify OK/, "openssl req -verify: $request->{label}, " . ($request->{algorithm} // 'default')) or diag($ok);
}
for my $certificate (@$certificates) {
    my $pem = file('certificate', $certificate->{pem});
    my $name = "$certificate->{label}, " . ($certificate->{algorithm} // 'default') . ($certificate->{ca} ? ', authority' : '');
    # As a trusted certificate it must be one; each is its own signer.
    my ($ok, $said) = openssl('verify', '-check_ss_sig', '-CAfile', $pem, $pem);
    ok($ok, "openssl verify: $name") or diag($said);
    (undef, $said) = openssl('x509', '-noout', '-text', '-in', $pem);
    like($said, $certificate->{ca} ? qr/CA:TRUE.*Certificate Sign/s : qr/CA:FALSE/, "openssl x509: $name");
}
my ($decrypt) = map { $_->{file} } grep { $_->{label} eq 'rsa decrypt pkcs8' } @{ $made->{keys} };
my $answer = python(encode_json({
    signatures => $signatures, aes => $aes, aes_value => $value, requests => $requests, decrypt_file => $decrypt,
    certificates => [ map { { %$_, ca => $_->{ca} ? JSON::PP::true : JSON::PP::false } } @$certificates ],
    ciphertexts => sql_json(q{SELECT padding, encode(tp_rsa_encrypt('rsa decrypt pkcs8', 'trustpoint', padding), 'hex') AS ciphertext
        FROM unnest('{oaep-sha1,oaep-sha224,oaep-sha256,oaep-sha384,oaep-sha512,pkcs1}'::text[]) AS padding}) }), 'check');
is(join(', ', @{ $answer->{bad} }), '', 'signatures, ciphertexts, requests and certificates of ours are good for them');
is(sql("SELECT convert_from(tp_aes_decrypt('aes $_', '\\x$answer->{aes}{$_}'), 'UTF8')"), $_ eq 'ecb' ? 'sixteen bytes ok' : 'trustpoint',
    "what they encrypted: AES $_") for qw(gcm cbc-pad ecb);

# ---- pkcs11-tool on the same token

sub objects {
    my ($type) = @_;
    my %objects;
    for (split /(?=^(?:Private|Public|Secret) Key Object)/m, pkcs11_tool($node, '--list-objects', '--type', $type)) {
        my ($label) = /label: +(.*)/ or next;
        my ($usage) = /Usage: +(.*)/;
        my ($id) = /ID: +([0-9a-f]+)/;
        my ($access) = /Access: +(.*)/;
        $objects{$label} = join '|', $id, $usage =~ s/, /,/gr, $access =~ /sensitive/ ? 'sensitive' : 'open';
    }
    return \%objects;
}
my $ours = { map { $_->{label} => join '|', $_->{id}, $_->{usage} =~ s/, /,/gr, 'sensitive' }
      @{ sql_json(q{SELECT label, encode(id, 'hex') AS id, usage FROM tp_hsm_keys() WHERE type IN ('RSA', 'EC')}) } };
is_deeply(objects('privkey'), $ours, 'the private keys that pkcs11-tool lists, with id, use and protection, are those of tp_hsm_keys');
is_deeply([ sort keys %{ objects('secrkey') } ], [ sort split /\n/, sql(q{SELECT label FROM tp_hsm_keys() WHERE type = 'AES'}) ], 'and the secret keys');
is_deeply([ sort keys %{ objects('pubkey') } ], [ sort keys %$ours ], 'each private key has its public half');

sub signed_by_tool {
    my ($label, @arguments) = @_;
    my $id = sql("SELECT encode(id, 'hex') FROM tp_token_key WHERE label = '$label'");
    pkcs11_tool($node, '--sign', '--id', $id, @arguments, '--input-file', $data, '--output-file', "$folder/tool");
    return unpack 'H*', slurp_file("$folder/tool");
}
is(sql("SELECT tp_verify('own rsa', 'trustpoint', '\\x" . signed_by_tool('own rsa', '--mechanism', 'SHA256-RSA-PKCS') . q{', 'rsa-pkcs1-sha256')}),
    't', 'what pkcs11-tool signs with our RSA key verifies');
is(sql("SELECT tp_verify('own rsa', 'trustpoint', '\\x" . signed_by_tool('own rsa', '--mechanism', 'SHA512-RSA-PKCS-PSS', '--salt-len', '-1') . q{', 'rsa-pss-sha512')}),
    't', 'and with PSS');
file('digest', pack 'H*', sql(q{SELECT encode(sha256('trustpoint'), 'hex')}));
$data = "$folder/digest";
is(sql("SELECT tp_verify('own P-256', 'trustpoint', '\\x" . signed_by_tool('own P-256', '--mechanism', 'ECDSA', '--signature-format', 'openssl') . q{')}),
    't', 'and with our EC key');
$data = "$folder/data";

# A key that pkcs11-tool made: the owner's to use, and others' by a grant.
pkcs11_tool($node, '--keypairgen', '--key-type', 'EC:prime256v1', '--label', 'theirs', '--id', 'b1', '--usage-sign');
sql('CREATE ROLE app LOGIN; GRANT EXECUTE ON FUNCTION tp_sign TO app');
is(sql(q{SELECT tp_verify('theirs', 'x', tp_sign('theirs', 'x'))}), 't', 'a key of theirs signs here');
like(try_sql($node, 'postgres', q{SELECT tp_sign('theirs', 'x')}, role => 'app'), qr/^42704: /, 'for the owner alone');
is(sql(q{SELECT known FROM tp_hsm_keys() WHERE label = 'theirs'}), 'f', 'without a row');
sql(q{SELECT tp_grant_key('theirs', 'app', '{sign}')});
like(try_sql($node, 'postgres', q{SELECT tp_sign('theirs', 'x')}, role => 'app'), qr/^\\x30/, 'until it is granted');
is(sql(q{SELECT known FROM tp_hsm_keys() WHERE label = 'theirs'}), 't', 'which makes its row');
like(try(q{SELECT tp_generate_ec_key('theirs')}), qr/^42710: /, 'its label is taken');
pkcs11_tool($node, '--keypairgen', '--key-type', 'EC:prime256v1', '--label', 'foreign', '--id', 'b2', '--usage-sign');
like(try(q{SELECT tp_generate_ec_key('foreign')}), qr/^42710: /, 'also of one without a row');
pkcs11_tool($node, '--keypairgen', '--key-type', 'EC:prime256v1', '--label', 'foreign', '--id', 'b3', '--usage-sign');
like(try("SELECT $_"), qr/^42710: /, "two keys of one label are an error, never a guess: $_")
  for q{tp_sign('foreign', 'x')}, q{tp_destroy_key('foreign')}, q{tp_rename_key('foreign', 'x')}, q{tp_grant_key('foreign', 'app', '{sign}')};
is(sql(q{SELECT tp_verify('pkcs11:id=%b2', 'x', tp_sign('pkcs11:id=%b2', 'x'))}), 't', 'an id tells them apart');
is(sql(q{SELECT tp_verify('pkcs11:id=%b3', 'x', tp_sign('pkcs11:id=%b2', 'x'))}), 'f', 'and is not mistaken');
is(sql(q{SELECT tp_verify('pkcs11:id=%b2;object=foreign', 'x', tp_sign('pkcs11:object=foreign;id=%b2', 'x'))}), 't', 'with its label too');
like(try(q{SELECT tp_sign('pkcs11:id=%b2;object=theirs', 'x')}), qr/^42704: /, 'both must match');
sql(q{SELECT tp_destroy_key('pkcs11:id=%b3')});
# Another key with the id of a destroyed one is another key.
pkcs11_tool($node, '--keypairgen', '--key-type', 'EC:prime256v1', '--label', 'same id', '--id', 'b3', '--usage-sign');
sql(q{SELECT tp_generate_aes_key('passing')});
is(sql(q{SELECT tp_verify('same id', 'x', tp_sign('same id', 'x'))}), 't', 'a new key of theirs with the id of a destroyed one stays');
sql(q{SELECT tp_rename_key('foreign', 'named'); SELECT tp_destroy_key('named')});
unlike(pkcs11_tool($node, '--list-objects', '--type', 'privkey'), qr/foreign|named|destroyed/, 'one of theirs is renamed and destroyed here');
pkcs11_tool($node, '--delete-object', '--type', $_, '--label', 'theirs') for 'privkey', 'pubkey';
like(try_sql($node, 'postgres', q{SELECT tp_sign('theirs', 'x')}, role => 'app'), qr/^42704: /, 'a key that other tools destroyed is missed');
is(sql(q{SELECT tp_destroy_key('theirs')}), '', 'its row goes with tp_destroy_key');
like(sql(q{SELECT tp_generate_ec_key('theirs')}), qr/^\\x/, 'and its label is free again');

# ---- a database that is not UTF-8

sql(q{CREATE DATABASE latin ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0});
set_up($node, 'latin');
is(try_sql($node, 'latin', q{SELECT tp_generate_ec_key(U&'Schl\00fcssel') IS NOT NULL}), 't', 'LATIN1: a label beyond ASCII');
is(try_sql($node, 'latin', q{SELECT tp_verify(U&'Schl\00fcssel', 'x', tp_sign(U&'Schl\00fcssel', 'x'))}), 't', 'LATIN1: is found again');
is(sql(q{SELECT tp_verify('Schlüssel', 'x', tp_sign('Schlüssel', 'x'))}), 't', 'in UTF-8 it is the same label');
sql(q{SELECT tp_generate_ec_key('€')});
is(try_sql($node, 'latin', q{SELECT count(*) FROM tp_hsm_keys() WHERE label IN (U&'Schl\00fcssel', '???')}), '2', 'LATIN1: a label that has no place there is shown as it can be');
is(try_sql($node, 'latin', q{SELECT count(*) > 0 FROM tp_key_attributes('pkcs11:object=%E2%82%AC')}) =~ s/:.*//r, '22P05', 'LATIN1: and cannot be named');

$session->quit;
$node->stop;
done_testing();
