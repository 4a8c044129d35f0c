// A binary tree that its owner forgets.

#include <acre/acre.hpp>

#include <cstdio>

struct Tree {
  Tree(Tree* l, Tree* r) : left(l), right(r) {}

  acre::Ref<Tree> left;
  acre::Ref<Tree> right;

  template <class Visitor>
  void Trace(Visitor& visit) const {
    visit(left);
    visit(right);
  }
};

Tree* Grow(acre::Mutator& mutator, int depth) {
  if (depth == 0) return mutator.New<Tree>(nullptr, nullptr);
  Tree* left = Grow(mutator, depth - 1);
  return mutator.New<Tree>(left, Grow(mutator, depth - 1));  // Stacks are roots: nothing else to do.
}

int Count(const Tree* tree) {
  return tree == nullptr ? 0 : 1 + Count(tree->left.get()) + Count(tree->right.get());
}

int main() {
  acre::Heap heap;
  acre::Mutator mutator(heap);  // One for each thread.
  if (!mutator.is_valid()) return 1;
  acre::Root<Tree> kept(heap, Grow(mutator, 15));
  for (int i = 0; i < 100; ++i) Grow(mutator, 12);
  std::printf("%d nodes kept, %s\n", Count(kept.get()),
              heap.statistics().cycles > 0 ? "the others collected" : "nothing collected");
}
