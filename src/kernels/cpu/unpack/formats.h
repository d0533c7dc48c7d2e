// Every format with integer arithmetic: its unpacker, one file per family.
#pragma once

#include "kernels/cpu/unpack/iq1.h"
#include "kernels/cpu/unpack/iq2.h"
#include "kernels/cpu/unpack/iq3.h"
#include "kernels/cpu/unpack/iq4_xs.h"
#include "kernels/cpu/unpack/k_quants.h"
#include "kernels/cpu/unpack/small_blocks.h"
#include "kernels/cpu/unpack/ternary.h"
