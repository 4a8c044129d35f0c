// syntax-rules. A pattern is matched against the form, which binds its variables; the template is then copied with their
// values put in.
//
// Hygiene: every other name of the template becomes a fresh symbol that stands for the one written there, the same one
// throughout an expansion. If the expansion binds it, it is a variable that no name of the program's can be confused
// with; if not, it means what the original means where the macro was defined. Literals
// (like else) match a name that means the same global variable.

#include <algorithm>

#include "bench/interpreters/scheme/analyze.h"
#include "bench/interpreters/scheme/printer.h"

namespace scheme {
namespace {

// What a pattern variable stands for: a form, or behind an ellipsis a sequence of such. The forms are parts of the form
// that is being expanded, which the analyzer holds.
struct Match {
  Value form;
  bool is_sequence = false;
  std::vector<Match> items = {};
};

struct Binding {
  Value name;
  Match match;
};
using Bindings = std::vector<Binding>;

constexpr int kMostExpansions = 5000;  // Of one form at the top level or in a body, one after another.

Value VectorToList(Heap& heap, const Value& vector) {
  Value list = Value::Nil();
  for (size_t i = vector.As<Vector>()->length; i-- > 0;) list = Cons(heap, vector.As<Vector>()->items()[i], list);
  return list;
}

int64_t CountPairs(Value list) {
  int64_t count = 0;
  for (; list.Is<Pair>(); list = Cdr(list)) ++count;
  return count;
}

}  // namespace

class Expansion {
 public:
  Expansion(Analyzer& analyzer, const Value& macro, const Value& form, const Scope& scope)
      : analyzer_(analyzer), heap_(analyzer.in_.heap), macro_(macro), form_(form), scope_(scope), line_(analyzer.line_) {}

  Value Run() {
    for (Value rules = macro_.As<Macro>()->rules; rules.Is<Pair>(); rules = Cdr(rules)) {
      Bindings bindings;
      Value rule = Car(rules);
      // The pattern's first word is the macro's own name and matches anything.
      if (MatchPattern(Cdr(Car(rule)), Cdr(form_), &bindings)) return Fill(Car(Cdr(rule)), bindings, true);
    }
    analyzer_.FailAt(form_, "no pattern of the macro fits");
  }

 private:
  bool IsEllipsis(const Value& value) const {
    return value.Is<Symbol>() && StripSyntax(heap_, value) == macro_.As<Macro>()->ellipsis;
  }
  bool HasEllipsis(const Value& pair) const { return Cdr(pair).Is<Pair>() && IsEllipsis(Car(Cdr(pair))); }

  bool MatchPattern(const Value& pattern, const Value& form, Bindings* bindings);
  bool MatchName(const Value& name, const Value& form, Bindings* bindings);
  bool MatchEllipsis(const Value& pattern, const Value& form, Bindings* bindings);
  void CollectNames(const Value& pattern, std::vector<Value>* names);

  Value Fill(const Value& part, const Bindings& bindings, bool has_ellipses);
  Value FillName(const Value& name, const Bindings& bindings);
  Value FillEllipsis(const Value& part, const Bindings& bindings);
  Value MakePair(const Value& car, const Value& cdr);

