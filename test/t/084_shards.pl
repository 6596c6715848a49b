# A table sharded over clusters by partitions and postgres_fdw: each shard has its own token and keys and decrypts its own
# rows, all at once; the coordinator holds no key, no token and not even the extension.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::RealBin/../perl";
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use TrustpointCluster;

my $conf = "fsync = off\nmax_prepared_transactions = 10\n";
my %shard = map { $_ => new_cluster("shard$_", conf => $conf) } 1 .. 3;
my $coordinator = PostgreSQL::Test::Cluster->new('coordinator');
$coordinator->init;
$coordinator->append_conf('postgresql.conf', $conf);
$coordinator->start;

# On each shard: the table of ciphertext, and a view that decrypts for whoever may. The view is as good as the table for
# the coordinator: what is written to it is encrypted here.
for my $n (sort keys %shard) {
    set_up($shard{$n});
    $shard{$n}->safe_psql('postgres', q{
        SELECT tp_create_dek('default', 'index');
        CREATE ROLE coordinator LOGIN; CREATE ROLE blind LOGIN;
        CREATE TABLE person_data (id int PRIMARY KEY, email bytea NOT NULL CHECK (tp_is_encrypted(email)), email_index bytea NOT NULL UNIQUE);
        CREATE VIEW person AS SELECT id, tp_decrypt(email, tp_context('person', 'email', id::text)) AS email FROM person_data;
        -- postgres_fdw sets an empty search_path, so that what runs here needs one of its own.
        CREATE FUNCTION person_write() RETURNS trigger LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
        BEGIN
            IF TG_OP IN ('UPDATE', 'DELETE') THEN
                DELETE FROM person_data WHERE id = OLD.id;
            END IF;
            IF TG_OP = 'DELETE' THEN
                RETURN OLD;
            END IF;
            INSERT INTO person_data VALUES (NEW.id, tp_encrypt(NEW.email, tp_context('person', 'email', NEW.id::text)),
                tp_blind_index(lower(NEW.email), 'person.email'));
            RETURN NEW;
        END $$;
        CREATE TRIGGER person_write INSTEAD OF INSERT OR UPDATE OR DELETE ON person FOR EACH ROW EXECUTE FUNCTION person_write();
        -- Asked by parameter, so that the blind index is made here, from a value that crosses as a parameter.
        CREATE FUNCTION person_by_email(wanted text) RETURNS SETOF int LANGUAGE sql STABLE SET search_path = public, pg_temp AS $$
            SELECT id FROM person_data WHERE email_index = ANY (tp_blind_index_candidates(lower(wanted), 'person.email'))
        $$;
        SELECT tp_grant('coordinator', 'encrypt'), tp_grant('coordinator', 'decrypt'), tp_grant('coordinator', 'search');
        GRANT ALL ON person, person_data TO coordinator; GRANT SELECT ON person, person_data TO blind});
}
is(scalar(keys %{ { map { $_->safe_psql('postgres', 'SELECT id FROM tp_kek') => 1 } values %shard } }), 3, 'each shard has a KEK of its own');

my $servers = join '', map {
    my ($host, $port) = ($shard{$_}->host, $shard{$_}->port);
    qq{CREATE SERVER shard$_ FOREIGN DATA WRAPPER postgres_fdw
        OPTIONS (host '$host', port '$port', dbname 'postgres', async_capable 'true', use_remote_estimate 'false', fetch_size '1000');
    CREATE USER MAPPING FOR CURRENT_USER SERVER shard$_ OPTIONS (user 'coordinator');
    CREATE USER MAPPING FOR blind SERVER shard$_ OPTIONS (user 'blind', password_required 'false');
    CREATE FOREIGN TABLE person_$_ PARTITION OF person FOR VALUES WITH (MODULUS 3, REMAINDER } . ($_ - 1) . qq{)
        SERVER shard$_ OPTIONS (table_name 'person');
    CREATE FOREIGN TABLE person_data_$_ (id int, email bytea, email_index bytea) SERVER shard$_ OPTIONS (table_name 'person_data');
    }
} sort keys %shard;
$coordinator->safe_psql('postgres', qq{CREATE EXTENSION postgres_fdw; CREATE ROLE blind LOGIN;
    CREATE TABLE person (id int, email text) PARTITION BY HASH (id); $servers
    GRANT SELECT ON ALL TABLES IN SCHEMA public TO blind});

sub ask_all { my ($sql, %option) = @_; return try_sql($coordinator, 'postgres', $sql, %option); }

# ---- written through the coordinator, encrypted where it is kept

is(ask_all(q{INSERT INTO person SELECT n, 'User' || n || '@example.org' FROM generate_series(1, 900) n}), '', 'rows are written through the coordinator');
my $rows = 0;
for my $n (sort keys %shard) {
    my $here = $shard{$n}->safe_psql('postgres', 'SELECT count(*) FROM person_data');
    cmp_ok($here, '>', 200, "shard $n has its part");
    $rows += $here;
    is($shard{$n}->safe_psql('postgres', q{SELECT count(DISTINCT (i).key_id), bool_and((i).key_id = (SELECT d.id FROM tp_dek d WHERE purpose = 'data'))
        FROM (SELECT tp_inspect(email) AS i FROM person_data) p}), '1|t', 'under its own DEK');
}
is($rows, 900, 'no row is lost or twice');
is($coordinator->safe_psql('postgres', q{SELECT count(*) FROM pg_extension WHERE extname = 'trustpoint'}), '0', 'the coordinator does not know the extension');

