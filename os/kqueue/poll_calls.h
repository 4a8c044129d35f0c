#pragma once

#include "os/poll_calls.h"

namespace acre::os {

// What SystemPollCalls returns where there is kqueue(2).
const PollCalls& KqueuePollCalls();

}  // namespace acre::os
