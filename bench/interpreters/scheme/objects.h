#pragma once

// The types of heap objects. Each has a header, its fields, and a Trace that names those that are references; arrays have
// their items behind them in the same object. A length is stored by the constructor, before any item: whoever traces the
// object meanwhile sees zeros, and no item is ever skipped.

#include <gmp.h>

#include <algorithm>
#include <cstdio>
#include <string>
#include <string_view>

#include "bench/interpreters/scheme/value.h"

namespace scheme {

struct Pair : Object {
  static constexpr Type kType = Type::kPair;
  Field car, cdr;

  Pair(const Value& first, const Value& second) : Object(kType), car(first), cdr(second) {}
  template <class Visitor>
  void Trace(Visitor& visit) const {
    visit(car);
    visit(cdr);
  }
};

struct Flonum : Object {
  static constexpr Type kType = Type::kFlonum;
  double number;

  explicit Flonum(double value) : Object(kType), number(value) {}
};

// An integer outside of fixnum range: GMP's limbs, least significant first, in the object itself, so that it needs no finalizer.
struct Bignum : Object {
  static constexpr Type kType = Type::kBignum;
  mp_size_t size;  // Number of limbs, negative for a negative number.

  explicit Bignum(mp_size_t signed_size) : Object(kType), size(signed_size) {}
  mp_limb_t* limbs() { return reinterpret_cast<mp_limb_t*>(this + 1); }
};

// A fraction in lowest terms; the denominator is at least 2.
struct Ratnum : Object {
  static constexpr Type kType = Type::kRatnum;
  Field numerator, denominator;

  Ratnum(const Value& top, const Value& bottom) : Object(kType), numerator(top), denominator(bottom) {}
  template <class Visitor>
  void Trace(Visitor& visit) const {
    visit(numerator);
    visit(denominator);
  }
};

// Unicode scalar values, four bytes each: string-ref takes constant time.
struct String : Object {
  static constexpr Type kType = Type::kString;
  size_t length;

  explicit String(size_t character_count) : Object(kType), length(character_count) {}
  char32_t* text() { return reinterpret_cast<char32_t*>(this + 1); }
  std::u32string_view view() const { return {reinterpret_cast<const char32_t*>(this + 1), length}; }
};

struct Bytevector : Object {
  static constexpr Type kType = Type::kBytevector;
  size_t length;

  explicit Bytevector(size_t byte_count) : Object(kType), length(byte_count) {}
  uint8_t* bytes() { return reinterpret_cast<uint8_t*>(this + 1); }
};

// A symbol holds its global variable: unbound, a value, a macro, or the number of a special form. A symbol that the
// expansion of a macro made stands for another one, and equals only itself; its value is the macro's scope: see expand.cc.
struct Symbol : Object {
  static constexpr Type kType = Type::kSymbol;
  Field name, value, alias_of;

  Symbol(const Value& text, const Value& original) : Object(kType), name(text), alias_of(original) {
    value = Value(kUnboundWord);
  }
  template <class Visitor>
  void Trace(Visitor& visit) const {
    visit(name);
    visit(value);
    visit(alias_of);
  }
};

template <Type kArrayType>
struct Array : Object {
  static constexpr Type kType = kArrayType;
  static constexpr bool kHasItems = true;
  size_t length;

  explicit Array(size_t item_count) : Object(kType), length(item_count) {}
  Field* items() { return reinterpret_cast<Field*>(this + 1); }
  const Field* items() const { return reinterpret_cast<const Field*>(this + 1); }
  template <class Visitor>
  void Trace(Visitor& visit) const {
    for (size_t i = 0; i < length; ++i) visit(items()[i]);
  }
};
using Vector = Array<Type::kVector>;
using MultipleValues = Array<Type::kMultipleValues>;
using Record = Array<Type::kRecord>;  // Item 0 is the record's type: itself a record, of the type #f, (name fields).

enum class TableKind : uint8_t { kEqv, kEqual };

// See hash_table.h.
struct HashTable : Object {
  static constexpr Type kType = Type::kHashTable;
  Field entries;      // A vector: key, value, key, value...
  size_t live = 0;    // Entries with a key.
  size_t filled = 0;  // The same and the deleted ones.
  TableKind kind;

  HashTable(TableKind table_kind, const Value& vector) : Object(kType), entries(vector), kind(table_kind) {}
  template <class Visitor>
  void Trace(Visitor& visit) const {
    visit(entries);
  }
};

// A variable that is assigned after its creation; those that are not live in stack slots and closures by value.
struct Box : Object {
  static constexpr Type kType = Type::kBox;
  Field value;

