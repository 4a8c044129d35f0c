// Numbers as text, in both directions.

#include <cctype>
#include <charconv>
#include <cmath>

#include "bench/interpreters/scheme/integers.h"
#include "bench/interpreters/scheme/numbers.h"

namespace scheme {
namespace {

std::string IntegerToText(mpz_srcptr number, int radix) {
  constexpr size_t kSignAndEnd = 2;
  std::string text(mpz_sizeinbase(number, radix) + kSignAndEnd, '\0');
  mpz_get_str(text.data(), radix, number);
  text.resize(text.find('\0'));
  return text;
}

// The shortest text that reads back as the same number.
std::string FlonumToText(double number) {
  if (std::isnan(number)) return "+nan.0";
  if (std::isinf(number)) return number > 0 ? "+inf.0" : "-inf.0";
  constexpr size_t kLongestFlonum = 32;
  char buffer[kLongestFlonum];
  std::to_chars_result end = std::to_chars(buffer, buffer + sizeof(buffer), number);
  std::string text(buffer, end.ptr);
  if (text.find_first_of(".e") == std::string::npos) text += ".0";
  return text;
}

bool IsDigits(std::string_view text, int radix) {
  if (text.empty()) return false;
  for (char c : text) {
    int digit = std::isdigit(static_cast<unsigned char>(c)) ? c - '0'
                : std::isalpha(static_cast<unsigned char>(c)) ? std::tolower(c) - 'a' + 10 : radix;
    if (digit >= radix) return false;
  }
  return true;
}

// Reads digits with an optional sign into a number; false if they are none.
bool ParseInteger(std::string_view text, int radix, mpz_ptr number) {
  bool has_sign = !text.empty() && (text[0] == '+' || text[0] == '-');
  if (!IsDigits(text.substr(has_sign), radix)) return false;
  std::string digits(text.substr(has_sign));
  mpz_set_str(number, digits.c_str(), radix);
  if (text[0] == '-') mpz_neg(number, number);
  return true;
}

bool ParseFlonum(std::string_view text, double* number) {
  if (text == "+inf.0" || text == "-inf.0") return *number = text[0] == '+' ? INFINITY : -INFINITY, true;
  if (text == "+nan.0" || text == "-nan.0") return *number = NAN, true;
  std::string_view body = text.substr(text[0] == '+' || text[0] == '-');
  // A dot alone, `...` and names like e5 are symbols.
  if (body.empty() || body.find_first_of("0123456789") > (body[0] == '.' ? 1u : 0u)) return false;
  std::string_view digits = text.substr(text[0] == '+');
  std::from_chars_result end = std::from_chars(digits.data(), digits.data() + digits.size(), *number);
  if (end.ptr != digits.data() + digits.size() || end.ec == std::errc::invalid_argument) return false;
  if (end.ec == std::errc::result_out_of_range) *number = std::strtod(std::string(digits).c_str(), nullptr);
  return true;
}

bool ParseFraction(std::string_view text, int radix, mpq_ptr fraction) {
  size_t slash = text.find('/');
  if (slash == std::string_view::npos || !IsDigits(text.substr(slash + 1), radix)) return false;
  bool is_read = ParseInteger(text.substr(0, slash), radix, mpq_numref(fraction)) &&
                 ParseInteger(text.substr(slash + 1), radix, mpq_denref(fraction));
  if (!is_read || mpz_sgn(mpq_denref(fraction)) == 0) return false;
  mpq_canonicalize(fraction);
  return true;
}

constexpr int kDecimal = 10;

Value ParseReal(Heap& heap, std::string_view text, int radix) {
  Integer integer;
  if (ParseInteger(text, radix, integer)) return integer.ToValue(heap);
  Rational fraction;
  if (ParseFraction(text, radix, fraction)) return fraction.ToValue(heap);
  double number;
  return radix == kDecimal && ParseFlonum(text, &number) ? MakeFlonum(heap, number) : Value();
}

}  // namespace

bool LooksLikeNumber(std::string_view text) {
  Integer integer;
  Rational fraction;
  double number;
  return !text.empty() &&
         (ParseInteger(text, kDecimal, integer) || ParseFraction(text, kDecimal, fraction) || ParseFlonum(text, &number));
}

std::string NumberToText(const Value& number, int radix) {
  if (number.Is<Flonum>()) return FlonumToText(number.As<Flonum>()->number);
  if (!number.Is<Ratnum>()) return IntegerToText(IntegerView(number), radix);
  return IntegerToText(IntegerView(number.As<Ratnum>()->numerator), radix) + "/" +
         IntegerToText(IntegerView(number.As<Ratnum>()->denominator), radix);
}

Value ParseNumber(Heap& heap, std::string_view text, int radix) {
  constexpr int kBinary = 2, kOctal = 8, kHexadecimal = 16;
  char exactness = '\0';
  while (text.size() > 2 && text[0] == '#') {
    switch (std::tolower(text[1])) {
      case 'b': radix = kBinary; break;
      case 'o': radix = kOctal; break;
      case 'd': radix = kDecimal; break;
      case 'x': radix = kHexadecimal; break;
      case 'e': case 'i': exactness = static_cast<char>(std::tolower(text[1])); break;
      default: return {};
    }
    text.remove_prefix(2);
  }
  if (text.empty()) return {};
  Value number = ParseReal(heap, text, radix);
  if (number.IsNothing() || exactness == '\0') return number;
  return exactness == 'e' ? ToExact(heap, number) : MakeFlonum(heap, ToDouble("number", number));
}

}  // namespace scheme
