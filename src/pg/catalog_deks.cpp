// The rows of tp_dek, for catalog.hpp.
#include <algorithm>
#include <optional>
#include <tuple>

#include "keyring/cache.hpp"
#include "pg/catalog.hpp"
#include "pg/catalog_scan.hpp"
#include "pg/text.hpp"

namespace trustpoint::pg {
namespace {

// Column numbers, as in the SQL script. A column is only ever added at the end.
constexpr AttrNumber kId = 1, kName = 2, kPurpose = 3, kState = 4, kKekId = 5, kWrapped = 6, kCheckValue = 7,
                     kCreatedAt = 8;
// What the first query of a connection reads. bytea is stored as text is, timestamptz as int8.
constexpr Oid kColumns[] = {INT4OID, TEXTOID, TEXTOID, TEXTOID, TEXTOID, TEXTOID, TEXTOID, INT8OID};

std::uint32_t IdOf(HeapTuple tuple, TupleDesc descriptor) {
  bool null;
  return DatumGetUInt32(heap_getattr(tuple, kId, descriptor, &null));
}

SmallTable DekTable() {
  return {KnownTables().schema, KnownTables().dek, "tp_dek", kColumns, lengthof(kColumns)};
}

template <class Visit>
void ScanDeks(const char* index_name, int keys, ScanKeyData* key, Visit visit) {
  ScanSmall(DekTable(), index_name, keys, key, visit);
}

// visit(tuple, descriptor), where there is such a row.
template <class Visit>
void FindDek(std::uint32_t id, Visit visit) {
  ScanKeyData key;
  ScanKeyInit(&key, kId, BTEqualStrategyNumber, F_INT4EQ, Int32GetDatum(static_cast<int32>(id)));
  ScanDeks("tp_dek_pkey", 1, &key, [&](HeapTuple tuple, TupleDesc descriptor) {
    visit(tuple, descriptor);
    return false;
  });
}

// visit(i, tuple, descriptor) for each of so many ids that has a row: in one pass of a small table.
template <class Id, class Visit>
void FindDeks(int count, Id id, Visit visit) {
  SmallTableRows table;
  if (count == 0) return;
  if (!ReadSmallTable(DekTable(), 0, nullptr, &table)) {
    for (int i = 0; i < count; ++i)
      FindDek(id(i), [&](HeapTuple tuple, TupleDesc descriptor) { visit(i, tuple, descriptor); });
    return;
  }
  for (int row = 0; row < table.count; ++row) {
    const std::uint32_t found = IdOf(table.rows[row], table.descriptor);
    for (int i = 0; i < count; ++i)
      if (id(i) == found) visit(i, table.rows[row], table.descriptor);
  }
  FreeRows(&table);
}

// The palloc'ed array, with room for one more.
template <class T>
T* Grown(T* array, int count, int* room) {
  if (count < *room) return array;
  *room *= 2;
  return static_cast<T*>(repalloc(array, *room * sizeof(T)));
}

constexpr struct {
  const char* name;
  keyring::DekState state;
} kStates[] = {{"active", keyring::DekState::kActive},
               {"retired", keyring::DekState::kRetired},
               {"disabled", keyring::DekState::kDisabled},
               {"destroyed", keyring::DekState::kDestroyed}};

std::optional<keyring::DekState> StateOf(HeapTuple tuple, TupleDesc descriptor) {
  const std::string_view state = TextColumn(tuple, descriptor, kState);
  for (const auto& known : kStates)
    if (state == known.name) return known.state;
  return std::nullopt;
}

// Whether the row of an opened DEK still vouches for it.
bool VouchesFor(const keyring::DekRow& opened, HeapTuple tuple, TupleDesc descriptor) {
  const std::optional<keyring::DekState> state = StateOf(tuple, descriptor);
  base::Block<envelope::kWrappedSize> wrapped;
  return state && keyring::IsUsable(*state) && BytesColumn(tuple, descriptor, kWrapped, wrapped) &&
         wrapped == opened.wrapped;
}

void FillDek(HeapTuple tuple, TupleDesc descriptor, keyring::DekRow* row) {
  *row = keyring::DekRow{};
  row->id = IdOf(tuple, descriptor);

  const Utf8 name = ToUtf8(TextColumn(tuple, descriptor, kName));
  if (!CopyText(row->name, name.view())) RaiseMalformed("tp_dek", "name");
  row->name_size = static_cast<std::uint8_t>(name.view().size());

  const std::optional<envelope::Purpose> purpose =
      envelope::PurposeFromName(TextColumn(tuple, descriptor, kPurpose));
  if (!purpose) RaiseMalformed("tp_dek", "purpose");
  row->purpose = *purpose;

  const std::optional<keyring::DekState> state = StateOf(tuple, descriptor);
  if (!state) RaiseMalformed("tp_dek", "state");
  row->state = *state;

  if (!BytesColumn(tuple, descriptor, kKekId, row->kek_id)) RaiseMalformed("tp_dek", "kek_id");
  if (!BytesColumn(tuple, descriptor, kCheckValue, row->check_value)) RaiseMalformed("tp_dek", "check_value");
  if (!BytesColumn(tuple, descriptor, kWrapped, row->wrapped) && row->state != keyring::DekState::kDestroyed)
    RaiseMalformed("tp_dek", "wrapped");
}

}  // namespace

bool ReadDek(std::uint32_t id, keyring::DekRow* row) {
  bool found = false;
  FindDek(id, [&](HeapTuple tuple, TupleDesc descriptor) {
    FillDek(tuple, descriptor, row);
    found = true;
  });
  return found;
}

bool IsVouchedFor(const keyring::DekRow& opened) {
  bool vouched = false;
  FindDek(opened.id,
          [&](HeapTuple tuple, TupleDesc descriptor) { vouched = VouchesFor(opened, tuple, descriptor); });
  return vouched;
}

void ReadDeks(const std::uint32_t* ids, int count, keyring::DekRow* rows) {
  std::fill_n(rows, count, keyring::DekRow{});
  FindDeks(
      count, [&](int i) { return ids[i]; },
      [&](int i, HeapTuple tuple, TupleDesc descriptor) { FillDek(tuple, descriptor, &rows[i]); });
}

int KeepUnvouched(keyring::DekRow* opened, int count) {
  auto* vouched = static_cast<bool*>(palloc0(static_cast<std::size_t>(count + 1) * sizeof(bool)));
  FindDeks(
      count, [&](int i) { return opened[i].id; },
      [&](int i, HeapTuple tuple, TupleDesc descriptor) {
        vouched[i] = VouchesFor(opened[i], tuple, descriptor);
      });
  int kept = 0;
  for (int i = 0; i < count; ++i)
    if (!vouched[i]) opened[kept++] = opened[i];
  pfree(vouched);
  return kept;
}

bool ReadActiveDek(envelope::Purpose purpose, std::string_view name, keyring::DekRow* row, bool* exists) {
  ScanKeyData key[2];
  ScanKeyInit(&key[0], kName, BTEqualStrategyNumber, F_TEXTEQ, TextKey(FromUtf8(name)));
  ScanKeyInit(&key[1], kPurpose, BTEqualStrategyNumber, F_TEXTEQ, TextKey(envelope::PurposeName(purpose)));
  bool found = false;
  TimestampTz newest = 0;
  *exists = false;
  ScanDeks("tp_dek_name_idx", 2, key, [&](HeapTuple tuple, TupleDesc descriptor) {
    *exists = true;
    keyring::DekRow candidate;
    FillDek(tuple, descriptor, &candidate);
    const TimestampTz created = CreatedAt(tuple, descriptor, kCreatedAt);
    const bool newer = !found || created > newest || (created == newest && candidate.id > row->id);
    if (candidate.state == keyring::DekState::kActive && newer) {
      *row = candidate;
      newest = created;
      found = true;
    }
    return true;
  });
  return found;
}

keyring::DekRow* ReadUsableDeks(envelope::Purpose purpose, std::string_view name, int* count, bool* exists) {
  struct Dated {
    TimestampTz created;
    keyring::DekRow row;
  };
  int room = 8;
  auto* found = static_cast<Dated*>(palloc(room * sizeof(Dated)));
  *count = 0;
  *exists = false;
  const auto take = [&](HeapTuple tuple, TupleDesc descriptor) {
    found = Grown(found, *count, &room);
    Dated& next = found[*count];
    FillDek(tuple, descriptor, &next.row);
    if (next.row.purpose != purpose) return true;
    *exists = true;
    if (!keyring::IsUsable(next.row.state)) return true;
    next.created = CreatedAt(tuple, descriptor, kCreatedAt);
    ++*count;
    return true;
  };
  if (name.empty()) {
    ScanDeks(nullptr, 0, nullptr, take);
  } else {
    ScanKeyData key;
    ScanKeyInit(&key, kName, BTEqualStrategyNumber, F_TEXTEQ, TextKey(FromUtf8(name)));
    ScanDeks("tp_dek_name_idx", 1, &key, take);
  }
  std::sort(found, found + *count, [](const Dated& one, const Dated& other) {
    return std::tie(one.created, one.row.id) > std::tie(other.created, other.row.id);
  });
  auto* rows = static_cast<keyring::DekRow*>(palloc((*count + 1) * sizeof(keyring::DekRow)));
  std::transform(found, found + *count, rows, [](const Dated& dated) { return dated.row; });
  pfree(found);
  return rows;
}

keyring::DekRow* ReadAllDeks(int* count) {
  int room = 16;
  auto* rows = static_cast<keyring::DekRow*>(palloc(room * sizeof(keyring::DekRow)));
  *count = 0;
  ScanDeks(nullptr, 0, nullptr, [&](HeapTuple tuple, TupleDesc descriptor) {
    rows = Grown(rows, *count, &room);
    FillDek(tuple, descriptor, &rows[(*count)++]);
    return true;
  });
  return rows;
}

const char* StateName(keyring::DekState state) {
  for (const auto& known : kStates)
    if (known.state == state) return known.name;
  return "";
}

}  // namespace trustpoint::pg