  explicit Box(const Value& initial) : Object(kType), value(initial) {}
  template <class Visitor>
  void Trace(Visitor& visit) const {
    visit(value);
  }
};

// What a lambda expression was compiled to; see opcodes.h.
struct Code : Object {
  static constexpr Type kType = Type::kCode;
  Field constants;     // Vector.
  Field instructions;  // Bytevector of 32-bit words.
  Field lines;         // Bytevector: a 32-bit line number for each instruction word.
  Field name;          // Symbol or #f.
  Field file;          // String, empty for the prelude.
  uint32_t required = 0;
  bool has_rest = false;
  uint32_t stack_words = 0;  // What a call of it needs at most, arguments included.

  Code() : Object(kType) {}
  template <class Visitor>
  void Trace(Visitor& visit) const {
    visit(constants);
    visit(instructions);
    visit(lines);
    visit(name);
    visit(file);
  }
  const uint32_t* text() const {
    return reinterpret_cast<const uint32_t*>(reinterpret_cast<Bytevector*>(instructions.word())->bytes());
  }
  const Field* constant_items() const { return reinterpret_cast<const Vector*>(constants.word())->items(); }
};

struct Closure : Object {
  static constexpr Type kType = Type::kClosure;
  static constexpr bool kHasItems = true;
  Field code;
  size_t length;

  Closure(const Value& compiled, size_t captured_count) : Object(kType), code(compiled), length(captured_count) {}
  const Code* GetCode() const { return reinterpret_cast<const Code*>(code.word()); }
  Field* captured() { return reinterpret_cast<Field*>(this + 1); }
  const Field* captured() const { return reinterpret_cast<const Field*>(this + 1); }
  template <class Visitor>
  void Trace(Visitor& visit) const {
    visit(code);
    for (size_t i = 0; i < length; ++i) visit(captured()[i]);
  }
};

// The VM's two stacks at some moment, to be put back when the continuation is called.
struct Continuation : Object {
  static constexpr Type kType = Type::kContinuation;
  Field values;  // Vector.
  Field frames;  // Bytevector.

  Continuation(const Value& value_stack, const Value& frame_stack)
      : Object(kType), values(value_stack), frames(frame_stack) {}
  template <class Visitor>
  void Trace(Visitor& visit) const {
    visit(values);
    visit(frames);
  }
};

// An error: what `error` and failing primitives raise.
struct Condition : Object {
  static constexpr Type kType = Type::kCondition;
  Field message, irritants;
  Field kind;  // A symbol: error, file or read.

  Condition(const Value& text, const Value& objects, const Value& sort)
      : Object(kType), message(text), irritants(objects), kind(sort) {}
  template <class Visitor>
  void Trace(Visitor& visit) const {
    visit(message);
    visit(irritants);
    visit(kind);
  }
};

struct Macro : Object {
  static constexpr Type kType = Type::kMacro;
  Field ellipsis, literals, rules;
  Field scope;  // Where it was defined; see analyze.h.

  Macro(const Value& dots, const Value& words, const Value& clauses, const Value& definition_scope)
      : Object(kType), ellipsis(dots), literals(words), rules(clauses), scope(definition_scope) {}
  template <class Visitor>
  void Trace(Visitor& visit) const {
    visit(ellipsis);
    visit(literals);
    visit(rules);
    visit(scope);
  }
};

enum class PortKind : uint8_t { kInput, kStringOutput, kFileOutput, kStandardOutput };

// An input port has its whole text; one for output to a string collects it. One for output to a file holds the file open: it
// is closed when the program says so, or when the port has died.
struct Port : Object {
  static constexpr Type kType = Type::kPort;
  Field text;                   // String; of a port that has one, else #f.
  std::FILE* stream = nullptr;  // Of an open file for output, and
  void* end = nullptr;          // what Heap::AtEnd returned for it.
  size_t position = 0;  // Where the next character is read or written.
  uint32_t current_line = 1;
  PortKind kind;
  bool is_open = true;

  Port(PortKind port_kind, const Value& contents) : Object(kType), text(contents), kind(port_kind) {}
  template <class Visitor>
  void Trace(Visitor& visit) const {
    visit(text);
  }
};

class Interpreter;
struct Arguments {
  Value* base;
  size_t count;
  const Value& operator[](size_t i) const { return base[i]; }
};

// Primitives that change the flow of control are carried out by the VM itself.
enum class Special : uint8_t { kNone, kApply, kCallWithContinuation };

struct Builtin : Object {
  static constexpr Type kType = Type::kBuiltin;
  static constexpr uint32_t kAnyNumber = UINT32_MAX;
  using Function = Value (*)(Interpreter&, Arguments);
  const char* name;
  Function function;
  uint32_t least, most;
  Special special;

