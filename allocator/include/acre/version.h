#pragma once

/* The version of this header. The build reads it from here, so that it stands in one place. C and C++. */

enum {
  ACRE_VERSION_MAJOR = 0,
  ACRE_VERSION_MINOR = 1,
  ACRE_VERSION_PATCH = 0
};