  Analyzer& analyzer_;
  Heap& heap_;
  Value macro_, form_;
  const Scope& scope_;  // Of the use.
  uint32_t line_;
  std::vector<std::pair<Value, Value>> made_up_;  // Names of the template and their symbols, which the compilation keeps.
};

bool Expansion::MatchName(const Value& name, const Value& form, Bindings* bindings) {
  for (Value literals = macro_.As<Macro>()->literals; literals.Is<Pair>(); literals = Cdr(literals)) {
    if (Car(literals) == name) {
      return form.Is<Symbol>() && analyzer_.LookUp(form, scope_).symbol == StripSyntax(heap_, name);
    }
  }
  bindings->push_back({name, {form}});
  return true;
}

bool Expansion::MatchPattern(const Value& pattern, const Value& form, Bindings* bindings) {
  if (pattern.Is<Symbol>()) return MatchName(pattern, form, bindings);
  if (pattern.Is<Pair>()) {
    if (HasEllipsis(pattern)) return MatchEllipsis(pattern, form, bindings);
    return form.Is<Pair>() && MatchPattern(Car(pattern), Car(form), bindings) &&
           MatchPattern(Cdr(pattern), Cdr(form), bindings);
  }
  if (pattern.Is<Vector>()) {
    if (!form.Is<Vector>()) return false;
    Value list = analyzer_.compilation_.Keep(VectorToList(heap_, form));
    return MatchPattern(VectorToList(heap_, pattern), list, bindings);
  }
  return pattern == form || (pattern.IsPointer() && ToText(pattern, Style::kWrite) == ToText(form, Style::kWrite));
}

// (pattern ... . rest): takes as many forms as leave enough for the rest.
bool Expansion::MatchEllipsis(const Value& pattern, const Value& form, Bindings* bindings) {
  Value rest = Cdr(Cdr(pattern)), forms = form;
  int64_t repetitions = CountPairs(form) - CountPairs(rest);
  if (repetitions < 0) return false;
  std::vector<Value> names;
  CollectNames(Car(pattern), &names);
  size_t first = bindings->size();
  for (const Value& name : names) bindings->push_back({name, {.form = {}, .is_sequence = true}});
  for (; repetitions > 0; --repetitions, forms = Cdr(forms)) {
    Bindings one;
    if (!MatchPattern(Car(pattern), Car(forms), &one)) return false;
    // Both lists are in the order of the pattern's names.
    for (size_t i = 0; i < one.size(); ++i) (*bindings)[first + i].match.items.push_back(std::move(one[i].match));
  }
  return MatchPattern(rest, forms, bindings);
}

// The names that a match of the pattern binds, in the order in which it does.
void Expansion::CollectNames(const Value& pattern, std::vector<Value>* names) {
  if (pattern.Is<Symbol>()) {
    for (Value literals = macro_.As<Macro>()->literals; literals.Is<Pair>(); literals = Cdr(literals)) {
      if (Car(literals) == pattern) return;
    }
    names->push_back(pattern);
  } else if (pattern.Is<Pair>()) {
    CollectNames(Car(pattern), names);
    CollectNames(HasEllipsis(pattern) ? Cdr(Cdr(pattern)) : Cdr(pattern), names);
  } else if (pattern.Is<Vector>()) {
    CollectNames(VectorToList(heap_, pattern), names);
  }
}

Value Expansion::MakePair(const Value& car, const Value& cdr) {
  Value pair = Cons(heap_, car, cdr);
  pair.AsObject()->SetLine(line_);
  return pair;
}

Value Expansion::FillName(const Value& name, const Bindings& bindings) {
  for (const Binding& binding : bindings) {
    if (binding.name == name) {
      if (binding.match.is_sequence) analyzer_.FailAt(form_, SymbolText(name) + " lacks its ellipsis in the template");
      return binding.match.form;
    }
  }
  for (const auto& [original, symbol] : made_up_) {
    if (original == name) return symbol;
  }
  Value symbol = Make<Symbol>(heap_, Value(name.As<Symbol>()->name), name);
  symbol.As<Symbol>()->value = macro_.As<Macro>()->scope;
  made_up_.emplace_back(name, analyzer_.compilation_.Keep(symbol));
  return symbol;
}

Value Expansion::Fill(const Value& part, const Bindings& bindings, bool has_ellipses) {
  if (part.Is<Symbol>()) return FillName(part, bindings);
  if (part.Is<Vector>()) {
    Value list = Fill(VectorToList(heap_, part), bindings, has_ellipses);
    Value vector = MakeArray<Vector>(heap_, static_cast<size_t>(CountPairs(list)), Value::False());
    for (size_t i = 0; list.Is<Pair>(); list = Cdr(list)) vector.As<Vector>()->items()[i++] = Car(list);
    return vector;
  }
  if (!part.Is<Pair>()) return part;
  // (... template): the template's ellipses are plain names.
  if (has_ellipses && IsEllipsis(Car(part)) && Cdr(part).Is<Pair>()) return Fill(Car(Cdr(part)), bindings, false);
  if (has_ellipses && HasEllipsis(part)) return FillEllipsis(part, bindings);
  Value car = Fill(Car(part), bindings, has_ellipses);
  return MakePair(car, Fill(Cdr(part), bindings, has_ellipses));
}

// (template ... . rest), or with several ellipses, which flatten as many levels.
Value Expansion::FillEllipsis(const Value& part, const Bindings& bindings) {
  Value rest = Cdr(Cdr(part)), repeated = Car(part);
  if (rest.Is<Pair>() && IsEllipsis(Car(rest))) {
    repeated = Cons(heap_, repeated, Cons(heap_, Car(rest), Value::Nil()));  // The inner level is a list; it is appended.
  }
  bool is_flattened = !(repeated == Car(part));
  if (is_flattened) rest = Cdr(rest);
  std::vector<Value> names;
  CollectNames(repeated, &names);
  size_t count = 0;
  bool has_sequence = false;
  for (const Binding& binding : bindings) {
    bool is_used = std::find(names.begin(), names.end(), binding.name) != names.end();
    if (!is_used || !binding.match.is_sequence) continue;
    has_sequence = true;
    count = std::max(count, binding.match.items.size());
  }
  if (!has_sequence) analyzer_.FailAt(form_, "an ellipsis in the template that repeats nothing");
  Value result = Fill(rest, bindings, true);
  for (size_t i = count; i-- > 0;) {
    Bindings one;
    for (const Binding& binding : bindings) {
      const Match& match = binding.match;
      bool is_repeated = match.is_sequence && i < match.items.size() &&
                         std::find(names.begin(), names.end(), binding.name) != names.end();
      one.push_back({binding.name, is_repeated ? match.items[i] : match});
    }
    Value filled = Fill(repeated, one, true);
    if (!is_flattened) {
      result = MakePair(filled, result);
      continue;
    }
    std::vector<Value> items;  // Parts of `filled`, which is held.
    for (Value list = filled; list.Is<Pair>(); list = Cdr(list)) items.push_back(Car(list));
    for (size_t j = items.size(); j-- > 0;) result = MakePair(items[j], result);
  }
  return result;
}

Value Analyzer::Expand(const Value& macro, const Value& form, const Scope& scope) {
  return Expansion(*this, macro, form, scope).Run();
}

void Analyzer::CheckExpansions(const Value& form) {
  if (++expansions_ > kMostExpansions) FailAt(form, "this macro expands without end");
}

// (syntax-rules (literal ...) (pattern template) ...), the literals perhaps preceded by a name for the ellipsis.
Value Analyzer::ParseMacro(const Value& form, Scope& scope) {
  if (form.Is<Symbol>()) {
    Value macro = LookUp(form, scope).macro;
    if (macro.IsNothing()) FailAt(form, "this is no syntax");
    return macro;
  }
  if (ListLength(form) < 2 || !(StripSyntax(in_.heap, Car(form)) == in_.Intern("syntax-rules"))) {
    FailAt(form, "a macro should be (syntax-rules (literal ...) (pattern template) ...)");
  }
  Value rest = Cdr(form), ellipsis = in_.Intern("...");
  if (Car(rest).Is<Symbol>()) {
    ellipsis = StripSyntax(in_.heap, Car(rest));
    rest = Cdr(rest);
  }
  Value literals = Part(rest, 0);
  for (Value rules = Cdr(rest); rules.Is<Pair>(); rules = Cdr(rules)) {
    if (ListLength(Car(rules)) != 2 || !Part(Car(rules), 0).Is<Pair>()) FailAt(Car(rules), "this is no rule of a macro");
  }
  return Make<Macro>(in_.heap, ellipsis, literals, Cdr(rest), ScopeToValue(scope.outer == nullptr ? nullptr : &scope));
}

}  // namespace scheme
