// Primitives on pairs, lists and symbols, and the predicates that look at any value.

#include "bench/interpreters/scheme/equality.h"
#include "bench/interpreters/scheme/primitives.h"
#include "bench/interpreters/scheme/printer.h"

namespace scheme {
namespace {

// Follows a path like "da" of cadr, from its end.
template <size_t kLength>
Value FollowPath(const char* who, const char (&path)[kLength], const Value& value) {
  Value at = value;
  for (size_t i = kLength - 1; i-- > 0;) {
    if (!at.Is<Pair>()) FailType(who, value, "a pair of the right shape");
    at = path[i] == 'a' ? Car(at) : Cdr(at);
  }
  return at;
}

Value List(Interpreter& in, Arguments a) {
  Value list = Value::Nil();
  for (size_t i = a.count; i-- > 0;) list = Cons(in.heap, a[i], list);
  return list;
}

Value ConsStar(Interpreter& in, Arguments a) {
  Value list = a[a.count - 1];
  for (size_t i = a.count - 1; i-- > 0;) list = Cons(in.heap, a[i], list);
  return list;
}

int64_t ExpectLength(const char* who, const Value& list) {
  int64_t length = ListLength(list);
  if (length < 0) FailType(who, list, "a list");
  return length;
}

Value Append(Interpreter& in, Arguments a) {
  Value result = a.count == 0 ? Value::Nil() : a[a.count - 1];
  for (size_t i = a.count; i-- > 1;) {
    ExpectLength("append", a[i - 1]);
    Value first = result, last;
    for (Value list = a[i - 1]; list.Is<Pair>(); list = Cdr(list)) {
      Value pair = Cons(in.heap, Car(list), result);
      if (last.IsNothing()) first = pair;
      else last.As<Pair>()->cdr = pair;
      last = pair;
    }
    result = first;
  }
  return result;
}

Value Reverse(Interpreter& in, Arguments a) {
  ExpectLength("reverse", a[0]);
  Value result = Value::Nil();
  for (Value list = a[0]; list.Is<Pair>(); list = Cdr(list)) result = Cons(in.heap, Car(list), result);
  return result;
}

Value ListTail(const char* who, const Value& list, const Value& index) {
  Value rest = list;
  for (size_t i = ExpectIndex(who, index, kLargestLength); i > 0; --i) {
    if (!rest.Is<Pair>()) FailType(who, list, "long enough");
    rest = Cdr(rest);
  }
  return rest;
}

using Equality = bool (*)(const Value&, const Value&);
bool IsEq(const Value& a, const Value& b) { return a == b; }

template <Equality kIsSame>
Value Member(Interpreter&, Arguments a) {
  for (Value list = a[1]; list.Is<Pair>(); list = Cdr(list)) {
    if (kIsSame(a[0], Car(list))) return list;
  }
  return Value::False();
}

template <Equality kIsSame>
Value Associate(Interpreter&, Arguments a) {
  for (Value list = a[1]; list.Is<Pair>(); list = Cdr(list)) {
    Value entry = Car(list);
    if (!entry.Is<Pair>()) FailType("assoc", entry, "a pair");
    if (kIsSame(a[0], Car(entry))) return entry;
  }
  return Value::False();
}

template <Equality kIsSame>
Value IsSame(Interpreter&, Arguments a) {
  return Value::Boolean(kIsSame(a[0], a[1]));
}

template <bool kIsCar>
Value SetPart(Interpreter&, Arguments a) {
  Pair* pair = Expect<Pair>(kIsCar ? "set-car!" : "set-cdr!", a[0], "a pair");
  (kIsCar ? pair->car : pair->cdr) = a[1];
  return Value::Unspecified();
}

Value IsProcedure(Interpreter&, Arguments a) {
  return Value::Boolean(a[0].Is<Closure>() || a[0].Is<Builtin>() || a[0].Is<Continuation>());
}

const Primitive kPrimitives[] = {
    {"cons", 2, 2, [](Interpreter& in, Arguments a) { return Cons(in.heap, a[0], a[1]); }},
    {"car", 1, 1, [](Interpreter&, Arguments a) { return Value(Expect<Pair>("car", a[0], "a pair")->car); }},
    {"cdr", 1, 1, [](Interpreter&, Arguments a) { return Value(Expect<Pair>("cdr", a[0], "a pair")->cdr); }},
    {"caar", 1, 1, [](Interpreter&, Arguments a) { return FollowPath("caar", "aa", a[0]); }},
    {"cadr", 1, 1, [](Interpreter&, Arguments a) { return FollowPath("cadr", "ad", a[0]); }},
    {"cdar", 1, 1, [](Interpreter&, Arguments a) { return FollowPath("cdar", "da", a[0]); }},
    {"cddr", 1, 1, [](Interpreter&, Arguments a) { return FollowPath("cddr", "dd", a[0]); }},
    {"caddr", 1, 1, [](Interpreter&, Arguments a) { return FollowPath("caddr", "add", a[0]); }},
    {"cdddr", 1, 1, [](Interpreter&, Arguments a) { return FollowPath("cdddr", "ddd", a[0]); }},
    {"cadddr", 1, 1, [](Interpreter&, Arguments a) { return FollowPath("cadddr", "addd", a[0]); }},
    {"set-car!", 2, 2, SetPart<true>},
    {"set-cdr!", 2, 2, SetPart<false>},
    {"list", 0, kAny, List},
    {"cons*", 1, kAny, ConsStar},
    {"length", 1, 1, [](Interpreter&, Arguments a) { return Value::Fixnum(ExpectLength("length", a[0])); }},
    {"list?", 1, 1, [](Interpreter&, Arguments a) { return Value::Boolean(ListLength(a[0]) >= 0); }},
    {"append", 0, kAny, Append},
    {"reverse", 1, 1, Reverse},
    {"list-tail", 2, 2, [](Interpreter&, Arguments a) { return ListTail("list-tail", a[0], a[1]); }},
    {"list-ref", 2, 2,
     [](Interpreter&, Arguments a) {
       return Value(Expect<Pair>("list-ref", ListTail("list-ref", a[0], a[1]), "a pair")->car);
     }},
    {"memq", 2, 2, Member<IsEq>},
    {"memv", 2, 2, Member<IsEqv>},
    {"%member", 2, 2, Member<IsEqual>},
    {"assq", 2, 2, Associate<IsEq>},
    {"assv", 2, 2, Associate<IsEqv>},
    {"%assoc", 2, 2, Associate<IsEqual>},
    {"eq?", 2, 2, IsSame<IsEq>},
    {"eqv?", 2, 2, IsSame<IsEqv>},
    {"equal?", 2, 2, IsSame<IsEqual>},
    {"not", 1, 1, [](Interpreter&, Arguments a) { return Value::Boolean(!a[0].IsTrue()); }},
    {"null?", 1, 1, [](Interpreter&, Arguments a) { return Value::Boolean(a[0].IsNil()); }},
    {"pair?", 1, 1, IsOfType<Pair>},
    {"symbol?", 1, 1, IsOfType<Symbol>},
    {"string?", 1, 1, IsOfType<String>},
    {"vector?", 1, 1, IsOfType<Vector>},
    {"bytevector?", 1, 1, IsOfType<Bytevector>},
    {"hash-table?", 1, 1, IsOfType<HashTable>},
    {"procedure?", 1, 1, IsProcedure},
    {"boolean?", 1, 1,
     [](Interpreter&, Arguments a) { return Value::Boolean(a[0].word() == kTrueWord || a[0].word() == kFalseWord); }},
    {"symbol->string", 1, 1,
     [](Interpreter& in, Arguments a) {
       Expect<Symbol>("symbol->string", a[0], "a symbol");
       return MakeString(in.heap, SymbolText(a[0]));
     }},
    {"string->symbol", 1, 1,
     [](Interpreter& in, Arguments a) { return in.Intern(Expect<String>("string->symbol", a[0], "a string")->view()); }},
};

}  // namespace

void DefineLists(Interpreter& in) { DefineAll(in, kPrimitives); }

}  // namespace scheme
