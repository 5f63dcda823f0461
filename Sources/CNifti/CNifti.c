// This target exists for its include folder; the code is niftilib's.
#include "CNifti.h"
