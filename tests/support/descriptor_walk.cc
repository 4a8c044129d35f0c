// Exits with the number of descriptors from 3 to 1023 that are open: what it inherited.

#include <fcntl.h>

int main() {
  constexpr int kFirst = 3;
  constexpr int kLimit = 1024;
  int open = 0;
  for (int number = kFirst; number < kLimit; ++number) open += fcntl(number, F_GETFD) >= 0 ? 1 : 0;
  return open < 100 ? open : 100;
}
