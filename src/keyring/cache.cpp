#include "keyring/cache.hpp"

#include <algorithm>
#include <utility>

namespace trustpoint::keyring {

DekCache::Entries::const_iterator DekCache::Place(std::uint32_t id) const noexcept {
  return std::lower_bound(entries_.begin(), entries_.end(), id,
                          [](const auto& entry, std::uint32_t wanted) { return entry->row.id < wanted; });
}

CachedDek* DekCache::Find(std::uint32_t id) const noexcept {
  const auto place = Place(id);
  return place != entries_.end() && (*place)->row.id == id ? place->get() : nullptr;
}

CachedDek* DekCache::FindById(std::uint32_t id) noexcept {
  CachedDek* const found = Find(id);
  if (found == nullptr || !found->current) return nullptr;
  return last_ = found;
}

CachedDek* DekCache::FindActive(envelope::Purpose purpose, std::string_view name) noexcept {
  const auto found = std::find_if(active_.begin(), active_.end(),
                                  [&](const CachedDek* entry) { return IsOf(*entry, purpose, name); });
  if (found == active_.end()) return nullptr;
  return last_active_ = *found;
}

const std::vector<CachedDek*>* DekCache::Versions(envelope::Purpose purpose,
                                                  std::string_view name) const noexcept {
  for (const VersionsOfName& known : versions_)
    if (known.purpose == purpose && known.name == name) return &known.versions;
  return nullptr;
}

CachedDek* DekCache::Update(const DekRow& row) {
  CachedDek* entry = Find(row.id);
  if (entry == nullptr) {
    auto made = std::make_unique<CachedDek>();
    made->row.id = row.id;
    entry = entries_.insert(Place(row.id), std::move(made))->get();
  }
  if (!IsUsable(row.state) || !HaveSameDek(entry->row, row)) entry->dek.reset();
  entry->row = row;
  entry->current = true;
  entry->allowed_role = entry->refused_role = {};
  return entry;
}

void DekCache::SetActive(CachedDek* entry) {
  std::erase_if(active_, [&](const CachedDek* other) {
    return IsOf(*other, entry->row.purpose, entry->row.name_view());
  });
  active_.push_back(entry);
  last_active_ = entry;
}

void DekCache::SetVersions(envelope::Purpose purpose, std::string_view name,
                           std::vector<CachedDek*> versions) {
  std::erase_if(versions_,
                [&](const VersionsOfName& known) { return known.purpose == purpose && known.name == name; });
  versions_.push_back({purpose, std::string(name), std::move(versions)});
}

void DekCache::Remove(std::uint32_t id) noexcept {
  const CachedDek* const found = Find(id);
  if (found == nullptr) return;
  std::erase(active_, found);
  versions_.clear();
  last_ = last_active_ = nullptr;
  entries_.erase(Place(id));
}

std::vector<std::uint32_t> DekCache::Stale() {
  active_.clear();
  versions_.clear();
  last_ = last_active_ = nullptr;
  std::erase_if(entries_, [](const auto& entry) { return !entry->dek; });
  std::vector<std::uint32_t> ids;
  for (const auto& entry : entries_) {
    entry->current = false;
    ids.push_back(entry->row.id);
  }
  return ids;
}

std::size_t DekCache::Wipe() noexcept {
  const std::size_t count = opened();
  for (auto& entry : entries_) entry->dek.reset();
  return count;
}

void DekCache::Expire(std::int64_t opened_before) noexcept {
  for (auto& entry : entries_)
    if (entry->opened_at < opened_before) entry->dek.reset();
}

std::size_t DekCache::opened() const noexcept {
  return static_cast<std::size_t>(std::count_if(entries_.begin(), entries_.end(),
                                                [](const auto& entry) { return entry->dek.has_value(); }));
}

}  // namespace trustpoint::keyring
