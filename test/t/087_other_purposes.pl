# The life of a key, for the DEKs of Trustpoint's fields and of blind indexes: a new KEK, states, destruction, recovery of
# nothing that was destroyed.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::RealBin/../perl";
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use TpsecFixtures;
use TrustpointCluster;

my $node = new_cluster('purposes', conf => "fsync = off\n");
set_up($node);
import_kek($node, 'trustpoint-app-secret-kek', my $kek = random_key(), '01');
my %dek = map { $_ => random_key() } qw(old new);
my %wrapped = map { my %all = wrapped_deks($kek, $dek{$_}); $_ => $all{'cwrap-rfc3394'} } keys %dek;
my %field = map { $_ => (map { $_->[2] } grep { length $_->[2] } fields($dek{$_}))[0] } keys %dek;
my %import = map { $_ => "SELECT tp_import_dek('\\x$wrapped{$_}', 'trustpoint-app-secret-kek', NULL)" } keys %dek;
my %id;
$id{$_} = $node->safe_psql('postgres', $import{$_}) for qw(old new);
$id{first} = $node->safe_psql('postgres', q{SELECT tp_create_dek('default', 'index')});
my $first_index = $node->safe_psql('postgres', q{SELECT tp_blind_index('x', 'c')});
$id{second} = $node->safe_psql('postgres', q{SELECT tp_rotate_dek('default', 'index')});
my $second_index = $node->safe_psql('postgres', q{SELECT tp_blind_index('x', 'c')});

my $open = session($node);
my $candidates = q{SELECT array_to_string(tp_blind_index_candidates('x', 'c'), ' ')};
my $both = "$second_index $first_index";

sub unchanged {
    my ($when) = @_;
    for my $ask (sub { ask($open, $_[0]) }, sub { try_sql($node, 'postgres', $_[0]) }) {
        is($ask->("SELECT tpsec_decrypt('$field{$_}')"), 'x', "$when: a field under the $_ DEK") for qw(old new);
        is($ask->($candidates), $both, "$when: the blind indexes are the same");
    }
    is(open_field($dek{new}, ask($open, q{SELECT tpsec_encrypt('mine')})), unpack('H*', 'mine'), "$when: Python reads what is written");
}
unchanged('at first');
like($node->safe_psql('postgres', q{SELECT tp_rotate_kek('another kek')}), qr/./, 'a new KEK');
unchanged('under a new KEK');
is($node->safe_psql('postgres', q{SELECT count(DISTINCT kek_id) FROM tp_dek}), '1', 'it wraps them all');
for my $label ('trustpoint-pg-kek', 'another kek') {
    like(try_sql($node, 'postgres', "SELECT tp_import_dek('\\x$wrapped{old}', '$label', NULL)"), qr/^22023: "$label" is the label of a KEK/,
        "$label is no KEK of Trustpoint's");
}
$open->quit;
$node->restart;
$open = session($node);
unchanged('after a restart');

$node->safe_psql('postgres', "SELECT tp_disable_dek($id{old}), tp_disable_dek($id{first})");
like(ask($open, "SELECT tpsec_decrypt('$field{old}')"), qr/^22000/, 'a disabled DEK opens nothing');
is(ask($open, $candidates), $second_index, 'and is no candidate');
$node->safe_psql('postgres', "SELECT tp_enable_dek($id{old}), tp_enable_dek($id{first})");
unchanged('enabled again');
like(try_sql($node, 'postgres', "SELECT tp_destroy_dek($id{new}, 'default')"), qr/^55000/, 'an active one is not destroyed');
$node->safe_psql('postgres', "SELECT tp_destroy_dek($id{old}, 'default'), tp_destroy_dek($id{first}, 'default')");
for my $ask (sub { ask($open, $_[0]) }, sub { try_sql($node, 'postgres', $_[0]) }) {
    like($ask->("SELECT tpsec_decrypt('$field{old}')"), qr/^22000/, 'a destroyed DEK opens nothing');
    is($ask->("SELECT tpsec_decrypt('$field{new}')"), 'x', 'the other goes on');
    is($ask->($candidates), $second_index, 'and one candidate is left');
}
like(try_sql($node, 'postgres', $import{new}), qr/^42710: this DEK is here already/, 'a DEK that is here is not imported again');
like(try_sql($node, 'postgres', $import{old}), qr/^\d+$/, 'one that was destroyed may be, by who still has it wrapped');
is(ask($open, "SELECT tpsec_decrypt('$field{$_}')"), 'x', "then the $_ one opens its fields") for qw(old new);
$open->quit;
$node->stop;
done_testing();
