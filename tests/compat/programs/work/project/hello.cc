#include <iostream>

#include "hello.h"

int main() { std::cout << "built with " << DIGEST << '\n'; }
