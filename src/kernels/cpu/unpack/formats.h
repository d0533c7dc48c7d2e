// Every format with integer arithmetic: its unpacker, one file per family.
#pragma once

#include "kernels/cpu/unpack/iq4_xs.h"
#include "kernels/cpu/unpack/k_quants.h"
#include "kernels/cpu/unpack/small_blocks.h"