  Builtin(const char* builtin_name, Function code, uint32_t at_least, uint32_t at_most, Special kind)
      : Object(kType), name(builtin_name), function(code), least(at_least), most(at_most), special(kind) {}
};

// Tells the heap of every type there is.
template <class... Types>
void DeclareEach(Heap& heap) {
  (heap.template Declare<Types>(), ...);
}
inline void DeclareTypes(Heap& heap) {
  DeclareEach<Pair, Flonum, Bignum, Ratnum, String, Symbol, Vector, Bytevector, HashTable, Box, Closure, Builtin, Code,
              Continuation, MultipleValues, Record, Condition, Macro, Port>(heap);
}

// Calls object->Trace(visit) with the object's own type. For a heap that cannot know the type by itself.
template <class Visitor>
void TraceObject(Header* header, Type type, Visitor& visit) {
  auto trace = [&]<class T>(T*) { static_cast<T*>(static_cast<Object*>(header))->Trace(visit); };
  switch (type) {
    case Type::kPair: return trace(static_cast<Pair*>(nullptr));
    case Type::kRatnum: return trace(static_cast<Ratnum*>(nullptr));
    case Type::kSymbol: return trace(static_cast<Symbol*>(nullptr));
    case Type::kVector: return trace(static_cast<Vector*>(nullptr));
    case Type::kMultipleValues: return trace(static_cast<MultipleValues*>(nullptr));
    case Type::kRecord: return trace(static_cast<Record*>(nullptr));
    case Type::kHashTable: return trace(static_cast<HashTable*>(nullptr));
    case Type::kBox: return trace(static_cast<Box*>(nullptr));
    case Type::kClosure: return trace(static_cast<Closure*>(nullptr));
    case Type::kCode: return trace(static_cast<Code*>(nullptr));
    case Type::kContinuation: return trace(static_cast<Continuation*>(nullptr));
    case Type::kCondition: return trace(static_cast<Condition*>(nullptr));
    case Type::kMacro: return trace(static_cast<Macro*>(nullptr));
    case Type::kPort: return trace(static_cast<Port*>(nullptr));
    case Type::kNone: case Type::kFlonum: case Type::kBignum: case Type::kString: case Type::kBytevector:
    case Type::kBuiltin:
      return;
  }
}

inline Value Cons(Heap& heap, const Value& car, const Value& cdr) { return Make<Pair>(heap, car, cdr); }
inline Value Car(const Value& pair) { return pair.As<Pair>()->car; }
inline Value Cdr(const Value& pair) { return pair.As<Pair>()->cdr; }
inline Value MakeFlonum(Heap& heap, double number) { return Make<Flonum>(heap, number); }

// An array of the type T whose items are all `fill`.
template <class T>
Value MakeArray(Heap& heap, size_t length, const Value& fill) {
  Value array = MakeExtra<T>(heap, length * sizeof(Field), length);
  for (size_t i = 0; i < length; ++i) array.As<T>()->items()[i] = fill;
  return array;
}

inline Value MakeBytevector(Heap& heap, const void* bytes, size_t length) {
  Value made = MakeExtra<Bytevector>(heap, length, length);
  if (length > 0) std::copy_n(static_cast<const uint8_t*>(bytes), length, made.As<Bytevector>()->bytes());
  return made;
}

inline Value MakeString(Heap& heap, std::u32string_view text) {
  Value made = MakeExtra<String>(heap, text.size() * sizeof(char32_t), text.size());
  std::copy(text.begin(), text.end(), made.As<String>()->text());
  return made;
}

// UTF-8 on the outside, scalar values inside; what is not UTF-8 becomes U+FFFD.
bool IsScalarValue(uint64_t code);  // Not above U+10FFFF, not a surrogate.
std::u32string FromUtf8(std::string_view text);
void AppendUtf8(std::string* text, char32_t code);
std::string ToUtf8(std::u32string_view text);
inline Value MakeString(Heap& heap, std::string_view text) { return MakeString(heap, FromUtf8(text)); }

// The number of items of a proper list, or -1 if it is none (improper or circular).
int64_t ListLength(const Value& list);

}  // namespace scheme
