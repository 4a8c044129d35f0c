#pragma once

// The tree between a datum and its code. Nodes are C++ objects in malloc's memory, where no collector looks; the values in
// them (constants, names) are therefore kept alive by the compilation, in a list on the heap: see Compilation::Keep.

#include <memory>
#include <vector>

#include "bench/interpreters/scheme/compile.h"
#include "bench/interpreters/scheme/opcodes.h"

namespace scheme {

struct Lambda;
struct Loop;

struct Variable {
  Value name;
  Lambda* owner = nullptr;      // In whose frame it lives. Known after resolve.cc.
  Lambda* procedure = nullptr;  // The lambda expression that it is bound to for good, unless it is assigned.
  Loop* loop = nullptr;         // The named let whose name it is.
  bool is_assigned = false;     // It lives in a box then, which closures and continuations share.
  // Of a variable that a definition makes, while it and the definitions before it are analysed:
  bool is_initialised = true;        // False until then.
  bool is_procedure = false;         // Its value is a lambda expression,
  bool is_seen_by_procedure = false; // and so is the value that is being analysed.
  uint32_t slot = 0;            // Known while its owner's code is generated.
};

enum class NodeKind : uint8_t {
  kConstant, kLocal, kGlobal, kSetLocal, kSetGlobal, kDefineGlobal, kConditional, kOr, kSequence, kLambda, kCall,
  kPrimitive, kBind, kDefinitions, kLoop
};

struct Node {
  NodeKind kind;
  uint32_t line;

  Node(NodeKind node_kind, uint32_t line_number) : kind(node_kind), line(line_number) {}
  virtual ~Node() = default;
};

struct Constant : Node {
  Value value;
  Constant(uint32_t at, const Value& datum) : Node(NodeKind::kConstant, at), value(datum) {}
};

struct LocalReference : Node {
  Variable* variable;
  LocalReference(uint32_t at, Variable* local) : Node(NodeKind::kLocal, at), variable(local) {}
};

struct GlobalReference : Node {
  Value symbol;
  GlobalReference(uint32_t at, const Value& name) : Node(NodeKind::kGlobal, at), symbol(name) {}
};

struct LocalAssignment : Node {
  Variable* variable;
  Node* value;
  LocalAssignment(uint32_t at, Variable* local, Node* node)
      : Node(NodeKind::kSetLocal, at), variable(local), value(node) {}
};

struct GlobalAssignment : Node {
  Value symbol;
  Node* value;
  GlobalAssignment(NodeKind node_kind, uint32_t at, const Value& name, Node* node)
      : Node(node_kind, at), symbol(name), value(node) {}
};

struct Conditional : Node {
  Node *test, *then, *otherwise;
  Conditional(uint32_t at, Node* condition, Node* yes, Node* no)
      : Node(NodeKind::kConditional, at), test(condition), then(yes), otherwise(no) {}
};

// kOr and kSequence: at least one node.
struct NodeList : Node {
  std::vector<Node*> nodes;
  NodeList(NodeKind node_kind, uint32_t at) : Node(node_kind, at) {}
};

struct Lambda : Node {
  std::vector<Variable*> parameters;
  bool has_rest = false;
  bool is_toplevel = false;          // Its calls are never tail calls, so that an error's callers include its line.
  Value name = Value::False();
  Node* body = nullptr;
  Lambda* parent = nullptr;          // In whose text it stands.
  Loop* loop = nullptr;              // The named let whose body it is.
  Lambda* frame = nullptr;           // The lambda in whose frame it runs: another one's if it is a loop made of jumps.
  std::vector<Variable*> captured;   // Known after resolve.cc.
  explicit Lambda(uint32_t at) : Node(NodeKind::kLambda, at) {}
};

struct Call : Node {
  Node* procedure = nullptr;
  std::vector<Node*> operands;
  explicit Call(uint32_t at) : Node(NodeKind::kCall, at) {}
};

struct InlinedCall : Node {
  Op op;
  std::vector<Node*> operands;
  InlinedCall(uint32_t at, Op operation) : Node(NodeKind::kPrimitive, at), op(operation) {}
};

struct Bind : Node {
  std::vector<Variable*> variables;
  std::vector<Node*> values;
  Node* body = nullptr;
  explicit Bind(uint32_t at) : Node(NodeKind::kBind, at) {}
};

// The definitions at the head of a body, or letrec*. An item without a variable is an expression between definitions.
struct Definitions : Node {
  struct Item {
    Variable* variable;
    Node* value;
  };
  std::vector<Item> items;
  Node* body = nullptr;
  explicit Definitions(uint32_t at) : Node(NodeKind::kDefinitions, at) {}
};

// A named let. It becomes jumps when its name is only ever called, at the end of its body, in the same frame; else it is a
// procedure like any other.
struct Loop : Node {
  Variable* variable = nullptr;
  Lambda* lambda = nullptr;
  std::vector<Node*> initial;
  bool is_tail = false;              // The named let stands at the end of its lambda.
  bool escapes = false;              // The name is used otherwise.
  std::vector<Loop*> depends;        // Inner loops that call this one's name: it is jumps only if they are.
  bool is_jumps = false;             // Known when its body has been analysed.
  uint32_t top = 0, depth = 0;       // While its code is generated: the jump's target, the slots in use there.
  explicit Loop(uint32_t at) : Node(NodeKind::kLoop, at) {}
};

// What one compilation owns, and where its errors are said to be.
class Compilation {
 public:
  Compilation(Interpreter& interpreter, const Value& file_name) : in(interpreter), file(file_name) {}

  template <class T, class... Arguments>
  T* New(Arguments&&... arguments) {
    nodes_.push_back(std::make_unique<T>(std::forward<Arguments>(arguments)...));
    return static_cast<T*>(nodes_.back().get());
  }
  Variable* NewVariable(const Value& name) {
    variables_.push_back(std::make_unique<Variable>(Variable{.name = name}));
    Keep(name);
    return variables_.back().get();
  }

  // Keeps the value alive until the compilation ends.
  const Value& Keep(const Value& value) {
    if (value.IsPointer()) kept_ = Cons(in.heap, value, kept_);
    return value;
  }

  [[noreturn]] void FailAt(uint32_t line, const std::string& message) const;

  Interpreter& in;
  Value file;

 private:
  Value kept_ = Value::Nil();  // The compilation lives on the C++ stack, and so this word is seen.
  std::vector<std::unique_ptr<Node>> nodes_;
  std::vector<std::unique_ptr<Variable>> variables_;
};

void Resolve(Lambda* toplevel);
// The code object of the lambda, whose captured variables lie in frames around it: none for the top level.
Value Generate(Compilation& compilation, Lambda* toplevel);

}  // namespace scheme
