# trustpoint: the extension by PGXS, everything else by the targets of `make help`.
MODULE_big = trustpoint
EXTENSION = trustpoint
DATA = $(wildcard trustpoint--*.sql) migration/tpsec_migration.sql
OBJS = $(patsubst %.cpp,%.o,$(wildcard src/*/*.cpp))
# In this order: setup makes what the others use.
REGRESS = setup encrypt value rewrap keys dek_states reencrypt hsm tpsec blind_index privileges errors \
	token_fixtures token_objects token_rsa token_ec token_aes token_digest token_sessions token_certificates \
	token_privileges token_errors kek check catalog

PG_CPPFLAGS = -Isrc $(shell pkg-config --cflags p11-kit-1)
PG_CXXFLAGS = -std=c++20 -fvisibility=hidden -Wall -Wextra -Wno-register -Wno-unused-parameter \
	-Wno-missing-field-initializers $(if $(WERROR),-Werror) -MMD
SHLIB_LINK = -lcrypto -ldl
EXTRA_CLEAN = $(OBJS:.o=.d) build $(wildcard test/tools/*.d test/tools/*.so docker/*.d) test/tools/print_dek docker/trustpoint-token

# What is called for every value stands in many files: optimised as one when it is linked, it costs 7 % less. By GCC alone, as clang
# needs more for it; and not with a sanitizer, whose reports name the functions as they are written.
PG_CXXFLAGS += $(if $(SANITIZE),,$(if $(findstring Free Software,$(shell $(CXX) --version)),-flto=auto))

# PostgreSQL's -fwrapv gives signed overflow a meaning, and then it is not looked for.
ifdef SANITIZE
PG_CXXFLAGS += -fno-wrapv -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer
SHLIB_LINK += -fsanitize=address,undefined
endif

# Clang would compile the bitcode without the flags above, and C++20 does not survive that.
override with_llvm = no

# The targets that need no PostgreSQL yet leave PGXS out; it has a `check` of its own, which only refuses.
SCRIPTED = help demo check check-trixie container package package-check unit tap soak django django-example bench bench-core fuzz valgrind \
	asan format lint
.PHONY: $(SCRIPTED)

# Elsewhere it would find no source, and install an empty library.
ifneq ($(realpath $(dir $(firstword $(MAKEFILE_LIST)))),$(CURDIR))
$(error build in the folder of the Makefile, or in a copy of it)
endif

ifneq ($(filter-out $(SCRIPTED),$(or $(MAKECMDGOALS),all)),)
PG_CONFIG ?= pg_config
PGXS := $(shell $(PG_CONFIG) --pgxs 2>/dev/null)
ifeq ($(wildcard $(PGXS)),)
$(error $(PG_CONFIG) finds no PGXS: install postgresql-server-dev, or set PG_CONFIG (`make demo` and `make check` install it))
endif
include $(PGXS)
# A C++ library is linked by the C++ compiler. What that warns of then hangs on what it has inlined, and is no error.
override COMPILER = $(CXX) $(filter-out -Werror,$(CXXFLAGS))
-include $(OBJS:.o=.d)

# For the tests: the core without PostgreSQL.
test/tools/print_dek: test/tools/print_dek.cpp $(filter-out src/pg/%,$(OBJS))
	$(CXX) $(CXXFLAGS) $(CPPFLAGS) -o $@ $^ $(SHLIB_LINK)

# For the tests: what is preloaded into a server, or loaded as a token. No sanitizer is in it, but it may stand before one.
test/tools/%.so: test/tools/%.cpp
	$(CXX) -std=c++20 -O2 -Wall -Wextra -fPIC -shared $(if $(SANITIZE),-DSANITIZE) $(PG_CPPFLAGS) -o $@ $< -ldl

# For the container: base and pkcs11 alone.
docker/trustpoint-token: docker/trustpoint_token.cpp $(filter src/base/% src/pkcs11/%,$(OBJS))
	$(CXX) $(CXXFLAGS) $(CPPFLAGS) -o $@ $^ -ldl
endif

help:
	@echo 'make               build the extension (needs PostgreSQL with PGXS; PG_CONFIG=... chooses one)'
	@echo 'make install       install it into that PostgreSQL'
	@echo 'make demo          install what is missing, then show the main job on a private server and token'
	@echo 'make check         install what is missing, then run all tests and linters'
	@echo 'make check-trixie  the tests on a Debian 13 of its own, as root (PARTS="unit tap" for some of them)'
	@echo 'make installcheck  pg_regress on the running, configured server of PGHOST, PGPORT: see test/check'
	@echo 'make unit          unit tests of the core, built in build/'
	@echo 'make tap           TAP tests on private servers (PROVE_TESTS="test/t/..." for some of them)'
	@echo 'make soak          half an hour of mixed load while harm is done (TP_SOAK=... seconds; two minutes of it are in make tap)'
	@echo 'make container     docker/ built and run by buildah (as root, with buildah and mmdebstrap)'
	@echo 'make package       a Debian package for this PostgreSQL, in build/'
	@echo 'make package-check the same, installed on a clean machine, tested and purged there (as root, with mmdebstrap)'
	@echo 'make django        tests of the Django package on a private server'
	@echo 'make django-example   the example project at http://127.0.0.1:8000 (PORT=... for another port)'
	@echo 'make bench         the benchmark: renews test/bench/RESULTS.md, in about ten minutes (QUICK=1: only shows that it runs)'
	@echo 'make bench-core    benchmarks of the core without PostgreSQL'
	@echo 'make fuzz          fuzzers of the parsers from their corpora (FUZZ_SECONDS=... each, 60 by default)'
	@echo 'make valgrind      unit tests of the core under Valgrind memcheck'
	@echo 'make asan          all tests with AddressSanitizer and UndefinedBehaviorSanitizer'
	@echo 'make format        clang-format the sources in place'
	@echo 'make lint          clang-format, cppcheck and clang-tidy: fails on any finding'

# These go on in a copy of the tree in /tmp, as an unprivileged user. KEEP=1 leaves it there to look at.
demo:
	@bash test/setup test/demo/run
ifneq ($(if $(PGXS),$(filter check,$(MAKECMDGOALS)),always),)
check:
	@bash test/setup test/check $(or $(PARTS),container package lint unit valgrind fuzz regress tap django)
endif
# As CI does it: what is missing there is a failure. SUITE=sid for another one; MACHINE=/folder keeps the machine for the next time.
check-trixie:
	@CI=true DJANGO_DRIVER=$(or $(DJANGO_DRIVER),psycopg) bash test/machine $(or $(SUITE),trixie) make --no-print-directory check
container:
	@bash test/setup test/check container
package:
	@bash packaging/build
package-check:
	@bash test/setup test/check package
tap:
	@bash test/setup test/check tap
soak:
	@TP_SOAK=$(or $(TP_SOAK),1800) PROVE_TESTS=test/t/110_soak.pl bash test/setup test/check tap
django:
	@bash test/setup test/check django
django-example:
	@bash test/setup test/django/run-example
bench:
	@bash test/bench/keep
bench-core:
	@bash test/setup test/check bench-core
fuzz:
	@FUZZ_SECONDS=$(or $(FUZZ_SECONDS),60) bash test/setup test/check fuzz
valgrind:
	@bash test/setup test/check valgrind-whole
asan:
	@SANITIZE=1 bash test/setup test/check unit regress tap django

JOBS := $(shell nproc 2>/dev/null || echo 2)
BUILD = build$(if $(SANITIZE),/asan)
SOURCES = $(wildcard src/*/*.[ch]pp test/*/*.[ch]pp docker/*.cpp)

unit:
	cmake -S . -B $(BUILD) $(if $(SANITIZE),-DTRUSTPOINT_SANITIZE=ON)
	cmake --build $(BUILD) -j $(JOBS)
	ctest --test-dir $(BUILD) --output-on-failure -j $(JOBS) --timeout 600

format:
	clang-format -i $(SOURCES)

# src/pg is left to the compiler's warnings: PostgreSQL's macros drown both tools. TIDY='src/envelope/%' has clang-tidy,
# which takes the longest, look at that alone.
CORE = $(filter-out src/pg/%,$(wildcard src/*/*.cpp))
TIDY = %
lint:
	@clang-format --dry-run -Werror $(SOURCES)
	@cppcheck --quiet --error-exitcode=1 --inline-suppr --std=c++20 --language=c++ -I src \
		--enable=warning,performance,portability $(CORE)
	@cmake -S . -B build >/dev/null
	@printf '%s\n' $(filter $(TIDY),$(CORE)) | xargs -P $(JOBS) -n 4 clang-tidy -p build --quiet
