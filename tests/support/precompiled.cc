// A program that does nothing, to which the tests' precompiled headers belong.

int main() { return 0; }
