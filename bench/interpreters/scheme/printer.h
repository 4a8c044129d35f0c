#pragma once

// Values as text: for people (`display`) or so that `read` gets them back (`write`).

#include <string>

#include "bench/interpreters/scheme/objects.h"

namespace scheme {

enum class Style : uint8_t { kDisplay, kWrite };

std::string ToText(const Value& value, Style style);
// Written, and cut after some characters: for messages.
std::string ToShortText(const Value& value);

// A symbol's name; of one that stands for another, the other's.
std::string SymbolText(const Value& symbol);

struct CharacterName {
  const char* name;
  char32_t code;
};
// Ends with a null name.
extern const CharacterName kCharacterNames[];

}  // namespace scheme
