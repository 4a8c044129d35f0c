// Where variables live. Each belongs to the frame of one lambda expression; a lambda that mentions variables of frames
// around it captures them: their values, or their boxes if they are assigned. Loops that are made of jumps have no frame of
// their own, so their variables belong to the frame around them.

#include <algorithm>

#include "bench/interpreters/scheme/syntax.h"

namespace scheme {
namespace {

class Resolver {
 public:
  void VisitLambda(Lambda* lambda, Lambda* outer) {
    lambda->parent = outer;
    lambda->frame = lambda;
    Own(lambda->parameters, lambda);
    Visit(lambda->body, lambda);
  }

 private:
  static void Own(const std::vector<Variable*>& variables, Lambda* frame) {
    for (Variable* variable : variables) variable->owner = frame;
  }

  static void Use(Variable* variable, Lambda* frame) {
    for (; frame != variable->owner; frame = frame->parent) {
      std::vector<Variable*>& captured = frame->captured;
      if (std::find(captured.begin(), captured.end(), variable) == captured.end()) captured.push_back(variable);
    }
  }

  void VisitAll(const std::vector<Node*>& nodes, Lambda* frame) {
    for (Node* node : nodes) Visit(node, frame);
  }

  void VisitDefinitions(Definitions* node, Lambda* frame) {
    for (const Definitions::Item& item : node->items) {
      if (item.variable != nullptr) item.variable->owner = frame;
    }
    for (const Definitions::Item& item : node->items) Visit(item.value, frame);
    Visit(node->body, frame);
    // A closure in a box is not patched: what it captures of later definitions must be in boxes too.
    for (size_t i = 0; i < node->items.size(); ++i) {
      const Variable* boxed = node->items[i].variable;
      if (boxed == nullptr || !boxed->is_assigned || boxed->procedure == nullptr) continue;
      const std::vector<Variable*>& captured = boxed->procedure->captured;
      for (size_t j = i + 1; j < node->items.size(); ++j) {
        Variable* later = node->items[j].variable;
        if (later != nullptr && std::count(captured.begin(), captured.end(), later) > 0) later->is_assigned = true;
      }
    }
  }

  void VisitLoop(Loop* node, Lambda* frame) {
    VisitAll(node->initial, frame);
    node->variable->owner = frame;
    if (!node->is_jumps) return VisitLambda(node->lambda, frame);
    node->lambda->frame = frame;
    Own(node->lambda->parameters, frame);
    Visit(node->lambda->body, frame);
  }

  void Visit(Node* node, Lambda* frame);
};

void Resolver::Visit(Node* node, Lambda* frame) {
  switch (node->kind) {
    case NodeKind::kConstant: case NodeKind::kGlobal: return;
    case NodeKind::kLocal: return Use(static_cast<LocalReference*>(node)->variable, frame);
    case NodeKind::kSetLocal:
      Use(static_cast<LocalAssignment*>(node)->variable, frame);
      return Visit(static_cast<LocalAssignment*>(node)->value, frame);
    case NodeKind::kSetGlobal: case NodeKind::kDefineGlobal:
      return Visit(static_cast<GlobalAssignment*>(node)->value, frame);
    case NodeKind::kConditional:
      Visit(static_cast<Conditional*>(node)->test, frame);
      Visit(static_cast<Conditional*>(node)->then, frame);
      return Visit(static_cast<Conditional*>(node)->otherwise, frame);
    case NodeKind::kOr: case NodeKind::kSequence: return VisitAll(static_cast<NodeList*>(node)->nodes, frame);
    case NodeKind::kLambda: return VisitLambda(static_cast<Lambda*>(node), frame);
    case NodeKind::kCall:
      Visit(static_cast<Call*>(node)->procedure, frame);
      return VisitAll(static_cast<Call*>(node)->operands, frame);
    case NodeKind::kPrimitive: return VisitAll(static_cast<InlinedCall*>(node)->operands, frame);
    case NodeKind::kBind:
      VisitAll(static_cast<Bind*>(node)->values, frame);
      Own(static_cast<Bind*>(node)->variables, frame);
      return Visit(static_cast<Bind*>(node)->body, frame);
    case NodeKind::kDefinitions: return VisitDefinitions(static_cast<Definitions*>(node), frame);
    case NodeKind::kLoop: return VisitLoop(static_cast<Loop*>(node), frame);
  }
}

}  // namespace

void Resolve(Lambda* toplevel) { Resolver().VisitLambda(toplevel, nullptr); }

}  // namespace scheme
