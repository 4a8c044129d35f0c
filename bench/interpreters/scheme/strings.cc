// Primitives on characters and strings.

#include <cwctype>

#include "bench/interpreters/scheme/primitives.h"

namespace scheme {
namespace {

char32_t ExpectCharacter(const char* who, const Value& value) {
  if (!value.IsCharacter()) FailType(who, value, "a character");
  return value.AsCharacter();
}

String* ExpectString(const char* who, const Value& value) { return Expect<String>(who, value, "a string"); }

char32_t Upper(char32_t c) { return static_cast<char32_t>(std::towupper(static_cast<wint_t>(c))); }
char32_t Lower(char32_t c) { return static_cast<char32_t>(std::towlower(static_cast<wint_t>(c))); }

// Text is compared without an object for each operand: characters count as strings of one.
enum class Relation : uint8_t { kEqual, kLess, kGreater, kLessOrEqual, kGreaterOrEqual };
enum class Case : bool { kKept, kFolded };

bool Holds(Relation relation, int order) {
  switch (relation) {
    case Relation::kEqual: return order == 0;
    case Relation::kLess: return order < 0;
    case Relation::kGreater: return order > 0;
    case Relation::kLessOrEqual: return order <= 0;
    case Relation::kGreaterOrEqual: return order >= 0;
  }
  return false;
}

template <Case kCase>
int CompareText(std::u32string_view a, std::u32string_view b) {
  if constexpr (kCase == Case::kKept) return a.compare(b);
  for (size_t i = 0; i < a.size() && i < b.size(); ++i) {
    char32_t x = Lower(a[i]), y = Lower(b[i]);
    if (x != y) return x < y ? -1 : 1;
  }
  return a.size() < b.size() ? -1 : a.size() > b.size();
}

template <Relation kRelation, Case kCase>
Value CompareStrings(Interpreter&, Arguments a) {
  bool holds = true;
  for (size_t i = 0; i < a.count; ++i) ExpectString("string comparison", a[i]);
  for (size_t i = 0; i + 1 < a.count; ++i) {
    holds &= Holds(kRelation, CompareText<kCase>(a[i].As<String>()->view(), a[i + 1].As<String>()->view()));
  }
  return Value::Boolean(holds);
}

template <Relation kRelation, Case kCase>
Value CompareCharacters(Interpreter&, Arguments a) {
  bool holds = true;
  for (size_t i = 0; i < a.count; ++i) ExpectCharacter("character comparison", a[i]);
  for (size_t i = 0; i + 1 < a.count; ++i) {
    char32_t x = a[i].AsCharacter(), y = a[i + 1].AsCharacter();
    holds &= Holds(kRelation, CompareText<kCase>({&x, 1}, {&y, 1}));
  }
  return Value::Boolean(holds);
}

Value FilledString(Interpreter& in, Arguments a) {
  size_t length = ExpectIndex("make-string", a[0], kLargestLength);
  char32_t fill = a.count > 1 ? ExpectCharacter("make-string", a[1]) : U' ';
  Value made = MakeExtra<String>(in.heap, length * sizeof(char32_t), length);
  std::fill_n(made.As<String>()->text(), length, fill);
  return made;
}

Value StringOf(Interpreter& in, Arguments a) {
  Value made = MakeExtra<String>(in.heap, a.count * sizeof(char32_t), a.count);
  for (size_t i = 0; i < a.count; ++i) made.As<String>()->text()[i] = ExpectCharacter("string", a[i]);
  return made;
}

Value StringRef(Interpreter&, Arguments a) {
  String* string = ExpectString("string-ref", a[0]);
  size_t index = ExpectIndex("string-ref", a[1], string->length);
  if (index == string->length) FailType("string-ref", a[1], "an index of the string");
  return Value::Character(string->text()[index]);
}

Value StringSet(Interpreter&, Arguments a) {
  String* string = ExpectString("string-set!", a[0]);
  size_t index = ExpectIndex("string-set!", a[1], string->length);
  if (index == string->length) FailType("string-set!", a[1], "an index of the string");
  string->text()[index] = ExpectCharacter("string-set!", a[2]);
  return Value::Unspecified();
}

Value Substring(Interpreter& in, Arguments a) {
  std::u32string_view text = ExpectString("substring", a[0])->view();
  Range range = ExpectRange("substring", a, 1, text.size());
  return MakeString(in.heap, text.substr(range.begin, range.end - range.begin));
}

Value StringAppend(Interpreter& in, Arguments a) {
  size_t length = 0;
  for (size_t i = 0; i < a.count; ++i) length += ExpectString("string-append", a[i])->length;
  Value made = MakeExtra<String>(in.heap, length * sizeof(char32_t), length);
  char32_t* to = made.As<String>()->text();
  for (size_t i = 0; i < a.count; ++i) {
    std::u32string_view part = a[i].As<String>()->view();
    to = std::copy(part.begin(), part.end(), to);
  }
  return made;
}

Value StringToList(Interpreter& in, Arguments a) {
  std::u32string_view text = ExpectString("string->list", a[0])->view();
  Range range = ExpectRange("string->list", a, 1, text.size());
  Value list = Value::Nil();
  for (size_t i = range.end; i-- > range.begin;) list = Cons(in.heap, Value::Character(text[i]), list);
  return list;
}

Value ListToString(Interpreter& in, Arguments a) {
  std::u32string text;
  if (ListLength(a[0]) < 0) FailType("list->string", a[0], "a list");
  for (Value list = a[0]; list.Is<Pair>(); list = Cdr(list)) text.push_back(ExpectCharacter("list->string", Car(list)));
  return MakeString(in.heap, text);
}

Value StringFill(Interpreter&, Arguments a) {
  String* string = ExpectString("string-fill!", a[0]);
  Range range = ExpectRange("string-fill!", a, 2, string->length);
  std::fill(string->text() + range.begin, string->text() + range.end, ExpectCharacter("string-fill!", a[1]));
  return Value::Unspecified();
}

Value StringSearch(Interpreter&, Arguments a) {
  size_t found = ExpectString("string-search", a[1])->view().find(ExpectString("string-search", a[0])->view());
  return found == std::u32string_view::npos ? Value::False() : Value::Fixnum(static_cast<int64_t>(found));
}

template <char32_t (*kConvert)(char32_t)>
Value ConvertString(Interpreter& in, Arguments a) {
  Value made = MakeString(in.heap, ExpectString("string case", a[0])->view());
  char32_t* text = made.As<String>()->text();
  std::transform(text, text + made.As<String>()->length, text, kConvert);
  return made;
}

template <char32_t (*kConvert)(char32_t)>
Value ConvertCharacter(Interpreter&, Arguments a) {
  return Value::Character(kConvert(ExpectCharacter("character case", a[0])));
}

template <int (*kIsOf)(wint_t)>
Value IsOfClass(Interpreter&, Arguments a) {
  return Value::Boolean(kIsOf(static_cast<wint_t>(ExpectCharacter("character class", a[0]))) != 0);
}

Value IntegerToCharacter(Interpreter&, Arguments a) {
  if (!a[0].IsFixnum() || !IsScalarValue(static_cast<uint64_t>(a[0].AsFixnum()))) {
    FailType("integer->char", a[0], "a Unicode scalar value");
  }
  return Value::Character(static_cast<char32_t>(a[0].AsFixnum()));
}

Value DigitValue(Interpreter&, Arguments a) {
  char32_t c = ExpectCharacter("digit-value", a[0]);
  return c >= U'0' && c <= U'9' ? Value::Fixnum(c - U'0') : Value::False();
}

Value StringToUtf8(Interpreter& in, Arguments a) {
  std::string bytes = ToUtf8(ExpectString("string->utf8", a[0])->view());
  return MakeBytevector(in.heap, bytes.data(), bytes.size());
}

Value Utf8ToString(Interpreter& in, Arguments a) {
  Bytevector* bytes = Expect<Bytevector>("utf8->string", a[0], "a bytevector");
  return MakeString(in.heap, std::string_view(reinterpret_cast<const char*>(bytes->bytes()), bytes->length));
}

#define SCHEME_COMPARISONS(prefix, function, letters)                                       \
  {prefix "=?", 1, kAny, function<Relation::kEqual, letters>},                               \
      {prefix "<?", 1, kAny, function<Relation::kLess, letters>},                            \
      {prefix ">?", 1, kAny, function<Relation::kGreater, letters>},                         \
      {prefix "<=?", 1, kAny, function<Relation::kLessOrEqual, letters>},                    \
      {prefix ">=?", 1, kAny, function<Relation::kGreaterOrEqual, letters>}

const Primitive kPrimitives[] = {
    SCHEME_COMPARISONS("string", CompareStrings, Case::kKept),
    SCHEME_COMPARISONS("string-ci", CompareStrings, Case::kFolded),
    SCHEME_COMPARISONS("char", CompareCharacters, Case::kKept),
    SCHEME_COMPARISONS("char-ci", CompareCharacters, Case::kFolded),
    {"char?", 1, 1, [](Interpreter&, Arguments a) { return Value::Boolean(a[0].IsCharacter()); }},
    {"char->integer", 1, 1,
     [](Interpreter&, Arguments a) { return Value::Fixnum(ExpectCharacter("char->integer", a[0])); }},
    {"integer->char", 1, 1, IntegerToCharacter},
    {"char-upcase", 1, 1, ConvertCharacter<Upper>},
    {"char-downcase", 1, 1, ConvertCharacter<Lower>},
    {"char-alphabetic?", 1, 1, IsOfClass<std::iswalpha>},
    {"char-numeric?", 1, 1, IsOfClass<std::iswdigit>},
    {"char-whitespace?", 1, 1, IsOfClass<std::iswspace>},
    {"char-upper-case?", 1, 1, IsOfClass<std::iswupper>},
    {"char-lower-case?", 1, 1, IsOfClass<std::iswlower>},
    {"digit-value", 1, 1, DigitValue},
    {"make-string", 1, 2, FilledString},
    {"string", 0, kAny, StringOf},
    {"string-length", 1, 1,
     [](Interpreter&, Arguments a) {
       return Value::Fixnum(static_cast<int64_t>(ExpectString("string-length", a[0])->length));
     }},
    {"string-ref", 2, 2, StringRef},
    {"string-set!", 3, 3, StringSet},
    {"substring", 2, 3, Substring},
    {"string-copy", 1, 3, Substring},
    {"string-append", 0, kAny, StringAppend},
    {"string->list", 1, 3, StringToList},
    {"list->string", 1, 1, ListToString},
    {"string-fill!", 2, 4, StringFill},
    {"string-search", 2, 2, StringSearch},
    {"string-upcase", 1, 1, ConvertString<Upper>},
    {"string-downcase", 1, 1, ConvertString<Lower>},
    {"string->utf8", 1, 1, StringToUtf8},
    {"utf8->string", 1, 1, Utf8ToString},
};
#undef SCHEME_COMPARISONS

}  // namespace

void DefineText(Interpreter& in) { DefineAll(in, kPrimitives); }

}  // namespace scheme
