# Binary trees: many short-lived ones built and walked while one long-lived tree stays.
class Node
  attr_reader :left, :right, :values

  # The array with four elements lies outside the object: it is what reaches malloc.
  def initialize(left, right, value)
    @left = left
    @right = right
    @values = [value, value + 1, value + 2, value + 3]
  end
end

def build(depth, value)
  return Node.new(nil, nil, value) if depth.zero?

  Node.new(build(depth - 1, 2 * value), build(depth - 1, 2 * value + 1), value)
end

def total(node)
  return node.values[0] if node.left.nil?

  node.values[0] + total(node.left) + total(node.right)
end

long_lived = build(15, 1)
checksum = 0
4.step(14, 2) do |depth|
  (3 << (14 - depth)).times do |turn|
    checksum = (checksum * 31 + total(build(depth, turn))) & 0xFFFFFFFF
  end
end
puts "trees #{checksum} #{total(long_lived)}"
