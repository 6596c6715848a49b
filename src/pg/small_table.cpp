#include "pg/small_table.hpp"

extern "C" {
#include "access/heapam.h"
#include "catalog/pg_am_d.h"
#include "catalog/pg_class.h"
#include "storage/bufmgr.h"
#include "storage/lmgr.h"
#include "storage/smgr.h"
#include "utils/snapmgr.h"
#include "utils/syscache.h"
}

namespace trustpoint::pg {
namespace {

constexpr BlockNumber kMaxBlocks = 8;  // beyond, an index is worth its entry in the relation cache

#if PG_VERSION_NUM >= 160000
using File = RelFileLocator;
#else
using File = RelFileNode;
#endif
#if PG_VERSION_NUM < 170000
constexpr int INVALID_PROC_NUMBER = InvalidBackendId;
#endif

// From the row of pg_class that FindTables looked up.
bool FindFile(const SmallTable& table, File* file) {
  HeapTuple tuple = SearchSysCache2(RELNAMENSP, CStringGetDatum(table.name), ObjectIdGetDatum(table.schema));
  if (!HeapTupleIsValid(tuple)) return false;
  const auto* row = reinterpret_cast<Form_pg_class>(GETSTRUCT(tuple));
  const bool ordinary = row->oid == table.oid && row->relkind == RELKIND_RELATION &&
                        row->relpersistence == RELPERSISTENCE_PERMANENT && row->relam == HEAP_TABLE_AM_OID &&
                        row->relfilenode != 0;
  const Oid tablespace = OidIsValid(row->reltablespace) ? row->reltablespace : MyDatabaseTableSpace;
  *file = {tablespace, MyDatabaseId, row->relfilenode};
  ReleaseSysCache(tuple);
  return ordinary;
}

Buffer Read(const File& file, BlockNumber block) {
#if PG_VERSION_NUM >= 150000
  return ReadBufferWithoutRelcache(file, MAIN_FORKNUM, block, RBM_NORMAL, nullptr, true);
#else
  return ReadBufferWithoutRelcache(file, MAIN_FORKNUM, block, RBM_NORMAL, nullptr);
#endif
}

bool Matches(HeapTuple tuple, TupleDesc descriptor, int keys, const ScanKeyData* key) {
  for (int i = 0; i < keys; ++i) {
    bool null;
    const Datum value = heap_getattr(tuple, key[i].sk_attno, descriptor, &null);
    auto* equal = const_cast<FmgrInfo*>(&key[i].sk_func);
    if (null || !DatumGetBool(FunctionCall2Coll(equal, key[i].sk_collation, value, key[i].sk_argument)))
      return false;
  }
  return true;
}

TupleDesc Describe(const SmallTable& table) {
  TupleDesc descriptor = CreateTemplateTupleDesc(table.column_count);
  for (int i = 0; i < table.column_count; ++i)
    TupleDescInitBuiltinEntry(descriptor, static_cast<AttrNumber>(i + 1), "", table.columns[i], -1, 0);
  return descriptor;
}

void TakeRows(Buffer buffer, BlockNumber block, Oid table, Snapshot snapshot, SmallTableRows* result) {
  LockBuffer(buffer, BUFFER_LOCK_SHARE);
  Page page = BufferGetPage(buffer);
  const OffsetNumber last = PageIsNew(page) ? InvalidOffsetNumber : PageGetMaxOffsetNumber(page);
  result->rows = static_cast<HeapTuple*>(
      repalloc(result->rows, (static_cast<std::size_t>(result->count) + last + 1) * sizeof(HeapTuple)));
  for (OffsetNumber i = FirstOffsetNumber; i <= last; i = OffsetNumberNext(i)) {
    ItemId item = PageGetItemId(page, i);
    if (!ItemIdIsNormal(item)) continue;
    HeapTupleData tuple;
    ItemPointerSet(&tuple.t_self, block, i);
    tuple.t_data = reinterpret_cast<HeapTupleHeader>(PageGetItem(page, item));
    tuple.t_len = ItemIdGetLength(item);
    tuple.t_tableOid = table;
    if (HeapTupleSatisfiesVisibility(&tuple, snapshot, buffer))
      result->rows[result->count++] = heap_copytuple(&tuple);
  }
  UnlockReleaseBuffer(buffer);
}

}  // namespace

bool ReadSmallTable(const SmallTable& table, int keys, const ScanKeyData* key, SmallTableRows* result) {
  LockRelationOid(table.oid, AccessShareLock);  // and takes in what changed before
  File file;
  bool small = FindFile(table, &file);
  BlockNumber blocks = 0;
  Snapshot snapshot = nullptr;
  if (small) {
    // As systable_beginscan reads without a snapshot: see catalog.hpp. Before the blocks are counted: what it
    // sees may stand in a new one.
    snapshot = RegisterSnapshot(GetCatalogSnapshot(table.oid));
    blocks = smgrnblocks(smgropen(file, INVALID_PROC_NUMBER), MAIN_FORKNUM);
    small = blocks <= kMaxBlocks;
  }
  if (small) {
    *result = {};
    result->descriptor = Describe(table);
    result->rows = static_cast<HeapTuple*>(palloc(sizeof(HeapTuple)));
    for (BlockNumber block = 0; block < blocks; ++block)
      TakeRows(Read(file, block), block, table.oid, snapshot, result);
  }
  UnregisterSnapshot(snapshot);  // passes over nullptr
  UnlockRelationOid(table.oid, AccessShareLock);
  if (!small) return false;

  // Outside the buffer's lock: comparing may look into catalogs.
  int kept = 0;
  for (int i = 0; i < result->count; ++i)
    if (Matches(result->rows[i], result->descriptor, keys, key))
      result->rows[kept++] = result->rows[i];
    else
      heap_freetuple(result->rows[i]);
  result->count = kept;
  return true;
}

void FreeRows(SmallTableRows* rows) {
  for (int i = 0; i < rows->count; ++i) heap_freetuple(rows->rows[i]);
  pfree(rows->rows);
  FreeTupleDesc(rows->descriptor);
}

}  // namespace trustpoint::pg
