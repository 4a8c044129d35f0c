// Hash tables: open addressing in one vector, key and value side by side. An entry that is taken out leaves a mark, so that
// searches go on past it; marks vanish when the table is rebuilt.

#include "bench/interpreters/scheme/equality.h"
#include "bench/interpreters/scheme/primitives.h"

namespace scheme {
namespace {

constexpr size_t kFirstEntries = 8;  // A power of two, as are all sizes.

HashTable* ExpectTable(const char* who, const Value& value) { return Expect<HashTable>(who, value, "a hash table"); }

Vector* EntriesOf(const HashTable* table) { return reinterpret_cast<Vector*>(table->entries.word()); }

// The entry of the key, or the first free one where it would go: an index of the vector.
size_t Find(const HashTable* table, const Value& key) {
  Vector* entries = EntriesOf(table);
  size_t mask = entries->length / 2 - 1;
  uint64_t hash = table->kind == TableKind::kEqv ? HashEqv(key) : HashEqual(key);
  for (size_t i = static_cast<size_t>(hash) & mask;; i = (i + 1) & mask) {
    Word word = entries->items()[2 * i].word();
    if (word == 0 || word == key.word()) return 2 * i;
    if (!IsPointerWord(word) || !key.IsPointer()) continue;
    if (table->kind == TableKind::kEqv ? IsEqv(entries->items()[2 * i], key) : IsEqual(entries->items()[2 * i], key)) {
      return 2 * i;
    }
  }
}

bool IsFree(const HashTable* table, size_t entry) { return EntriesOf(table)->items()[entry].word() == 0; }

void Rebuild(Heap& heap, HashTable* table) {
  // Room for twice what it holds: it is rebuilt again when three quarters are filled.
  size_t count = kFirstEntries;
  while (count < table->live * 3) count *= 2;
  Value old = table->entries;
  table->entries = MakeArray<Vector>(heap, count * 2, Value());
  table->filled = table->live;
  for (size_t i = 0; i < old.As<Vector>()->length; i += 2) {
    const Field* entry = old.As<Vector>()->items() + i;
    if (entry[0].word() == 0 || entry[0].word() == kDeletedWord) continue;
    Field* to = EntriesOf(table)->items() + Find(table, entry[0]);
    to[0] = entry[0];
    to[1] = entry[1];
  }
}

template <TableKind kKind>
Value MakeTable(Interpreter& in, Arguments) {
  return Make<HashTable>(in.heap, kKind, MakeArray<Vector>(in.heap, kFirstEntries * 2, Value()));
}

Value Set(Interpreter& in, Arguments a) {
  HashTable* table = ExpectTable("hash-table-set!", a[0]);
  size_t entry = Find(table, a[1]);
  if (IsFree(table, entry)) {
    if ((table->filled + 1) * 4 > EntriesOf(table)->length / 2 * 3) {
      Rebuild(in.heap, table);
      entry = Find(table, a[1]);
    }
    ++table->live, ++table->filled;
    EntriesOf(table)->items()[entry] = a[1];
  }
  EntriesOf(table)->items()[entry + 1] = a[2];
  return Value::Unspecified();
}

// (hash-table-ref/default table key default)
Value Get(Interpreter&, Arguments a) {
  HashTable* table = ExpectTable("hash-table-ref/default", a[0]);
  size_t entry = Find(table, a[1]);
  return IsFree(table, entry) ? a[2] : Value(EntriesOf(table)->items()[entry + 1]);
}

Value Contains(Interpreter&, Arguments a) {
  HashTable* table = ExpectTable("hash-table-contains?", a[0]);
  return Value::Boolean(!IsFree(table, Find(table, a[1])));
}

Value Delete(Interpreter&, Arguments a) {
  HashTable* table = ExpectTable("hash-table-delete!", a[0]);
  size_t entry = Find(table, a[1]);
  if (IsFree(table, entry)) return Value::Unspecified();
  EntriesOf(table)->items()[entry] = Value(kDeletedWord);
  EntriesOf(table)->items()[entry + 1] = Value::False();
  --table->live;
  return Value::Unspecified();
}

Value Clear(Interpreter& in, Arguments a) {
  HashTable* table = ExpectTable("hash-table-clear!", a[0]);
  table->entries = MakeArray<Vector>(in.heap, kFirstEntries * 2, Value());
  table->live = table->filled = 0;
  return Value::Unspecified();
}

Value ToAlist(Interpreter& in, Arguments a) {
  HashTable* table = ExpectTable("hash-table->alist", a[0]);
  Value list = Value::Nil();
  for (size_t i = EntriesOf(table)->length; i > 0; i -= 2) {
    const Field* entry = EntriesOf(table)->items() + i - 2;
    if (entry[0].word() == 0 || entry[0].word() == kDeletedWord) continue;
    list = Cons(in.heap, Cons(in.heap, entry[0], entry[1]), list);
  }
  return list;
}

Value Size(Interpreter&, Arguments a) {
  return Value::Fixnum(static_cast<int64_t>(ExpectTable("hash-table-size", a[0])->live));
}

const Primitive kPrimitives[] = {
    {"make-equal-hash-table", 0, 0, MakeTable<TableKind::kEqual>},
    {"make-eqv-hash-table", 0, 0, MakeTable<TableKind::kEqv>},
    {"hash-table-set!", 3, 3, Set},
    {"hash-table-ref/default", 3, 3, Get},
    {"hash-table-contains?", 2, 2, Contains},
    {"hash-table-delete!", 2, 2, Delete},
    {"hash-table-clear!", 1, 1, Clear},
    {"hash-table->alist", 1, 1, ToAlist},
    {"hash-table-size", 1, 1, Size},
};

}  // namespace

void DefineTables(Interpreter& in) { DefineAll(in, kPrimitives); }

}  // namespace scheme
