// The boundary between C++ and PostgreSQL: the only place where a core error becomes an ereport.
//
// ereport is a longjmp, so no frame that it crosses may own an object with a destructor, and none of it
// happens in a catch. A SQL function is a sandwich: PostgreSQL reads the arguments and pallocs the result;
// Run executes a body that may throw and never calls PostgreSQL; PostgreSQL returns.
#pragma once

#include <type_traits>
#include <utility>

#include "base/error.hpp"

namespace trustpoint::pg {

// ereport(ERROR) with the SQLSTATE of the code.
[[noreturn]] void Raise(const base::Failure& failure);

// Runs the body; raises what it throws, after all its frames are gone.
template <class Body>
void Run(Body&& body) {
  static_assert(std::is_trivially_destructible_v<std::remove_reference_t<Body>>, "capture by reference");
  base::Failure failure;
  if (!base::Contain(&failure, std::forward<Body>(body))) Raise(failure);
}

}  // namespace trustpoint::pg
