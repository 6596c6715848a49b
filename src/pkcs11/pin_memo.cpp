// PinMemo: a small file of fixed size, read and written whole. Anything else in its place is as good as no
// file.

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <iterator>
#include <type_traits>
#include <utility>

#include "base/error.hpp"
#include "pkcs11/file.hpp"
#include "pkcs11/pin.hpp"
#include "pkcs11/rv.hpp"

namespace trustpoint::pkcs11 {
namespace {

using base::Block;
using base::Bytes;
using base::Error;
using base::ErrorCode;

constexpr Block<8> kMagic = {'T', 'P', 'P', 'I', 'N', 'M', '1', '\n'};
constexpr std::size_t kRecords = 8;  // tokens remembered at once; a cluster has one or two
constexpr std::uint32_t kTriesCutOff = 2;

enum State : std::uint32_t { kFree = 0, kTrying = 1, kRefused = 2 };

}  // namespace

struct PinMemo::Record {
  std::uint32_t state;
  std::uint32_t tries;      // that began and never ended
  std::uint64_t last_used;  // by Content::clock
  std::uint64_t answer;     // CK_RV of the refusal
  Block<16> place;          // HMAC(r, module and serial)
  Block<16> tag;            // HMAC(r, PIN)
  FileIdentity file;

  bool Stands() const { return state == kRefused || (state == kTrying && tries >= kTriesCutOff); }
  // The unchanged file counts as well, so that a PIN file that cannot be told apart is never sent twice.
  bool IsOf(const Block<16>& pin_tag, const FileIdentity& pin_file) const {
    return file == pin_file || tag == pin_tag;
  }
};

struct PinMemo::Content {
  Block<8> magic;
  std::uint64_t server_start;
  std::uint64_t clock;
  Block<32> r;
  Record records[kRecords];
};

PinMemo::PinMemo(std::string path, std::uint64_t server_start, Primitives primitives)
    : path_(std::move(path)), server_start_(server_start), primitives_(primitives) {}

bool PinMemo::Load(Content* content) const {
  static_assert(std::has_unique_object_representations_v<Content>);  // no padding: all bytes are written
  *content = {};
  const FileDescriptor file(open(path_.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK));
  if (!file) return false;
  Content read;
  const ssize_t size = ReadAt(file.get(), {reinterpret_cast<std::uint8_t*>(&read), sizeof read}, 0);
  if (size != static_cast<ssize_t>(sizeof read) || read.magic != kMagic) return false;
  for (const Record& record : read.records)
    if (record.state > kRefused) return false;
  *content = read;
  return true;
}

bool PinMemo::Store(const Content& content) const {
  // In place, as this needs no room on a full disk, and one small write is whole or not at all when a process
  // dies.
  const FileDescriptor file(
      open(path_.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0600));
  return file && WriteAt(file.get(), {reinterpret_cast<const std::uint8_t*>(&content), sizeof content}, 0);
}

PinMemo::Record* PinMemo::FindRecord(Content* content, const Block<16>& place) const {
  for (Record& record : content->records)
    if (record.state != kFree && record.place == place) return &record;
  return nullptr;
}

Block<16> PinMemo::Mac(const Content& content, Bytes data) const {
  const Block<32> full = primitives_.hmac_sha256(content.r, data);
  Block<16> cut;
  std::copy_n(full.begin(), cut.size(), cut.begin());
  return cut;
}

Block<16> PinMemo::PlaceOf(const Content& content, const std::string& module,
                           const std::string& serial) const {
  return Mac(content, base::AsBytes(module + '\0' + serial));
}

void PinMemo::Check(const std::string& module, const std::string& token_serial, const Pin& pin) {
  Content content;
  if (!Load(&content)) return;
  const Record* record = FindRecord(&content, PlaceOf(content, module, token_serial));
  if (!record || !record->Stands() || !record->IsOf(Mac(content, pin.text.view()), pin.file)) return;
  if (record->state == kRefused)
    throw Error(
        ErrorCode::kTokenRefused, "the token refused this PIN before; it was not sent again",
        "C_Login: " + RvName(record->answer) + ", token serial " + token_serial + ".",
        "Put the right PIN into the PIN file. If this one is right by now, the owner's tp_hsm_login() sends "
        "it once more.");
  throw Error(
      ErrorCode::kTokenRefused, "a login with this PIN was cut off twice; it was not sent again",
      "Token serial " + token_serial + ".",
      "Make sure that the PIN is right and not locked; then the owner's tp_hsm_login() sends it once more.");
}

void PinMemo::Begin(const std::string& module, const std::string& token_serial, const Pin& pin) {
  Content content;
  const bool loaded = Load(&content);
  const auto stands = [](const Record& record) { return record.state != kFree; };
  if (!loaded || (content.server_start != server_start_ &&
                  std::none_of(content.records, std::end(content.records), stands))) {
    content = {};
    content.magic = kMagic;
    content.server_start = server_start_;
    primitives_.random(content.r);
  }
  place_ = PlaceOf(content, module, token_serial);
  const Block<16> tag = Mac(content, pin.text.view());
  Record* record = FindRecord(&content, place_);
  if (!record)  // the free ones come first, then those that matter least
    record =
        std::min_element(content.records, std::end(content.records), [](const Record& a, const Record& b) {
          return std::pair(a.state, a.last_used) < std::pair(b.state, b.last_used);
        });
  const bool again = record->state == kTrying && record->place == place_ && record->IsOf(tag, pin.file);
  *record = {kTrying, again ? record->tries + 1 : 1, ++content.clock, 0, place_, tag, pin.file};
  if (!Store(content))
    throw Error(ErrorCode::kNotConfigured,
                "the file that remembers refused PINs cannot be written; no PIN was sent",
                path_ + ": " + std::strerror(errno));
}

void PinMemo::Settle(unsigned long refusal) {
  Content content;
  if (!Load(&content)) return;
  Record* record = FindRecord(&content, place_);
  if (!record) return;
  if (refusal != CKR_OK) {
    record->state = kRefused;
    record->answer = refusal;
  } else {
    *record = {};
  }
  // When this fails, the try counts as cut off: the memo errs on the safe side.
  (void)Store(content);
}

void PinMemo::Succeeded() { Settle(CKR_OK); }
void PinMemo::Refused(unsigned long answer) { Settle(answer); }
void PinMemo::Undecided() { Settle(CKR_OK); }

void PinMemo::Clear() {
  if (unlink(path_.c_str()) != 0 && errno != ENOENT)
    throw Error(ErrorCode::kNotConfigured, "the file that remembers refused PINs cannot be removed",
                path_ + ": " + std::strerror(errno));
}

}  // namespace trustpoint::pkcs11
