// Something that makes a C++ compiler work: templates, ranges, containers, exceptions.
#include <functional>
#include <iostream>
#include <map>
#include <memory>
#include <sstream>
#include <stdexcept>
#include <string>
#include <utility>
#include <unordered_map>
#include <variant>
#include <vector>

template <int N>
struct Fibonacci {
  static constexpr long value = Fibonacci<N - 1>::value + Fibonacci<N - 2>::value;
};
template <>
struct Fibonacci<0> {
  static constexpr long value = 0;
};
template <>
struct Fibonacci<1> {
  static constexpr long value = 1;
};

template <int... Numbers>
long SumOfFibonacci(std::integer_sequence<int, Numbers...>) {
  return (Fibonacci<Numbers>::value + ...);
}

using Value = std::variant<long, double, std::string>;

std::string Show(const Value& value) {
  std::ostringstream out;
  std::visit([&](const auto& held) { out << held; }, value);
  return out.str();
}

int main() {
  std::cout << SumOfFibonacci(std::make_integer_sequence<int, 80>{}) << '\n';
  std::map<std::string, std::vector<Value>> table;
  for (long i = 0; i < 5000; ++i) {
    auto& row = table["row" + std::to_string(i * 31 % 101)];
    row.emplace_back(i);
    row.emplace_back(static_cast<double>(i) / 8);
    row.emplace_back(std::string(static_cast<size_t>(i % 40), 'v'));
  }
  size_t length = 0;
  for (const auto& [key, row] : table) {
    for (const Value& value : row) length += Show(value).size();
  }
  std::cout << table.size() << ' ' << length << '\n';
  std::unordered_map<std::string, std::shared_ptr<std::function<int(int)>>> functions;
  for (int i = 0; i < 1000; ++i) {
    functions[std::to_string(i)] = std::make_shared<std::function<int(int)>>([i](int x) { return x + i; });
  }
  long sum = 0;
  for (const auto& [name, function] : functions) sum += (*function)(static_cast<int>(name.size()));
  std::cout << sum << '\n';
  int caught = 0;
  for (int i = 0; i < 1000; ++i) {
    try {
      if (i % 3 == 0) throw std::runtime_error(std::string(100, 'e'));
    } catch (const std::exception& error) {
      caught += std::string(error.what()).size() == 100;
    }
  }
  std::cout << caught << '\n';
}
