// Primitives on numbers.

#include <cmath>

#include "bench/interpreters/scheme/numbers.h"
#include "bench/interpreters/scheme/primitives.h"

namespace scheme {
namespace {

using Operation = Value (*)(Heap&, const Value&, const Value&);

// Sums and products of any number of operands, of which the neutral element is the first.
template <Operation kOperation, int64_t kNeutral>
Value Fold(Interpreter& in, Arguments a) {
  Value result = Value::Fixnum(kNeutral);
  for (size_t i = 0; i < a.count; ++i) result = kOperation(in.heap, result, a[i]);
  return result;
}

// (- x) is 0 - x, (- x y z) is x - y - z; likewise /.
template <Operation kOperation, int64_t kNeutral>
Value FoldFromFirst(Interpreter& in, Arguments a) {
  if (a.count == 1) return kOperation(in.heap, Value::Fixnum(kNeutral), a[0]);
  Value result = a[0];
  for (size_t i = 1; i < a.count; ++i) result = kOperation(in.heap, result, a[i]);
  return result;
}

enum class Relation : uint8_t { kEqual, kLess, kGreater, kLessOrEqual, kGreaterOrEqual };

constexpr bool Holds(Relation relation, Order order) {
  switch (relation) {
    case Relation::kEqual: return order == Order::kEqual;
    case Relation::kLess: return order == Order::kLess;
    case Relation::kGreater: return order == Order::kGreater;
    case Relation::kLessOrEqual: return order == Order::kLess || order == Order::kEqual;
    case Relation::kGreaterOrEqual: return order == Order::kGreater || order == Order::kEqual;
  }
  return false;
}

template <Relation kRelation>
Value IsRelated(Interpreter&, Arguments a) {
  constexpr const char* kNames[] = {"=", "<", ">", "<=", ">="};
  const char* who = kNames[static_cast<int>(kRelation)];
  bool holds = true;
  if (a.count == 1 && !IsNumber(a[0])) FailType(who, a[0], "a number");
  for (size_t i = 0; i + 1 < a.count; ++i) holds &= Holds(kRelation, Compare(who, a[i], a[i + 1]));
  return Value::Boolean(holds);
}

template <Order kWanted>
Value IsOfSign(Interpreter&, Arguments a) {
  return Value::Boolean(Compare("sign", a[0], Value::Fixnum(0)) == kWanted);
}

template <Relation kRelation>
Value Extreme(Interpreter& in, Arguments a) {
  const char* who = kRelation == Relation::kLess ? "min" : "max";
  Value best = a[0];
  bool is_exact = IsExact(a[0]);
  for (size_t i = 1; i < a.count; ++i) {
    is_exact &= IsExact(a[i]);
    if (Holds(kRelation, Compare(who, a[i], best))) best = a[i];
  }
  return is_exact || !IsExact(best) ? best : MakeFlonum(in.heap, ToDouble(who, best));
}

template <Rounding kRounding, bool kIsQuotient>
Value DividePart(Interpreter& in, Arguments a) {
  const char* who = kIsQuotient ? "quotient" : kRounding == Rounding::kFloor ? "modulo" : "remainder";
  QuotientAndRemainder parts = DivideIntegers(in.heap, who, a[0], a[1], kRounding);
  return kIsQuotient ? parts.quotient : parts.remainder;
}

template <Rounding kRounding>
Value RoundTo(Interpreter& in, Arguments a) {
  return Round(in.heap, "round", a[0], kRounding);
}

using FlonumFunction = double (*)(double);
template <FlonumFunction kFunction>
Value Transcendental(Interpreter& in, Arguments a) {
  return MakeFlonum(in.heap, kFunction(ToDouble("number", a[0])));
}

Value Logarithm(Interpreter& in, Arguments a) {
  double result = std::log(ToDouble("log", a[0]));
  return MakeFlonum(in.heap, a.count == 1 ? result : result / std::log(ToDouble("log", a[1])));
}

Value ArcTangent(Interpreter& in, Arguments a) {
  double y = ToDouble("atan", a[0]);
  return MakeFlonum(in.heap, a.count == 1 ? std::atan(y) : std::atan2(y, ToDouble("atan", a[1])));
}

Value NumberToString(Interpreter& in, Arguments a) {
  constexpr size_t kDecimal = 10, kHighestRadix = 36;
  if (!IsNumber(a[0])) FailType("number->string", a[0], "a number");
  size_t radix = a.count == 1 ? kDecimal : ExpectIndex("number->string", a[1], kHighestRadix);
  if (radix < 2) FailType("number->string", a[1], "a radix");
  return MakeString(in.heap, NumberToText(a[0], static_cast<int>(radix)));
}

Value StringToNumber(Interpreter& in, Arguments a) {
  constexpr size_t kDecimal = 10, kHighestRadix = 36;
  size_t radix = a.count == 1 ? kDecimal : ExpectIndex("string->number", a[1], kHighestRadix);
  std::string text = ToUtf8(Expect<String>("string->number", a[0], "a string")->view());
  Value number = ParseNumber(in.heap, text, static_cast<int>(std::max<size_t>(radix, 2)));
  return number.IsNothing() ? Value::False() : number;
}

Value IntegerRoot(Interpreter& in, Arguments a) {
  QuotientAndRemainder root = IntegerSquareRoot(in.heap, a[0]);
  Value values = MakeArray<MultipleValues>(in.heap, 2, root.quotient);
  values.As<MultipleValues>()->items()[1] = root.remainder;
  return values;
}

Value PartOfFraction(Interpreter&, Arguments a, bool is_numerator) {
  if (a[0].Is<Ratnum>()) return is_numerator ? a[0].As<Ratnum>()->numerator : a[0].As<Ratnum>()->denominator;
  if (!IsExactInteger(a[0])) FailType("numerator", a[0], "an exact rational number");
  return is_numerator ? a[0] : Value::Fixnum(1);
}

const Primitive kPrimitives[] = {
    {"+", 0, kAny, Fold<Add, 0>},
    {"*", 0, kAny, Fold<Multiply, 1>},
    {"-", 1, kAny, FoldFromFirst<Subtract, 0>},
    {"/", 1, kAny, FoldFromFirst<Divide, 1>},
    {"=", 1, kAny, IsRelated<Relation::kEqual>},
    {"<", 1, kAny, IsRelated<Relation::kLess>},
    {">", 1, kAny, IsRelated<Relation::kGreater>},
    {"<=", 1, kAny, IsRelated<Relation::kLessOrEqual>},
    {">=", 1, kAny, IsRelated<Relation::kGreaterOrEqual>},
    {"zero?", 1, 1, IsOfSign<Order::kEqual>},
    {"positive?", 1, 1, IsOfSign<Order::kGreater>},
    {"negative?", 1, 1, IsOfSign<Order::kLess>},
    {"min", 1, kAny, Extreme<Relation::kLess>},
    {"max", 1, kAny, Extreme<Relation::kGreater>},
    {"quotient", 2, 2, DividePart<Rounding::kTruncate, true>},
    {"remainder", 2, 2, DividePart<Rounding::kTruncate, false>},
    {"modulo", 2, 2, DividePart<Rounding::kFloor, false>},
    {"truncate-quotient", 2, 2, DividePart<Rounding::kTruncate, true>},
    {"truncate-remainder", 2, 2, DividePart<Rounding::kTruncate, false>},
    {"floor-quotient", 2, 2, DividePart<Rounding::kFloor, true>},
    {"floor-remainder", 2, 2, DividePart<Rounding::kFloor, false>},
    {"floor", 1, 1, RoundTo<Rounding::kFloor>},
    {"ceiling", 1, 1, RoundTo<Rounding::kCeiling>},
    {"truncate", 1, 1, RoundTo<Rounding::kTruncate>},
    {"round", 1, 1, RoundTo<Rounding::kNearest>},
    {"gcd", 0, kAny, Fold<Gcd, 0>},
    {"expt", 2, 2, [](Interpreter& in, Arguments a) { return Power(in.heap, a[0], a[1]); }},
    {"sqrt", 1, 1, [](Interpreter& in, Arguments a) { return SquareRoot(in.heap, a[0]); }},
    {"exact-integer-sqrt", 1, 1, IntegerRoot},
    {"exp", 1, 1, Transcendental<std::exp>},
    {"sin", 1, 1, Transcendental<std::sin>},
    {"cos", 1, 1, Transcendental<std::cos>},
    {"tan", 1, 1, Transcendental<std::tan>},
    {"asin", 1, 1, Transcendental<std::asin>},
    {"acos", 1, 1, Transcendental<std::acos>},
    {"atan", 1, 2, ArcTangent},
    {"log", 1, 2, Logarithm},
    {"exact", 1, 1, [](Interpreter& in, Arguments a) { return ToExact(in.heap, a[0]); }},
    {"inexact", 1, 1,
     [](Interpreter& in, Arguments a) {
       return a[0].Is<Flonum>() ? a[0] : MakeFlonum(in.heap, ToDouble("inexact", a[0]));
     }},
    {"numerator", 1, 1, [](Interpreter& in, Arguments a) { return PartOfFraction(in, a, true); }},
    {"denominator", 1, 1, [](Interpreter& in, Arguments a) { return PartOfFraction(in, a, false); }},
    {"number?", 1, 1, [](Interpreter&, Arguments a) { return Value::Boolean(IsNumber(a[0])); }},
    {"integer?", 1, 1, [](Interpreter&, Arguments a) { return Value::Boolean(IsIntegral(a[0])); }},
    {"exact?", 1, 1, [](Interpreter&, Arguments a) { return Value::Boolean(IsExact(a[0])); }},
    {"inexact?", 1, 1, IsOfType<Flonum>},
    {"exact-integer?", 1, 1, [](Interpreter&, Arguments a) { return Value::Boolean(IsExactInteger(a[0])); }},
    {"rational?", 1, 1,
     [](Interpreter&, Arguments a) {
       return Value::Boolean(IsExact(a[0]) || (a[0].Is<Flonum>() && std::isfinite(a[0].As<Flonum>()->number)));
     }},
    {"nan?", 1, 1, [](Interpreter&, Arguments a) { return Value::Boolean(std::isnan(ToDouble("nan?", a[0]))); }},
    {"number->string", 1, 2, NumberToString},
    {"string->number", 1, 2, StringToNumber},
};

}  // namespace

void DefineNumbers(Interpreter& in) { DefineAll(in, kPrimitives); }

}  // namespace scheme
