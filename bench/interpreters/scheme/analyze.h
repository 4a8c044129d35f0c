#pragma once

#include <utility>
#include <vector>

#include "bench/interpreters/scheme/syntax.h"

namespace scheme {

// The names that a body or a binding form adds, with variables or macros as their meaning.
struct Scope {
  struct Entry {
    Value name;
    Variable* variable;  // Null for a macro.
    Value macro;
  };
  Scope* outer;
  Lambda* lambda;
  std::vector<Entry> entries = {};
};

// A macro remembers the scope that it was defined in, and so does each name that it makes up; null is the top level. The
// scope is there as long as the macro can be used. It is written as a fixnum, which no collector takes for a pointer.
inline Value ScopeToValue(const Scope* scope) { return Value::Fixnum(reinterpret_cast<intptr_t>(scope)); }
inline const Scope* ScopeOf(const Value& value) { return reinterpret_cast<const Scope*>(value.AsFixnum()); }

// What a name means at some place: a local variable, a macro, a special form, or else the global variable of `symbol`.
struct Meaning {
  Variable* variable = nullptr;
  Value macro;       // A macro or a special form.
  Value symbol;      // Set unless it is a local variable.
};

enum class SpecialForm : Word {
  kQuote, kQuasiquote, kLambda, kDefine, kSet, kIf, kBegin, kLet, kLetStar, kLetrec, kNamedLambda, kAnd, kOr, kDefineSyntax,
  kLetSyntax, kImport
};

enum class Position : bool { kInside, kTail };

class Analyzer {
 public:
  explicit Analyzer(Compilation& compilation) : compilation_(compilation), in_(compilation.in) {}

  Node* Analyze(const Value& form, Scope& scope, Position position);
  Node* AnalyzeToplevelForm(const Value& form, Scope& scope);

 private:
  // analyze.cc
  Meaning LookUp(const Value& name, const Scope& scope);
  Node* AnalyzeName(const Value& name, Scope& scope);
  Node* AnalyzeForm(SpecialForm form, const Value& whole, Scope& scope, Position position);
  Node* AnalyzeCall(const Value& form, Scope& scope, Position position);
  Node* TryInlined(const Value& symbol, const Value& form, Scope& scope);
  void NoteCall(Loop* loop, const Value& form, const Scope& scope, Position position);
  Node* AnalyzeQuasiquote(const Value& datum, Scope& scope, int depth);
  Node* AnalyzeSet(const Value& form, Scope& scope);
  Node* AnalyzeDefine(const Value& form, Scope& scope);
  Node* AnalyzeIf(const Value& form, Scope& scope, Position position);
  Node* AnalyzeSequence(const Value& forms, Scope& scope, Position position);
  Node* AnalyzeConnective(const Value& form, Scope& scope, Position position);
  Node* CallGlobal(const char* name, std::vector<Node*> operands);

  // analyze_bindings.cc
  Lambda* AnalyzeLambda(const Value& parameters, const Value& body, Scope& scope, const Value& name);
  Node* AnalyzeBody(const Value& body, Scope& scope, Position position);
  Node* AnalyzeLet(const Value& form, Scope& scope, Position position);
  Node* AnalyzeNamedLet(const Value& form, Scope& scope, Position position);
  Node* AnalyzeLetStar(const Value& bindings, const Value& body, Scope& scope, Position position);
  Node* AnalyzeLetrec(const Value& form, Scope& scope, Position position);
  Node* AnalyzeLetSyntax(const Value& form, Scope& scope, Position position);
  struct BodyItem {
    Variable* variable;
    Value form;  // The expression, or for a definition of a procedure the whole of it.
    bool is_procedure;
  };
  void CollectBody(const Value& body, Scope& scope, std::vector<BodyItem>* items);
  Definitions* AnalyzeDefinitions(const std::vector<BodyItem>& items, Scope& scope);
  Node* AnalyzeItem(const BodyItem& item, Scope& scope);
  bool IsLambda(const Value& form, const Scope& scope);
  Variable* AddVariable(const Value& name, Scope& scope);
  std::pair<Value, Value> ParseBinding(const Value& binding);

  // expand.cc
  Value ParseMacro(const Value& form, Scope& scope);
  Value Expand(const Value& macro, const Value& form, const Scope& scope);
  void CheckExpansions(const Value& form);  // Ends a macro that expands into itself for ever.

  // The form's parts, by position, with an error if there are fewer.
  Value Part(const Value& form, int index);
  void CheckLength(const Value& form, int64_t least, int64_t most);
  uint32_t LineOf(const Value& form);
  [[noreturn]] void FailAt(const Value& form, const std::string& message);

  friend class Expansion;
  Compilation& compilation_;
  Interpreter& in_;
  uint32_t line_ = 0;  // Of the innermost form with a line.
  int depth_ = 0;      // Of nested forms.
  int expansions_ = 0;
};

// The datum without the names that macros made up.
Value StripSyntax(Heap& heap, const Value& datum);

}  // namespace scheme
