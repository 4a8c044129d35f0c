// From a datum to a tree: names and the forms of one kind each. Bindings and bodies are in analyze_bindings.cc.

#include "bench/interpreters/scheme/analyze.h"

#include "bench/interpreters/scheme/printer.h"

namespace scheme {
namespace {

// The analysis recurses into nested forms; deeper ones are refused rather than the C++ stack overrun.
constexpr int kDeepestNesting = 1500;
constexpr int kDeepestData = 10'000;

struct FormName {
  const char* name;
  SpecialForm form;
};
constexpr FormName kForms[] = {
    {"quote", SpecialForm::kQuote},       {"quasiquote", SpecialForm::kQuasiquote},
    {"lambda", SpecialForm::kLambda},     {"named-lambda", SpecialForm::kNamedLambda},
    {"define", SpecialForm::kDefine},     {"set!", SpecialForm::kSet},
    {"if", SpecialForm::kIf},             {"begin", SpecialForm::kBegin},
    {"let", SpecialForm::kLet},           {"let*", SpecialForm::kLetStar},
    {"letrec", SpecialForm::kLetrec},     {"letrec*", SpecialForm::kLetrec},
    {"and", SpecialForm::kAnd},           {"or", SpecialForm::kOr},
    {"define-syntax", SpecialForm::kDefineSyntax},
    {"let-syntax", SpecialForm::kLetSyntax}, {"letrec-syntax", SpecialForm::kLetSyntax},
    {"import", SpecialForm::kImport}};

Value OriginalOf(Value symbol) {
  while (!Value(symbol.As<Symbol>()->alias_of).IsNothing()) symbol = symbol.As<Symbol>()->alias_of;
  return symbol;
}

// Data of the program's own text have none, and may be long: so this does not recurse along a list.
bool HasMadeUpName(Value datum, int depth = 0) {
  if (depth > kDeepestData) Fail("the data are nested too deeply to be compiled");
  for (; datum.Is<Pair>(); datum = Cdr(datum)) {
    if (HasMadeUpName(Car(datum), depth + 1)) return true;
  }
  if (datum.Is<Symbol>()) return !Value(datum.As<Symbol>()->alias_of).IsNothing();
  if (!datum.Is<Vector>()) return false;
  const Vector* vector = datum.As<Vector>();
  for (size_t i = 0; i < vector->length; ++i) {
    if (HasMadeUpName(vector->items()[i], depth + 1)) return true;
  }
  return false;
}

}  // namespace

void DefineSyntax(Interpreter& in) {
  for (const FormName& form : kForms) {
    in.Define(form.name, Value(MakeImmediate(Immediate::kSpecialForm, static_cast<Word>(form.form))));
  }
}

Value StripSyntax(Heap& heap, const Value& datum) {
  if (datum.Is<Symbol>()) return OriginalOf(datum);
  if (!HasMadeUpName(datum)) return datum;
  if (datum.Is<Pair>()) {
    Value car = StripSyntax(heap, Car(datum));
    return Cons(heap, car, StripSyntax(heap, Cdr(datum)));
  }
  const Vector* vector = datum.As<Vector>();
  Value copy = MakeArray<Vector>(heap, vector->length, Value::False());
  for (size_t i = 0; i < vector->length; ++i) copy.As<Vector>()->items()[i] = StripSyntax(heap, vector->items()[i]);
  return copy;
}

void Compilation::FailAt(uint32_t line, const std::string& message) const {
  std::string where = ToText(file, Style::kDisplay);
  throw SchemeError{(where.empty() ? "prelude" : where) + ":" + std::to_string(line) + ": " + message, "syntax"};
}

void Analyzer::FailAt(const Value& form, const std::string& message) {
  compilation_.FailAt(LineOf(form), message + ": " + ToShortText(StripSyntax(in_.heap, form)));
}

uint32_t Analyzer::LineOf(const Value& form) {
  if (form.Is<Pair>() && form.AsObject()->line != 0) line_ = form.AsObject()->line;
  return line_;
}

Value Analyzer::Part(const Value& form, int index) {
  Value rest = form;
  for (; index > 0 && rest.Is<Pair>(); --index) rest = Cdr(rest);
  if (!rest.Is<Pair>()) FailAt(form, "something is missing in this form");
  return Car(rest);
}

void Analyzer::CheckLength(const Value& form, int64_t least, int64_t most) {
  int64_t length = ListLength(form);
  if (length < least || length > most) FailAt(form, "this form has the wrong number of parts");
}

// Looks from the inside out. A name that a macro made up is first looked for as itself; if nothing has bound it, it means
// what the original means where the macro was defined.
Meaning Analyzer::LookUp(const Value& name, const Scope& scope) {
  Value symbol = name;
  for (const Scope* from = &scope;;) {
    for (const Scope* at = from; at != nullptr; at = at->outer) {
      for (const Scope::Entry& entry : at->entries) {
        if (entry.name == symbol) return {entry.variable, entry.macro, entry.variable == nullptr ? symbol : Value()};
      }
    }
    Value original = symbol.As<Symbol>()->alias_of;
    if (original.IsNothing()) break;
    from = ScopeOf(symbol.As<Symbol>()->value);
    symbol = original;
  }
  Value value = symbol.As<Symbol>()->value;
  bool is_syntax = value.Is<Macro>() || value.IsSpecialForm();
  return {nullptr, is_syntax ? value : Value(), symbol};
}

Node* Analyzer::Analyze(const Value& form, Scope& scope, Position position) {
  if (form.Is<Symbol>()) return AnalyzeName(form, scope);
  if (form.IsNil()) compilation_.FailAt(line_, "() is no expression");
  uint32_t line = LineOf(form);
  if (!form.Is<Pair>()) return compilation_.New<Constant>(line, compilation_.Keep(StripSyntax(in_.heap, form)));
  if (++depth_ > kDeepestNesting) FailAt(form, "the forms are nested too deeply");
  Node* node = nullptr;
  Meaning meaning = Car(form).Is<Symbol>() ? LookUp(Car(form), scope) : Meaning{};
  if (meaning.macro.Is<Macro>()) {
    Value expansion = Expand(meaning.macro, form, scope);
    node = Analyze(expansion, scope, position);
  } else if (meaning.macro.IsSpecialForm()) {
    if (ListLength(form) < 0) FailAt(form, "this form is no proper list");
    node = AnalyzeForm(static_cast<SpecialForm>(meaning.macro.AsPayload()), form, scope, position);
  } else {
    node = AnalyzeCall(form, scope, position);
  }
  --depth_;
  line_ = line;
  return node;
}

Node* Analyzer::AnalyzeName(const Value& name, Scope& scope) {
  Meaning meaning = LookUp(name, scope);
  if (Variable* variable = meaning.variable) {
    if (variable->loop != nullptr) variable->loop->escapes = true;
    // It may be read before its definition, and closures that capture it now must see the later value: a box does that.
    if (!variable->is_initialised && !(variable->is_procedure && variable->is_seen_by_procedure)) {
      variable->is_assigned = true;
    }
    return compilation_.New<LocalReference>(line_, variable);
  }
  if (!meaning.macro.IsNothing()) compilation_.FailAt(line_, SymbolText(name) + " is syntax, not a variable");
  return compilation_.New<GlobalReference>(line_, compilation_.Keep(meaning.symbol));
}

Node* Analyzer::AnalyzeForm(SpecialForm form, const Value& whole, Scope& scope, Position position) {
  constexpr int64_t kUnlimited = INT64_MAX;
  switch (form) {
    case SpecialForm::kQuote:
      CheckLength(whole, 2, 2);
      return compilation_.New<Constant>(line_, compilation_.Keep(StripSyntax(in_.heap, Part(whole, 1))));
    case SpecialForm::kQuasiquote:
      CheckLength(whole, 2, 2);
      return AnalyzeQuasiquote(Part(whole, 1), scope, 1);
    case SpecialForm::kLambda:
      CheckLength(whole, 3, kUnlimited);
      return AnalyzeLambda(Part(whole, 1), Cdr(Cdr(whole)), scope, Value::False());
    case SpecialForm::kNamedLambda: {
      CheckLength(whole, 3, kUnlimited);
      Value heading = Part(whole, 1);
      return AnalyzeLambda(heading.Is<Pair>() ? Cdr(heading) : heading, Cdr(Cdr(whole)), scope, Part(heading, 0));
    }
    case SpecialForm::kDefine: FailAt(whole, "a definition where an expression should be");
    case SpecialForm::kDefineSyntax: FailAt(whole, "a definition where an expression should be");
    case SpecialForm::kSet: return AnalyzeSet(whole, scope);
    case SpecialForm::kIf: return AnalyzeIf(whole, scope, position);
    case SpecialForm::kBegin: return AnalyzeSequence(Cdr(whole), scope, position);
    case SpecialForm::kLet:
      CheckLength(whole, 3, kUnlimited);
      if (Part(whole, 1).Is<Symbol>()) return AnalyzeNamedLet(whole, scope, position);
      return AnalyzeLet(whole, scope, position);
    case SpecialForm::kLetStar:
      CheckLength(whole, 3, kUnlimited);
      return AnalyzeLetStar(Part(whole, 1), Cdr(Cdr(whole)), scope, position);
    case SpecialForm::kLetrec:
      CheckLength(whole, 3, kUnlimited);
      return AnalyzeLetrec(whole, scope, position);
    case SpecialForm::kAnd: case SpecialForm::kOr: return AnalyzeConnective(whole, scope, position);
    case SpecialForm::kLetSyntax:
      CheckLength(whole, 3, kUnlimited);
      return AnalyzeLetSyntax(whole, scope, position);
    case SpecialForm::kImport: return compilation_.New<Constant>(line_, Value::Unspecified());  // All is there already.
  }
  return nullptr;
}

Node* Analyzer::AnalyzeIf(const Value& form, Scope& scope, Position position) {
  CheckLength(form, 3, 4);
  uint32_t line = line_;
  Node* test = Analyze(Part(form, 1), scope, Position::kInside);
  Node* then = Analyze(Part(form, 2), scope, position);
  Value last = Cdr(Cdr(Cdr(form)));
  Node* otherwise = last.IsNil() ? compilation_.New<Constant>(line, Value::Unspecified())
                                 : Analyze(Car(last), scope, position);
  return compilation_.New<Conditional>(line, test, then, otherwise);
}

Node* Analyzer::AnalyzeSequence(const Value& forms, Scope& scope, Position position) {
  if (forms.IsNil()) return compilation_.New<Constant>(line_, Value::Unspecified());
  if (Cdr(forms).IsNil()) return Analyze(Car(forms), scope, position);
  NodeList* sequence = compilation_.New<NodeList>(NodeKind::kSequence, line_);
  for (Value rest = forms; rest.Is<Pair>(); rest = Cdr(rest)) {
    sequence->nodes.push_back(Analyze(Car(rest), scope, Cdr(rest).IsNil() ? position : Position::kInside));
  }
  return sequence;
}

// (and a b c) is (if a (if b c #f) #f).
Node* Analyzer::AnalyzeConnective(const Value& form, Scope& scope, Position position) {
  bool is_and = LookUp(Car(form), scope).macro.AsPayload() == static_cast<Word>(SpecialForm::kAnd);
  if (Cdr(form).IsNil()) return compilation_.New<Constant>(line_, Value::Boolean(is_and));
  NodeList* list = compilation_.New<NodeList>(NodeKind::kOr, line_);
  for (Value rest = Cdr(form); rest.Is<Pair>(); rest = Cdr(rest)) {
    list->nodes.push_back(Analyze(Car(rest), scope, Cdr(rest).IsNil() ? position : Position::kInside));
  }
  if (!is_and) return list;
  Node* result = list->nodes.back();
  for (size_t i = list->nodes.size() - 1; i-- > 0;) {
    Node* otherwise = compilation_.New<Constant>(line_, Value::False());
    result = compilation_.New<Conditional>(list->nodes[i]->line, list->nodes[i], result, otherwise);
  }
  return result;
}

Node* Analyzer::AnalyzeSet(const Value& form, Scope& scope) {
  CheckLength(form, 3, 3);
  Value name = Part(form, 1);
  if (!name.Is<Symbol>()) FailAt(form, "set! of what is no name");
  uint32_t line = line_;
  Node* value = Analyze(Part(form, 2), scope, Position::kInside);
  Meaning meaning = LookUp(name, scope);
  if (meaning.variable == nullptr) {
    return compilation_.New<GlobalAssignment>(NodeKind::kSetGlobal, line, compilation_.Keep(meaning.symbol), value);
  }
  if (meaning.variable->loop != nullptr) meaning.variable->loop->escapes = true;
  meaning.variable->is_assigned = true;
  return compilation_.New<LocalAssignment>(line, meaning.variable, value);
}

Node* Analyzer::AnalyzeCall(const Value& form, Scope& scope, Position position) {
  if (ListLength(form) < 0) FailAt(form, "this call is no proper list");
  Meaning meaning = Car(form).Is<Symbol>() ? LookUp(Car(form), scope) : Meaning{};
  if (!meaning.symbol.IsNothing()) {
    if (Node* node = TryInlined(meaning.symbol, form, scope)) return node;
  }
  uint32_t line = line_;
  Call* call = compilation_.New<Call>(line);
  if (meaning.variable != nullptr && meaning.variable->loop != nullptr) {
    NoteCall(meaning.variable->loop, form, scope, position);
    call->procedure = compilation_.New<LocalReference>(line, meaning.variable);
  } else {
    call->procedure = Analyze(Car(form), scope, Position::kInside);
  }
  for (Value rest = Cdr(form); rest.Is<Pair>(); rest = Cdr(rest)) {
    call->operands.push_back(Analyze(Car(rest), scope, Position::kInside));
  }
  return call;
}

// Whether this call of a named let's name could be a jump: it must be the last thing that the loop's body does, with at
// most other loops' bodies between.
void Analyzer::NoteCall(Loop* loop, const Value& form, const Scope& scope, Position position) {
  bool fits = position == Position::kTail && !loop->lambda->has_rest &&
              ListLength(form) - 1 == static_cast<int64_t>(loop->lambda->parameters.size());
  for (Lambda* at = scope.lambda; fits && at != loop->lambda; at = at->parent) {
    fits = at->loop != nullptr && at->loop->is_tail;
    if (fits) loop->depends.push_back(at->loop);
  }
  if (!fits) loop->escapes = true;
}

// A call of a primitive that has an instruction, as long as its name means that primitive when the call is compiled.
Node* Analyzer::TryInlined(const Value& symbol, const Value& form, Scope& scope) {
  Value value = symbol.As<Symbol>()->value;
  if (!value.Is<Builtin>()) return nullptr;
  int64_t operands = ListLength(form) - 1;
  for (const Inlined& inlined : kInlined) {
    if (operands != inlined.operands || std::string_view(inlined.name) != value.As<Builtin>()->name) continue;
    InlinedCall* call = compilation_.New<InlinedCall>(line_, inlined.op);
    for (Value rest = Cdr(form); rest.Is<Pair>(); rest = Cdr(rest)) {
      call->operands.push_back(Analyze(Car(rest), scope, Position::kInside));
    }
    return call;
  }
  return nullptr;
}

Node* Analyzer::CallGlobal(const char* name, std::vector<Node*> operands) {
  Call* call = compilation_.New<Call>(line_);
  call->procedure = compilation_.New<GlobalReference>(line_, in_.Intern(name));
  call->operands = std::move(operands);
  return call;
}

Node* Analyzer::AnalyzeQuasiquote(const Value& datum, Scope& scope, int depth) {
  if (datum.Is<Vector>()) {
    Value list = Value::Nil();
    const Vector* vector = datum.As<Vector>();
    for (size_t i = vector->length; i-- > 0;) list = Cons(in_.heap, vector->items()[i], list);
    return CallGlobal("list->vector", {AnalyzeQuasiquote(list, scope, depth)});
  }
  if (!datum.Is<Pair>()) {
    return compilation_.New<Constant>(line_, compilation_.Keep(StripSyntax(in_.heap, datum)));
  }
  auto is_form = [&](const Value& form, const char* name) {
    return form.Is<Pair>() && Car(form).Is<Symbol>() && StripSyntax(in_.heap, Car(form)) == in_.Intern(name) &&
           ListLength(form) == 2;
  };
  if (is_form(datum, "unquote")) {
    if (depth == 1) return Analyze(Part(datum, 1), scope, Position::kInside);
    --depth;
  } else if (is_form(datum, "quasiquote")) {
    ++depth;
  } else if (is_form(Car(datum), "unquote-splicing") && depth == 1) {
    Node* spliced = Analyze(Part(Car(datum), 1), scope, Position::kInside);
    return CallGlobal("append", {spliced, AnalyzeQuasiquote(Cdr(datum), scope, depth)});
  }
  Node* car = AnalyzeQuasiquote(Car(datum), scope, depth);
  return CallGlobal("cons", {car, AnalyzeQuasiquote(Cdr(datum), scope, depth)});
}

// At the top level, definitions are assignments to symbols, and begin splices its forms.
Node* Analyzer::AnalyzeToplevelForm(const Value& form, Scope& scope) {
  Meaning meaning = form.Is<Pair>() && Car(form).Is<Symbol>() ? LookUp(Car(form), scope) : Meaning{};
  if (meaning.macro.Is<Macro>()) {
    LineOf(form);
    Value expansion = Expand(meaning.macro, form, scope);
    CheckExpansions(form);
    return AnalyzeToplevelForm(expansion, scope);
  }
  if (!meaning.macro.IsSpecialForm()) return Analyze(form, scope, Position::kTail);
  LineOf(form);
  if (ListLength(form) < 0) FailAt(form, "this form is no proper list");
  switch (static_cast<SpecialForm>(meaning.macro.AsPayload())) {
    case SpecialForm::kDefine: return AnalyzeDefine(form, scope);
    case SpecialForm::kDefineSyntax:
      CheckLength(form, 3, 3);
      OriginalOf(Part(form, 1)).As<Symbol>()->value = ParseMacro(Part(form, 2), scope);
      return compilation_.New<Constant>(line_, Value::Unspecified());
    case SpecialForm::kBegin: {
      NodeList* sequence = compilation_.New<NodeList>(NodeKind::kSequence, line_);
      for (Value rest = Cdr(form); rest.Is<Pair>(); rest = Cdr(rest)) {
        sequence->nodes.push_back(AnalyzeToplevelForm(Car(rest), scope));
      }
      if (sequence->nodes.empty()) return compilation_.New<Constant>(line_, Value::Unspecified());
      return sequence;
    }
    default: return Analyze(form, scope, Position::kTail);
  }
}

Node* Analyzer::AnalyzeDefine(const Value& form, Scope& scope) {
  CheckLength(form, 2, INT64_MAX);
  uint32_t line = line_;
  Value target = Part(form, 1), name = target.Is<Pair>() ? Car(target) : target;
  if (!name.Is<Symbol>()) FailAt(form, "a definition of what is no name");
  Value symbol = OriginalOf(name);
  // A definition may take a primitive's or a macro's name away, from the next form on.
  Node* value = AnalyzeItem({nullptr, form, true}, scope);
  return compilation_.New<GlobalAssignment>(NodeKind::kDefineGlobal, line, compilation_.Keep(symbol), value);
}

Value CompileToplevel(Interpreter& in, const Value& form, const Value& file) {
  Compilation compilation(in, file);
  compilation.Keep(form);
  Analyzer analyzer(compilation);
  Lambda* toplevel = compilation.New<Lambda>(0u);
  Scope scope{nullptr, toplevel};
  toplevel->is_toplevel = true;
  toplevel->body = analyzer.AnalyzeToplevelForm(form, scope);
  Resolve(toplevel);
  Value code = Generate(compilation, toplevel);
  return Make<Closure>(in.heap, code, size_t{0});
}

}  // namespace scheme
