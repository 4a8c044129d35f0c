// Primitives that read and write. Files are read as a whole when they are opened.

#include <cerrno>
#include <cstdio>
#include <utility>

#include "bench/interpreters/scheme/primitives.h"
#include "bench/interpreters/scheme/printer.h"
#include "bench/interpreters/scheme/reader.h"

namespace scheme {
namespace {

constexpr size_t kFirstOutputLength = 64;

[[noreturn]] void FailFile(const std::string& message) { throw SchemeError{message, "file"}; }

Port* ExpectInput(const char* who, Arguments a, size_t index) {
  if (a.count <= index) Fail(std::string(who) + ": no port is given, and there is no current input port");
  Port* port = Expect<Port>(who, a[index], "a port");
  if (port->kind != PortKind::kInput || !port->is_open) FailType(who, a[index], "an open input port");
  return port;
}

Port* ExpectOutput(Interpreter& in, const char* who, Arguments a, size_t index) {
  Value port = a.count > index ? a[index] : Value(in.Intern("%current-output").As<Symbol>()->value);
  Expect<Port>(who, port, "a port");
  if (port.As<Port>()->kind == PortKind::kInput || !port.As<Port>()->is_open) FailType(who, port, "an open output port");
  return port.As<Port>();
}

std::u32string_view ContentsOf(const Port* port) {
  return reinterpret_cast<const String*>(port->text.word())->view();
}

// What an output port has collected; its string has more room.
std::u32string_view CollectedOf(const Port* port) { return ContentsOf(port).substr(0, port->position); }

void WriteText(Interpreter& in, Port* port, std::string_view text) {
  if (port->kind != PortKind::kStringOutput) {
    std::FILE* stream = port->kind == PortKind::kStandardOutput ? stdout : port->stream;
    if (std::fwrite(text.data(), 1, text.size(), stream) != text.size()) FailFile("cannot write");
    return;
  }
  std::u32string codes = FromUtf8(text);
  size_t room = ContentsOf(port).size();
  if (port->position + codes.size() > room) {
    size_t length = std::max({room * 2, port->position + codes.size(), kFirstOutputLength});
    Value grown = MakeExtra<String>(in.heap, length * sizeof(char32_t), length);
    char32_t* end = std::copy_n(ContentsOf(port).data(), port->position, grown.As<String>()->text());
    std::fill(end, grown.As<String>()->text() + length, U' ');
    port->text = grown;
  }
  std::copy(codes.begin(), codes.end(), Value(port->text).As<String>()->text() + port->position);
  port->position += codes.size();
}

template <Style kStyle>
Value WriteDatum(Interpreter& in, Arguments a) {
  Port* port = ExpectOutput(in, kStyle == Style::kWrite ? "write" : "display", a, 1);
  WriteText(in, port, ToText(a[0], kStyle));
  return Value::Unspecified();
}

Value Newline(Interpreter& in, Arguments a) {
  WriteText(in, ExpectOutput(in, "newline", a, 0), "\n");
  return Value::Unspecified();
}

Value ReadDatum(Interpreter& in, Arguments a) {
  Port* port = ExpectInput("read", a, 0);
  Reader reader(in, ContentsOf(port), port->position, port->current_line);
  Value datum = reader.Read();
  port->position = reader.position();
  port->current_line = reader.line();
  return datum;
}

template <bool kIsPeek>
Value ReadCharacter(Interpreter&, Arguments a) {
  Port* port = ExpectInput(kIsPeek ? "peek-char" : "read-char", a, 0);
  if (port->position == ContentsOf(port).size()) return Value(kEofWord);
  char32_t c = ContentsOf(port)[port->position];
  if constexpr (!kIsPeek) {
    ++port->position;
    port->current_line += c == '\n';
  }
  return Value::Character(c);
}

Value ReadLine(Interpreter& in, Arguments a) {
  Port* port = ExpectInput("read-line", a, 0);
  std::u32string_view rest = ContentsOf(port).substr(port->position);
  if (rest.empty()) return Value(kEofWord);
  size_t length = std::min(rest.find(U'\n'), rest.size());
  Value line = MakeString(in.heap, rest.substr(0, length));
  port->position += length + (length < rest.size());
  ++port->current_line;
  return line;
}

std::string ReadFile(const std::string& path) {
  std::FILE* file = std::fopen(path.c_str(), "rb");
  if (file == nullptr) FailFile("cannot open the file " + path);
  std::string text;
  constexpr size_t kBlockBytes = 65536;
  std::string block(kBlockBytes, '\0');
  for (size_t count; (count = std::fread(block.data(), 1, kBlockBytes, file)) > 0;) text.append(block, 0, count);
  bool has_failed = std::ferror(file) != 0;
  std::fclose(file);
  if (has_failed) FailFile("cannot read the file " + path);
  return text;
}

Value OpenInputFile(Interpreter& in, Arguments a) {
  std::string path = ToUtf8(Expect<String>("open-input-file", a[0], "a string")->view());
  return Make<Port>(in.heap, PortKind::kInput, MakeString(in.heap, ReadFile(path)));
}

// The end of a port that the program dropped without closing it: nobody is left to tell if it fails.
void CloseDead(void* stream) { std::fclose(static_cast<std::FILE*>(stream)); }

// When there are too many open files, some may belong to ports that are dead, but were not found so yet.
std::FILE* OpenForWriting(Heap& heap, const std::string& path) {
  heap.RunEnds();
  std::FILE* stream = std::fopen(path.c_str(), "wb");
  if (stream == nullptr && errno == EMFILE) {
    heap.Collect();
    heap.RunEnds();
    stream = std::fopen(path.c_str(), "wb");
  }
  if (stream == nullptr) FailFile("cannot write the file " + path);
  return stream;
}

Value OpenOutputFile(Interpreter& in, Arguments a) {
  std::string path = ToUtf8(Expect<String>("open-output-file", a[0], "a string")->view());
  Value port = Make<Port>(in.heap, PortKind::kFileOutput, Value::False());
  std::FILE* stream = OpenForWriting(in.heap, path);
  void* end = in.heap.AtEnd(port.AsObject(), CloseDead, stream);
  if (end == nullptr) {
    std::fclose(stream);
    FailMemory(0);
  }
  port.As<Port>()->stream = stream;
  port.As<Port>()->end = end;
  return port;
}

Value ClosePort(Interpreter& in, Arguments a) {
  Port* port = Expect<Port>("close-port", a[0], "a port");
  if (!port->is_open) return Value::Unspecified();
  port->is_open = false;
  if (port->kind != PortKind::kFileOutput) return Value::Unspecified();
  in.heap.CancelEnd(std::exchange(port->end, nullptr));
  if (std::fclose(std::exchange(port->stream, nullptr)) != 0) FailFile("cannot write");
  return Value::Unspecified();
}

Value OpenInputString(Interpreter& in, Arguments a) {
  std::u32string_view text = Expect<String>("open-input-string", a[0], "a string")->view();
  return Make<Port>(in.heap, PortKind::kInput, MakeString(in.heap, text));
}

Value OpenOutputString(Interpreter& in, Arguments) {
  return Make<Port>(in.heap, PortKind::kStringOutput, MakeString(in.heap, std::string_view()));
}

Value GetOutputString(Interpreter& in, Arguments a) {
  Port* port = Expect<Port>("get-output-string", a[0], "a port");
  if (port->kind != PortKind::kStringOutput) FailType("get-output-string", a[0], "a port for output to a string");
  return MakeString(in.heap, CollectedOf(port));
}

template <bool kIsInput>
Value IsPortOf(Interpreter&, Arguments a) {
  return Value::Boolean(a[0].Is<Port>() && (a[0].As<Port>()->kind == PortKind::kInput) == kIsInput);
}

Value FileExists(Interpreter&, Arguments a) {
  std::string path = ToUtf8(Expect<String>("file-exists?", a[0], "a string")->view());
  std::FILE* file = std::fopen(path.c_str(), "rb");
  if (file != nullptr) std::fclose(file);
  return Value::Boolean(file != nullptr);
}

Value DeleteFile(Interpreter&, Arguments a) {
  std::string path = ToUtf8(Expect<String>("delete-file", a[0], "a string")->view());
  if (std::remove(path.c_str()) != 0) FailFile("cannot delete the file " + path);
  return Value::Unspecified();
}

const Primitive kPrimitives[] = {
    {"display", 1, 2, WriteDatum<Style::kDisplay>},
    {"write", 1, 2, WriteDatum<Style::kWrite>},
    {"write-string", 1, 2, WriteDatum<Style::kDisplay>},
    {"write-char", 1, 2, WriteDatum<Style::kDisplay>},
    {"newline", 0, 1, Newline},
    {"read", 1, 1, ReadDatum},
    {"read-char", 1, 1, ReadCharacter<false>},
    {"peek-char", 1, 1, ReadCharacter<true>},
    {"read-line", 1, 1, ReadLine},
    {"open-input-file", 1, 1, OpenInputFile},
    {"open-output-file", 1, 1, OpenOutputFile},
    {"open-input-string", 1, 1, OpenInputString},
    {"open-output-string", 0, 0, OpenOutputString},
    {"get-output-string", 1, 1, GetOutputString},
    {"close-port", 1, 1, ClosePort},
    {"input-port?", 1, 1, IsPortOf<true>},
    {"output-port?", 1, 1, IsPortOf<false>},
    {"file-exists?", 1, 1, FileExists},
    {"delete-file", 1, 1, DeleteFile},
    {"eof-object", 0, 0, [](Interpreter&, Arguments) { return Value(kEofWord); }},
    {"eof-object?", 1, 1, [](Interpreter&, Arguments a) { return Value::Boolean(a[0].word() == kEofWord); }},
};

}  // namespace

void DefinePorts(Interpreter& in) {
  DefineAll(in, kPrimitives);
  in.Define("%current-output", Make<Port>(in.heap, PortKind::kStandardOutput, Value::False()));
}

}  // namespace scheme
