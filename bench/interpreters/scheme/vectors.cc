// Primitives on vectors, bytevectors, records and boxes.

#include "bench/interpreters/scheme/primitives.h"

namespace scheme {
namespace {

Vector* ExpectVector(const char* who, const Value& value) { return Expect<Vector>(who, value, "a vector"); }
Bytevector* ExpectBytes(const char* who, const Value& value) { return Expect<Bytevector>(who, value, "a bytevector"); }

size_t ExpectItem(const char* who, const Value& index, size_t length) {
  size_t at = ExpectIndex(who, index, length);
  if (at == length) FailType(who, index, "an index of it");
  return at;
}

uint8_t ExpectByte(const char* who, const Value& value) {
  constexpr size_t kHighestByte = 255;
  return static_cast<uint8_t>(ExpectIndex(who, value, kHighestByte));
}

Value VectorOf(Interpreter& in, Arguments a) {
  Value made = MakeArray<Vector>(in.heap, a.count, Value::False());
  for (size_t i = 0; i < a.count; ++i) made.As<Vector>()->items()[i] = a[i];
  return made;
}

Value ListToVector(Interpreter& in, Arguments a) {
  int64_t length = ListLength(a[0]);
  if (length < 0) FailType("list->vector", a[0], "a list");
  Value made = MakeArray<Vector>(in.heap, static_cast<size_t>(length), Value::False());
  Field* to = made.As<Vector>()->items();
  for (Value list = a[0]; list.Is<Pair>(); list = Cdr(list)) *to++ = Car(list);
  return made;
}

Value VectorToList(Interpreter& in, Arguments a) {
  Vector* vector = ExpectVector("vector->list", a[0]);
  Range range = ExpectRange("vector->list", a, 1, vector->length);
  Value list = Value::Nil();
  for (size_t i = range.end; i-- > range.begin;) list = Cons(in.heap, vector->items()[i], list);
  return list;
}

Value VectorSet(Interpreter&, Arguments a) {
  Vector* vector = ExpectVector("vector-set!", a[0]);
  vector->items()[ExpectItem("vector-set!", a[1], vector->length)] = a[2];
  return Value::Unspecified();
}

Value VectorFill(Interpreter&, Arguments a) {
  Vector* vector = ExpectVector("vector-fill!", a[0]);
  Range range = ExpectRange("vector-fill!", a, 2, vector->length);
  for (size_t i = range.begin; i < range.end; ++i) vector->items()[i] = a[1];
  return Value::Unspecified();
}

// (vector-copy! to at from [begin [end]]); the two may overlap.
Value VectorCopyTo(Interpreter&, Arguments a) {
  Vector *to = ExpectVector("vector-copy!", a[0]), *from = ExpectVector("vector-copy!", a[2]);
  Range range = ExpectRange("vector-copy!", a, 3, from->length);
  size_t at = ExpectIndex("vector-copy!", a[1], to->length), count = range.end - range.begin;
  if (count > to->length - at) FailType("vector-copy!", a[0], "long enough");
  for (size_t i = 0; i < count; ++i) {
    size_t step = to == from && at > range.begin ? count - 1 - i : i;
    to->items()[at + step] = from->items()[range.begin + step];
  }
  return Value::Unspecified();
}

Value VectorCopy(Interpreter& in, Arguments a) {
  Vector* from = ExpectVector("vector-copy", a[0]);
  Range range = ExpectRange("vector-copy", a, 1, from->length);
  Value made = MakeArray<Vector>(in.heap, range.end - range.begin, Value::False());
  for (size_t i = range.begin; i < range.end; ++i) made.As<Vector>()->items()[i - range.begin] = from->items()[i];
  return made;
}

Value VectorAppend(Interpreter& in, Arguments a) {
  size_t length = 0;
  for (size_t i = 0; i < a.count; ++i) length += ExpectVector("vector-append", a[i])->length;
  Value made = MakeArray<Vector>(in.heap, length, Value::False());
  Field* to = made.As<Vector>()->items();
  for (size_t i = 0; i < a.count; ++i) {
    for (size_t j = 0; j < a[i].As<Vector>()->length; ++j) *to++ = a[i].As<Vector>()->items()[j];
  }
  return made;
}

Value FilledBytevector(Interpreter& in, Arguments a) {
  size_t length = ExpectIndex("make-bytevector", a[0], kLargestLength);
  Value made = MakeExtra<Bytevector>(in.heap, length, length);
  std::fill_n(made.As<Bytevector>()->bytes(), length, a.count > 1 ? ExpectByte("make-bytevector", a[1]) : 0);
  return made;
}

Value BytevectorOf(Interpreter& in, Arguments a) {
  Value made = MakeExtra<Bytevector>(in.heap, a.count, a.count);
  for (size_t i = 0; i < a.count; ++i) made.As<Bytevector>()->bytes()[i] = ExpectByte("bytevector", a[i]);
  return made;
}

Value ByteRef(Interpreter&, Arguments a) {
  Bytevector* bytes = ExpectBytes("bytevector-u8-ref", a[0]);
  return Value::Fixnum(bytes->bytes()[ExpectItem("bytevector-u8-ref", a[1], bytes->length)]);
}

Value ByteSet(Interpreter&, Arguments a) {
  Bytevector* bytes = ExpectBytes("bytevector-u8-set!", a[0]);
  bytes->bytes()[ExpectItem("bytevector-u8-set!", a[1], bytes->length)] = ExpectByte("bytevector-u8-set!", a[2]);
  return Value::Unspecified();
}

Value BytevectorCopy(Interpreter& in, Arguments a) {
  Bytevector* from = ExpectBytes("bytevector-copy", a[0]);
  Range range = ExpectRange("bytevector-copy", a, 1, from->length);
  return MakeBytevector(in.heap, from->bytes() + range.begin, range.end - range.begin);
}

// (%record type '(field ...) value ...): the values in the order of the type's own fields, which the macro gives as a list.
Value MakeRecord(Interpreter& in, Arguments a) {
  Record* type = Expect<Record>("record", a[0], "a record type");
  size_t fields = static_cast<size_t>(ListLength(type->items()[2]));
  Value made = MakeArray<Record>(in.heap, fields + 1, Value::False());
  Field* items = made.As<Record>()->items();
  items[0] = a[0];
  Value given = a[1];
  for (size_t i = 2; i < a.count && given.Is<Pair>(); ++i, given = Cdr(given)) {
    size_t position = 1;
    Value names = type->items()[2];
    for (; names.Is<Pair>() && !(Car(names) == Car(given)); names = Cdr(names)) ++position;
    if (names.IsNil()) FailType("record", Car(given), "a field of the record");
    items[position] = a[i];
  }
  return made;
}

bool IsOfRecordType(const Value& value, const Value& type) {
  return value.Is<Record>() && Value(value.As<Record>()->items()[0]) == type;
}

Field& ExpectField(const char* who, Arguments a) {
  if (!IsOfRecordType(a[0], a[1])) FailType(who, a[0], "a record of the right type");
  Record* record = a[0].As<Record>();
  return record->items()[ExpectItem(who, a[2], record->length)];
}

Value FieldIndex(Interpreter&, Arguments a) {
  int64_t index = 1;
  for (Value names = a[0].As<Record>()->items()[2]; names.Is<Pair>(); names = Cdr(names), ++index) {
    if (Car(names) == a[1]) return Value::Fixnum(index);
  }
  FailType("define-record-type", a[1], "a field of the record");
}

Value RecordType(Interpreter& in, Arguments a) {
  Value made = MakeArray<Record>(in.heap, 3, Value::False());
  made.As<Record>()->items()[1] = a[0];
  made.As<Record>()->items()[2] = a[1];
  return made;
}

const Primitive kPrimitives[] = {
    {"make-vector", 1, 2,
     [](Interpreter& in, Arguments a) {
       size_t length = ExpectIndex("make-vector", a[0], kLargestLength);
       return MakeArray<Vector>(in.heap, length, a.count > 1 ? a[1] : Value::Unspecified());
     }},
    {"vector", 0, kAny, VectorOf},
    {"vector-length", 1, 1,
     [](Interpreter&, Arguments a) {
       return Value::Fixnum(static_cast<int64_t>(ExpectVector("vector-length", a[0])->length));
     }},
    {"vector-ref", 2, 2,
     [](Interpreter&, Arguments a) {
       Vector* vector = ExpectVector("vector-ref", a[0]);
       return Value(vector->items()[ExpectItem("vector-ref", a[1], vector->length)]);
     }},
    {"vector-set!", 3, 3, VectorSet},
    {"vector-fill!", 2, 4, VectorFill},
    {"vector-copy!", 3, 5, VectorCopyTo},
    {"vector-copy", 1, 3, VectorCopy},
    {"vector-append", 0, kAny, VectorAppend},
    {"list->vector", 1, 1, ListToVector},
    {"vector->list", 1, 3, VectorToList},
    {"make-bytevector", 1, 2, FilledBytevector},
    {"bytevector", 0, kAny, BytevectorOf},
    {"bytevector-length", 1, 1,
     [](Interpreter&, Arguments a) {
       return Value::Fixnum(static_cast<int64_t>(ExpectBytes("bytevector-length", a[0])->length));
     }},
    {"bytevector-u8-ref", 2, 2, ByteRef},
    {"bytevector-u8-set!", 3, 3, ByteSet},
    {"bytevector-copy", 1, 3, BytevectorCopy},
    {"%record-type", 2, 2, RecordType},
    {"%record", 2, kAny, MakeRecord},
    {"%record?", 2, 2, [](Interpreter&, Arguments a) { return Value::Boolean(IsOfRecordType(a[0], a[1])); }},
    {"%record-index", 2, 2, FieldIndex},
    {"%record-ref", 3, 3, [](Interpreter&, Arguments a) { return Value(ExpectField("record field", a)); }},
    {"%record-set!", 4, 4,
     [](Interpreter&, Arguments a) {
       ExpectField("record field", a) = a[3];
       return Value::Unspecified();
     }},
};

}  // namespace

void DefineVectors(Interpreter& in) { DefineAll(in, kPrimitives); }

}  // namespace scheme
