// The DEKs that this process has opened, with the rows that vouch for them.
//
// Two levels: rows go stale whenever a table of keys changes and are read again; a DEK stays as long as its
// row, read again, still has the same wrapped bytes and a usable state. So a VACUUM of tp_dek while the token
// is away costs nothing, and a rotation that rolled back leaves nothing behind.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "keyring/rows.hpp"
#include "keyring/subkeys.hpp"

namespace trustpoint::keyring {

// active and retired DEKs decrypt; disabled and destroyed ones do nothing.
constexpr bool IsUsable(DekState state) { return state == DekState::kActive || state == DekState::kRetired; }

struct CachedDek {
  DekRow row;
  bool current = false;        // false: the row must be read again before anything else
  std::optional<Dek> dek;      // empty: not opened yet
  std::int64_t opened_at = 0;  // seconds of the caller's clock
  // The roles that were last let through and last refused for each kind of use, so that a query over many
  // rows asks once. For src/pg.
  std::array<std::uint32_t, 4> allowed_role{}, refused_role{};
};

class DekCache {
 public:
  // Pointers stay good until the entry is removed. nullptr: not known, or its row is stale.
  CachedDek* ById(std::uint32_t id) noexcept {
    return last_ != nullptr && last_->row.id == id ? last_ : FindById(id);
  }
  // The DEK that serves new values of this name, as remembered by SetActive.
  CachedDek* Active(envelope::Purpose purpose, std::string_view name) noexcept {
    return last_active_ != nullptr && IsOf(*last_active_, purpose, name) ? last_active_
                                                                         : FindActive(purpose, name);
  }

  // The usable versions of this name, newest first, as remembered by SetVersions; nullptr: not remembered.
  const std::vector<CachedDek*>* Versions(envelope::Purpose purpose, std::string_view name) const noexcept;

  // Takes in a row as it is now in the table. The DEK is dropped unless the row still vouches for it.
  CachedDek* Update(const DekRow& row);
  void SetActive(CachedDek* entry);
  void SetVersions(envelope::Purpose purpose, std::string_view name, std::vector<CachedDek*> versions);
  void Remove(std::uint32_t id) noexcept;

  // Rows may have changed: names are forgotten, and so is every entry without a DEK. Returns the ids of the
  // others, for the caller to read again and Update or Remove each; until then they are not served.
  std::vector<std::uint32_t> Stale();
  // Wipes every DEK. Returns how many there were.
  std::size_t Wipe() noexcept;
  // Wipes the DEKs opened before this moment.
  void Expire(std::int64_t opened_before) noexcept;

  std::size_t opened() const noexcept;

 private:
  struct VersionsOfName {
    envelope::Purpose purpose;
    std::string name;
    std::vector<CachedDek*> versions;
  };

  // By id. A tree would be no faster for the few that there are, and slower for the first.
  using Entries = std::vector<std::unique_ptr<CachedDek>>;

  static bool IsOf(const CachedDek& entry, envelope::Purpose purpose, std::string_view name) noexcept {
    return entry.row.purpose == purpose && entry.row.name_view() == name;
  }
  CachedDek* FindById(std::uint32_t id) noexcept;
  CachedDek* FindActive(envelope::Purpose purpose, std::string_view name) noexcept;
  // Where the entry is, or would be.
  Entries::const_iterator Place(std::uint32_t id) const noexcept;
  CachedDek* Find(std::uint32_t id) const noexcept;

  Entries entries_;
  std::vector<CachedDek*> active_;  // one for each purpose and name in use
  std::vector<VersionsOfName> versions_;
  CachedDek* last_ = nullptr;         // of ById
  CachedDek* last_active_ = nullptr;  // of Active
};

}  // namespace trustpoint::keyring
