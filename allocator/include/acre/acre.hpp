#pragma once

// The whole C++ interface of the collected heap.

#include "acre/ends.h"
#include "acre/heap.h"
#include "acre/roots.h"
#include "acre/stack.h"
