// niftilib's NIfTI-1 and NIfTI-2 readers and writers.
#include "znzlib.h"
#include <nifti/nifti2_io.h>
