// From the tree to instructions. The generator keeps count of the slots in use, so that it knows where each variable and
// each intermediate result lies.

#include <algorithm>

#include "bench/interpreters/scheme/syntax.h"

namespace scheme {
namespace {

enum class Want : bool { kValue, kReturn };  // Leave the value on the stack, or return it.

class Generator {
 public:
  Generator(Compilation& compilation, Lambda* lambda) : compilation_(compilation), lambda_(lambda) {
    // What a procedure captures of itself it finds in the VM's register; see Op::kSelf.
    for (Variable* variable : lambda->captured) {
      if (!IsSelf(variable)) captured_.push_back(variable);
    }
  }

  Value Run();
  const std::vector<Variable*>& captured() const { return captured_; }

 private:
  uint32_t Emit(Op op, uint32_t operand = 0);
  void EmitWord(uint32_t word);
  uint32_t Here() const { return static_cast<uint32_t>(text_.size()); }
  void JumpToHere(uint32_t jump) { text_[jump] = Encode(OperationOf(text_[jump]), Here()); }
  uint32_t AddConstant(const Value& value);
  void Depth(int32_t change);

  bool IsSelf(const Variable* variable) const { return variable->procedure == lambda_ && !variable->is_assigned; }
  uint32_t CapturedIndex(const Variable* variable) const;
  void Push(const Variable* variable);
  void PushConstant(const Value& value);
  // What has just been pushed becomes the variable.
  void Settle(Variable* variable);
  void MakeClosure(Lambda* lambda);

  void Generate(Node* node, Want want);
  void GenerateSimple(Node* node);
  void GenerateAssignment(LocalAssignment* node);
  void GenerateConditional(Conditional* node, Want want);
  void GenerateOr(NodeList* node, Want want);
  void GenerateSequence(NodeList* node, Want want);
  void GenerateCall(Call* node, Want want);
  void GenerateJump(Loop* loop, Call* node);
  void GenerateInlined(InlinedCall* node);
  void GenerateBind(Bind* node, Want want);
  void GenerateDefinitions(Definitions* node, Want want);
  void Patch(Definitions* node, size_t made);
  void GenerateLoop(Loop* node, Want want);
  void Leave(size_t slots, Want want);