sub reads_all {
    my ($when) = @_;
    is(ask_all(q{SELECT count(*), count(DISTINCT email) FROM person WHERE email = 'User' || id || '@example.org'}), '900|900', "$when: every row");
    is(ask_all('SELECT email FROM person WHERE id = 42'), 'User42@example.org', "$when: one row");
}
reads_all('all shards');

# ---- all at once, and only where needed

my $plan = $coordinator->safe_psql('postgres', 'EXPLAIN (VERBOSE, COSTS OFF) SELECT id, email FROM person');
is(scalar(() = $plan =~ /Async Foreign Scan on public\.person_\d/g), 3, 'the shards are asked at the same time');
is(scalar(() = $plan =~ /Remote SQL: SELECT id, email FROM public\.person$/mg), 3, 'and each decrypts its own rows');
$plan = $coordinator->safe_psql('postgres', 'EXPLAIN (VERBOSE, COSTS OFF) SELECT email FROM person WHERE id = 42');
is(scalar(() = $plan =~ /Foreign Scan/g), 1, 'one row is asked of one shard');
like($plan, qr/Remote SQL: .* WHERE \(\(id = 42\)\)/, 'which decrypts that one');
$coordinator->safe_psql('postgres', 'SET enable_partitionwise_aggregate = on; SELECT count(email) FROM person');

# Each shard has the plan of a table of its own: with workers, which decrypt too.
$plan = $shard{1}->safe_psql('postgres', q{SET parallel_setup_cost = 0; SET parallel_tuple_cost = 0; SET min_parallel_table_scan_size = 0;
    EXPLAIN (COSTS OFF) SELECT id, email FROM person WHERE email LIKE 'User1%'});
like($plan, qr/Parallel Seq Scan on person_data\n.*Filter: \(tp_decrypt/, 'a shard decrypts in parallel workers');

# ---- ciphertext crosses where no right to decrypt is

is(ask_all(q{SELECT count(*), min(octet_length(email)) > 45 FROM person_data_1}, role => 'blind') =~ /^\d+\|t$/ ? 1 : 0, 1, 'a role without a grant gets ciphertext');
like(ask_all('SELECT email FROM person WHERE id = 42', role => 'blind'), qr/^42501/, 'and no plaintext');
my ($other) = split /\n/, $shard{1}->safe_psql('postgres', 'SELECT email FROM person_data LIMIT 1');
like(try_sql($shard{2}, 'postgres', "SELECT tp_decrypt('$other')"), qr/^42704: there is no DEK with id/, 'a shard cannot read the rows of another');

# ---- changes through the coordinator

is(ask_all(q{UPDATE person SET email = 'new@example.org' WHERE id = 42; SELECT email FROM person WHERE id = 42}), 'new@example.org', 'an update');
is(ask_all(q{DELETE FROM person WHERE id = 43; SELECT count(*) FROM person WHERE id = 43}), '0', 'a deletion');
like(ask_all(q{INSERT INTO person SELECT id, 'USER' || id || '@example.org' FROM person WHERE id = 44}), qr/^23505/, 'unique on its shard, by blind index');
is(ask_all(q{UPDATE person SET email = 'User42@example.org' WHERE id = 42; INSERT INTO person VALUES (43, 'User43@example.org')}), '', 'and back');
is($shard{$_}->safe_psql('postgres', q{SELECT count(*) FROM person_by_email('USER42@example.org')}) > 0 ? $_ : 0,
    $shard{$_}->safe_psql('postgres', 'SELECT count(*) FROM person_data WHERE id = 42') > 0 ? $_ : 0, "shard $_: found by email where it is")
  for sort keys %shard;

# ---- keys have their lives on each shard

my $open = session($coordinator);
is(ask($open, 'SELECT email FROM person WHERE id = 42'), 'User42@example.org', 'an open session of the coordinator');
$shard{$_}->safe_psql('postgres', q{SELECT tp_rotate_dek(); UPDATE person_data SET email = tp_rewrap(email, tp_context('person', 'email', id::text)) WHERE id % 2 = 0})
  for 1, 2;
is(ask($open, q{SELECT count(*) FROM person WHERE email = 'User' || id || '@example.org'}), '900', 'rotations of two shards are not noticed');
$shard{3}->restart;
reads_all('after a restart of a shard');
$open->quit;
$open = session($coordinator);
rename(token_folder($shard{2}) . '/tokens', token_folder($shard{2}) . '/away') or die $!;
$shard{2}->restart;
like(ask($open, 'SELECT count(email) FROM person'), qr/^58000: /, 'a shard whose token is away says so, through the coordinator');
is(ask($open, 'SELECT count(email) > 200 FROM person_1'), 't', 'the others go on');
rename(token_folder($shard{2}) . '/away', token_folder($shard{2}) . '/tokens') or die $!;
is(ask($open, q{SELECT count(*) FROM person WHERE email = 'User' || id || '@example.org'}), '900', 'and it comes back');
$open->quit;
$coordinator->restart;
reads_all('after a restart of the coordinator');
$coordinator->stop;
$_->stop for values %shard;
done_testing();
