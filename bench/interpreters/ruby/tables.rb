# Tables: rows are generated, indexed, grouped, sorted by several keys and updated in place.
def rows(count)
  state = 42
  (1..count).map do |number|
    state = (state * 1103515245 + 12345) & 0x7FFFFFFF
    { id: number, name: "a named item of number #{state}", group: (state >> 12) % 700, price: ((state >> 5) % 100000) / 100.0 }
  end
end

table = rows(50000)
by_name = {}
table.each { |row| by_name[row[:name]] = row }
groups = table.group_by { |row| row[:group] }
checksum = 0
place = 0
groups.keys.sort.each do |number|
  groups[number].sort_by { |row| [row[:price], row[:id]] }.each do |row|
    checksum = (checksum * 31 + (row[:price] * 100).to_i + row[:id]) & 0xFFFFFFFF
    place += 1
    if (place % 3).zero?
      by_name.delete(row[:name])
    else
      by_name["#{row[:name]}/copy"] = row.merge(price: row[:price] + 1)
    end
  end
end
by_name.keys.sort.each_slice(11) { |names| checksum = (checksum * 31 + names[0].size + by_name[names[0]][:id]) & 0xFFFFFFFF }
puts "tables #{checksum} #{by_name.size}"
