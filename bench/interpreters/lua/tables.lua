-- Tables: rows are generated, indexed, grouped, sorted by several keys and updated in place.
local function rows(count)
  local state, made = 42, {}
  for number = 1, count do
    state = (state * 1103515245 + 12345) & 0x7FFFFFFF
    made[number] = {id = number, name = "item" .. state, group = (state >> 12) % 700, price = (state >> 5) % 100000 / 100}
  end
  return made
end

local checksum = 0
for turn = 1, 2 do
  local all = rows(30000 + turn)
  local by_name, groups = {}, {}
  for _, row in ipairs(all) do
    by_name[row.name] = row
    local group = groups[row.group]
    if not group then
      group = {}
      groups[row.group] = group
    end
    group[#group + 1] = row
  end
  for _, group in pairs(groups) do
    table.sort(group, function(a, b)
      if a.price ~= b.price then return a.price < b.price end
      return a.id < b.id
    end)
  end
  for number = 0, 699 do
    for place, row in ipairs(groups[number] or {}) do
      checksum = (checksum * 31 + math.floor(row.price * 100) + row.id * place) & 0xFFFFFFFF
      if place % 3 == 0 then
        by_name[row.name] = nil
      else
        by_name[row.name .. "/copy"] = {id = row.id, name = row.name, group = number, price = row.price + 1}
      end
    end
  end
  local left = 0
  for _ in pairs(by_name) do left = left + 1 end
  checksum = checksum ~ left
end
print("tables", checksum)
