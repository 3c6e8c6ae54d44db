// polis: the one binary. Everything is in cli/.
#include "cli/main.h"

int main(int argc, char** argv) { return polis::cli::main(argc, argv); }
