# A new session finds its DEK in a small tp_dek, which it reads from the file, and in a large one, by the index: as it
# is committed, wherever the file is.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::RealBin/../perl";
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use TrustpointCluster;

my $node = new_cluster('sizes');
set_up($node);
my $folder = $node->basedir . '/tablespace';
mkdir $folder or die "$folder: $!";
$node->safe_psql('postgres', "CREATE TABLESPACE elsewhere LOCATION '$folder'");
$node->safe_psql('postgres', q{CREATE ROLE app; GRANT USAGE ON SCHEMA public TO app;
    SELECT tp_grant('app', 'encrypt'); SELECT tp_grant('app', 'decrypt')});

sub one { return $node->safe_psql('postgres', $_[0]) }
my $as_app = 'SET ROLE app;';
# Without EXECUTE, which tp_revoke would take too.
my $take_grant = q{DELETE FROM tp_dek_grant WHERE capability = 'decrypt'};
my $key_now = q{SELECT key_id FROM tp_inspect(tp_encrypt('probe'))};

# What new sessions see, as the owner and as a role that has grants.
sub check_rows {
    my ($when) = @_;
    my $first = one($key_now);
    my $value = one(q{SELECT tp_encrypt('kept')});
    is(one("$as_app SELECT tp_decrypt('$value')"), 'kept', "$when: a value, by the id of its DEK");

    my $open = session($node);
    ask($open, 'BEGIN');
    my $second = ask($open, 'SELECT tp_rotate_dek()');
    is(ask($open, $key_now), $second, "$when: a rotation is seen by its own transaction");
    ask($open, $take_grant);
    is(one($key_now), $first, "$when: not by others before it commits");
    is(one("$as_app SELECT tp_decrypt('$value')"), 'kept', "$when: nor is a grant gone");
    ask($open, 'ROLLBACK');
    is(one($key_now), $first, "$when: nor ever when it does not");

    ask($open, 'BEGIN');
    $second = ask($open, 'SELECT tp_rotate_dek()');
    ask($open, $take_grant);
    ask($open, 'COMMIT');
    is(one($key_now), $second, "$when: but by all afterwards");
    is(one(qq{SELECT tp_decrypt('$value')}), 'kept', "$when: the older DEK still reads");
    my ($status, undef, $errors) = $node->psql('postgres', "$as_app SELECT tp_decrypt('$value')");
    like($errors, qr/role "app" may not decrypt/, "$when: and the grant is gone");
    ask($open, q{SELECT tp_grant('app', 'decrypt')});
    $open->quit;
}

sub check_files {
    my ($size) = @_;
    check_rows($size);
    $node->safe_psql('postgres', "VACUUM FULL $_") for 'tp_dek', 'tp_dek_grant';
    check_rows("$size, written anew");
    $node->safe_psql('postgres', "ALTER TABLE $_ SET TABLESPACE elsewhere") for 'tp_dek', 'tp_dek_grant';
    check_rows("$size, in another tablespace");
    $node->safe_psql('postgres', "ALTER TABLE $_ SET TABLESPACE pg_default") for 'tp_dek', 'tp_dek_grant';
}

my $pages = q{SELECT pg_relation_size('tp_dek') / current_setting('block_size')::int};
cmp_ok(one($pages), '<=', 8, 'tp_dek is small at first');
check_files('small');

# A session with many DEKs reads their rows again at each change, and keeps no copy of the table for each of them.
one(q{SELECT count(tp_create_dek('tenant ' || n)) FROM generate_series(1, 150) n});
one('VACUUM FULL tp_dek');
cmp_ok(one($pages), '<=', 8, 'tp_dek is small with 150 names');
my $many = session($node);
my $pid = ask($many, 'SELECT pg_backend_pid()');
sub most_memory { return slurp_file("/proc/$pid/status") =~ /^VmHWM:\s+(\d+)/m ? $1 : die "no VmHWM" }
ask($many, q{SELECT count(tp_encrypt('x', '', 'tenant ' || n)) FROM generate_series(1, 150) n});
my $before = most_memory();
one('SELECT tp_rotate_dek()');
ask($many, q{SELECT tp_encrypt('x')});
cmp_ok(most_memory() - $before, '<', 3072, 'a change of keys takes a session with 150 open DEKs no megabytes');
is(ask($many, q{SELECT count(tp_decrypt(tp_encrypt('x', '', 'tenant ' || n))) FROM generate_series(1, 150) n}), '150', 'which are all still good');
$many->quit;

one(q{SELECT count(tp_create_dek('tenant ' || n)) FROM generate_series(151, 400) n});
cmp_ok(one($pages), '>', 8, 'and large with many names');
check_files('large');
my @values = split /\n/, one(q{SELECT tp_encrypt('of ' || n, '', 'tenant ' || n) FROM generate_series(1, 400, 57) n});
is(one("SELECT tp_decrypt('$values[$_]')"), 'of ' . (1 + 57 * $_), "a value of tenant " . (1 + 57 * $_)) for 0 .. $#values;

done_testing();
