#include "bench/interpreters/scheme/reader.h"

#include "bench/interpreters/scheme/numbers.h"
#include "bench/interpreters/scheme/printer.h"

namespace scheme {
namespace {

constexpr int kDecimal = 10, kHexadecimal = 16;
// The reader recurses into nested data; deeper text is refused rather than the C++ stack overrun.
constexpr int kDeepestNesting = 5000;

bool IsBlank(char32_t c) { return c == ' ' || c == '\n' || c == '\t' || c == '\r' || c == '\f' || c == 0xA0; }
bool IsDelimiter(char32_t c) {
  return IsBlank(c) || c == '(' || c == ')' || c == '[' || c == ']' || c == '"' || c == ';' || c == '\'';
}

}  // namespace

void Reader::FailHere(const std::string& message, const char* kind) const {
  throw SchemeError{"line " + std::to_string(line_) + ": " + message, kind};
}

char32_t Reader::Take() {
  char32_t c = text_[position_++];
  if (c == '\n') ++line_;
  return c;
}

char32_t Reader::TakeOrFail(const char* inside) {
  if (AtEnd()) FailHere(std::string("the text ends inside of ") + inside, kIncomplete);
  return Take();
}

std::u32string_view Reader::TakeToken() {
  size_t begin = position_;
  while (!AtEnd() && !IsDelimiter(Peek())) ++position_;
  return text_.substr(begin, position_ - begin);
}

void Reader::SkipBlockComment() {
  position_ += 2;
  for (int depth = 1; depth > 0;) {
    char32_t c = TakeOrFail("a comment");
    if (AtEnd()) continue;
    if (c == '|' && Peek() == '#') --depth, ++position_;
    else if (c == '#' && Peek() == '|') ++depth, ++position_;
  }
}

void Reader::SkipBlanks() {
  while (!AtEnd()) {
    char32_t next = position_ + 1 < text_.size() ? text_[position_ + 1] : 0;
    if (IsBlank(Peek())) {
      Take();
    } else if (Peek() == ';' || (Peek() == '#' && next == '!' && position_ == 0)) {
      while (!AtEnd() && Peek() != '\n') ++position_;
    } else if (Peek() == '#' && next == '|') {
      SkipBlockComment();
    } else if (Peek() == '#' && next == ';') {
      position_ += 2;
      ReadDatum(0);
    } else {
      return;
    }
  }
}

Value Reader::Read() {
  SkipBlanks();
  return AtEnd() ? Value(kEofWord) : ReadDatum(0);
}

Value Reader::ReadDatum(int depth) {
  if (depth > kDeepestNesting) FailHere("the data are nested too deeply");
  SkipBlanks();
  if (AtEnd()) FailHere("the text ends where a datum should be", kIncomplete);
  switch (Peek()) {
    case '(': Take(); return ReadList(')', depth);
    case '[': Take(); return ReadList(']', depth);
    case ')': case ']': Take(); FailHere("a closing parenthesis without an opening one");
    case '\'': Take(); return ReadQuoted("quote", depth);
    case '`': Take(); return ReadQuoted("quasiquote", depth);
    case '"': Take(); return ReadString();
    case '|': Take(); return ReadBarSymbol();
    case '#': return ReadHash(depth);
    case ',':
      Take();
      if (AtEnd() || Peek() != '@') return ReadQuoted("unquote", depth);
      Take();
      return ReadQuoted("unquote-splicing", depth);
    default: return ReadAtom();
  }
}

Value Reader::ReadQuoted(const char* symbol, int depth) {
  uint32_t line = line_;
  Value datum = Cons(in_.heap, ReadDatum(depth + 1), Value::Nil());
  Value quoted = Cons(in_.heap, in_.Intern(symbol), datum);
  quoted.AsObject()->SetLine(line);
  return quoted;
}

Value Reader::ReadList(char32_t closing, int depth) {
  Value head = Value::Nil(), last;
  uint32_t opening_line = line_;
  for (;;) {
    SkipBlanks();
    if (AtEnd()) FailHere("the list that begins in line " + std::to_string(opening_line) + " is not closed", kIncomplete);
    if (Peek() == ')' || Peek() == ']') {
      if (Take() != closing) FailHere("the wrong closing parenthesis");
      return head;
    }
    uint32_t line = line_;
    bool is_dot = Peek() == '.' && (position_ + 1 == text_.size() || IsDelimiter(text_[position_ + 1]));
    if (is_dot && !head.IsNil()) {
      Take();
      last.As<Pair>()->cdr = ReadDatum(depth + 1);
      SkipBlanks();
      if (TakeOrFail("a list") != closing) FailHere("more than one datum after a dot");
      return head;
    }
    Value pair = Cons(in_.heap, ReadDatum(depth + 1), Value::Nil());
    pair.AsObject()->SetLine(line);
    if (head.IsNil()) head = pair;
    else last.As<Pair>()->cdr = pair;
    last = pair;
  }
}

void Reader::ReadEscape(std::u32string* text) {
  char32_t c = TakeOrFail("a string");
  switch (c) {
    case 'a': text->push_back('\a'); return;
    case 'b': text->push_back('\b'); return;
    case 'n': text->push_back('\n'); return;
    case 'r': text->push_back('\r'); return;
    case 't': text->push_back('\t'); return;
    case '"': case '\\': case '|': text->push_back(c); return;
    case 'x': {
      std::string digits;
      while ((c = TakeOrFail("a string")) != ';') AppendUtf8(&digits, c);
      Value code = ParseNumber(in_.heap, digits, kHexadecimal);
      if (!code.IsFixnum() || !IsScalarValue(static_cast<uint64_t>(code.AsFixnum()))) FailHere("a wrong \\x escape");
      text->push_back(static_cast<char32_t>(code.AsFixnum()));
      return;
    }
    default: break;
  }
  if (!IsBlank(c)) FailHere("an unknown escape in a string");
  // A backslash at the end of a line joins it with the next one, without the blanks between.
  while (c != '\n' && IsBlank(c)) c = TakeOrFail("a string");
  while (!AtEnd() && (Peek() == ' ' || Peek() == '\t')) Take();
}

Value Reader::ReadString() {
  std::u32string text;
  for (;;) {
    char32_t c = TakeOrFail("a string");
    if (c == '"') return MakeString(in_.heap, text);
    if (c == '\\') ReadEscape(&text);
    else text.push_back(c);
  }
}

Value Reader::ReadBarSymbol() {
  std::u32string text;
  for (;;) {
    char32_t c = TakeOrFail("a symbol");
    if (c == '|') return in_.Intern(text);
    if (c == '\\') ReadEscape(&text);
    else text.push_back(c);
  }
}

Value Reader::ReadCharacter() {
  position_ += 2;
  char32_t first = TakeOrFail("a character");
  std::u32string token(1, first);
  if (!IsDelimiter(first)) token += TakeToken();
  if (token.size() == 1) return Value::Character(first);
  std::string name = ToUtf8(token);
  for (const CharacterName* known = kCharacterNames; known->name != nullptr; ++known) {
    if (name == known->name) return Value::Character(known->code);
  }
  Value code = first == 'x' ? ParseNumber(in_.heap, name.substr(1), kHexadecimal) : Value();
  if (code.IsFixnum() && code.AsFixnum() >= 0 && IsScalarValue(static_cast<uint64_t>(code.AsFixnum()))) {
    return Value::Character(static_cast<char32_t>(code.AsFixnum()));
  }
  FailHere("an unknown character #\\" + name);
}

Value Reader::ReadBytevector(int depth) {
  constexpr size_t kPrefixLength = 4;
  constexpr int64_t kHighestByte = 255;
  position_ += kPrefixLength;
  std::string bytes;
  for (Value list = ReadList(')', depth); list.Is<Pair>(); list = Cdr(list)) {
    Value byte = Car(list);
    if (!byte.IsFixnum() || byte.AsFixnum() < 0 || byte.AsFixnum() > kHighestByte) FailHere("a wrong byte in #u8(...)");
    bytes.push_back(static_cast<char>(byte.AsFixnum()));
  }
  return MakeBytevector(in_.heap, bytes.data(), bytes.size());
}

Value Reader::ReadHash(int depth) {
  std::u32string_view rest = text_.substr(position_);
  if (rest.starts_with(U"#(")) {
    position_ += 2;
    Value list = ReadList(')', depth);
    int64_t length = ListLength(list);
    if (length < 0) FailHere("a dot in a vector");
    Value vector = MakeArray<Vector>(in_.heap, static_cast<size_t>(length), Value::False());
    for (size_t i = 0; list.Is<Pair>(); list = Cdr(list)) vector.As<Vector>()->items()[i++] = Car(list);
    return vector;
  }
  if (rest.starts_with(U"#u8(")) return ReadBytevector(depth);
  if (rest.starts_with(U"#\\")) return ReadCharacter();
  std::string token = ToUtf8(TakeToken());
  if (token == "#t" || token == "#true") return Value::Boolean(true);
  if (token == "#f" || token == "#false") return Value::False();
  Value number = ParseNumber(in_.heap, token, kDecimal);
  if (number.IsNothing()) FailHere("unknown syntax " + token);
  return number;
}

Value Reader::ReadAtom() {
  std::u32string_view token = TakeToken();
  if (token.empty()) {
    Take();
    FailHere("an unexpected character");
  }
  Value number = ParseNumber(in_.heap, ToUtf8(token), kDecimal);
  return number.IsNothing() ? in_.Intern(token) : number;
}

}  // namespace scheme
