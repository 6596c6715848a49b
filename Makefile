# trustpoint: the extension by PGXS, everything else by the targets of `make help`.
MODULE_big = trustpoint
EXTENSION = trustpoint
DATA = $(wildcard trustpoint--*.sql)
OBJS = $(patsubst %.cpp,%.o,$(wildcard src/*/*.cpp))
REGRESS = $(patsubst sql/%.sql,%,$(sort $(wildcard sql/*.sql)))
TAP_TESTS = 1
PROVE_TESTS = test/t/*.pl

PG_CPPFLAGS = -Isrc $(shell pkg-config --cflags p11-kit-1)
PG_CXXFLAGS = -std=c++20 -fvisibility=hidden -Wall -Wextra -Wno-register -Wno-unused-parameter \
	-Wno-missing-field-initializers -Werror -MMD
SHLIB_LINK = -lcrypto -ldl
EXTRA_CLEAN = $(OBJS:.o=.d) build

# Clang would compile the bitcode without the flags above, and C++20 does not survive that.
override with_llvm = no

# The targets that only run scripts need no PostgreSQL installed yet.
PG_CONFIG ?= pg_config
PGXS := $(shell $(PG_CONFIG) --pgxs 2>/dev/null)
ifneq ($(PGXS),)
include $(PGXS)
# A C++ library is linked by the C++ compiler.
override COMPILER = $(CXX) $(CXXFLAGS)
-include $(OBJS:.o=.d)
endif
