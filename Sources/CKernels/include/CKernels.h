// Vector loops that Swift cannot dispatch per CPU, and the thread pool they share with oneDNN.
#pragma once
#include <stddef.h>
#include <stdint.h>
#include "nnk_augmentation.h"
#include "nnk_engine.h"
#include "nnk_inference.h"
#include "nnk_preprocessing.h"
#include "nnk_tensor.h"
