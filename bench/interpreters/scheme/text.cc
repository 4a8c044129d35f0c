// UTF-8, and the small functions about lists and errors that have no better place.

#include "bench/interpreters/scheme/interpreter.h"
#include "bench/interpreters/scheme/printer.h"

namespace scheme {
namespace {

constexpr char32_t kReplacement = 0xFFFD;
constexpr char32_t kHighestCode = 0x10FFFF;
constexpr char32_t kFirstSurrogate = 0xD800, kLastSurrogate = 0xDFFF;
// A sequence of n bytes carries the lowest bits of its first byte and six bits of each other one.
constexpr unsigned kContinuationBits = 6;
constexpr unsigned char kContinuationMask = 0x3F, kContinuationMark = 0x80;

struct Lead {
  unsigned char mark, mask;
  size_t bytes;
  char32_t least;  // A shorter sequence would do for anything smaller.
};
constexpr Lead kLeads[] = {
    {0x00, 0x80, 1, 0}, {0xC0, 0xE0, 2, 0x80}, {0xE0, 0xF0, 3, 0x800}, {0xF0, 0xF8, 4, 0x10000}};

// The code at `position`, which moves past it.
char32_t DecodeAt(std::string_view text, size_t* position) {
  unsigned char first = static_cast<unsigned char>(text[*position]);
  for (const Lead& lead : kLeads) {
    if ((first & lead.mask) != lead.mark) continue;
    if (*position + lead.bytes > text.size()) break;
    char32_t code = first & static_cast<unsigned char>(~lead.mask);
    for (size_t i = 1; i < lead.bytes; ++i) {
      unsigned char next = static_cast<unsigned char>(text[*position + i]);
      if ((next & ~kContinuationMask) != kContinuationMark) return ++*position, kReplacement;
      code = code << kContinuationBits | (next & kContinuationMask);
    }
    if (code < lead.least || !IsScalarValue(code)) break;
    *position += lead.bytes;
    return code;
  }
  ++*position;
  return kReplacement;
}

}  // namespace

bool IsScalarValue(uint64_t code) {
  return code <= kHighestCode && !(code >= kFirstSurrogate && code <= kLastSurrogate);
}

std::u32string FromUtf8(std::string_view text) {
  std::u32string codes;
  codes.reserve(text.size());
  for (size_t position = 0; position < text.size();) codes.push_back(DecodeAt(text, &position));
  return codes;
}

void AppendUtf8(std::string* text, char32_t code) {
  size_t kind = std::size(kLeads) - 1;
  while (code < kLeads[kind].least) --kind;
  size_t bytes = kLeads[kind].bytes;
  text->push_back(static_cast<char>(kLeads[kind].mark | code >> (kContinuationBits * (bytes - 1))));
  for (size_t i = bytes - 1; i-- > 0;) {
    text->push_back(static_cast<char>(kContinuationMark | ((code >> (kContinuationBits * i)) & kContinuationMask)));
  }
}

std::string ToUtf8(std::u32string_view text) {
  std::string bytes;
  bytes.reserve(text.size());
  for (char32_t code : text) AppendUtf8(&bytes, code);
  return bytes;
}

int64_t ListLength(const Value& list) {
  int64_t length = 0;
  const Object* slow = list.IsPointer() ? list.AsObject() : nullptr;
  // Objects are looked at in place: nothing is allocated here, so nothing can vanish.
  for (Word word = list.word(); word != kNilWord; ++length) {
    const Object* object = reinterpret_cast<const Object*>(word);
    if (!IsPointerWord(word) || object->type != static_cast<uint32_t>(Type::kPair)) return -1;
    word = static_cast<const Pair*>(object)->cdr.word();
    if (length % 2 == 1) slow = reinterpret_cast<const Object*>(static_cast<const Pair*>(slow)->cdr.word());
    if (word == reinterpret_cast<Word>(slow)) return -1;
  }
  return length;
}

void Fail(std::string message) { throw SchemeError{std::move(message)}; }

void FailType(const char* what, const Value& value, const char* wanted) {
  throw SchemeError{std::string(what) + ": " + ToShortText(value) + " is not " + wanted};
}

void FailMemory(size_t bytes) {
  throw SchemeError{"out of memory: the heap could not supply " + std::to_string(bytes) + " bytes", kMemoryError};
}

void OutOfMemory(size_t bytes) {
  std::fprintf(stderr, "scheme: error: out of memory: the heap could not supply %zu bytes\n", bytes);
  std::exit(kExitOutOfMemory);
}

}  // namespace scheme
