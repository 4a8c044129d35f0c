#include "bench/interpreters/scheme/printer.h"

#include "bench/interpreters/scheme/numbers.h"

namespace scheme {

const CharacterName kCharacterNames[] = {
    {"alarm", 7},    {"backspace", 8}, {"delete", 127}, {"escape", 27}, {"newline", 10}, {"null", 0},
    {"return", 13},  {"space", 32},    {"tab", 9},      {nullptr, 0}};

namespace {

// Deeper structures, circular ones among them, end in dots.
constexpr int kDeepestNesting = 2000;
constexpr size_t kLongestShortText = 120;

class Printer {
 public:
  explicit Printer(Style style, size_t longest = SIZE_MAX) : style_(style), longest_(longest) {}

  void Print(const Value& value, int depth);
  std::string TakeText() { return std::move(text_); }

 private:
  void PrintConstant(const Value& value);
  void PrintCharacter(char32_t code);
  void PrintString(const String& string);
  void PrintPair(const Value& pair, int depth);
  void PrintItems(const char* opening, const Field* items, size_t count, int depth);
  void PrintRecord(const Record& record, int depth);
  void PrintSymbol(const Value& symbol);
  void PrintNamed(const char* what, const Value& name);

  Style style_;
  size_t longest_;
  std::string text_;
};

void Printer::PrintConstant(const Value& value) {
  switch (value.word()) {
    case kFalseWord: text_ += "#f"; break;
    case kTrueWord: text_ += "#t"; break;
    case kNilWord: text_ += "()"; break;
    case kEofWord: text_ += "#<eof>"; break;
    case kUnboundWord: text_ += "#<unbound>"; break;
    default: text_ += value.IsSpecialForm() ? "#<syntax>" : "#<unspecified>"; break;
  }
}

void Printer::PrintCharacter(char32_t code) {
  if (style_ == Style::kDisplay) return AppendUtf8(&text_, code);
  text_ += "#\\";
  for (const CharacterName* known = kCharacterNames; known->name != nullptr; ++known) {
    if (known->code == code) {
      text_ += known->name;
      return;
    }
  }
  AppendUtf8(&text_, code);
}

void Printer::PrintString(const String& string) {
  if (style_ == Style::kDisplay) {
    text_ += ToUtf8(string.view());
    return;
  }
  text_ += '"';
  for (char32_t code : string.view()) {
    switch (code) {
      case U'"': text_ += "\\\""; break;
      case U'\\': text_ += "\\\\"; break;
      case U'\n': text_ += "\\n"; break;
      case U'\t': text_ += "\\t"; break;
      case U'\r': text_ += "\\r"; break;
      default: AppendUtf8(&text_, code);
    }
  }
  text_ += '"';
}

const char* QuotePrefix(const Value& pair) {
  if (!Car(pair).Is<Symbol>() || !Cdr(pair).Is<Pair>() || !Cdr(Cdr(pair)).IsNil()) return nullptr;
  std::string name = SymbolText(Car(pair));
  return name == "quote" ? "'" : name == "quasiquote" ? "`" : name == "unquote" ? ","
         : name == "unquote-splicing" ? ",@" : nullptr;
}

void Printer::PrintPair(const Value& pair, int depth) {
  if (const char* prefix = QuotePrefix(pair)) {
    text_ += prefix;
    return Print(Car(Cdr(pair)), depth + 1);
  }
  text_ += '(';
  Value rest = pair, slow = pair;
  for (size_t count = 0;; ++count) {
    Print(Car(rest), depth + 1);
    rest = Cdr(rest);
    if (!rest.Is<Pair>()) break;
    text_ += ' ';
    if (count % 2 == 1) slow = Cdr(slow);
    if (rest == slow || text_.size() > longest_) {
      text_ += "...)";
      return;
    }
  }
  if (!rest.IsNil()) {
    text_ += " . ";
    Print(rest, depth + 1);
  }
  text_ += ')';
}

void Printer::PrintItems(const char* opening, const Field* items, size_t count, int depth) {
  text_ += opening;
  for (size_t i = 0; i < count; ++i) {
    if (i > 0) text_ += ' ';
    if (text_.size() > longest_) break;
    Print(items[i], depth + 1);
  }
  text_ += ')';
}

// A name that the reader would take for something else is written between bars.
void Printer::PrintSymbol(const Value& symbol) {
  std::string name = SymbolText(symbol);
  bool is_plain = !name.empty() && name != "." && name.find_first_of(" \t\n\r()[]\"';`,|") == std::string::npos &&
                  name[0] != '#' && !LooksLikeNumber(name);
  if (style_ == Style::kDisplay || is_plain) {
    text_ += name;
    return;
  }
  text_ += '|';
  for (char c : name) {
    if (c == '|' || c == '\\') text_ += '\\';
    text_ += c;
  }
  text_ += '|';
}

void Printer::PrintNamed(const char* what, const Value& name) {
  text_ += "#<";
  text_ += what;
  if (name.Is<Symbol>()) text_ += " " + SymbolText(name);
  text_ += '>';
}

void Printer::PrintRecord(const Record& record, int depth) {
  Value type = record.items()[0];
  if (!type.Is<Record>()) return PrintNamed("record-type", record.items()[1]);
  text_ += "#<" + SymbolText(type.As<Record>()->items()[1]);
  for (size_t i = 1; i < record.length; ++i) {
    text_ += ' ';
    Print(record.items()[i], depth + 1);
  }
  text_ += '>';
}

void Printer::Print(const Value& value, int depth) {
  if (depth > kDeepestNesting || text_.size() > longest_) {
    text_ += "...";
    return;
  }
  if (value.IsFixnum()) {
    text_ += std::to_string(value.AsFixnum());
    return;
  }
  if (value.IsCharacter()) return PrintCharacter(value.AsCharacter());
  constexpr int kDecimal = 10;
  switch (value.type()) {
    case Type::kNone: return PrintConstant(value);
    case Type::kPair: return PrintPair(value, depth);
    case Type::kFlonum: case Type::kBignum: case Type::kRatnum: text_ += NumberToText(value, kDecimal); return;
    case Type::kString: return PrintString(*value.As<String>());
    case Type::kSymbol: return PrintSymbol(value);
    case Type::kVector: return PrintItems("#(", value.As<Vector>()->items(), value.As<Vector>()->length, depth);
    case Type::kMultipleValues: {
      const MultipleValues* values = value.As<MultipleValues>();
      return PrintItems("#<values>(", values->items(), values->length, depth);
    }
    case Type::kBytevector: {
      text_ += "#u8(";
      const Bytevector* bytes = value.As<Bytevector>();
      for (size_t i = 0; i < bytes->length; ++i) {
        text_ += (i > 0 ? " " : "") + std::to_string(value.As<Bytevector>()->bytes()[i]);
      }
      text_ += ')';
      return;
    }
    case Type::kRecord: return PrintRecord(*value.As<Record>(), depth);
    case Type::kCondition:
      text_ += "#<error ";
      Print(value.As<Condition>()->message, depth + 1);
      text_ += '>';
      return;
    case Type::kClosure: return PrintNamed("procedure", value.As<Closure>()->GetCode()->name);
    case Type::kBuiltin: text_ += std::string("#<procedure ") + value.As<Builtin>()->name + ">"; return;
    case Type::kContinuation: return PrintNamed("continuation", {});
    case Type::kHashTable: return PrintNamed("hash-table", {});
    case Type::kBox: return PrintNamed("box", {});
    case Type::kCode: return PrintNamed("code", value.As<Code>()->name);
    case Type::kMacro: return PrintNamed("macro", {});
    case Type::kPort: return PrintNamed("port", {});
  }
}

}  // namespace

std::string ToText(const Value& value, Style style) {
  Printer printer(style);
  printer.Print(value, 0);
  return printer.TakeText();
}

std::string ToShortText(const Value& value) {
  Printer printer(Style::kWrite, kLongestShortText);
  printer.Print(value, 0);
  return printer.TakeText();
}

std::string SymbolText(const Value& symbol) {
  Value original = symbol;
  while (!Value(original.As<Symbol>()->alias_of).IsNothing()) original = original.As<Symbol>()->alias_of;
  return ToUtf8(Value(original.As<Symbol>()->name).As<String>()->view());
}

}  // namespace scheme