  Compilation& compilation_;
  Lambda* lambda_;
  std::vector<Variable*> captured_;
  std::vector<uint32_t> text_, lines_;
  std::vector<Value> constants_;  // Kept by the compilation.
  uint32_t line_ = 0;
  int32_t depth_ = 0, deepest_ = 0;
};

uint32_t Generator::Emit(Op op, uint32_t operand) {
  if (operand > kLargestOperand) compilation_.FailAt(line_, "this procedure is too large");
  EmitWord(Encode(op, operand));
  return Here() - 1;
}

void Generator::EmitWord(uint32_t word) {
  text_.push_back(word);
  lines_.push_back(line_);
}

uint32_t Generator::AddConstant(const Value& value) {
  auto found = std::find(constants_.begin(), constants_.end(), value);
  if (found == constants_.end()) {
    compilation_.Keep(value);
    found = constants_.insert(constants_.end(), value);
  }
  return static_cast<uint32_t>(found - constants_.begin());
}

void Generator::Depth(int32_t change) {
  depth_ += change;
  deepest_ = std::max(deepest_, depth_);
}

uint32_t Generator::CapturedIndex(const Variable* variable) const {
  return static_cast<uint32_t>(std::find(captured_.begin(), captured_.end(), variable) - captured_.begin());
}

void Generator::PushConstant(const Value& value) {
  Emit(Op::kConstant, AddConstant(value));
  Depth(1);
}

void Generator::Push(const Variable* variable) {
  if (variable->owner == lambda_) Emit(variable->is_assigned ? Op::kLocalBox : Op::kLocal, variable->slot);
  else if (IsSelf(variable)) Emit(Op::kSelf);
  else Emit(variable->is_assigned ? Op::kCapturedBox : Op::kCaptured, CapturedIndex(variable));
  Depth(1);
}

void Generator::Settle(Variable* variable) {
  variable->slot = static_cast<uint32_t>(depth_ - 1);
  if (variable->is_assigned) Emit(Op::kMakeBox, variable->slot);
}

Value Generator::Run() {
  for (Variable* parameter : lambda_->parameters) {
    Depth(1);
    Settle(parameter);
  }
  Generate(lambda_->body, lambda_->is_toplevel ? Want::kValue : Want::kReturn);
  if (lambda_->is_toplevel) Emit(Op::kReturn);
  Interpreter& in = compilation_.in;
  Value constants = MakeArray<Vector>(in.heap, constants_.size(), Value::False());
  for (size_t i = 0; i < constants_.size(); ++i) constants.As<Vector>()->items()[i] = constants_[i];
  Value made = Make<Code>(in.heap);
  Code* code = made.As<Code>();
  code->constants = constants;
  code->instructions = MakeBytevector(in.heap, text_.data(), text_.size() * sizeof(uint32_t));
  code->lines = MakeBytevector(in.heap, lines_.data(), lines_.size() * sizeof(uint32_t));
  code->name = lambda_->name;
  code->file = compilation_.file;
  code->has_rest = lambda_->has_rest;
  code->required = static_cast<uint32_t>(lambda_->parameters.size()) - (lambda_->has_rest ? 1 : 0);
  code->stack_words = static_cast<uint32_t>(deepest_);
  return compilation_.Keep(made);
}

void Generator::Generate(Node* node, Want want) {
  if (node->line != 0) line_ = node->line;
  switch (node->kind) {
    case NodeKind::kConditional: return GenerateConditional(static_cast<Conditional*>(node), want);
    case NodeKind::kOr: return GenerateOr(static_cast<NodeList*>(node), want);
    case NodeKind::kSequence: return GenerateSequence(static_cast<NodeList*>(node), want);
    case NodeKind::kCall: return GenerateCall(static_cast<Call*>(node), want);
    case NodeKind::kBind: return GenerateBind(static_cast<Bind*>(node), want);
    case NodeKind::kDefinitions: return GenerateDefinitions(static_cast<Definitions*>(node), want);
    case NodeKind::kLoop: return GenerateLoop(static_cast<Loop*>(node), want);
    default: break;
  }
  GenerateSimple(node);
  if (want == Want::kReturn) Emit(Op::kReturn);
}

void Generator::GenerateSimple(Node* node) {
  switch (node->kind) {
    case NodeKind::kConstant: return PushConstant(static_cast<Constant*>(node)->value);
    case NodeKind::kLocal: return Push(static_cast<LocalReference*>(node)->variable);
    case NodeKind::kGlobal:
      Emit(Op::kGlobal, AddConstant(static_cast<GlobalReference*>(node)->symbol));
      return Depth(1);
    case NodeKind::kSetLocal: return GenerateAssignment(static_cast<LocalAssignment*>(node));
    case NodeKind::kSetGlobal: case NodeKind::kDefineGlobal: {
      GlobalAssignment* assignment = static_cast<GlobalAssignment*>(node);
      Generate(assignment->value, Want::kValue);
      Emit(node->kind == NodeKind::kSetGlobal ? Op::kSetGlobal : Op::kDefineGlobal, AddConstant(assignment->symbol));
      Depth(-1);
      return PushConstant(Value::Unspecified());
    }
    case NodeKind::kLambda: return MakeClosure(static_cast<Lambda*>(node));
    default: return GenerateInlined(static_cast<InlinedCall*>(node));
  }
}

void Generator::GenerateAssignment(LocalAssignment* node) {
  Generate(node->value, Want::kValue);
  const Variable* variable = node->variable;
  if (variable->owner == lambda_) Emit(Op::kSetLocalBox, variable->slot);
  else Emit(Op::kSetCapturedBox, CapturedIndex(variable));
  Depth(-1);
  PushConstant(Value::Unspecified());
}

void Generator::MakeClosure(Lambda* lambda) {
  Generator inner(compilation_, lambda);
  Value code = inner.Run();
  Emit(Op::kClosure, AddConstant(code));
  EmitWord(static_cast<uint32_t>(inner.captured().size()));
  for (const Variable* variable : inner.captured()) {
    if (variable->owner == lambda_) EmitWord(EncodeCapture(CaptureFrom::kSlot, variable->slot));
    else if (IsSelf(variable)) EmitWord(EncodeCapture(CaptureFrom::kSelf, 0));
    else EmitWord(EncodeCapture(CaptureFrom::kCaptured, CapturedIndex(variable)));
  }
  Depth(1);
}

void Generator::GenerateConditional(Conditional* node, Want want) {
  Generate(node->test, Want::kValue);
  uint32_t to_otherwise = Emit(Op::kJumpIfFalse);
  Depth(-1);
  int32_t depth = depth_;
  Generate(node->then, want);
  uint32_t to_end = want == Want::kValue ? Emit(Op::kJump) : 0;
  depth_ = depth;
  JumpToHere(to_otherwise);
  Generate(node->otherwise, want);
  if (want == Want::kValue) JumpToHere(to_end);
}

void Generator::GenerateOr(NodeList* node, Want want) {
  std::vector<uint32_t> jumps;
  for (size_t i = 0; i + 1 < node->nodes.size(); ++i) {
    Generate(node->nodes[i], Want::kValue);
    jumps.push_back(Emit(Op::kJumpIfTrueElsePop));
    Depth(-1);
  }
  Generate(node->nodes.back(), want);
  for (uint32_t jump : jumps) JumpToHere(jump);
  // The last one has returned; the others come here with their value on the stack.
  if (want == Want::kReturn && !jumps.empty()) Emit(Op::kReturn);
}

void Generator::GenerateSequence(NodeList* node, Want want) {
  for (size_t i = 0; i + 1 < node->nodes.size(); ++i) {
    Generate(node->nodes[i], Want::kValue);
    Emit(Op::kPop, 1);
    Depth(-1);
  }
  Generate(node->nodes.back(), want);
}

void Generator::GenerateCall(Call* node, Want want) {
  if (node->procedure->kind == NodeKind::kLocal) {
    Loop* loop = static_cast<LocalReference*>(node->procedure)->variable->loop;
    if (loop != nullptr && loop->is_jumps) return GenerateJump(loop, node);
  }
  Generate(node->procedure, Want::kValue);
  for (Node* operand : node->operands) Generate(operand, Want::kValue);
  line_ = node->line != 0 ? node->line : line_;
  uint32_t count = static_cast<uint32_t>(node->operands.size());
  Emit(want == Want::kReturn ? Op::kTailCall : Op::kCall, count);
  Depth(-static_cast<int32_t>(count));
}

void Generator::GenerateInlined(InlinedCall* node) {
  bool is_step = node->op == Op::kAdd || node->op == Op::kSubtract;
  if (is_step && node->operands[1]->kind == NodeKind::kConstant) {
    const Value& constant = static_cast<Constant*>(node->operands[1])->value;
    if (constant.IsFixnum() && std::abs(constant.AsFixnum()) <= kLargestSignedOperand) {
      Generate(node->operands[0], Want::kValue);
      int64_t step = node->op == Op::kAdd ? constant.AsFixnum() : -constant.AsFixnum();
      Emit(Op::kAddFixnum, static_cast<uint32_t>(step) & kLargestOperand);
      return;
    }
  }
  for (Node* operand : node->operands) Generate(operand, Want::kValue);
  line_ = node->line != 0 ? node->line : line_;
  Emit(node->op);
  Depth(1 - static_cast<int32_t>(node->operands.size()));
}

// Takes `slots` variables from below the value on top.
void Generator::Leave(size_t slots, Want want) {
  if (want == Want::kReturn || slots == 0) return;
  Emit(Op::kSlide, static_cast<uint32_t>(slots));
  Depth(-static_cast<int32_t>(slots));
}

void Generator::GenerateBind(Bind* node, Want want) {
  for (Node* value : node->values) Generate(value, Want::kValue);
  uint32_t slot = static_cast<uint32_t>(depth_) - static_cast<uint32_t>(node->variables.size());
  for (Variable* variable : node->variables) {
    variable->slot = slot++;
    if (variable->is_assigned) Emit(Op::kMakeBox, variable->slot);
  }
  Generate(node->body, want);
  Leave(node->variables.size(), want);
}

void Generator::GenerateDefinitions(Definitions* node, Want want) {
  size_t slots = 0;
  for (const Definitions::Item& item : node->items) {
    if (item.variable == nullptr) continue;
    PushConstant(Value(kUnboundWord));
    Settle(item.variable);
    ++slots;
  }
  for (size_t i = 0; i < node->items.size(); ++i) {
    Variable* variable = node->items[i].variable;
    Generate(node->items[i].value, Want::kValue);
    if (variable == nullptr) Emit(Op::kPop, 1);
    else Emit(variable->is_assigned ? Op::kSetLocalBox : Op::kSetSlot, variable->slot);
    Depth(-1);
    Patch(node, i);
  }
  Generate(node->body, want);
  Leave(slots, want);
}

// The definition `made` has its value: the closures that captured its slot before get it now.
void Generator::Patch(Definitions* node, size_t made) {
  Variable* variable = node->items[made].variable;
  if (variable == nullptr || variable->is_assigned || variable->procedure == nullptr) return;
  for (size_t i = 0; i < made; ++i) {
    const Variable* earlier = node->items[i].variable;
    if (earlier == nullptr || earlier->procedure == nullptr || earlier->is_assigned) continue;
    uint32_t index = Generator(compilation_, earlier->procedure).CapturedIndex(variable);
    bool is_captured = std::count(earlier->procedure->captured.begin(), earlier->procedure->captured.end(), variable) > 0;
    if (!is_captured) continue;
    if (variable->slot > kPatchMask) compilation_.FailAt(line_, "this procedure is too large");
    Emit(Op::kPatch, earlier->slot);
    EmitWord(index << kPatchShift | variable->slot);
  }
}

void Generator::GenerateLoop(Loop* node, Want want) {
  const std::vector<Variable*>& parameters = node->lambda->parameters;
  if (!node->is_jumps) {
    // (let name (...) ...) is ((letrec ((name (lambda ...))) name) ...).
    PushConstant(Value(kUnboundWord));
    Settle(node->variable);
    MakeClosure(node->lambda);
    Emit(node->variable->is_assigned ? Op::kSetLocalBox : Op::kSetSlot, node->variable->slot);
    Depth(-1);
    Push(node->variable);
    for (Node* value : node->initial) Generate(value, Want::kValue);
    Emit(want == Want::kReturn ? Op::kTailCall : Op::kCall, static_cast<uint32_t>(parameters.size()));
    Depth(-static_cast<int32_t>(parameters.size()));
    return Leave(1, want);
  }
  for (Node* value : node->initial) Generate(value, Want::kValue);
  node->top = Here();
  node->depth = static_cast<uint32_t>(depth_);
  uint32_t slot = node->depth - static_cast<uint32_t>(parameters.size());
  for (Variable* parameter : parameters) {
    parameter->slot = slot++;
    if (parameter->is_assigned) Emit(Op::kMakeBox, parameter->slot);
  }
  Generate(node->lambda->body, want);
  Leave(parameters.size(), want);
}

void Generator::GenerateJump(Loop* loop, Call* node) {
  int32_t depth = depth_;
  for (Node* operand : node->operands) Generate(operand, Want::kValue);
  uint32_t first = loop->depth - static_cast<uint32_t>(node->operands.size());
  for (size_t i = node->operands.size(); i-- > 0;) Emit(Op::kSetSlot, first + static_cast<uint32_t>(i));
  uint32_t extra = static_cast<uint32_t>(depth) - loop->depth;
  if (extra > 0) Emit(Op::kPop, extra);
  Emit(Op::kJump, loop->top);
  depth_ = depth;
  Depth(1);  // As after any expression, although nobody comes here.
}

}  // namespace

Value Generate(Compilation& compilation, Lambda* toplevel) { return Generator(compilation, toplevel).Run(); }

}  // namespace scheme
