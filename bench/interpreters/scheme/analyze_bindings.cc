// From a datum to a tree: what binds names.

#include "bench/interpreters/scheme/analyze.h"
#include "bench/interpreters/scheme/printer.h"

namespace scheme {

Variable* Analyzer::AddVariable(const Value& name, Scope& scope) {
  if (!name.Is<Symbol>()) FailAt(name, "what should be bound is no name");
  for (const Scope::Entry& entry : scope.entries) {
    if (entry.name == name) compilation_.FailAt(line_, SymbolText(name) + " is bound twice");
  }
  Variable* variable = compilation_.NewVariable(name);
  scope.entries.push_back({name, variable, {}});
  return variable;
}

std::pair<Value, Value> Analyzer::ParseBinding(const Value& binding) {
  if (ListLength(binding) != 2) FailAt(binding, "a binding should be (name expression)");
  return {Car(binding), Part(binding, 1)};
}

Lambda* Analyzer::AnalyzeLambda(const Value& parameters, const Value& body, Scope& scope, const Value& name) {
  Lambda* lambda = compilation_.New<Lambda>(line_);
  lambda->parent = scope.lambda;
  lambda->name = compilation_.Keep(name.Is<Symbol>() ? StripSyntax(in_.heap, name) : name);
  Scope inner{&scope, lambda};
  Value rest = parameters;
  for (; rest.Is<Pair>(); rest = Cdr(rest)) lambda->parameters.push_back(AddVariable(Car(rest), inner));
  if (!rest.IsNil()) {
    lambda->parameters.push_back(AddVariable(rest, inner));
    lambda->has_rest = true;
  }
  lambda->body = AnalyzeBody(body, inner, Position::kTail);
  return lambda;
}

// Collects a body's items, with macros expanded as far as it takes to see which are definitions; their names are in scope
// from the first item on.
void Analyzer::CollectBody(const Value& body, Scope& scope, std::vector<BodyItem>* items) {
  for (Value rest = body; rest.Is<Pair>(); rest = Cdr(rest)) {
    Value form = Car(rest);
    LineOf(form);
    Meaning meaning;
    for (;;) {
      meaning = form.Is<Pair>() && Car(form).Is<Symbol>() ? LookUp(Car(form), scope) : Meaning{};
      if (!meaning.macro.Is<Macro>()) break;
      form = compilation_.Keep(Expand(meaning.macro, form, scope));
      CheckExpansions(form);
    }
    SpecialForm kind = meaning.macro.IsSpecialForm() ? static_cast<SpecialForm>(meaning.macro.AsPayload())
                                                     : SpecialForm::kQuote;
    if (kind == SpecialForm::kBegin) {
      CollectBody(Cdr(form), scope, items);
    } else if (kind == SpecialForm::kDefineSyntax) {
      CheckLength(form, 3, 3);
      scope.entries.push_back({compilation_.Keep(Part(form, 1)), nullptr,
                               compilation_.Keep(ParseMacro(Part(form, 2), scope))});
    } else if (kind == SpecialForm::kDefine) {
      Value target = Part(form, 1);
      Variable* variable = AddVariable(target.Is<Pair>() ? Car(target) : target, scope);
      items->push_back({variable, form, target.Is<Pair>() || IsLambda(Part(form, 2), scope)});
    } else {
      items->push_back({nullptr, form, false});
    }
  }
}

bool Analyzer::IsLambda(const Value& form, const Scope& scope) {
  if (!form.Is<Pair>() || !Car(form).Is<Symbol>()) return false;
  Value macro = LookUp(Car(form), scope).macro;
  return macro.IsSpecialForm() && macro.AsPayload() == static_cast<Word>(SpecialForm::kLambda);
}

// The value that an item gives: of an expression its own, of (define (name . parameters) body...) a procedure, of
// (define name expression) the expression's.
Node* Analyzer::AnalyzeItem(const BodyItem& item, Scope& scope) {
  if (item.variable == nullptr && !item.is_procedure) return Analyze(item.form, scope, Position::kInside);
  LineOf(item.form);
  Value target = Part(item.form, 1);
  if (target.Is<Pair>()) return AnalyzeLambda(Cdr(target), Cdr(Cdr(item.form)), scope, Car(target));
  if (Cdr(Cdr(item.form)).IsNil()) return compilation_.New<Constant>(line_, Value::Unspecified());
  CheckLength(item.form, 3, 3);
  Value expression = Part(item.form, 2);
  if (!IsLambda(expression, scope)) return Analyze(expression, scope, Position::kInside);
  LineOf(expression);
  CheckLength(expression, 3, INT64_MAX);
  return AnalyzeLambda(Part(expression, 1), Cdr(Cdr(expression)), scope, target);
}

// A procedure that is defined once needs no box: those before it that refer to it are patched when it is made. Anything
// else that is referred to before its definition does.
Definitions* Analyzer::AnalyzeDefinitions(const std::vector<BodyItem>& items, Scope& scope) {
  Definitions* definitions = compilation_.New<Definitions>(line_);
  for (const BodyItem& item : items) {
    if (item.variable == nullptr) continue;
    item.variable->is_initialised = false;
    item.variable->is_procedure = item.is_procedure;
  }
  for (const BodyItem& item : items) {
    for (const BodyItem& other : items) {
      if (other.variable != nullptr) other.variable->is_seen_by_procedure = item.is_procedure;
    }
    Node* value = AnalyzeItem(item, scope);
    if (item.variable != nullptr) {
      item.variable->is_initialised = true;
      if (item.is_procedure && value->kind == NodeKind::kLambda) item.variable->procedure = static_cast<Lambda*>(value);
    }
    definitions->items.push_back({item.variable, value});
  }
  return definitions;
}

Node* Analyzer::AnalyzeBody(const Value& body, Scope& scope, Position position) {
  std::vector<BodyItem> items;
  CollectBody(body, scope, &items);
  if (items.empty() || items.back().variable != nullptr) compilation_.FailAt(line_, "a body without an expression at its end");
  BodyItem last = items.back();
  items.pop_back();
  bool has_definitions = false;
  for (const BodyItem& item : items) has_definitions |= item.variable != nullptr;
  if (has_definitions) {
    Definitions* definitions = AnalyzeDefinitions(items, scope);
    definitions->body = Analyze(last.form, scope, position);
    return definitions;
  }
  if (items.empty()) return Analyze(last.form, scope, position);
  NodeList* sequence = compilation_.New<NodeList>(NodeKind::kSequence, line_);
  for (const BodyItem& item : items) sequence->nodes.push_back(Analyze(item.form, scope, Position::kInside));
  sequence->nodes.push_back(Analyze(last.form, scope, position));
  return sequence;
}

Node* Analyzer::AnalyzeLet(const Value& form, Scope& scope, Position position) {
  Bind* bind = compilation_.New<Bind>(line_);
  Scope inner{&scope, scope.lambda};
  for (Value rest = Part(form, 1); rest.Is<Pair>(); rest = Cdr(rest)) {
    auto [name, value] = ParseBinding(Car(rest));
    bind->values.push_back(IsLambda(value, scope) ? AnalyzeLambda(Part(value, 1), Cdr(Cdr(value)), scope, name)
                                                  : Analyze(value, scope, Position::kInside));
    bind->variables.push_back(AddVariable(name, inner));
  }
  bind->body = AnalyzeBody(Cdr(Cdr(form)), inner, position);
  return bind->variables.empty() ? bind->body : bind;
}

Node* Analyzer::AnalyzeLetStar(const Value& bindings, const Value& body, Scope& scope, Position position) {
  Scope inner{&scope, scope.lambda};
  if (!bindings.Is<Pair>()) return AnalyzeBody(body, inner, position);
  auto [name, value] = ParseBinding(Car(bindings));
  Bind* bind = compilation_.New<Bind>(line_);
  bind->values.push_back(Analyze(value, scope, Position::kInside));
  bind->variables.push_back(AddVariable(name, inner));
  bind->body = AnalyzeLetStar(Cdr(bindings), body, inner, position);
  return bind;
}

Node* Analyzer::AnalyzeLetrec(const Value& form, Scope& scope, Position position) {
  Scope inner{&scope, scope.lambda};
  std::vector<BodyItem> items;
  for (Value rest = Part(form, 1); rest.Is<Pair>(); rest = Cdr(rest)) {
    auto [name, value] = ParseBinding(Car(rest));
    // As if it said (define name value).
    Value definition = compilation_.Keep(Cons(in_.heap, Value::False(), Car(rest)));
    items.push_back({AddVariable(name, inner), definition, false});
  }
  for (BodyItem& item : items) item.is_procedure = IsLambda(Part(item.form, 2), inner);
  Scope body{&inner, scope.lambda};
  Definitions* definitions = AnalyzeDefinitions(items, inner);
  definitions->body = AnalyzeBody(Cdr(Cdr(form)), body, position);
  return definitions;
}

// (let name ((variable initial)...) body...)
Node* Analyzer::AnalyzeNamedLet(const Value& form, Scope& scope, Position position) {
  CheckLength(form, 4, INT64_MAX);
  Loop* loop = compilation_.New<Loop>(line_);
  loop->is_tail = position == Position::kTail;
  Lambda* lambda = loop->lambda = compilation_.New<Lambda>(line_);
  lambda->parent = scope.lambda;
  lambda->loop = loop;
  lambda->name = compilation_.Keep(StripSyntax(in_.heap, Part(form, 1)));
  Scope named{&scope, scope.lambda};
  loop->variable = AddVariable(Part(form, 1), named);
  loop->variable->loop = loop;
  loop->variable->procedure = lambda;
  Scope inner{&named, lambda};
  for (Value rest = Part(form, 2); rest.Is<Pair>(); rest = Cdr(rest)) {
    auto [name, value] = ParseBinding(Car(rest));
    loop->initial.push_back(Analyze(value, scope, Position::kInside));
    lambda->parameters.push_back(AddVariable(name, inner));
  }
  lambda->body = AnalyzeBody(Cdr(Cdr(Cdr(form))), inner, Position::kTail);
  loop->is_jumps = !loop->escapes;
  for (Loop* inner_loop : loop->depends) loop->is_jumps &= inner_loop->is_jumps;
  return loop;
}

Node* Analyzer::AnalyzeLetSyntax(const Value& form, Scope& scope, Position position) {
  Scope inner{&scope, scope.lambda};
  for (Value rest = Part(form, 1); rest.Is<Pair>(); rest = Cdr(rest)) {
    auto [name, rules] = ParseBinding(Car(rest));
    Value macro = ParseMacro(rules, inner);
    inner.entries.push_back({compilation_.Keep(name), nullptr, compilation_.Keep(macro)});
  }
  return AnalyzeBody(Cdr(Cdr(form)), inner, position);
}

}  // namespace scheme
