#include "bench/interpreters/scheme/interpreter.h"

#include "bench/interpreters/scheme/compile.h"
#include "bench/interpreters/scheme/reader.h"

namespace scheme {
namespace {

constexpr size_t kFirstSymbolBuckets = 1024;

size_t HashText(std::u32string_view text) {
  // FNV-1a.
  uint64_t hash = 14695981039346656037u;
  for (char32_t code : text) hash = (hash ^ code) * 1099511628211u;
  return static_cast<size_t>(hash ^ hash >> 32);
}

std::u32string_view NameOf(const Value& symbol) { return Value(symbol.As<Symbol>()->name).As<String>()->view(); }

}  // namespace

Interpreter::Interpreter(size_t most_heap_bytes) : heap(most_heap_bytes) {
  DeclareTypes(heap);
  heap.SetRoots(this);
  symbols_ = MakeArray<Vector>(heap, kFirstSymbolBuckets, Value::Nil());
  DefineSyntax(*this);
  DefineLists(*this);
  DefineNumbers(*this);
  DefineText(*this);
  DefineVectors(*this);
  DefineTables(*this);
  DefinePorts(*this);
  DefineControl(*this);
  vm.memory_error = Make<Condition>(heap, MakeString(heap, std::string_view("out of memory")), Value::Nil(), Intern(kMemoryError));
  TakeReserve();
  RunText(kPrelude, "");
}

void Interpreter::TakeReserve() {
  constexpr size_t kReserveBytes = 256 * 1024;
  // Never read or written: its address is all that is wanted of it.
  if (reserve_.IsNothing()) reserve_ = Value(heap.Create<Bytevector>(kReserveBytes, kReserveBytes));
}

// The interpreter object may lie anywhere, also where the heap does not look: its own words are named here.
int Interpreter::RootRanges(RootRange* ranges) const {
  ranges[0] = {&symbols_, &reserve_ + 1};
  return 1 + vm.RootRanges(ranges + 1);
}

Value Interpreter::Intern(std::u32string_view name) {
  size_t hash = HashText(name);
  Vector* buckets = symbols_.As<Vector>();
  for (Value list = buckets->items()[hash % buckets->length]; list.Is<Pair>(); list = Cdr(list)) {
    if (NameOf(Car(list)) == name) return Car(list);
  }
  if (symbol_count_++ == buckets->length) {
    Value grown = MakeArray<Vector>(heap, buckets->length * 2, Value::Nil());
    for (size_t i = 0; i < buckets->length; ++i) {
      for (Value list = buckets->items()[i]; list.Is<Pair>(); list = Cdr(list)) {
        Field& bucket = grown.As<Vector>()->items()[HashText(NameOf(Car(list))) % grown.As<Vector>()->length];
        bucket = Cons(heap, Car(list), bucket);
      }
    }
    symbols_ = grown;
  }
  Value symbol = Make<Symbol>(heap, MakeString(heap, name), Value());
  Field& bucket = symbols_.As<Vector>()->items()[hash % symbols_.As<Vector>()->length];
  bucket = Cons(heap, symbol, bucket);
  return symbol;
}

void Interpreter::DefineBuiltin(const char* name, Builtin::Function function, uint32_t least, uint32_t most,
                                Special special) {
  Define(name, Make<Builtin>(heap, name, function, least, most, special));
}

Value Interpreter::Evaluate(const Value& form, const Value& file) {
  Value thunk;
  try {
    thunk = CompileToplevel(*this, form, file);
  } catch (const SchemeError& error) {
    if (std::string_view(error.kind) == kMemoryError) ReleaseReserve();
    throw UncaughtError{error.message};
  }
  heap.RunEnds();
  return vm.Execute(thunk);
}

void Interpreter::RunText(std::string_view text, std::string_view file) {
  Value contents = MakeString(heap, text), file_name = MakeString(heap, file);
  Reader reader(*this, contents.As<String>()->view());
  for (;;) {
    Value form;
    try {
      form = reader.Read();
    } catch (const SchemeError& error) {
      throw UncaughtError{std::string(file) + ": " + error.message};
    }
    if (form.word() == kEofWord) return;
    Evaluate(form, file_name);
  }
}

}  // namespace scheme
