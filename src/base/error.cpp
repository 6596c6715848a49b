#include "base/error.hpp"

#include <cstddef>
#include <cstring>

namespace trustpoint::base {
namespace {

template <std::size_t N>
void CopyText(char (&target)[N], std::string_view text) noexcept {
  std::size_t size = text.size() < N ? text.size() : N - 1;
  if (size < text.size())  // not in the middle of a UTF-8 sequence
    while (size > 0 && (static_cast<unsigned char>(text[size]) & 0xC0) == 0x80) --size;
  if (size > 0) std::memcpy(target, text.data(), size);
  target[size] = '\0';
}

}  // namespace

Error::Error(ErrorCode code, std::string_view message, std::string_view detail,
             std::string_view hint) noexcept {
  failure_.code = code;
  failure_.wait_ms = 0;
  CopyText(failure_.message, message);
  CopyText(failure_.detail, detail);
  CopyText(failure_.hint, hint);
}

void DescribeCurrentException(Failure* failure) noexcept {
  try {
    throw;
  } catch (const Error& error) {
    *failure = error.failure();
  } catch (const std::bad_alloc&) {
    *failure = Error(ErrorCode::kOutOfMemory, "out of memory").failure();
  } catch (const std::exception& error) {
    *failure = Error(ErrorCode::kInternal, "unexpected error in trustpoint", error.what()).failure();
  } catch (...) {
    *failure = Error(ErrorCode::kInternal, "unknown exception in trustpoint").failure();
  }
}

}  // namespace trustpoint::base
