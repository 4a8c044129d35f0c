-- Binary trees: many short-lived ones built and walked while one long-lived tree stays.
local function build(depth, value)
  if depth == 0 then return {value = value} end
  return {left = build(depth - 1, 2 * value), right = build(depth - 1, 2 * value + 1), value = value}
end

local function total(node)
  if not node.left then return node.value end
  return node.value + total(node.left) + total(node.right)
end

local long_lived = build(15, 1)
local checksum = 0
for depth = 4, 14, 2 do
  for turn = 0, (6 << (14 - depth)) - 1 do
    checksum = (checksum * 31 + total(build(depth, turn))) & 0xFFFFFFFF
  end
end
print("trees", checksum, total(long_lived))
