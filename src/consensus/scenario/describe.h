// describe: inputs and outputs of consensus as one line for people who read a failed test.
#pragma once

#include <string>

#include "consensus/log.h"

namespace polis::consensus {

std::string describe(const Message& message);
std::string describe(const Input& input);
std::string describe(const Output& output);

}  // namespace polis::consensus
